"""Options that are built alike share their weights at first."""

import copy

import pytest
import torch
from torch import nn

from supernet.choice import Choice
from supernet.errors import ConfigError
from supernet.net import SuperNet
from supernet.strategies import SPOS, Alike, TrainingContext
from supernet.strategies.alike import check_alike
from supernet.task import Classification
from supernet.train import Fit, Moment

SETTING = TrainingContext(seed=0, costs={})


class Cell(nn.Module):
    """Three edges with a linear layer, another activation of it, and a way without weights."""

    def __init__(self, options):
        super().__init__()
        self.edges = nn.ModuleList(Choice(options(), label=f"edge{i}") for i in range(3))

    def forward(self, x):
        middle = self.edges[0](x)
        return self.edges[1](x) + self.edges[2](middle)


def fresh():
    return {
        "linear": nn.Linear(6, 6),
        "tanh": nn.Sequential(nn.Linear(6, 6, bias=False), nn.Tanh()),
        "skip": nn.Identity(),
    }


def make(options=fresh, cells=2):
    with torch.random.fork_rng():
        torch.manual_seed(0)
        layers = [Cell(options) for _ in range(cells)]
        model = nn.Sequential(nn.Flatten(), nn.Linear(108, 6), *layers, nn.Linear(6, 4))
    return SuperNet(model.double())


def one_each():
    """Return options that are the same modules at every call."""
    options = fresh()
    return lambda: options


def train(model, strategy, make_loader, steps=20):
    strategy.prepare(model, SETTING)
    losses = []
    fit = Fit(
        steps=steps,
        optimizer=lambda p: torch.optim.SGD(p, lr=0.05, momentum=0.9, weight_decay=1e-3),
        schedule="constant",
        warmup=0.0,
        clip=None,
        log_every=1,
        checkpoint_seconds=1e9,
        seed=3,
        log=lambda record: losses.append(record["loss"]),
    )
    fit.run(model, strategy, Classification(), make_loader(double=True))
    return losses


@pytest.mark.parametrize("cells", [1, 2])
def test_they_learn_as_one_module_in_all_places_would(make_loader, cells):
    """The same paths through a model in which all edges hold the very same modules."""
    same = [one_each() for _ in range(cells)]
    truly = make(iter_of(same), cells)
    apart = make(cells=cells)
    first = dict(truly.model.named_parameters())
    with torch.no_grad():
        for name, parameter in apart.model.named_parameters():
            if name in first:
                parameter.copy_(first[name])
    expected = train(truly, SPOS(), make_loader)
    assert train(apart, Alike(SPOS(), 1.0), make_loader) == pytest.approx(expected, rel=1e-10)
    for name, parameter in truly.model.named_parameters():
        torch.testing.assert_close(apart.model.get_parameter(name), parameter, rtol=1e-9, atol=0)


def iter_of(functions):
    """Return a function that calls each function for the three edges of a cell."""
    calls = [function for function in functions for _ in range(3)]
    remaining = iter(calls)
    return lambda: next(remaining)()


def spread(model):
    """How far apart weights are that were one at first, the largest difference."""
    groups = check_alike(model, "module")
    return max(float((one - group[0]).abs().max().detach()) for group in groups for one in group)


def test_from_the_share_of_the_steps_on_each_has_its_own(make_loader):
    for until, steps, apart in ((0.5, 6, False), (0.5, 7, True), (1.0, 11, False)):
        model, strategy = make(), Alike(SPOS(), until)
        strategy.prepare(model, SETTING)
        assert spread(model) == 0
        loader = make_loader(double=True)
        optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
        for step in range(steps):
            strategy.backward(model, Classification(), loader.batch(step), Moment(step, 11, 0))
            optimizer.step()
            optimizer.zero_grad(set_to_none=True)
        assert (spread(model) > 0) == apart


def test_what_is_alike_is_within_a_module_or_in_the_model():
    model = make(cells=2)
    # linear's weight and bias and tanh's weight: in each cell of its own, or one for both.
    assert sorted(map(len, check_alike(model, "module"))) == [3] * 6
    assert sorted(map(len, check_alike(model, "model"))) == [6] * 3


def test_a_module_in_several_choices_is_shared_anyway():
    with pytest.raises(ConfigError, match=r"within a module; give --sharing\.among model, or"):
        check_alike(make(one_each(), cells=1), "module")


def test_without_anything_alike_there_is_nothing_to_share():
    options = [nn.Linear(6, 6), nn.Linear(6, 6, bias=False), nn.Tanh()]
    model = SuperNet(nn.Sequential(Choice(copy.deepcopy(options)), nn.Linear(6, 4)))
    with pytest.raises(
        ConfigError, match=r"with weights are in the model; give --sharing\.until 0"
    ):
        check_alike(model, "model")


def test_frozen_weights_stay():
    model = make()
    for module in model.modules():
        if isinstance(module, nn.Linear) and module.bias is None:
            module.requires_grad_(False)
    before = {n: p.clone() for n, p in model.named_parameters() if not p.requires_grad}
    Alike(SPOS(), 0.5).prepare(model, SETTING)
    assert len(before) == 6
    assert all(torch.equal(model.get_parameter(n), p) for n, p in before.items())

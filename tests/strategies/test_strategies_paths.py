"""Every decision has a path to what it is learned from, or is refused before training."""

import importlib

import pytest
import torch
from torch import nn

from supernet import elastic as el
from supernet.choice import Choice
from supernet.cost import measure_costs
from supernet.data import Examples, Loader
from supernet.errors import ConfigError
from supernet.net import SuperNet
from supernet.strategies import STRATEGIES, Alpha, CostPenalty, Coupled, TrainingContext
from supernet.strategies.gradient_paths import reached_decisions
from supernet.task import Classification
from supernet.train import Moment

GENERATOR = torch.Generator().manual_seed(0)
INPUTS = torch.randn(512, 6, generator=GENERATOR)
CLASSES = (INPUTS[:, :3] > 0).long() @ torch.tensor([1, 2, 4])
IMAGES = torch.randn(64, 1, 6, 6, generator=GENERATOR)

KINDS = {
    name: getattr(importlib.import_module(path.rpartition(".")[0]), path.rpartition(".")[2])
    for name, path in STRATEGIES.items()
}
COUPLED = {name: kind for name, kind in KINDS.items() if issubclass(kind, Coupled)}
WEIGHING = sorted(name for name, kind in COUPLED.items() if kind.weighs)


class Wide(nn.Module):
    """Eight classes that three signs tell apart: a single channel cannot."""

    def __init__(self):
        super().__init__()
        width = el.Dimension("width", [1, 2, 16])
        self.layers = nn.Sequential(
            el.Linear(6, width), el.BatchNorm1d(width), nn.Tanh(), el.Linear(width, 8)
        )
        self.op = Choice({"tanh": nn.Tanh(), "skip": nn.Identity()}, label="op")

    def forward(self, x):
        return self.op(3 * self.layers(x))


class Images(nn.Module):
    """Every kind of number that masks can stand for, and a depth; all decisions matter."""

    def __init__(self):
        super().__init__()
        width, inner = el.Dimension("width", [2, 4, 6]), el.Dimension("inner", [2, 3])
        self.stem = nn.Sequential(
            el.Conv2d(1, width, el.Dimension("kernel", [1, 3, 5])), el.BatchNorm2d(width)
        )
        deep = nn.Sequential(el.Conv2d(width, inner, 1), nn.ReLU(), el.Conv2d(inner, width, 1))
        self.op = Choice({"deep": deep, "skip": nn.Identity()}, label="op")
        blocks = [nn.Sequential(el.Conv2d(width, width, 1), nn.Tanh()) for _ in range(2)]
        self.blocks = el.depth(blocks, [1, 2], "depth")
        self.head = el.Linear(width, 8)

    def forward(self, x):
        return self.head(self.blocks(self.op(self.stem(x).relu())).mean((2, 3)))


class Scaled(nn.Module):
    """A mean over all channels, behind a scale that is zero at the start."""

    def __init__(self):
        super().__init__()
        width = el.Dimension("width", [1, 2, 16])
        self.inner, self.head = el.Linear(6, width), nn.Linear(6, 8)
        self.scale = nn.Parameter(torch.zeros(1))

    def forward(self, x):
        return self.head(x + self.scale * self.inner(x).mean(1, keepdim=True))


def prepared(strategy, model, inputs=INPUTS, seed=0):
    torch.manual_seed(seed)
    supernet = strategy.build(model).train()
    targets = CLASSES[: len(inputs)]
    loader = Loader(Examples(inputs, targets), 64, seed, purpose="search")
    setting = TrainingContext(seed, measure_costs(supernet, inputs[:1]), search=loader)
    strategy.prepare(supernet, setting)
    optimizer = torch.optim.SGD(supernet.parameters(), lr=0.2, momentum=0.9)
    strategy.start(optimizer)
    return supernet, optimizer


def train(strategy, supernet, optimizer, inputs=INPUTS, steps=60, seed=0):
    loader = Loader(Examples(inputs, CLASSES[: len(inputs)]), 64, seed)
    for step in range(steps):
        moment = Moment(step, steps, seed)
        strategy.backward(supernet, Classification(), loader.batch(step), moment)
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)


def made(name, rate=1e-2, **arguments):
    kind = COUPLED[name]
    if name.startswith("proxyless"):
        arguments["every"] = 1
    alpha = Alpha(rate, (0.0, 0.999), weight_decay=0.0, warmup=0.0)
    return kind(alpha=alpha, **arguments)


@pytest.mark.slow
@pytest.mark.parametrize("name", WEIGHING)
def test_every_number_has_a_gradient_in_every_strategy_that_weighs(name):
    strategy = made(name)
    supernet, optimizer = prepared(strategy, Images(), IMAGES)
    seen = {label: torch.zeros_like(a, dtype=torch.bool) for label, a in strategy.alphas.items()}
    step = strategy.move_alpha

    def spy(gradients):
        for label, gradient in zip(strategy.alphas, gradients, strict=True):
            if gradient is not None:
                seen[label] |= gradient != 0
        step(gradients)

    strategy.move_alpha = spy
    train(strategy, supernet, optimizer, IMAGES, steps=40)
    assert all(bool(found.all()) for found in seen.values()), seen
    assert strategy.learned(supernet)[0] in supernet.space


@pytest.mark.slow
@pytest.mark.parametrize("seed", [0, 1])
@pytest.mark.parametrize("name", ["darts", "gdas", "fbnet", "proxyless", "snas"])
def test_the_width_that_the_task_needs_is_learned(name, seed):
    arguments = {"temperature": 1.0} if name in ("gdas", "fbnet", "snas") else {}
    if name == "fbnet":
        arguments["cost"] = None
    strategy = made(name, 0.1, **arguments)
    supernet, optimizer = prepared(strategy, Wide(), seed=seed)
    with torch.no_grad():
        strategy.alphas["width"].copy_(torch.tensor([0.01, 0.0, -0.01]))  # the worst leads
    train(strategy, supernet, optimizer, steps=150, seed=seed)
    assert strategy.learned(supernet)[0]["width"] == 16


@pytest.mark.parametrize("name", ["darts", "gdas", "proxyless"])
def test_the_expected_cost_of_widths_is_that_of_the_chances(name):
    strategy = made(name, cost=CostPenalty("macs", weight=0.5))
    supernet, _ = prepared(strategy, Wide())
    table = measure_costs(supernet, INPUTS[:1])["macs"]
    with torch.no_grad():
        strategy.alphas["width"].copy_(torch.tensor([0.2, 0.3, 0.5]).log())
        strategy.alphas["op"].copy_(torch.tensor([0.9, 0.1]).log())
        found = float(strategy.expected_cost(strategy.chances()))
    costs = {
        w: table.cost(supernet.space.build(lambda d, w=w: {"width": w, "op": "tanh"}[d.label]))
        for w in (1, 2, 16)
    }
    expected = 0.2 * costs[1] + 0.3 * costs[2] + 0.5 * costs[16]
    assert found == pytest.approx(expected, rel=1e-5)
    assert costs[16] == 16 * costs[1] == 16 * (6 + 8)


class Means(nn.Module):
    """A mean over an open width, in the model's own code."""

    def __init__(self):
        super().__init__()
        width = el.Dimension("width", [2, 4])
        self.fine = el.Dimension("fine", [2, 4])
        self.a, self.b = el.Linear(6, width), el.Linear(6, self.fine)
        self.c, self.op = el.Linear(self.fine, 8), Choice([nn.Tanh(), nn.ReLU()], label="op")

    def forward(self, x):
        return self.op(self.c(self.b(x)) + self.a(x).mean(1, keepdim=True))


def norm():
    width = el.Dimension("width", [2, 4])
    layers = el.Linear(6, width), el.LayerNorm(width), el.Linear(width, 8)
    return nn.Sequential(*layers)


@pytest.mark.parametrize(
    ("model", "reason"),
    [(Means, "beyond 2 masked the model computes something else"), (norm, r"1 \(LayerNorm\)")],
)
@pytest.mark.parametrize("name", WEIGHING)
def test_numbers_without_masks_are_refused_before_training(name, model, reason):
    message = rf"cannot relax decision 'width'.*{reason}(.|\n)*such as spos, sandwich"
    with pytest.raises(ConfigError, match=message):
        prepared(made(name), model())


@pytest.mark.parametrize("model", [Means, norm])
def test_strategies_that_score_paths_take_any_number(model):
    strategy = made("proxyless-rl")
    supernet, optimizer = prepared(strategy, model())
    train(strategy, supernet, optimizer, steps=3)
    assert strategy.learned(supernet)[0] in supernet.space


def test_looking_changes_neither_statistics_nor_modes_nor_random_state():
    torch.manual_seed(0)
    model = nn.Sequential(nn.Dropout(0.5), Wide())
    supernet = SuperNet(model).train()
    before = {name: value.clone() for name, value in supernet.state_dict().items()}
    loader = Loader(Examples(INPUTS, CLASSES), 64, 0, purpose="search")
    costs = measure_costs(supernet, INPUTS[:1])
    state = torch.get_rng_state()
    strategy = made("darts")
    strategy.prepare(supernet, TrainingContext(0, costs, search=loader))
    assert torch.equal(torch.get_rng_state(), state)
    assert all(torch.equal(value, before[n]) for n, value in supernet.state_dict().items())
    assert all(module.training for module in supernet.modules())


def test_decisions_exist_where_one_of_their_paths_runs():
    space = SuperNet(Images()).space
    everything = {d.label: tuple(range(len(d.options))) for d in space.decisions}
    assert set(reached_decisions(space, everything)) == space.labels
    assert set(reached_decisions(space, {**everything, "op": (1,)})) == space.labels - {"inner"}


def test_what_a_scale_of_zero_hides_is_refused_and_the_scale_stays_zero():
    model = Scaled()
    with pytest.raises(ConfigError, match="looks at all channels"):
        prepared(KINDS["darts"](), model)
    assert model.scale.tolist() == [0.0]

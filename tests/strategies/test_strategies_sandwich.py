import pytest
import torch
from torch import nn
from torch.nn import functional as F

from supernet import elastic as el
from supernet.choice import Choice
from supernet.cost import measure_costs
from supernet.errors import ConfigError
from supernet.net import SuperNet
from supernet.space import Architecture
from supernet.strategies import Sandwich, TrainingContext
from supernet.task import Classification, Task
from supernet.train import Moment

BATCH = torch.randn(12, 4, generator=torch.Generator().manual_seed(0)), torch.arange(12) % 3
MOMENT = Moment(3, 10, 4)


class Net(nn.Module):
    def __init__(self, dropout=0.0):
        super().__init__()
        width = el.Dimension("width", [2, 4, 6])
        self.stem = el.Linear(4, width)
        self.op = Choice({"deep": el.Linear(width, width), "skip": nn.Identity()}, label="op")
        self.dropout = nn.Dropout(dropout)
        self.head = el.Linear(width, 3)

    def forward(self, x):
        return self.head(self.dropout(self.op(self.stem(x)).tanh()))


def made(dropout=0.0, **arguments):
    torch.manual_seed(0)
    supernet, strategy = SuperNet(Net(dropout)).train(), Sandwich(**arguments)
    strategy.prepare(supernet, TrainingContext(4, measure_costs(supernet, BATCH[0][:1])))
    return strategy, supernet


LARGEST, SMALLEST = (
    Architecture({"width": 6, "op": "deep"}),
    Architecture({"width": 2, "op": "skip"}),
)


def test_the_ends_are_the_dearest_and_the_cheapest_architecture():
    strategy, supernet = made()
    assert strategy._ends == (SMALLEST, LARGEST)
    costs = measure_costs(supernet, BATCH[0][:1])["macs"]
    everything = [supernet.space[i] for i in range(supernet.space.size)]
    assert costs.extremes(supernet.space) == (
        min(everything, key=costs.cost),
        max(everything, key=costs.cost),
    )


@pytest.mark.parametrize(
    ("options", "distil"),
    [
        ({"distil_from": 0.0}, True),
        ({"distil_from": MOMENT.progress}, True),
        ({"distil_from": MOMENT.progress + 0.01}, False),
        ({}, False),
        ({"distil": False, "distil_from": 0.0}, False),
    ],
)
def test_gradients_are_the_mean_of_those_of_the_paths(options, distil):
    strategy, supernet = made(paths=4, **options)
    value = strategy.backward(supernet, Classification(), BATCH, MOMENT)
    found = [p.grad.clone() for p in supernet.parameters()]
    x, y = BATCH
    teacher = supernet(x, LARGEST)
    losses = [F.cross_entropy(teacher, y)]
    middle = strategy.middle(supernet, Classification(), BATCH, MOMENT)
    others = [SMALLEST, *middle]
    assert len(others) == 3
    seen = [F.cross_entropy(supernet(x, one), y) for one in others]
    assert value == pytest.approx((losses[0] + sum(seen)).item() / 4)
    for architecture in others:
        logits = supernet(x, architecture)
        soft = -(teacher.detach().softmax(1) * logits.log_softmax(1)).sum(1).mean()
        losses.append(soft if distil else F.cross_entropy(logits, y))
    expected = torch.autograd.grad(sum(losses) / 4, list(supernet.parameters()))
    for mine, right in zip(found, expected, strict=True):
        torch.testing.assert_close(mine, right)


def test_other_tasks_learn_from_the_difference_of_outputs():
    class Regression(Task):
        def loss(self, model, batch):
            return (model(batch[0])[:, 0] - batch[1]).square().mean()

        def measure(self, model, batch):
            return {"loss": (model(batch[0])[:, 0] - batch[1]).square()}

    strategy, supernet = made(paths=2)
    strategy.backward(supernet, Regression(), BATCH, Moment(9, 10, 4))
    found = [p.grad.clone() for p in supernet.parameters()]
    teacher = supernet(BATCH[0], LARGEST)
    loss = (teacher[:, 0] - BATCH[1]).square().mean()
    loss = loss + (supernet(BATCH[0], SMALLEST) - teacher.detach()).square().mean()
    expected = torch.autograd.grad(loss / 2, list(supernet.parameters()))
    for mine, right in zip(found, expected, strict=True):
        torch.testing.assert_close(mine, right)


def test_dropout_acts_in_the_largest_only():
    strategy, supernet = made(dropout=0.5, paths=3)
    seen = []
    supernet.model.dropout.register_forward_hook(
        lambda module, inputs, output: seen.append(torch.equal(inputs[0], output))
    )
    strategy.backward(supernet, Classification(), BATCH, MOMENT)
    assert seen == [False, True, True]
    assert supernet.model.dropout.training


def test_what_makes_no_sandwich_is_refused():
    with pytest.raises(ConfigError, match="at least 2 paths, not 1"):
        Sandwich(paths=1)
    for share in (-0.1, 1.1, float("nan")):
        with pytest.raises(ConfigError, match=r"distil_from is a share .* in \[0, 1\]"):
            Sandwich(distil_from=share)
    with pytest.raises(ConfigError, match="'latency_ms', but costs are known for macs, params"):
        made(quantity="latency_ms")


def test_tasks_that_show_no_outputs_are_refused():
    class Weights(Task):
        def loss(self, model, batch):
            return sum(p.square().sum() for p in model.parameters())

        def measure(self, model, batch):
            return {"loss": torch.zeros(len(batch[0]))}

    strategy, supernet = made()
    with pytest.raises(
        ConfigError, match=r"Sandwich compares .* of Weights does not call the model"
    ):
        strategy.backward(supernet, Weights(), BATCH, MOMENT)

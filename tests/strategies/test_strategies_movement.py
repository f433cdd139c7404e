"""What is watched of learned decisions: whether they had a gradient, and how far they went."""

import io

import pytest
import torch
from coupled_models import BATCH, Chain, Counting, Factors, Mean, at, ready
from torch import nn

from supernet.choice import Choice, InputChoice
from supernet.net import SuperNet
from supernet.strategies import DARTS, ENAS, GDAS, SNAS, Alpha, FairDARTS, ProxylessNAS, ProxylessRL
from supernet.strategies.controller import Controller, Policy
from supernet.strategies.movement import Movement
from supernet.task import Classification


class Unused(nn.Module):
    """The second decision's options compute nothing that the output depends on."""

    def __init__(self):
        super().__init__()
        self.first = Choice([nn.Linear(4, 3), nn.Linear(4, 3)], label="first")
        self.second = Choice([nn.Linear(4, 3), nn.Linear(4, 3)], label="second")

    def forward(self, x):
        return self.first(x) + 0 * self.second(x)


def trained(strategy, model, steps=6, task=None):
    supernet = ready(strategy, model)
    strategy.start(torch.optim.SGD(supernet.parameters(), lr=0.1))
    for step in range(steps):
        strategy.backward(supernet, task or Classification(), BATCH, at(step, steps))
        supernet.zero_grad(set_to_none=True)
    return supernet


def test_gradients_are_noted_decision_by_decision():
    movement = Movement({"a": torch.zeros(2), "b": torch.zeros(1), "c": torch.zeros(3)})
    assert movement.still() == []  # nothing has begun
    movement.note([None, torch.zeros(1), torch.zeros(3)])
    assert movement.still() == ["a", "b", "c"]
    movement.note([None, torch.zeros(1), torch.tensor([0.0, -1e-20, 0.0])])
    movement.note([torch.zeros(2), torch.zeros(1), None])
    assert movement.still() == ["a", "b"]
    found = movement.distances(
        {"a": torch.tensor([0.25, -0.5]), "b": torch.ones(1), "c": torch.zeros(3)}
    )
    assert found == {"a": 0.5, "b": 1.0, "c": 0.0}
    (warning,) = movement.warnings("DARTS", ["b", "c"])
    assert "DARTS has learned nothing about 1 of its decisions ('b')" in warning
    assert movement.warnings("DARTS", ["c"]) == []


def test_noting_asks_nothing_of_the_device():
    movement = Movement({"a": torch.zeros(2, device="meta")})
    movement.note([torch.ones(2, device="meta")])  # a question would raise
    with pytest.raises((RuntimeError, NotImplementedError)):
        movement.still()


@pytest.mark.parametrize(
    "make",
    [
        lambda: DARTS(alpha=Alpha(0.1)),
        lambda: DARTS(2, alpha=Alpha(0.1)),
        lambda: SNAS(alpha=Alpha(0.1)),
        lambda: GDAS(alpha=Alpha(0.1)),
        lambda: FairDARTS(),
        lambda: ProxylessNAS(every=1, alpha=Alpha(0.1)),
    ],
)
def test_a_decision_that_no_gradient_reaches_is_named(make):
    strategy = make()
    trained(strategy, Unused())
    (warning,) = strategy.warnings()
    assert "has learned nothing about 1 of its decisions ('second')" in warning
    assert "chance" in warning


def test_rewards_that_are_all_equal_teach_nothing():
    class Same(Classification):
        def measure(self, model, batch):
            return {"loss": torch.ones(len(batch[0]))}

    strategy = ProxylessRL(every=1, alpha=Alpha(0.1, weight_decay=0.0))
    trained(strategy, Chain(), task=Same())
    (warning,) = strategy.warnings()
    assert "ProxylessRL has learned nothing about 3 of its decisions" in warning


def test_a_training_that_ends_before_alpha_begins_is_named():
    strategy = DARTS(alpha=Alpha(warmup=0.9))
    trained(strategy, Chain(), steps=1)
    (warning,) = strategy.warnings()
    assert "nothing about 3 of its decisions ('first', 'outer', 'inner')" in warning


def test_edges_that_are_not_learned_and_single_options_are_not_named():
    def edge():
        return Choice({"a": Counting(nn.Linear(4, 3)), "b": nn.Linear(4, 3)})

    class Node(nn.Module):
        def __init__(self):
            super().__init__()
            self.node = InputChoice({"x": edge(), "y": edge()}, label="one")
            self.several = InputChoice({c: edge() for c in "xyz"}, pick=2, label="edges")
            self.single = Choice([nn.Tanh()], label="single")

        def forward(self, x):
            return self.single(self.node([x, x]) + self.several([x, x, x]))

    strategy = DARTS(alpha=Alpha(0.1))
    trained(strategy, Node())
    assert strategy.warnings() == []
    assert "edges" in strategy.movement.still()
    assert 0 < strategy.metrics()["least_moved"] < 1


def test_the_smallest_move_is_in_probability():
    strategy = DARTS(alpha=Alpha(0.1, weight_decay=0.0))
    supernet = ready(strategy, Factors(3, -2, 1), start={"pick": [0.0, 0.0, 0.0]})
    before = strategy.metrics()["least_moved"]
    assert before < 1e-3  # α's spread
    for step in range(3):
        strategy.backward(supernet, Mean(), BATCH, at(step))
    p = torch.softmax(strategy.alphas["pick"].detach(), 0)
    found = strategy.metrics()["least_moved"]
    assert found == pytest.approx(float((p - 1 / 3).abs().max()), abs=1e-3)
    assert found > 0.05


def test_what_was_watched_survives_a_restart():
    strategy = GDAS(alpha=Alpha(0.1))
    supernet = trained(strategy, Unused())
    file = io.BytesIO()
    torch.save(strategy.state_dict(), file)
    file.seek(0)
    again = GDAS(alpha=Alpha(0.1))
    ready(again, Unused())
    assert again.warnings() == []
    again.load_state_dict(torch.load(file, weights_only=True))
    assert again.warnings() == strategy.warnings() != []
    assert again.metrics() == strategy.metrics()
    for one in (strategy, again):
        one.backward(supernet, Classification(), BATCH, at(6))
    assert again.metrics() == strategy.metrics()


def test_a_controller_says_whether_rewards_have_taught_it():
    space = SuperNet(Chain()).space
    policy = Policy(Controller(space, 0))
    drawn = [space[0], space[1]]
    assert not policy.taught
    policy.update(drawn, [0.5, 0.5])
    assert not policy.taught  # both are the baseline
    state = policy.state_dict()
    policy.update(drawn, [0.5, 0.75])
    assert policy.taught
    policy.load_state_dict(state)
    assert not policy.taught


@pytest.mark.parametrize(("interval", "expected"), [(50, 1), (1, 0)])
def test_enas_warns_if_its_controller_was_never_taught(interval, expected):
    strategy = ENAS(interval=interval, updates=1, architectures=2, candidates=2)
    trained(strategy, Chain())
    found = strategy.warnings()
    assert len(found) == expected
    assert all("no reward has moved" in text and "strategy.interval 50" in text for text in found)

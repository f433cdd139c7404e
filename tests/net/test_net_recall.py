"""What a model computes again in the backward pass is computed under the route of its forward pass."""

from __future__ import annotations

import pytest
import torch
from torch import nn
from torch.utils.checkpoint import checkpoint

from supernet import elastic as el
from supernet.choice import Choice, Routing
from supernet.errors import RoutingError
from supernet.net import GeneratedSuperNet, SuperNet, derive
from supernet.net.generated import Hypernetwork, designated
from supernet.space import Architecture

X = torch.randn(4, 6)


class Net(nn.Module):
    """An open width and a choice, both within what is computed again."""

    def __init__(self, again):
        super().__init__()
        self.again = again
        width = el.Dimension("width", [4, 8])
        self.stem = el.Linear(6, width)
        self.block = nn.Sequential(
            el.Linear(width, 8), Choice({"relu": nn.ReLU(), "tanh": nn.Tanh()}, label="act")
        )
        self.head = nn.Linear(8, 3)

    def forward(self, x):
        x = self.stem(x)
        return self.head(self.again(self.block, x))


def plainly(block, x):
    return block(x)


def not_reentrant(block, x):
    return checkpoint(block, x, use_reentrant=False)


def reentrant(block, x):
    return checkpoint(block, x, use_reentrant=True)


def nested(block, x):
    def inner(x):
        return checkpoint(block, x, use_reentrant=True)

    return checkpoint(inner, x, use_reentrant=True)


NARROW = Architecture({"width": 4, "act": "tanh"})
WIDE = Architecture({"width": 8, "act": "relu"})


def made(again):
    torch.manual_seed(0)
    return SuperNet(Net(again))


def gradients(supernet, lose):
    supernet.zero_grad()
    lose(supernet).backward()
    assert all(choice.gate is None for choice in supernet.choices)  # the route is over
    return {name: p.grad.clone() for name, p in supernet.named_parameters() if p.grad is not None}


def one(supernet):
    return supernet(X, NARROW).square().sum()


def two(supernet):
    """Two passes whose losses go backward together, the smaller one first."""
    return (supernet(X, NARROW) * supernet(X + 1, WIDE)).sum()


def ghosts(supernet):
    routes = [Routing.hard(supernet.space, one) for one in (WIDE, NARROW)]
    return supernet(X, routing=routes).square().sum()


def weighed(supernet):
    routing = Routing.hard(supernet.space, NARROW)
    weights = torch.tensor([0.25, 0.75])
    routing |= Routing.soft(supernet.space, {"width": weights, "act": weights})
    return supernet(X, routing).square().sum()


@pytest.mark.parametrize("lose", [one, two, ghosts, weighed], ids=lambda f: f.__name__)
@pytest.mark.parametrize("again", [not_reentrant, reentrant, nested], ids=lambda f: f.__name__)
def test_gradients_are_those_without_checkpointing(again, lose):
    expected = gradients(made(plainly), lose)
    found = gradients(made(again), lose)
    assert found.keys() == expected.keys()
    for name, gradient in expected.items():
        torch.testing.assert_close(found[name], gradient)


def test_gradients_are_those_of_the_derived_network():
    supernet = made(not_reentrant)
    derived = derive(supernet, NARROW)
    derived(X).square().sum().backward()
    found = gradients(supernet, one)
    torch.testing.assert_close(found["model.stem.weight"][:4], derived.stem.weight.grad)
    assert not found["model.stem.weight"][4:].any()


def test_an_error_in_a_backward_pass_leaves_nothing_behind():
    def broken(block, x):
        y = not_reentrant(block, x)
        y.register_hook(lambda _: 1 / 0)
        return y

    supernet = made(broken)
    with pytest.raises(ZeroDivisionError):
        one(supernet).backward()
    assert all(choice.gate is None for choice in supernet.choices)
    supernet.model.again = not_reentrant
    expected = gradients(made(plainly), two)
    for name, gradient in gradients(supernet, two).items():
        torch.testing.assert_close(gradient, expected[name])


class Ones(Hypernetwork):
    """Weights of ones, times a learned number."""

    def __init__(self, layers):
        super().__init__(layers)
        self.scale = nn.Parameter(torch.ones(()))

    def forward(self, running, layers):
        return [self.scale * torch.ones(self.shapes[number]) for number in layers]


class Chosen(nn.Module):
    def __init__(self):
        super().__init__()
        self.choice = Choice({"one": nn.Linear(6, 6), "two": nn.Linear(6, 6)}, label="choice")

    def forward(self, x):
        return checkpoint(self.choice, x, use_reentrant=False)


def test_generated_weights_are_gone_and_that_is_said():
    model = Chosen()
    supernet = GeneratedSuperNet(model, Ones(designated(SuperNet(model), None)))
    loss = supernet(X.clone().requires_grad_(), Architecture({"choice": "two"})).square().sum()
    with pytest.raises(RoutingError, match=r"again in the backward pass.*switch checkpointing off"):
        loss.backward()


def test_outputs_are_saved_without_a_warning(tmp_path):
    supernet = SuperNet(Net(plainly))
    y = supernet(X, Architecture({"width": 4, "act": "relu"}))
    torch.save(y, tmp_path / "y.pt")
    assert torch.equal(torch.load(tmp_path / "y.pt", weights_only=True), y)

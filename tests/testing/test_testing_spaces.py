"""Each promise of a space and its networks is found broken where it is broken, and named."""

from __future__ import annotations

import inspect

import pytest
import torch
from torch import nn

from supernet.choice import Choice
from supernet.cost import CostTable, Entry
from supernet.net import SuperNet
from supernet.space import Architecture, Diagram, OneOf, SearchSpace
from supernet.testing import check_space
from supernet.testing.models import Nested, Tiny
from supernet.testing.promises import text
from supernet.testing.spaces import OF_SPACES, PROMISES, NetworkCase, no_cost_is_out_of_range

IMAGE = (1, 8, 8)


class Scaled(nn.Module):
    """A part whose ordinary module is another one."""

    def __init__(self, **differing):
        super().__init__()
        self.layer = nn.Conv2d(8, 8, 3, padding=1)
        self.norm = nn.BatchNorm2d(8)
        self.differing = differing

    def forward(self, features):
        return self.norm(self.layer(features))

    def plain(self):
        layer = nn.Conv2d(8, 8, 3, padding=1)
        layer.load_state_dict(self.layer.state_dict())
        norm = nn.BatchNorm2d(8, **self.differing)
        norm.load_state_dict(self.norm.state_dict())
        with torch.no_grad():
            if not self.differing:
                layer.weight.mul_(1.5)
        return nn.Sequential(layer, norm).train(self.training)


class Reading(nn.Module):
    """An option that uses a weight that belongs to another one."""

    def __init__(self, other):
        super().__init__()
        self.layer = nn.Conv2d(8, 8, 1)
        self._other = [other]

    def forward(self, features):
        return self.layer(features) + self._other[0].weight.mean()


class Model(nn.Module):
    """One question, whose answers are given."""

    def __init__(self, options, outputs=4):
        super().__init__()
        self.stem = nn.Conv2d(1, 8, 3, padding=1)
        self.choice = Choice(options, label="choice")
        self.head = nn.Linear(8, outputs)

    def forward(self, images):
        return self.head(self.choice(self.stem(images)).mean((2, 3)))


def differing():
    """A model one of whose networks is another when it is derived."""
    return Model({"scaled": Scaled(), "skip": nn.Identity()})


def slower():
    """A model one of whose networks collects other statistics when it is derived."""
    return Model({"scaled": Scaled(momentum=0.5), "skip": nn.Identity()})


def reading():
    """A model one of whose options trains what belongs to another."""
    first = nn.Conv2d(8, 8, 1)
    return Model({"first": first, "second": Reading(first), "skip": nn.Identity()})


class Undrawn(Tiny):
    """A model whose diagrams have no output."""

    def diagram(self, architecture):
        return Diagram("nothing", (), ())


@pytest.mark.slow_with("Undrawn-Diagrams-input, operation and output")
@pytest.mark.parametrize(
    ("make", "promise", "seen"),
    [
        (differing, "computes what the supernet computes", "the same outputs for"),
        (slower, "collects the statistics", "the same outputs for"),
        (reading, "all parameters alone", "choice.*to rest"),
        (Undrawn, "Diagrams", "input, operation and output"),
    ],
)
def test_what_is_broken_is_named(make, promise, seen):
    model = make()
    with pytest.raises(AssertionError, match=f"{type(model).__name__} breaks .*{promise}") as at:
        check_space(model, image=IMAGE)
    at.match(seen)


class Repeating(SearchSpace):
    """Enumerates an architecture twice."""

    def __getitem__(self, index):
        return super().__getitem__(max(index, 1))

    def __iter__(self):
        return (self[i] for i in range(self.size))


@pytest.mark.parametrize(
    ("space", "promise"),
    [
        (Repeating([OneOf("a", ("x", "y", "z"))]), "Enumeration has no duplicates"),
        (
            SearchSpace(
                [OneOf("a", ("x", "y", "z"))],
                canonical=lambda one: Architecture({"a": {"x": "y", "y": "z", "z": "x"}[one["a"]]}),
            ),
            "Canonical forms are architectures",
        ),
    ],
)
def test_a_space_alone_is_checked(space, promise):
    with pytest.raises(AssertionError, match=f"the space breaks a promise. {promise}"):
        check_space(space)
    check_space(SearchSpace([OneOf("a", ("x", "y", "z"))]))


def test_wrong_costs_are_named(monkeypatch):
    case = NetworkCase(SuperNet(Nested()), torch.randn(3, *IMAGE))
    table = CostTable("macs", [Entry(frozenset([()]), 5)])
    monkeypatch.setattr("supernet.testing.spaces.measure_costs", lambda *_: {"macs": table})
    monkeypatch.setattr(table, "range", lambda space: (5.0, 5.0))
    monkeypatch.setattr(table, "cost", lambda architecture: 7)
    with pytest.raises(AssertionError, match=r"range .*Expected: macs from 5.* to 5.*Seen: 7 of"):
        no_cost_is_out_of_range(case)


def test_what_keeps_all_promises_passes():
    before = SuperNet(Nested())
    weights = {name: value.clone() for name, value in before.state_dict().items()}
    check_space(before, image=IMAGE)
    parameters = dict(before.named_parameters())
    assert all(torch.equal(value, weights[name]) for name, value in parameters.items())
    assert all(value.grad is None for value in parameters.values())
    check_space(Tiny(), torch.randn(3, *IMAGE))


def test_a_model_needs_inputs():
    with pytest.raises(TypeError, match="needs inputs"):
        check_space(Nested())


def test_the_docstring_lists_all_promises():
    listed = " ".join(inspect.getdoc(check_space).split())
    promises = [*OF_SPACES, *PROMISES]
    assert all(f"* {text(kept)}" in listed for kept in promises)
    assert listed.count("* ") == len(promises)

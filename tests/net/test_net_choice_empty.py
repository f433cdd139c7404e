"""Choices that may pick no option, and what stands for none."""

import random

import pytest
import torch
from torch import nn

from supernet.choice import Choice, Gate, InputChoice, Routing
from supernet.cost import count_params, measure_costs
from supernet.errors import SpaceError
from supernet.net import SuperNet, derive
from supernet.ops import Zero
from supernet.space import Architecture


class Net(nn.Module):
    """Some of three layers, none among them; and inputs of which none needs to be read."""

    def __init__(self):
        super().__init__()
        inner = Choice({"x": nn.Linear(4, 4), "y": nn.Tanh()}, label="inner")
        layers = {"a": inner, "b": nn.Linear(4, 4), "c": nn.Linear(4, 4)}
        self.some = Choice(layers, pick=(0, 2), label="some", empty=nn.Identity())
        self.read = InputChoice(
            {"p": nn.Linear(4, 4), "q": nn.Linear(4, 4)}, (0, 2), "read", Zero()
        )
        self.head = nn.Linear(4, 3)

    def forward(self, x):
        y = self.some(x)
        return self.head(y + self.read([x, y]))


def made():
    torch.manual_seed(0)
    return SuperNet(Net()).eval()


def by_hand(model, architecture, x):
    some, read = architecture["some"], architecture["read"]
    layers = {"b": model.some.options[1], "c": model.some.options[2]}
    if "a" in some:
        layers["a"] = model.some.options[0].options["xy".index(architecture["inner"])]
    y = sum(layers[name](x) for name in some) if some else x
    inputs = {"p": x, "q": y}
    read_sum = sum(model.read.options["pq".index(name)](inputs[name]) for name in read)
    return model.head(y + read_sum)


def test_every_architecture_computes_what_it_says_and_so_does_its_network():
    supernet, x = made(), torch.randn(5, 4)
    # of three none, one or two; "a" in three of these, with two answers of its own; of two any
    assert supernet.space.size == (7 + 3) * 4
    every = list(supernet.space)
    assert len(set(every)) == 40
    costs = measure_costs(supernet, x[:1])
    for one in every:
        expected = by_hand(supernet.model, one, x)
        torch.testing.assert_close(supernet(x, one), expected)
        network = derive(supernet, one)
        torch.testing.assert_close(network(x), expected)
        assert costs["params"].cost(one) == count_params(network)
        assert Architecture.from_json(one.to_json()) == one
    assert {len(one["some"]) for one in every} == {0, 1, 2}
    sizes = [costs["params"].cost(one) for one in every]
    assert costs["params"].range(supernet.space) == (min(sizes), max(sizes))
    nothing = Architecture({"some": (), "read": ()})
    assert min(sizes) == costs["params"].cost(nothing) == 4 * 3 + 3


def test_neighbours_mutation_and_crossover_reach_it():
    space = made().space
    nothing = Architecture({"some": (), "read": ()})
    near = space.neighbours(nothing)
    assert {one["some"] for one in near} == {(), ("a",), ("b",), ("c",)}
    assert nothing in space.neighbours(Architecture({"some": ("b",), "read": ()}))
    stream = random.Random(0)
    full = Architecture({"some": ("b", "c"), "read": ("p", "q")})
    assert nothing in {space.mutate(full, 0.5, stream) for _ in range(800)}
    assert nothing in {space.crossover(full, nothing, stream) for _ in range(50)}


@pytest.mark.parametrize("weights", [None, torch.zeros(0)])
def test_a_gate_without_options_is_what_stands_for_none(weights):
    supernet, x = made(), torch.randn(5, 4)
    routing = Routing({"some": Gate((), weights), "read": Gate((0,))})
    model = supernet.model
    torch.testing.assert_close(supernet(x, routing), model.head(x + model.read.options[0](x)))


@pytest.mark.parametrize("kind", [Choice, InputChoice])
def test_what_none_means_must_be_said(kind):
    with pytest.raises(SpaceError, match=r"may pick no option; give it as `empty`"):
        kind({"a": nn.Identity()}, pick=(0, 1))

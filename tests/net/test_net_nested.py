"""Models that take and return tuples, lists and dictionaries; architectures as plain dictionaries."""

from __future__ import annotations

from typing import NamedTuple

import pytest
import torch
from torch import nn

import supernet as sn
from supernet.choice import Routing
from supernet.errors import RoutingError, SpaceError
from supernet.modules.nested import cut_batch, joined_batch, tensors


class Pair(NamedTuple):
    first: torch.Tensor
    second: torch.Tensor


class Boxes(nn.Module):
    """Returns what `shape` makes of two outputs."""

    def __init__(self, shape) -> None:
        super().__init__()
        self.a = sn.Choice({"double": Times(2), "triple": Times(3)})
        self.shape = shape

    def forward(self, x):
        y = self.a(x["image"] if isinstance(x, dict) else x)
        return self.shape(y, y.sum(1))


class Times(nn.Module):
    def __init__(self, factor: float) -> None:
        super().__init__()
        self.factor = factor

    def forward(self, x):
        return x * self.factor


SHAPES = {
    "tuple": lambda y, z: (y, z),
    "named": Pair,
    "list": lambda y, z: [y, z],
    "dict": lambda y, z: {"boxes": y, "scores": z},
    "nested": lambda y, z: {"boxes": [y, (z, y)], "kind": "points", "none": None},
}


@pytest.mark.parametrize("name", SHAPES)
@pytest.mark.parametrize("inputs", ["tensor", "dict"])
def test_ghost_batches_are_put_together_in_every_place(name, inputs):
    net = sn.SuperNet(Boxes(SHAPES[name]))
    x = torch.arange(10.0).reshape(5, 2)
    routes = [Routing.hard(net.space, net.space[i]) for i in (1, 0)]  # three examples, then two
    factor = torch.tensor([3.0, 3.0, 3.0, 2.0, 2.0])[:, None]
    expected = SHAPES[name](x * factor, (x * factor).sum(1))
    found = net(x if inputs == "tensor" else {"image": x}, routing=routes)
    assert type(found) is type(expected)
    pairs = list(zip(tensors(found), tensors(expected), strict=True))
    assert len(pairs) >= 2
    assert all(torch.equal(one, other) for one, other in pairs)


def test_what_has_no_batch_cannot_be_put_together():
    net = sn.SuperNet(Boxes(lambda y, z: {"boxes": y, "penalty": y.mean()}))
    route = Routing.hard(net.space, net.space[0])
    assert net(torch.ones(4, 2), routing=route)["penalty"] == 2
    with pytest.raises(RoutingError, match=r"one number.*ghost batches.*one path per batch"):
        net(torch.ones(4, 2), routing=[route, route])


def test_cut_and_joined_are_inverse():
    value = {"a": torch.arange(5), "b": (torch.arange(10).reshape(5, 2), "x"), "c": 3}
    parts = cut_batch(value, 3)
    assert [len(part["a"]) for part in parts] == [2, 2, 1]
    again = joined_batch(parts)
    assert torch.equal(again["a"], value["a"])
    assert torch.equal(again["b"][0], value["b"][0])
    assert (again["b"][1], again["c"]) == ("x", 3)


def test_a_dictionary_is_an_architecture_too():
    net = sn.SuperNet(Boxes(lambda y, z: y))
    x = torch.ones(2, 2)
    for found in (
        net(x, {"a": "triple"}),
        net(x, routing={"a": "triple"}),
        sn.derive(net, {"a": "triple"})(x),
        sn.derive(net.model, sn.Architecture({"a": "triple"}))(x),
    ):
        assert torch.equal(found, 3 * x)
    with net.route({"a": "double"}):
        assert torch.equal(net({"image": x}), 2 * x)  # a model's own dictionary is no architecture
    with pytest.raises(SpaceError, match="nothing"):
        net(x, {"a": "nothing"})
    with pytest.raises(SpaceError, match="no decisions"):
        sn.derive(nn.Linear(2, 2), {"a": "x"})

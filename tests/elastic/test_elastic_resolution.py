"""Images of an open size, and the exact costs of all that follows."""

from __future__ import annotations

import io
import itertools

import numpy as np
import pytest
import torch
from PIL import Image
from torch import nn

from supernet import elastic as el
from supernet.choice import Choice, Gate, Routing
from supernet.cost import build_latency_table, count_macs, count_params, measure_costs
from supernet.errors import RoutingError, SpaceError
from supernet.net import SuperNet, derive, split_supernet
from supernet.net.export import export_program
from supernet.space import Architecture, Ordered

SIDES = (4, 6, 9)


def sides(label="side"):
    return el.Resolution(el.Dimension(label, SIDES))


class Net(nn.Module):
    """Fixed and elastic layers, a choice and a depth behind an open resolution."""

    def __init__(self):
        super().__init__()
        width = el.Dimension("width", [2, 4])
        self.resize = sides()
        self.stem = nn.Conv2d(1, 3, 3, 2, 1)
        self.widen = el.Conv2d(3, width, el.Dimension("kernel", [1, 3]))
        self.blocks = el.depth([el.Conv2d(width, width, 3) for _ in range(2)], [1, 2], "depth")
        self.choice = Choice({"conv": el.Conv2d(width, 3, 1), "other": el.Conv2d(width, 3, 3)})
        self.fixed = Choice({"wide": nn.Conv2d(3, 3, 5, padding=2), "skip": nn.Identity()})
        deep = nn.Sequential(nn.Linear(3, 4), nn.Linear(4, 5))
        self.head = Choice({"flat": nn.Linear(3, 5), "deep": deep}, label="head")

    def forward(self, x):
        x = self.blocks(self.widen(self.stem(self.resize(x))))
        return self.head(self.fixed(self.choice(x)).mean((2, 3)))


@pytest.fixture
def net():
    torch.manual_seed(0)
    return SuperNet(Net())


@pytest.mark.parametrize("side", [3, 5, 8, 13])
def test_images_are_resized_as_by_pillow(side):
    images = torch.rand(2, 3, 8, 11)
    expected = np.stack(
        [
            [
                np.asarray(Image.fromarray(plane.numpy()).resize((side, side), Image.BILINEAR))
                for plane in image
            ]
            for image in images
        ]
    )
    torch.testing.assert_close(el.Resize(side)(images), torch.from_numpy(expected))


def test_images_of_the_size_stay_as_they_are():
    images = torch.randn(2, 1, 6, 6)
    assert el.Resize(6)(images) is images


def test_the_side_is_a_number_that_is_decided():
    supernet = SuperNet(sides())
    images = torch.randn(2, 1, 8, 8)
    assert supernet.space.decisions == (Ordered("side", SIDES),)
    for side in SIDES:
        architecture = Architecture({"side": side})
        found = supernet(images, architecture)
        assert found.shape == (2, 1, side, side)
        derived = derive(supernet, architecture)
        assert type(derived) is el.Resize
        torch.testing.assert_close(derived(images), found, rtol=0, atol=0)
    assert supernet.model(images).shape[-1] == SIDES[-1]


@pytest.mark.slow
def test_tables_are_exact_at_every_resolution(net):
    x = torch.randn(1, 1, 8, 8)
    tables = measure_costs(net, x)
    assert net.space.size == 3 * 2 * 2 * 2 * 2 * 2 * 2
    found = []
    for architecture in net.space:
        derived = derive(net, architecture)
        torch.testing.assert_close(derived(x), net(x, architecture))
        found.append(count_macs(derived, x))
        assert tables["macs"].cost(architecture) == found[-1]
        assert tables["params"].cost(architecture) == count_params(derived)
    assert tables["macs"].range(net.space) == (min(found), max(found))
    by_side = {a["side"]: m for a, m in zip(net.space, found, strict=True)}
    assert len(set(by_side.values())) == len(SIDES)


def test_what_does_not_depend_on_the_resolution_has_one_entry(net):
    entries = measure_costs(net, torch.randn(1, 1, 8, 8))["macs"].entries
    amounts = {path: entry.amount for entry in entries for path in entry.paths}
    assert {path: amounts[path] for path in amounts if ("head", "flat") in path} == {
        (("head", "flat"),): 3 * 5
    }
    stem = {path: amount for path, amount in amounts.items() if dict(path).keys() == {"side"}}
    assert stem == {(("side", n),): 3 * 9 * ((n + 1) // 2) ** 2 for n in SIDES}


def test_several_resolutions_are_combined():
    class Two(nn.Module):
        def __init__(self):
            super().__init__()
            self.left, self.right, self.again = sides("left"), sides("right"), sides("left")
            self.layers = nn.ModuleList(nn.Conv2d(1, 2, 3, padding=1) for _ in range(3))

        def forward(self, x):
            inputs = self.left(x), self.right(x), self.again(x)
            return sum(f(y).mean((2, 3)) for f, y in zip(self.layers, inputs, strict=True))

    supernet, x = SuperNet(Two()), torch.randn(1, 1, 8, 8)
    table = measure_costs(supernet, x)["macs"]
    for left, right in itertools.product(SIDES, SIDES):
        architecture = Architecture({"left": left, "right": right})
        expected = 2 * 9 * (2 * left**2 + right**2)
        assert table.cost(architecture) == expected == count_macs(derive(supernet, architecture), x)


def test_layers_may_depend_on_the_side_too():
    side = el.Dimension("side", SIDES)
    supernet = SuperNet(nn.Sequential(el.Resolution(side), el.Conv2d(1, el.ScaledSize(side, 2), 3)))
    x = torch.randn(1, 1, 8, 8)
    table = measure_costs(supernet, x)["macs"]
    for n in SIDES:
        assert table.cost({"side": n}) == 9 * 2 * n * n**2
        derived = derive(supernet, Architecture({"side": n}))
        torch.testing.assert_close(derived(x), supernet(x, Architecture({"side": n})))


def test_the_resolution_is_decided_before_all_choices():
    inside = Choice({"a": nn.Sequential(sides(), nn.AdaptiveAvgPool2d(2)), "b": nn.MaxPool2d(4)})
    with pytest.raises(SpaceError, match="'side' is open within an option"):
        measure_costs(SuperNet(inside), torch.randn(1, 1, 8, 8))


def test_measuring_leaves_no_trace(net):
    measure_costs(net, torch.randn(1, 1, 8, 8))
    assert all(choice.gate is None for choice in net.choices)
    assert all(module.training for module in net.modules())
    assert not any(m._forward_hooks or m._forward_pre_hooks for m in net.modules())


def test_a_latency_table_knows_the_sides(net):
    """A clock that ticks by pixels: the side is all that matters, whatever follows."""

    def timer(call):
        return call.func.resize.side**2 / 1e3

    table = build_latency_table(net, torch.randn(1, 1, 8, 8), timer=timer, repeats=1)
    for side in SIDES:
        network = next(
            one for one in map(net.space.__getitem__, range(2000)) if one["side"] == side
        )
        assert table.cost(network) == pytest.approx(side**2, rel=0.02)


def test_a_mixture_of_sides_is_refused(net):
    routing = Routing.masked(net.space, {})
    routing["side"] = Gate((0, 1), torch.tensor([0.5, 0.5]))
    with pytest.raises(RoutingError, match="'side' cannot be a mixture"):
        net(torch.randn(1, 1, 8, 8), routing)


def test_a_supernet_can_be_split_along_the_resolution(net):
    x = torch.randn(2, 1, 8, 8)
    for side in SIDES:
        part = split_supernet(net, "side", side)
        assert part.space.size == net.space.size // len(SIDES)
        architecture = Architecture({**net.space[0], "side": side})
        torch.testing.assert_close(part(x, architecture), net(x, architecture))
        table = measure_costs(part, x[:1])["macs"]
        assert table.cost(architecture) == count_macs(derive(net, architecture), x[:1])


def test_sides_increase():
    with pytest.raises(SpaceError, match="increasing"):
        el.Dimension("side", (8, 6))


def test_derived_networks_can_be_exported(net):
    derived = derive(net, net.space[0]).eval()
    x = torch.randn(3, 1, 8, 8)
    program = torch.export.load(io.BytesIO(export_program(derived, x[:1])))
    torch.testing.assert_close(program.module()(x), derived(x))

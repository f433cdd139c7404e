"""The cell space of ENAS has the sizes and networks that its module describes."""

import itertools
import random

import pytest
import torch
from torch import nn

import supernet as sn
from supernet.cost import count_params
from supernet.errors import SpaceError
from supernet.evaluate.sharing import SharedForward
from supernet.net.export import export_program
from supernet.space import Edge
from supernet.zoo import ENASMicro

NAMES = ("sep3", "sep5", "avg3", "max3", "identity")
KINDS = ("normal", "reduce")
SIDES = ("left", "right")


def small(blocks=3, **arguments):
    torch.manual_seed(0)
    given = {"image": (1, 8, 8), "classes": 3, "cells": 3, "channels": 2, **arguments}
    return sn.SuperNet(ENASMicro(blocks=blocks, **given))


@pytest.fixture(scope="module")
def three():
    return small()


def architecture(cells):
    """Return the architecture of blocks ((state, operation), (state, operation)), by kind."""
    return sn.Architecture(
        {
            f"{kind}.block{i}.{side}.{what}": value
            for kind, blocks in cells.items()
            for i, block in enumerate(blocks)
            for side, (state, name) in zip(SIDES, block, strict=True)
            for what, value in (("input", str(state)), ("operation", name))
        }
    )


def cells_of(answers, blocks):
    return {
        kind: [
            tuple(
                (
                    int(answers[f"{kind}.block{i}.{side}.input"]),
                    answers[f"{kind}.block{i}.{side}.operation"],
                )
                for side in SIDES
            )
            for i in range(blocks)
        ]
        for kind in KINDS
    }


MIXED = {
    "normal": [
        ((0, "sep3"), (1, "max3")),
        ((2, "identity"), (2, "sep5")),
        ((0, "avg3"), (3, "sep3")),
    ],
    "reduce": [
        ((1, "identity"), (0, "sep5")),
        ((0, "avg3"), (1, "max3")),
        ((2, "sep3"), (3, "max3")),
    ],
}
"""Reads a state twice, and has every operation in both kinds of cell, strided and not."""


@pytest.mark.slow
def test_the_space_has_the_size_of_the_paper_s_five_blocks():
    """A side of block i has i + 2 states and five operations; the same state may be read twice."""
    space = small(5).space
    assert len(space.decisions) == 2 * 5 * 4
    for kind, i, side in itertools.product(KINDS, range(5), SIDES):
        label = f"{kind}.block{i}.{side}"
        assert space.decision(f"{label}.input").options == tuple(map(str, range(i + 2)))
        assert space.decision(f"{label}.operation").options == NAMES
    assert space.size == ((2 * 3 * 4 * 5 * 6) ** 2 * 5**10) ** 2


@pytest.mark.slow
def test_reductions_stand_at_a_third_and_two_thirds():
    """As layers 2 and 5 of eight, and 5 and 11 of seventeen, in the authors' code."""
    for cells, reductions in ((8, [2, 5]), (17, [5, 11])):
        supernet, shapes = small(1, image=(1, 9, 9), cells=cells, channels=1), []
        for cell in supernet.model.cells:
            cell.register_forward_hook(lambda _, __, y, s=shapes: s.append(tuple(y.shape[1:])))
        supernet(torch.randn(2, 1, 9, 9), supernet.space[0])
        changes = [i for i in range(1, cells) if shapes[i] != shapes[i - 1]]
        assert changes == reductions
        assert [shapes[i] for i in (0, *reductions)] == [(1, 9, 9), (2, 5, 5), (4, 3, 3)]


class Reduce(nn.Module):
    """ReLU, then two strided 1×1 convolutions on pixels that are one apart, and batch norm."""

    def __init__(self, width, channels):
        super().__init__()
        self.one = nn.Conv2d(width, channels // 2, 1, bias=False)
        self.two = nn.Conv2d(width, channels - channels // 2, 1, bias=False)
        self.norm = nn.BatchNorm2d(channels)

    def forward(self, x):
        x = x.relu()
        both = [self.one(x[:, :, ::2, ::2]), self.two(x[:, :, 1::2, 1::2])]
        return self.norm(torch.cat(both, 1))


class Separable(nn.Sequential):
    def __init__(self, c, kernel, stride):
        layers = []
        for step in (stride, 1):
            depth = nn.Conv2d(c, c, kernel, step, kernel // 2, groups=c, bias=False)
            layers += [nn.ReLU(), depth, nn.Conv2d(c, c, 1, bias=False), nn.BatchNorm2d(c)]
        super().__init__(*layers)


def pointwise(width, channels):
    layer = nn.Conv2d(width, channels, 1, bias=False)
    return nn.Sequential(nn.ReLU(), layer, nn.BatchNorm2d(channels))


class HandMade(nn.Module):
    """MIXED in three cells of which the last two are reductions, written down without the library."""

    def __init__(self, channels, classes):
        super().__init__()
        self.stem = nn.Sequential(
            nn.Conv2d(1, 3 * channels, 3, padding=1, bias=False), nn.BatchNorm2d(3 * channels)
        )
        self.cells = nn.ModuleList()
        for kind, widths, times, halved in (
            ("normal", (3, 3), 1, False),
            ("reduce", (3, 1), 2, False),
            ("reduce", (1, 2), 4, True),
        ):
            c = times * channels
            cell = nn.ModuleDict()
            cell["before"] = (Reduce if halved else pointwise)(widths[0] * channels, c)
            cell["previous"] = pointwise(widths[1] * channels, c)
            for i, block in enumerate(MIXED[kind]):
                for side, (state, name) in zip(SIDES, block, strict=True):
                    cell[f"{i}{side}"] = self.operation(
                        name, c, 1 + (kind == "reduce" and state < 2)
                    )
            cell["project"] = pointwise(3 * c, c)
            self.cells.append(cell)
        self.classifier = nn.Linear(4 * channels, classes)

    @staticmethod
    def operation(name, c, stride):
        if name in ("sep3", "sep5"):
            return Separable(c, int(name[3]), stride)
        if name == "max3":
            return nn.MaxPool2d(3, stride, 1)
        if name == "avg3":
            return nn.AvgPool2d(3, stride, 1, count_include_pad=False)
        return Reduce(c, c) if stride == 2 else nn.Identity()

    def forward(self, x):
        before = previous = self.stem(x)
        for kind, cell in zip(("normal", "reduce", "reduce"), self.cells, strict=True):
            states = [cell["before"](before), cell["previous"](previous)]
            for i, ((left, _), (right, _)) in enumerate(MIXED[kind]):
                states.append(cell[f"{i}left"](states[left]) + cell[f"{i}right"](states[right]))
            before, previous = previous, cell["project"](torch.cat(states[2:], 1))
        return self.classifier(previous.relu().mean((2, 3)))


@pytest.mark.slow
@pytest.mark.parametrize("training", [True, False])
def test_a_derived_network_is_the_one_written_by_hand(training):
    derived = sn.derive(small(channels=4), architecture(MIXED))
    hand = HandMade(4, 3)

    assert count_params(hand) == count_params(derived)
    for mine, other in zip(hand.parameters(), derived.parameters(), strict=True):
        assert mine.shape == other.shape
        nn.init.uniform_(other, -1, 1)
        mine.data.copy_(other.data)
    x = torch.randn(4, 1, 8, 8)
    expected = hand.train(training)(x)
    assert torch.allclose(derived.train(training)(x), expected, rtol=1e-4, atol=1e-4)


@pytest.mark.slow
def test_weights_are_those_of_the_block_the_side_and_the_state(three):
    """Two states, sides or blocks never share an operation; the cells of a network do not either."""
    answers = {**architecture(MIXED)}
    first = sn.derive(three, sn.Architecture(answers))
    answers["normal.block0.left.input"] = "1"
    second = sn.derive(three, sn.Architecture(answers))
    depthwise = [
        model.cells[0].blocks[0].sides[0].terms[0][0][1].weight for model in (first, second)
    ]
    assert depthwise[0].shape == depthwise[1].shape
    assert not torch.equal(*depthwise)


def equal_networks(cells, blocks):
    """Yield all renumberings and swaps of sides, and how they came about, of the normal cell."""
    normal = cells["normal"]
    for order in itertools.permutations(range(blocks)):
        new = {0: 0, 1: 1, **{old + 2: place + 2 for place, old in enumerate(order)}}
        renamed = [tuple((new[state], name) for state, name in normal[old]) for old in order]
        if any(s >= place + 2 for place, block in enumerate(renamed) for s, _ in block):
            continue
        for flips in itertools.product((False, True), repeat=blocks):
            swapped = [b[::-1] if flip else b for b, flip in zip(renamed, flips, strict=True)]
            yield order, flips, architecture({**cells, "normal": swapped})


def normal(answers):
    return tuple(cells_of(answers, 3)["normal"])


@pytest.mark.slow
def test_canonical_is_the_same_for_all_renumberings_and_swaps(three):
    stream, several = random.Random(0), 0
    for _ in range(20):
        cells = cells_of(three.space.sample(stream), 3)
        equal = {one for _, _, one in equal_networks(cells, 3)}
        canonical = {three.space.canonical(one) for one in equal}
        assert len(canonical) == 1
        assert {normal(one) for one in canonical} <= {normal(one) for one in equal}
        assert all(one in three.space for one in equal)
        several += len({one["normal.block0.left.input"] for one in equal}) > 1
    assert several > 5


@pytest.mark.slow
def test_canonical_forms_of_one_block_are_counted_by_hand():
    """Unordered pairs of 2 · 5 ways to read, for each kind of cell."""
    space = small(1).space
    assert space.size == 10**4
    assert len({space.canonical(one) for one in space}) == 55**2


@pytest.mark.slow
def test_equal_networks_compute_the_same_with_moved_weights(three):
    cells = {
        **MIXED,
        "normal": [((0, "sep3"), (1, "max3")), ((1, "sep5"), (1, "identity")), ((2, "sep3"),) * 2],
    }
    old = sn.derive(three, architecture(cells)).eval()
    x, found = torch.randn(2, 1, 8, 8), 0
    for order, flips, one in equal_networks(cells, 3):
        new = sn.derive(three, one).eval()
        cell = new.cells[0]
        for place, (i, flip) in enumerate(zip(order, flips, strict=True)):
            sides = old.cells[0].blocks[i].sides
            for side, source in enumerate(reversed(sides) if flip else sides):
                cell.blocks[place].sides[side].load_state_dict(source.state_dict())
        columns = torch.cat([torch.arange(2) + 2 * i for i in order])
        weight = old.cells[0].project[1].weight.data
        cell.project[1].weight.data.copy_(weight[:, columns])
        assert torch.allclose(new(x), old(x), atol=1e-5)
        found += 1
    assert found == 3 * 8


@pytest.mark.slow
def test_shared_evaluation_is_that_of_one_network_after_the_other(three):
    stream = random.Random(0)
    calibration, images = torch.randn(8, 1, 8, 8), torch.randn(4, 1, 8, 8)
    forward = SharedForward(three, [(calibration,)], [(images,)])
    for one in forward.order([three.space.sample(stream) for _ in range(6)]):
        outputs = []
        forward.run(one, lambda _, y, found=outputs: found.append(y))
        plain = sn.derive(three, one).train()
        for norm in plain.modules():
            if isinstance(norm, nn.BatchNorm2d):
                norm.reset_running_stats()
                norm.momentum = None
        plain(calibration)
        assert torch.allclose(outputs[0], plain.eval()(images), atol=1e-4)


@pytest.mark.slow
def test_derived_networks_are_exported(three):
    assert export_program(sn.derive(three, architecture(MIXED)), torch.randn(1, 1, 8, 8))


@pytest.mark.slow
def test_the_diagram_shows_both_sides_of_every_block(three):
    diagram = three.model.diagram(architecture(MIXED))
    operations = [node.label for node in diagram.nodes if node.kind == "operation"]
    assert operations == [name for kind in KINDS for block in MIXED[kind] for _, name in block]
    assert {
        Edge("normal.2", "normal.3.left"),
        Edge("normal.2", "normal.3.right"),
        Edge("normal.3.right", "normal.3"),
        Edge("reduce.4", "reduce.output"),
    } <= set(diagram.edges)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"cells": 2}, "cells is 2, but a normal and two reduction cells need 3"),
        ({"channels": 0}, "channels 0"),
        ({"blocks": 0}, "blocks 0"),
        ({"stem": 0}, "stem 0"),
        ({"image": (1, 3, 8)}, "3×8 cannot be halved 2 times"),
    ],
)
def test_bad_arguments_are_refused(arguments, message):
    with pytest.raises(SpaceError, match=message):
        ENASMicro(**{"image": (1, 8, 8), "channels": 2, **arguments})

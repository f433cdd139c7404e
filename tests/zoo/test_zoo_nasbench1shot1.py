"""The spaces of NAS-Bench-1Shot1 have the sizes and networks that their module describes."""

import itertools
import random

import pytest
import torch
from torch import nn

import supernet as sn
from supernet.cost import count_params
from supernet.errors import SpaceError
from supernet.net.export import export_program
from supernet.space import Edge
from supernet.zoo import NASBench1Shot1

PARENTS = {1: (1, 2, 2, 2, 2), 2: (1, 1, 2, 2, 3), 3: (1, 1, 1, 2, 2, 2)}
NAMES = ("maxpool3x3", "conv3x3-bn-relu", "conv1x1-bn-relu")


def small(space=1, **arguments):
    torch.manual_seed(0)
    given = {"image": (1, 8, 8), "classes": 3, "channels": 2, "cells": 1, **arguments}
    return sn.SuperNet(NASBench1Shot1(space=space, **given))


def architecture(parents, operations):
    """Return the architecture of blocks with these parents, the last of which are the output's."""
    *blocks, output = parents
    answers = {"output.parents": tuple(map(str, output))}
    for i, (of_block, operation) in enumerate(zip(blocks, operations, strict=True), 1):
        answers[f"block{i}.operation"] = operation
        if len(of_block) < i:
            names = tuple(map(str, of_block))
            answers[f"block{i}.parents"] = names if len(names) > 1 else names[0]
    return sn.Architecture(answers)


def graphs(space):
    """Yield the parents of all blocks and of the output, for each graph of the space."""
    return itertools.product(
        *(itertools.combinations(range(i), n) for i, n in enumerate(PARENTS[space], 1))
    )


def live(parents):
    """Return the blocks from which a path leads to the output."""
    found, waiting = set(), set(parents[-1])
    while waiting:
        found |= waiting
        waiting = {p for i in waiting if i for p in parents[i - 1]} - found
    return sorted(found - {0})


@pytest.mark.slow_with("3-1312200")
@pytest.mark.parametrize(
    ("space", "size"), [(1, 3 * 6 * 10 * 3**4), (2, 29_160), (3, 2 * 3 * 6 * 10 * 15 * 3**5)]
)
def test_sizes_follow_from_the_numbers_of_parents(space, size):
    """29,160 is the paper's number for space 2."""
    given = small(space).space
    assert given.size == size == len(list(graphs(space))) * 3 ** (len(PARENTS[space]) - 1)
    assert all(
        architecture(parents, NAMES[:1] * (len(parents) - 1)) in given for parents in graphs(space)
    )


def labellings(graphs_of_blocks):
    """Return how many ways there are to give each block of each graph one of three operations."""
    return sum(3 ** len(blocks) for blocks in graphs_of_blocks)


@pytest.mark.parametrize(
    ("space", "parent", "needed"), [(1, 6_240, 3_702), (2, 16_632, 12_474), (3, 363_648, 135_900)]
)
def test_published_numbers_count_blocks_that_are_a_parent(space, parent, needed):
    """6,240 and 363,648 are the paper's; for space 2 it has the number of all architectures."""
    given = list(graphs(space))
    assert labellings({p for of in one for p in of if p} for one in given) == parent
    different = {(tuple((i, one[i - 1]) for i in live(one)), one[-1]) for one in given}
    assert labellings(blocks for blocks, _ in different) == needed


def found_depth_first(edges, node, counts):
    """Yield the edges of cells without loose ends as the authors' code comes upon them."""
    heads, tails = {b for _, b in edges}, {a for a, _ in edges}
    right = all(sum(b == head for _, b in edges) == counts[head - 1] for head in heads)
    if right and len(heads) == len(tails) > 1 and 0 in tails and len(edges) <= 9:
        yield edges
        return
    missing = counts[node - 1] if node else 0
    missing -= sum(b == node for _, b in edges)
    others = [a for a in range(node) if (a, node) not in edges]
    for parents in itertools.combinations(others, missing) if node != 1 else [(0,)]:
        more = edges
        for parent in parents:
            more = more | {(parent, node)}
            yield from found_depth_first(more, parent, counts)


@pytest.mark.parametrize(("space", "published"), [(1, 2_487), (2, 3_609), (3, 24_066)])
def test_published_numbers_without_loose_ends_are_of_a_search_that_misses_some(space, published):
    counts = PARENTS[space]
    found = list(found_depth_first(frozenset(), len(counts), counts))
    assert labellings({a for a, _ in edges} - {0} for edges in found) == published
    complete = set()
    for one in graphs(space):
        blocks = [*live(one), len(one)]
        complete.add(frozenset((p, i) for i in blocks for p in one[i - 1]))
    assert set(found) < complete


def test_blocks_without_a_choice_of_parents_ask_nothing():
    asked = {space: {d.label for d in small(space).space.decisions} for space in PARENTS}
    assert "block1.parents" not in asked[1] | asked[2] | asked[3]
    assert "block2.parents" not in asked[1]
    assert "block2.parents" in asked[2] & asked[3]


def count_classes(space):
    """Return how many cells are different as labelled graphs, and one of each with each operation."""
    distinct = {}
    for parents in graphs(space):
        blocks = live(parents)
        key = (tuple((i, parents[i - 1]) for i in blocks), parents[-1])
        distinct.setdefault(key, parents)
    classes, examples = set(), []
    for blocks, output in distinct:
        forms = {}
        for order in itertools.permutations(range(1, len(blocks) + 1)):
            new = {0: 0, **{i: place for (i, _), place in zip(blocks, order, strict=True)}}
            edges = sorted((new[p], new[i]) for i, of_block in blocks for p in of_block)
            shape = (tuple(edges), tuple(sorted(new[p] for p in output)))
            forms.setdefault(shape, []).append(order)
        shape, orders = min(forms.items())
        for names in itertools.product(NAMES, repeat=len(blocks)):
            labels = (tuple(n for _, n in sorted(zip(o, names, strict=True))) for o in orders)
            classes.add((shape, min(labels)))
            by_block = dict(zip((i for i, _ in blocks), names, strict=True))
            parents = distinct[blocks, output]
            operations = [by_block.get(i, NAMES[1]) for i in range(1, len(parents))]
            examples.append(architecture(parents, operations))
    return len(classes), examples


@pytest.mark.slow
@pytest.mark.parametrize(
    ("space", "different"),
    [
        (1, 2_685),
        pytest.param(2, 7_773, marks=pytest.mark.slow),
        pytest.param(3, 55_854, marks=pytest.mark.slow),
    ],
)
def test_canonical_forms_are_the_different_graphs(space, different):
    """Counted a second time by brute force over the renumberings of graphs without loose ends."""
    given = small(space).space
    count, examples = count_classes(space)
    assert count == different
    assert len({given.canonical(one) for one in examples}) == different


def test_loose_ends_change_nothing():
    supernet = small(3).eval()
    parents = [(0,), (0,), (1,), (0, 3), (2, 3), (0, 4)]  # the blocks 2 and 5 are loose ends
    forms, outputs, x = set(), [], torch.randn(2, 1, 8, 8)
    for second, fifth in itertools.product(NAMES, NAMES):
        one = architecture(parents, [NAMES[2], second, NAMES[1], NAMES[0], fifth])
        forms.add(supernet.space.canonical(one))
        outputs.append(supernet(x, one))
    assert len(forms) == 1
    assert all(torch.equal(outputs[0], output) for output in outputs)


def test_renumbered_cells_compute_the_same_with_moved_weights():
    """The blocks 1 and 2 swap places, and 3 and 4, and what the next cell reads with them."""
    first = architecture([(0,), (0,), (0, 1), (0, 2), (0, 3, 4)], [NAMES[1], NAMES[2], *NAMES[:2]])
    second = architecture(
        [(0,), (0,), (0, 1), (0, 2), (0, 3, 4)], [NAMES[2], NAMES[1], *NAMES[1::-1]]
    )
    supernet = small(2, stacks=1)
    assert supernet.space.canonical(first) == supernet.space.canonical(second)

    one, two = (sn.derive(supernet, a).eval() for a in (first, second))
    order, places = [1, 0, 3, 2], torch.tensor([2, 3, 0, 1, 6, 7, 4, 5])
    mine, other = one.stacks[0][0], two.stacks[0][0]
    for i, j in enumerate(order):
        other.blocks[i].load_state_dict(mine.blocks[j].state_dict())
        other.parents[i].terms[0].load_state_dict(mine.parents[j].terms[0].state_dict())
    for tensor, source in zip(
        (*other.output.terms[0].parameters(), two.head[1].weight),
        (*mine.output.terms[0].parameters(), one.head[1].weight),
        strict=True,
    ):
        tensor.data.copy_(
            source.data[:, places] if source is one.head[1].weight else source.data[places]
        )
    x = torch.randn(3, 1, 8, 8)
    assert torch.allclose(two(x), one(x), atol=1e-5)


def unit(width, channels, kernel):
    layer = nn.Conv2d(width, channels, kernel, padding=kernel // 2, bias=False)
    return nn.Sequential(layer, nn.BatchNorm2d(channels), nn.ReLU())


HAND = [(0,), (0, 1), (0, 2), (1, 3), (0, 4)], [NAMES[1], NAMES[0], NAMES[2], NAMES[1]]


class HandCell(nn.Module):
    """HAND, written down without the library; the places of the blocks 1 to 3 are zeros."""

    def __init__(self, width, c):
        super().__init__()
        self.in1, self.in2, self.in3 = unit(width, c, 1), unit(width, c, 1), unit(width, c, 1)
        self.one, self.three, self.four = unit(c, c, 3), unit(c, c, 1), unit(c, c, 3)
        self.through = unit(width, 4 * c, 1)

    def forward(self, x):
        one = self.one(self.in1(x))
        two = nn.functional.max_pool2d(self.in2(x) + one, 3, 1, 1)
        three = self.three(self.in3(x) + two)
        four = self.four(one + three)
        return self.through(x) + torch.cat([four * 0, four * 0, four * 0, four], 1)


class HandMade(nn.Module):
    def __init__(self, c, classes):
        super().__init__()
        self.stem = unit(1, c, 3)
        cells = [HandCell(c, c), HandCell(4 * c, c), HandCell(4 * c, 2 * c), HandCell(8 * c, 2 * c)]
        self.cells = nn.ModuleList(cells)
        self.last = nn.Conv2d(8 * c, 2 * c, 1, bias=False)
        self.norm = nn.BatchNorm2d(2 * c)
        self.classifier = nn.Linear(2 * c, classes)

    def forward(self, x):
        x = self.stem(x)
        for i, cell in enumerate(self.cells):
            x = cell(nn.functional.max_pool2d(x, 2, ceil_mode=True) if i == 2 else x)
        return self.classifier(self.norm(self.last(x.relu())).mean((2, 3)))


@pytest.mark.slow
@pytest.mark.parametrize("training", [True, False])
def test_a_derived_network_is_the_one_written_by_hand(training):
    derived, hand = sn.derive(small(cells=2, stacks=2), architecture(*HAND)), HandMade(2, 3)
    assert count_params(hand) == count_params(derived)

    for mine, other in zip(hand.parameters(), derived.parameters(), strict=True):
        assert mine.shape == other.shape
        nn.init.uniform_(other, -1, 1)
        mine.data.copy_(other.data)
    x = torch.randn(4, 1, 7, 7)
    expected = hand.train(training)(x)
    assert torch.allclose(derived.train(training)(x), expected, rtol=1e-4, atol=1e-4)


def test_stacks_double_the_channels_and_halve_the_image():
    supernet, shapes = small(image=(3, 9, 9), cells=2, stacks=3), []
    for stack in supernet.model.stacks:
        stack.register_forward_hook(lambda _, __, y: shapes.append(tuple(y.shape[1:])))
    supernet(torch.randn(2, 3, 9, 9), supernet.space.sample(random.Random(0)))
    assert shapes == [(8, 9, 9), (16, 5, 5), (32, 3, 3)]


@pytest.mark.slow
def test_derived_networks_are_exported():
    derived = sn.derive(small(), architecture(*HAND))
    assert export_program(derived, torch.randn(1, 1, 8, 8))


def test_the_diagram_shows_live_blocks():
    diagram = small().model.diagram(
        architecture(
            [(0,), (0, 1), (0, 1), (0, 3), (0, 3)], [NAMES[1], NAMES[0], NAMES[2], NAMES[1]]
        )
    )
    assert {n.id: n.label for n in diagram.nodes if n.kind == "operation"} == {
        "1": NAMES[1],
        "3": NAMES[2],
    }
    edges = {("0", "1"), ("0", "3"), ("1", "3"), ("0", "output"), ("3", "output")}
    assert set(diagram.edges) == {Edge(*edge) for edge in edges}


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"space": 4}, "space is 4, but there are the spaces 1, 2 and 3"),
        ({"space": 0}, "space is 0"),
        ({"channels": 0}, "channels 0"),
        ({"cells": 0}, "cells 0"),
        ({"stacks": 0}, "stacks 0"),
        ({"image": (1, 3, 8)}, "3×8 cannot be halved 2 times"),
    ],
)
def test_bad_arguments_are_refused(arguments, message):
    with pytest.raises(SpaceError, match=message):
        NASBench1Shot1(**{"image": (1, 8, 8), "channels": 2, **arguments})

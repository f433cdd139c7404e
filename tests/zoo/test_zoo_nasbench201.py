"""NAS-Bench-201's space has the published sizes, and equal cells compute the same."""

from __future__ import annotations

import random

import pytest
import torch

from supernet.cost import cost_of, measure_costs
from supernet.errors import SpaceError
from supernet.net import SuperNet, derive
from supernet.space import Architecture, Edge
from supernet.zoo import NASBench201
from supernet.zoo.nasbench201 import EDGES, LABELS, OPERATIONS, Cell, Reduction, Zero

SHORT = dict(zip("0s13a", OPERATIONS, strict=True))


def arch(letters):
    """Return the architecture of six letters, in the order of the labels."""
    return Architecture({label: SHORT[x] for label, x in zip(LABELS, letters, strict=True)})


def small(**arguments):
    torch.manual_seed(0)
    defaults = {"image": (1, 8, 8), "classes": 3, "channels": 3, "cells": 1}
    return SuperNet(NASBench201(**defaults | arguments))


@pytest.fixture(scope="module")
def published():
    """Return the published network and its costs."""
    supernet = SuperNet(NASBench201(affine=True))
    return supernet, measure_costs(supernet, torch.zeros(1, 3, 32, 32))


def test_the_space():
    space = small().space

    assert space.size == 5**6 == 15_625
    assert LABELS == ("1<-0", "2<-0", "2<-1", "3<-0", "3<-1", "3<-2")
    assert {decision.label: decision.options for decision in space.decisions} == dict.fromkeys(
        LABELS, ("none", "skip_connect", "nor_conv_1x1", "nor_conv_3x3", "avg_pool_3x3")
    )


@pytest.mark.slow
@pytest.mark.parametrize(
    ("text", "params", "macs"),
    [
        ("|none~0|+|none~0|none~1|+|none~0|none~1|none~2|", 0.073306, 7.78305),
        (
            "|nor_conv_3x3~0|+|nor_conv_3x3~0|nor_conv_3x3~1|"
            "+|nor_conv_3x3~0|nor_conv_3x3~1|nor_conv_3x3~2|",
            1.531546,
            220.11969,
        ),
    ],
)
def test_the_extremes_have_the_published_costs(published, text, params, macs):
    """In millions, as in NAS-Bench-201's table for CIFAR-10; it counts the ten biases as well."""
    supernet, tables = published
    costs = cost_of(tables, NASBench201.from_string(text))

    assert costs == {"params": round(params * 1e6), "macs": round(macs * 1e6) - 10}
    assert costs["params"] in tables["params"].range(supernet.space)


def test_costs_of_one_operation_on_one_edge(published):
    """By hand: five cells of 16, 32 and 64 channels at 32×32, 16×16 and 8×8 pixels."""
    _, tables = published
    none, skips = cost_of(tables, arch("000000")), cost_of(tables, arch("ssssss"))
    assert none == skips
    params = sum(5 * c * c for c in (16, 32, 64))
    norms = sum(5 * 2 * c for c in (16, 32, 64))
    macs = sum(5 * c * c * side * side for c, side in ((16, 32), (32, 16), (64, 8)))

    for letter, size in {"s": 0, "a": 0, "1": 1, "3": 9}.items():
        for place in range(6):
            cost = cost_of(tables, arch("s" * place + letter + "s" * (5 - place)))
            assert cost["params"] - none["params"] == size * params + norms * (size > 0)
            assert cost["macs"] - none["macs"] == size * macs


def test_an_edge_that_leads_nowhere_costs_nothing(published):
    """The first three end in inner nodes, which nobody reads; the others end in the cell's output."""
    _, tables = published
    none = cost_of(tables, arch("000000"))
    for place in range(6):
        cost = cost_of(tables, arch("0" * place + "3" + "0" * (5 - place)))
        assert (cost == none) == (place < 3)


@pytest.mark.parametrize(
    ("letters", "factor"),
    [("ssssss", 4), ("s00ss0", 2), ("0s000s", 1), ("s0s00s", 1), ("0s00s0", 0), ("s0000s", 0)],
)
def test_a_node_is_the_sum_of_what_enters_it(letters, factor):
    supernet, x = SuperNet(Cell(2, affine=False)), torch.randn(2, 2, 4, 4)

    assert torch.equal(supernet(x, arch(letters)), factor * x)


def test_operations_are_on_the_edge_of_their_label():
    supernet, x = SuperNet(Cell(2, affine=False)), torch.randn(2, 2, 4, 4)
    edges = dict(zip(LABELS, supernet.model.edges, strict=True))
    conv = edges["2<-1"].options[3]
    pool = edges["1<-0"].options[4]

    assert torch.equal(supernet(x, arch("a0300s")), conv(pool(x)))


def test_convolutions_are_relu_convolution_norm():
    cell = Cell(3, affine=False)
    for edge in cell.edges:
        for option, kernel in ((2, 1), (3, 3)):
            relu, conv, norm = edge.options[option]
            assert isinstance(relu, torch.nn.ReLU)
            assert (conv.kernel_size, conv.bias) == ((kernel, kernel), None)
            assert isinstance(norm, torch.nn.BatchNorm2d)


def test_zero_is_zero_also_of_what_is_not_finite():
    x = torch.tensor([[[[float("nan"), float("inf")], [1, 2]]]], dtype=torch.float64)
    y = Zero()(x)

    assert torch.equal(y, torch.zeros(1, 1, 2, 2, dtype=torch.float64))
    assert not list(Zero().parameters())


@pytest.mark.parametrize(("size", "half"), [((8, 8), (4, 4)), ((7, 5), (4, 3)), ((1, 2), (1, 1))])
def test_reductions_double_the_channels_and_halve_the_image(size, half):
    assert Reduction(3)(torch.randn(2, 3, *size)).shape == (2, 6, *half)


def test_a_reduction_is_not_affected_by_the_affine_argument():
    for affine in (True, False):
        model = small(affine=affine).model
        norms = {
            name: module.affine
            for name, module in model.named_modules()
            if isinstance(module, torch.nn.BatchNorm2d)
        }
        within = [value for name, value in norms.items() if ".edges." in name]
        assert len(within) == 3 * 6 * 2
        assert set(within) == {affine}
        assert sum(norms.values()) == len(norms) - len(within) * (not affine)


def test_cells_share_one_architecture_in_all_stages():
    one, many = small(stages=1), small(cells=2, stages=3)

    assert one.space.decisions == many.space.decisions
    assert sum(isinstance(layer, Cell) for layer in many.model.layers) == 6
    assert [type(layer).__name__ for layer in many.model.layers] == 2 * ["Cell"] + 2 * [
        *["Reduction", "Cell", "Cell"]
    ]


@pytest.mark.slow
def test_canonical_forms_are_5425_and_stable():
    supernet = small()
    canonical = {a: supernet.space.canonical(a) for a in supernet.space}

    assert len(set(canonical.values())) == 5_425
    for form in set(canonical.values()):
        assert form in supernet.space
        assert canonical[form] == form


def test_canonical_forms_are_the_cheapest_of_their_class(published):
    supernet, tables = published
    cheaper = 0
    for seed in range(300):
        architecture = supernet.space.sample(random.Random(seed))
        before, after = (
            cost_of(tables, a) for a in (architecture, supernet.space.canonical(architecture))
        )
        assert all(after[name] <= before[name] for name in before)
        cheaper += after != before
    assert cheaper > 20


@pytest.mark.slow
def test_equal_cells_compute_the_same_where_edges_have_equal_weights():
    """In training mode, with equal weights on all edges of a cell, so that any edge may stand in."""
    supernet, x = small(cells=2), torch.randn(6, 1, 8, 8)
    for layer in supernet.model.layers:
        if isinstance(layer, Cell):
            for edge in layer.edges[1:]:
                edge.load_state_dict(layer.edges[0].state_dict())
    moved = 0
    for seed in range(150):
        architecture = supernet.space.sample(random.Random(seed))
        canonical = supernet.space.canonical(architecture)
        if canonical != architecture:
            moved += 1
            assert torch.allclose(
                supernet(x, architecture), supernet(x, canonical), rtol=1e-3, atol=1e-4
            )
    assert moved > 60


def transplant(supernet, moves):
    """Copy weights from edge to edge within each cell, all at once."""
    for layer in supernet.model.layers:
        if isinstance(layer, Cell):
            edges = dict(zip(LABELS, layer.edges, strict=True))
            states = {
                target: {key: value.clone() for key, value in edges[source].state_dict().items()}
                for source, target in moves.items()
            }
            for target, state in states.items():
                edges[target].load_state_dict(state)


@pytest.mark.parametrize(
    ("first", "second", "moves"),
    [
        pytest.param("03300s", "000300", {"2<-0": "3<-0"}, id="a convolution of zeros"),
        pytest.param("313030", "303030", {}, id="a node that nobody reads"),
        pytest.param(
            "33001s", "3300s1", {"1<-0": "2<-0", "2<-0": "1<-0", "3<-1": "3<-2"}, id="twins"
        ),
        pytest.param("3ss00s", "300ss0", {}, id="nested sums"),
    ],
)
def test_equal_cells_compute_the_same_with_moved_weights(first, second, moves):
    supernet, x = small(), torch.randn(6, 1, 8, 8)
    first, second = arch(first), arch(second)
    assert supernet.space.canonical(first) == supernet.space.canonical(second)

    expected = supernet(x, first)
    different = supernet(x, second)
    transplant(supernet, moves)
    assert torch.allclose(supernet(x, second), expected, rtol=1e-3, atol=1e-4)
    if moves:
        assert not torch.allclose(different, expected, rtol=1e-3, atol=1e-4)


def test_one_convolution_used_twice_is_not_two():
    supernet, x = small(), torch.randn(6, 1, 8, 8)
    twice, two = arch("30s0ss"), arch("3300ss")

    assert supernet.space.canonical(twice) != supernet.space.canonical(two)
    assert not torch.allclose(supernet(x, twice), supernet(x, two), atol=1e-3)


def test_a_convolution_of_zeros_is_zero_by_definition_only_with_a_learned_offset():
    supernet, x = small(affine=True), torch.randn(6, 1, 8, 8)
    dead, none = arch("033s0s"), arch("030s0s")
    assert supernet.space.canonical(dead) == supernet.space.canonical(none)

    assert torch.allclose(supernet(x, dead), supernet(x, none), atol=1e-5)
    for layer in supernet.model.layers:
        if isinstance(layer, Cell):
            torch.nn.init.uniform_(layer.edges[2].options[3][2].bias, 1, 2)
    assert not torch.allclose(supernet(x, dead), supernet(x, none), atol=1e-2)


@pytest.mark.slow
def test_a_disconnected_network_answers_the_same_for_all_images():
    supernet = small()
    output = derive(supernet, arch("3s0000")).eval()(torch.randn(4, 1, 8, 8))

    assert torch.equal(output, output[:1].expand(4, -1))


@pytest.mark.parametrize("seed", range(20))
def test_published_strings_are_read_and_written(seed):
    architecture = small().space.sample(random.Random(seed))
    text = NASBench201.to_string(architecture)

    assert NASBench201.from_string(text) == architecture
    assert text.count("|") == 9
    for label, (_, source) in zip(LABELS, EDGES, strict=True):
        assert f"|{architecture[label]}~{source}|" in text


def test_a_published_string_names_edges_in_order():
    text = "|a~0|+|b~0|c~1|+|d~0|e~1|f~2|"
    for letter, name in zip("abcdef", [*OPERATIONS, "none"], strict=True):
        text = text.replace(f"|{letter}~", f"|{name}~")

    assert NASBench201.from_string(text) == arch("0s13a0")
    assert NASBench201.to_string(arch("0s13a0")) == text


@pytest.mark.parametrize(
    "text",
    [
        "",
        "|none~0|",
        "|none~0|+|none~0|none~1|+|none~0|none~1|none~1|",
        "|none~0|+|none~0|none~1|none~0|none~1|none~2|",
        "|conv~0|+|none~0|none~1|+|none~0|none~1|none~2|",
        "x|none~0|+|none~0|none~1|+|none~0|none~1|none~2|",
        "|none~0|+|none~0|none~1|+|none~0|none~1|none~2|+|none~0|",
    ],
)
def test_other_strings_are_refused(text):
    with pytest.raises(SpaceError, match=r"no cell of NAS-Bench-201.*nor_conv_3x3"):
        NASBench201.from_string(text)


def test_the_diagram_shows_all_but_none():
    diagram = small().model.diagram(arch("3000s0"))

    assert [(node.id, node.label) for node in diagram.nodes if node.kind == "operation"] == [
        ("1<-0", "nor_conv_3x3"),
        ("3<-1", "skip_connect"),
    ]
    assert set(diagram.edges) == {
        *[Edge("0", "1<-0"), Edge("1<-0", "1"), Edge("1", "3<-1"), Edge("3<-1", "3")]
    }


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"image": (0, 8, 8)}, r"image \(0, 8, 8\).*must be positive"),
        ({"classes": 0}, "classes 0"),
        ({"channels": 0}, "channels 0"),
        ({"cells": 0}, "cells 0"),
        ({"stages": 0}, "stages 0"),
        ({"image": (1, 3, 8)}, "3×8 cannot be halved 2 times; at most 1 times"),
    ],
)
def test_bad_arguments_are_refused(arguments, message):
    with pytest.raises(SpaceError, match=message):
        small(**arguments)

"""The DARTS space has the published sizes and numbers, and equal cells compute the same."""

from __future__ import annotations

import io
import math
import random
from itertools import permutations

import pytest
import torch
from torch import nn

from supernet.choice import Routing
from supernet.cost import count_macs, count_params, measure_costs
from supernet.errors import SpaceError
from supernet.net import SuperNet, derive
from supernet.net.export import export_program
from supernet.ops import DropPath, FactorizedReduce, FadingDropout, Noise, PartialChannels
from supernet.space import Architecture, OneOf, SomeOf
from supernet.zoo import DARTS
from supernet.zoo.darts import OPERATIONS, PRESETS
from supernet.zoo.genotype import PUBLISHED

V2 = (
    "Genotype(normal=[('sep_conv_3x3', 0), ('sep_conv_3x3', 1), ('sep_conv_3x3', 0), "
    "('sep_conv_3x3', 1), ('sep_conv_3x3', 1), ('skip_connect', 0), ('skip_connect', 0), "
    "('dil_conv_3x3', 2)], normal_concat=[2, 3, 4, 5], reduce=[('max_pool_3x3', 0), "
    "('max_pool_3x3', 1), ('skip_connect', 2), ('max_pool_3x3', 1), ('max_pool_3x3', 0), "
    "('skip_connect', 2), ('skip_connect', 2), ('max_pool_3x3', 1)], reduce_concat=[2, 3, 4, 5])"
)
"""The cells that the paper's second-order search found."""


def small(**arguments):
    torch.manual_seed(0)
    given = {"image": (1, 8, 8), "classes": 3, "cells": 3, "channels": 4, "nodes": 2, **arguments}
    return SuperNet(DARTS(**given))


def samples(space, count):
    stream = random.Random(0)
    return [space.sample(stream) for _ in range(count)]


@pytest.mark.slow
def test_the_space():
    space = SuperNet(DARTS(channels=2)).space
    for kind in ("normal", "reduce"):
        mine = [decision for decision in space.decisions if decision.label.startswith(kind)]
        operations = [decision for decision in mine if isinstance(decision, OneOf)]
        assert len(operations) == 14
        assert {decision.options for decision in operations} == {PRESETS["DARTS"]}
        assert [
            (len(decision.options), decision.low, decision.high)
            for decision in mine
            if isinstance(decision, SomeOf)
        ] == [(2, 2, 2), (3, 2, 2), (4, 2, 2), (5, 2, 2)]
    assert space.size == (180 * 8**8) ** 2


@pytest.mark.slow
def test_the_space_without_none_has_the_published_size():
    without = tuple(name for name in PRESETS["DARTS"] if name != "none")
    assert SuperNet(DARTS(channels=2, operations=without)).space.size == (180 * 7**8) ** 2


@pytest.mark.slow
def test_the_search_network_has_the_published_number_of_parameters():
    assert count_params(DARTS()) == 1_930_618


@pytest.mark.slow
def test_the_search_network_of_pc_darts_has_the_published_number_of_parameters():
    """As its code logs it for CIFAR-100."""
    assert count_params(DARTS(classes=100, partial=4)) == 322_708


@pytest.mark.slow
def test_the_published_cells_have_the_published_number_of_parameters():
    supernet = SuperNet(DARTS(cells=20, channels=36, affine=True))
    model = derive(supernet, DARTS.from_genotype(V2))
    assert count_params(model) == 3_349_342


@pytest.mark.slow
def test_reductions_stand_at_a_third_and_two_thirds():
    shapes = []
    supernet = SuperNet(DARTS((3, 16, 16), cells=8, channels=2))
    for cell in supernet.model.cells:
        cell.register_forward_hook(lambda _, __, y: shapes.append(tuple(y.shape[1:])))
    supernet(torch.randn(1, 3, 16, 16), DARTS.from_genotype(V2))
    assert shapes == [(8, 16, 16)] * 2 + [(16, 8, 8)] * 3 + [(32, 4, 4)] * 3


@pytest.mark.slow
def test_genotypes_are_read_and_written():
    architecture = DARTS.from_genotype(V2)
    assert architecture["normal.node3.edges"] == ("0", "2")
    assert architecture["normal.node3.from2"] == "dil3"
    assert architecture["reduce.node1.from1"] == "max3"
    assert architecture in SuperNet(DARTS(channels=2)).space
    for one in [architecture, *samples(small().space, 20)]:
        assert DARTS.from_genotype(DARTS.to_genotype(one)) == one


@pytest.mark.parametrize(
    ("old", "new", "match"),
    [
        ("Genotype(", "Genotype", "no genotype"),
        ("dil_conv_3x3", "conv_3x3", "no genotype"),
        ("('dil_conv_3x3', 2)", "2", "no genotype"),
        (", ('dil_conv_3x3', 2)", "", "no genotype"),
        ("reduce=", "other=", "no genotype"),
        ("reduce_concat=[2, 3, 4, 5]", "reduce_concat=[3, 4, 5]", "concatenate all"),
        ("('dil_conv_3x3', 2)", "('dil_conv_3x3', 0)", r"states \[0, 0\]"),
        ("('dil_conv_3x3', 2)", "('dil_conv_3x3', 5)", r"states \[0, 5\]"),
        ("('dil_conv_3x3', 2)", "('dil_conv_3x3', -1)", r"states \[-1, 0\]"),
    ],
)
def test_what_is_no_genotype_of_the_space_is_refused(old, new, match):
    assert old in V2
    with pytest.raises(SpaceError, match=match):
        DARTS.from_genotype(V2.replace(old, new))


def test_noise_has_no_published_name():
    noisy = small(operations="S4").space.build(
        lambda d: "noise" if isinstance(d, OneOf) else d.options[:2]
    )
    with pytest.raises(SpaceError, match="noise has no published name"):
        DARTS.to_genotype(noisy)


def cell(architecture, kind, nodes):
    """Return the edges of the nodes that do something."""
    return [
        {
            (int(state), architecture[f"{kind}.node{i}.from{state}"])
            for state in architecture[f"{kind}.node{i}.edges"]
            if architecture[f"{kind}.node{i}.from{state}"] != "none"
        }
        for i in range(nodes)
    ]


def same_up_to_order(first, second):
    """Compare two cells by brute force over the orders of nodes."""
    for order in permutations(range(len(first))):
        state = {0: 0, 1: 1, **{old + 2: new + 2 for new, old in enumerate(order)}}
        if [{(state[s], name) for s, name in first[old]} for old in order] == second:
            return True
    return False


def test_canonical_forms_are_equal_just_where_cells_are():
    space = small(nodes=3, operations=("none", "skip")).space
    some = samples(space, 60)
    forms = [space.canonical(one) for one in some]
    for kind in ("normal", "reduce"):
        cells = [cell(one, kind, 3) for one in some]
        canonical = [cell(one, kind, 3) for one in forms]
        for i in range(len(some)):
            assert same_up_to_order(cells[i], canonical[i])
            for j in range(i):
                assert (canonical[i] == canonical[j]) == same_up_to_order(cells[i], cells[j])


def test_none_comes_from_the_first_free_state():
    def architecture(states, names):
        answers = {"edges": states, **{f"from{s}": n for s, n in zip(states, names, strict=True)}}
        first = {"edges": ("0", "1"), "from0": "skip", "from1": "skip"}
        return Architecture(
            {
                f"{kind}.node{i}.{name}": value
                for kind in ("normal", "reduce")
                for i, node in enumerate((first, answers))
                for name, value in node.items()
            }
        )

    space = small().space
    expected = architecture(("0", "2"), ("none", "skip"))
    assert space.canonical(architecture(("1", "2"), ("none", "skip"))) == expected
    assert space.canonical(expected) == expected
    nothing = space.canonical(architecture(("1", "2"), ("none", "none")))
    assert cell(nothing, "normal", 2) == [set(), {(0, "skip"), (1, "skip")}]
    assert nothing["normal.node0.edges"] == ("0", "1")


@pytest.mark.slow
@pytest.mark.parametrize("partial", [1, 2, 4])
@pytest.mark.parametrize("operations", ["DARTS", "S4"])
def test_derived_networks_equal_the_supernet_with_partial_channels(partial, operations):
    supernet, images = small(partial=partial, operations=operations), torch.randn(3, 1, 8, 8)
    for architecture in samples(supernet.space, 5):
        torch.manual_seed(1)
        expected = supernet(images, architecture)
        torch.manual_seed(1)
        torch.testing.assert_close(derive(supernet, architecture)(images), expected)


@pytest.mark.slow
def test_partial_channels_leave_fewer_parameters_and_the_same_space():
    whole, part = small(), small(partial=4)
    assert whole.space.decisions == part.space.decisions
    architecture = Architecture(
        whole.space.build(lambda d: "sep5" if isinstance(d, OneOf) else d.options[:2])
    )
    macs = [count_macs(derive(s, architecture), torch.zeros(1, 1, 8, 8)) for s in (whole, part)]
    assert macs[1] < 0.5 * macs[0]
    assert whole(torch.randn(2, 1, 8, 8), architecture).shape == (2, 3)


@pytest.mark.parametrize("stride", [1, 2])
@pytest.mark.parametrize("size", [7, 8])
@pytest.mark.parametrize("affine", [True, False])
@pytest.mark.parametrize("name", OPERATIONS)
def test_operations_keep_channels_and_divide_the_image(name, affine, size, stride):
    module = OPERATIONS[name](4, stride, affine)
    y = module(torch.randn(2, 4, size, size))
    assert y.shape == (2, 4, -(-size // stride), -(-size // stride))
    assert y.isfinite().all()
    norms = [m for m in module.modules() if isinstance(m, nn.BatchNorm2d)]
    assert all((norm.weight is not None) == affine for norm in norms)


@pytest.mark.parametrize("name", ["max3", "avg3"])
def test_pooling_has_a_batch_norm_in_the_search_network_only(name):
    x = 5 + torch.randn(8, 2, 8, 8)
    assert OPERATIONS[name](2, 1, False)(x).mean().abs() < 1e-4
    assert OPERATIONS[name](2, 1, True)(x).mean() > 4


def test_average_pooling_does_not_count_the_border():
    torch.testing.assert_close(
        OPERATIONS["avg3"](1, 2, True)(torch.ones(1, 1, 5, 5)), torch.ones(1, 1, 3, 3)
    )


def test_the_mixture_runs_all_operations_on_all_edges():
    supernet = small()
    ran = set()
    for choice, label in supernet.choices.items():
        for name, option in zip(choice.names, choice.options, strict=True):
            option.register_forward_hook(lambda *_, key=(label, name): ran.add(key))
    supernet(torch.randn(2, 1, 8, 8), Routing.masked(supernet.space, {}))
    assert ran == {(d.label, name) for d in supernet.space.decisions for name in d.options}


def test_the_presets_of_robust_darts():
    for name, options in (("S2", {"skip", "sep3"}), ("S3", {"none", "skip", "sep3"})):
        assert {
            option
            for decision in small(operations=name).space.decisions
            if isinstance(decision, OneOf)
            for option in decision.options
        } == options
    assert isinstance(OPERATIONS[PRESETS["S4"][0]](4, 1, False), Noise)


S1 = {
    "normal": (
        "skip_connect+dil_conv_3x3 skip_connect+dil_conv_5x5 skip_connect+dil_conv_5x5 "
        "skip_connect+sep_conv_3x3 skip_connect+dil_conv_3x3 max_pool_3x3+skip_connect "
        "skip_connect+sep_conv_3x3 skip_connect+sep_conv_3x3 skip_connect+dil_conv_3x3 "
        "skip_connect+sep_conv_3x3 max_pool_3x3+skip_connect skip_connect+dil_conv_3x3 "
        "dil_conv_3x3+dil_conv_5x5 dil_conv_3x3+dil_conv_5x5"
    ),
    "reduce": (
        "max_pool_3x3+avg_pool_3x3 max_pool_3x3+dil_conv_3x3 max_pool_3x3+avg_pool_3x3 "
        "max_pool_3x3+avg_pool_3x3 skip_connect+dil_conv_5x5 max_pool_3x3+avg_pool_3x3 "
        "max_pool_3x3+sep_conv_3x3 skip_connect+dil_conv_3x3 skip_connect+dil_conv_5x5 "
        "max_pool_3x3+avg_pool_3x3 max_pool_3x3+avg_pool_3x3 skip_connect+dil_conv_5x5 "
        "skip_connect+dil_conv_5x5 skip_connect+dil_conv_5x5"
    ),
}
"""The authors' list, in the order of their edges: of the first node first, older states first."""


def test_the_preset_s1_is_that_of_the_authors_edge_by_edge():
    supernet = small(operations="S1", nodes=4)
    for kind, listed in S1.items():
        labels = [f"{kind}.node{i}.from{state}" for i in range(4) for state in range(i + 2)]
        found = [[PUBLISHED[name] for name in supernet.space.decision(x).options] for x in labels]
        assert [set(pair) for pair in found] == [set(pair.split("+")) for pair in listed.split()]
    assert supernet.space.size == (180 * 2**8) ** 2


def test_nodes_do_not_change_places_where_operations_belong_to_edges():
    space = small(operations="S1", nodes=4).space
    for one in samples(space, 20):
        assert space.canonical(one) == one
        assert DARTS.from_genotype(DARTS.to_genotype(one)) == one


def test_derived_networks_of_s1_equal_the_supernet():
    supernet, images = small(operations="S1"), torch.randn(3, 1, 8, 8)
    for architecture in samples(supernet.space, 5):
        expected = supernet(images, architecture)
        torch.testing.assert_close(derive(supernet, architecture)(images), expected)


@pytest.mark.slow_with("image3", "image2")
@pytest.mark.parametrize("image", [(1, 8, 8), (3, 7, 5), (3, 4, 4), (3, 32, 32), (3, 50, 44)])
def test_the_auxiliary_classifier_returns_logits_while_training_only(image):
    supernet = small(image=image, auxiliary=True)
    architecture, images = samples(supernet.space, 1)[0], torch.randn(2, *image)
    logits, further = supernet(images, architecture)
    assert logits.shape == further.shape == (2, 3)
    assert further.isfinite().all()
    supernet.eval()
    assert supernet(images, architecture).shape == (2, 3)
    assert small().model.auxiliary is None


def test_the_auxiliary_classifier_is_that_of_the_paper():
    supernet = small(image=(3, 32, 32), cells=7, auxiliary=True, affine=True)
    head, seen = supernet.model.auxiliary, {}
    supernet.model.cells[4].register_forward_hook(lambda _, __, y: seen.update(reduced=y))
    expected = nn.Sequential(
        nn.ReLU(),
        nn.AvgPool2d(5, stride=3, padding=0, count_include_pad=False),
        nn.Conv2d(2 * 16, 128, 1, bias=False),
        nn.BatchNorm2d(128),
        nn.ReLU(),
        nn.Conv2d(128, 768, 2, bias=False),
        nn.BatchNorm2d(768),
        nn.ReLU(),
        nn.Flatten(),
        nn.Linear(768, 3),
    )
    values = zip(expected.state_dict(), head.state_dict().values(), strict=True)
    expected.load_state_dict(dict(values))
    _, further = supernet(torch.randn(4, 3, 32, 32), samples(supernet.space, 1)[0])
    assert seen["reduced"].shape == (4, 32, 8, 8)
    torch.testing.assert_close(further, expected(seen["reduced"]))


@pytest.mark.slow
def test_the_auxiliary_classifier_costs_nothing():
    supernet = SuperNet(DARTS(cells=20, channels=36, affine=True, auxiliary=True))
    architecture = DARTS.from_genotype(V2)
    model = derive(supernet, architecture)
    assert count_params(model) == 3_349_342
    assert sum(p.numel() for p in model.parameters()) == 3_349_342 + (
        36 * 4 * 4 * 128 + 2 * 128 + 4 * 128 * 768 + 2 * 768 + 10 * 768 + 10
    )
    tables, image = measure_costs(small(auxiliary=True), torch.zeros(1, 1, 8, 8)), (1, 1, 8, 8)
    for quantity, table in measure_costs(small(), torch.zeros(image)).items():
        for one in samples(small().space, 5):
            assert table.cost(one) == tables[quantity].cost(one)


@pytest.mark.slow
def test_a_derived_network_keeps_the_auxiliary_classifier_and_exports_without():
    supernet, images = small(auxiliary=True), torch.randn(2, 1, 8, 8)
    model = derive(supernet, samples(supernet.space, 1)[0])
    assert torch.equal(model.auxiliary.square.weight, supernet.model.auxiliary.square.weight)
    logits, further = model(images)
    (logits.sum() + further.sum()).backward()
    assert all(parameter.grad is not None for parameter in model.auxiliary.parameters())
    program = torch.export.load(io.BytesIO(export_program(model, images[:1])))
    torch.testing.assert_close(program.module()(images), model.eval()(images))
    assert program.state_dict
    assert not [name for name in program.state_dict if "auxiliary" in name]
    assert model.auxiliary is not None


def zero_images(y):
    """Return the share of images that are zero."""
    return float((y.abs().amax((1, 2, 3)) == 0).float().mean())


@pytest.mark.parametrize("partial", [1, 2])
def test_a_search_network_drops_whole_edges(partial):
    """The mixture of an image as a whole, the skip in it too, as the others' scale says."""
    probability = 0.4
    supernet = small(drop_path=probability, partial=partial).train()
    edge = supernet.model.cells[0].nodes[0].options[0]
    edge.set_progress(0.5)
    with torch.no_grad(), supernet.route(Routing.masked(supernet.space, {})):
        for images in (torch.randn(4000, 4, 2, 2), torch.ones(4000, 4, 2, 2)):
            assert zero_images(edge(images)) == pytest.approx(0.2, abs=0.03)
    only_skip = {label: (3,) for label in supernet.space.labels if ".from" in label}
    assert {d.options[3] for d in supernet.space.decisions if d.label in only_skip} == {"skip"}
    with torch.no_grad(), supernet.route(Routing.masked(supernet.space, only_skip)):
        images = torch.randn(4000, 4, 2, 2)
        kept, whole = edge(images), edge.eval()(images)
    assert zero_images(kept) == pytest.approx(0.2, abs=0.03)
    on = kept.abs().amax((1, 2, 3)) > 0
    torch.testing.assert_close(kept[on], whole[on] / 0.8)
    operations = [choice for choice in supernet.choices if "none" in choice.names]
    assert not any(isinstance(o, DropPath) for choice in operations for o in choice.options)


@pytest.mark.slow
def test_the_probability_of_dropping_rises_or_not():
    for rises, expected in ((True, [0.0, 0.1, 0.4]), (False, [0.4, 0.4, 0.4])):
        network = small(drop_path=0.4, drop_path_rises=rises)
        edges = [module for module in network.modules() if isinstance(module, DropPath)]
        assert len(edges) == 3 * 5
        for progress, probability in zip((0.0, 0.25, 1.0), expected, strict=True):
            for edge in edges:
                edge.set_progress(progress)
            assert {edge.probability for edge in edges} == {probability}


@pytest.mark.slow
def test_derived_networks_drop_operations_but_identities():
    supernet = small(drop_path=0.4, affine=True)
    for name in PRESETS["DARTS"]:
        one = supernet.space.build(
            lambda d, name=name: name if isinstance(d, OneOf) else d.options[:2]
        )
        model = derive(supernet, one).train()
        for kind, identity in ((0, name == "skip"), (1, False)):
            edge = model.cells[kind].nodes[0].terms[0]
            with torch.no_grad():
                y = edge(torch.rand(2000, 4 if kind == 0 else 8, 4, 4) + 0.1)
            expected = 1.0 if name == "none" else 0.0 if identity else 0.4
            assert zero_images(y) == pytest.approx(expected, abs=0.05)


FAIR = {
    "a": "sep3 2 0, sep5 2 1, max3 4 0, sep3 5 0; "
    "max3 2 0, avg3 2 1, avg3 3 0, dil5 3 1, avg3 4 0, sep5 4 1, skip 5 0, skip 5 1",
    "b": "sep3 2 0, sep3 2 1, sep3 3 1, dil3 4 0, sep5 4 1, dil5 5 1; "
    "skip 2 0, dil3 2 1, skip 3 0, dil3 3 1, max3 4 0, sep3 4 1, skip 5 2, max3 5 0",
    "c": "max3 2 0, sep5 2 1, dil3 4 0, dil5 4 2, skip 5 3, sep3 5 0; "
    "dil3 2 1, dil5 2 0, dil3 3 0, sep3 3 1, sep5 4 0, sep5 4 3, sep5 5 0, skip 5 1",
    "d": "sep3 2 0, sep5 2 1, dil3 3 1, max3 3 0, dil3 4 0, dil3 4 1, sep3 5 0, dil5 5 1; "
    "max3 2 0, sep5 2 1, avg3 3 0, dil5 3 2, dil3 4 3, avg3 4 0, avg3 5 0, skip 5 3",
    "e": "sep3 2 0, sep3 2 1, dil3 4 1, dil3 4 2, dil3 5 0, dil5 5 1; "
    "max3 2 1, max3 2 0, max3 3 1, max3 3 0, sep5 4 1, max3 4 0, avg3 5 0, dil5 5 1",
    "f": "max3 2 0, sep3 2 1, dil3 3 1, sep5 4 1, sep3 5 0, sep3 5 1; "
    "max3 2 0, max3 2 1, max3 3 0, dil3 3 1, dil3 4 2, max3 4 0, max3 5 0, sep3 5 1",
    "g": "sep3 2 0, sep3 2 1, skip 4 3, sep5 4 1, dil3 5 0, sep3 5 1; "
    "avg3 2 1, skip 2 0, skip 3 2, max3 3 1, sep5 4 3, max3 4 0, dil3 5 1, dil3 5 4",
}
"""The seven published pairs of cells of FairDARTS: operation, node (the first is 2) and state."""

WITHOUT_NONE = PRESETS["DARTS"][1:]


def fair_genotype(name):
    normal, reduce = (
        [(PUBLISHED[op], int(node), int(state)) for op, node, state in map(str.split, cell)]
        for cell in (half.split(",") for half in FAIR[name].split(";"))
    )
    concat = "range(2, 6)"
    return f"Genotype(normal={normal}, normal_concat={concat}, reduce={reduce}, reduce_concat={concat})"


@pytest.mark.slow
@pytest.mark.parametrize(
    "name", [one if one == "a" else pytest.param(one, marks=pytest.mark.slow) for one in FAIR]
)
def test_the_published_cells_of_fair_darts_lie_in_the_space(name):
    supernet = SuperNet(
        DARTS((1, 8, 8), cells=3, channels=4, operations=WITHOUT_NONE, edges=(0, 2))
    )
    architecture = DARTS.from_genotype(fair_genotype(name))
    assert architecture in supernet.space
    counts = [len(architecture[f"normal.node{i}.edges"]) for i in range(4)]
    assert sum(counts) == FAIR[name].split(";")[0].count(",") + 1
    assert architecture["normal.node0.edges"] == ("0", "1")
    assert (min(counts) == 0) == (name in "aceg")
    assert DARTS.from_genotype(DARTS.to_genotype(architecture)) == architecture
    assert supernet.space.canonical(architecture) in supernet.space
    model, images = derive(supernet, architecture).eval(), torch.randn(2, 1, 8, 8)
    torch.testing.assert_close(model(images), supernet.eval()(images, architecture))
    labels = [node.label for node in supernet.model.diagram(architecture).nodes]
    assert sum("zeros" in label for label in labels) == counts.count(0)


def test_there_is_one_fair_cell_with_all_edges():
    """As the authors published: six of seven normal cells have fewer than eight."""
    full = [name for name in FAIR if FAIR[name].split(";")[0].count(",") == 7]
    assert full == ["d"]


@pytest.mark.parametrize("edges", [1, 3, (0, 1), (0, 2), (1, 3), (2, 2), "all"])
@pytest.mark.parametrize("operations", [("none", "skip", "sep3"), ("skip", "sep3")])
def test_the_size_follows_from_the_number_of_edges(edges, operations):
    supernet = small(edges=edges, operations=operations, nodes=3)
    low, high = (9, 9) if edges == "all" else (edges, edges) if isinstance(edges, int) else edges
    expected = math.prod(
        sum(
            math.comb(states, count) * len(operations) ** count
            for count in range(min(low, states), min(high, states) + 1)
        )
        for states in (2, 3, 4)
    )
    assert supernet.space.size == expected**2
    for one in samples(supernet.space, 10):
        assert one in supernet.space
        canonical = supernet.space.canonical(one)
        assert canonical in supernet.space
        assert supernet.space.canonical(canonical) == canonical
        for kind in ("normal", "reduce"):
            assert same_up_to_order(cell(one, kind, 3), cell(canonical, kind, 3))
        assert DARTS.from_genotype(DARTS.to_genotype(one)) == one


@pytest.mark.slow
def test_no_edge_and_none_are_the_same_where_an_edge_may_be_missing():
    space = small(edges=(0, 2), operations=("none", "skip")).space
    forms = {space.canonical(one) for one in space}
    assert space.size == (9 * 19) ** 2
    assert not any("none" in one.values() for one in forms)
    # node 0 reads a subset of two states, node 1 at most two of three; these two may change places
    # where neither reads the other, so that of the pairs of subsets of two states half are left
    pairs = 4 * 7 - 4 * 3 // 2
    assert len(forms) == pairs**2


@pytest.mark.slow
@pytest.mark.parametrize("partial", [1, 2])
def test_a_node_without_edges_is_zero_and_of_the_right_shape(partial):
    supernet = small(edges=(0, 2), partial=partial, image=(1, 9, 7)).eval()
    architecture = supernet.space.build(
        lambda d: "max3" if isinstance(d, OneOf) else () if "node0" in d.label else d.options[:2]
    )
    assert architecture["reduce.node0.edges"] == ()
    model, seen = derive(supernet, architecture).eval(), {}
    images = torch.randn(3, 1, 9, 7)
    for number, part in enumerate(supernet.model.cells):
        part.register_forward_hook(lambda _, __, y, n=number: seen.update({n: y}))
    torch.testing.assert_close(model(images), supernet(images, architecture))
    for number, shape in enumerate([(4, 9, 7), (8, 5, 4), (16, 3, 2)]):
        first, second = seen[number].split(shape[0], dim=1)
        assert first.shape[1:] == shape
        assert not first.any()
        assert second.any()
    costs = measure_costs(supernet, images[:1])["params"]
    assert costs.cost(architecture) == count_params(model)
    program = torch.export.load(io.BytesIO(export_program(model, images)))
    torch.testing.assert_close(program.module()(images), model(images))


@pytest.mark.slow
def test_all_edges_are_written_as_by_snas():
    supernet = small(edges="all", nodes=4)
    assert {d.size for d in supernet.space.decisions if isinstance(d, SomeOf)} == {1}
    (one,) = samples(supernet.space, 1)
    text = DARTS.to_genotype(one)
    assert ", 2, 0)" not in text
    assert DARTS.from_genotype(text) == one
    assert f"('{PUBLISHED[one['normal.node3.from4']]}', 4)], normal_concat=range(2, 6)" in text


@pytest.mark.slow
def test_the_drawing_has_both_cells_without_none():
    architecture = DARTS.from_genotype(V2)
    diagram = DARTS(channels=2).diagram(architecture)
    assert sum(node.kind == "operation" for node in diagram.nodes) == 16
    assert sum(node.kind == "sum" for node in diagram.nodes) == 8
    sources = {edge.source for edge in diagram.edges if edge.target == "normal.5<-2"}
    assert sources == {"normal.2"}
    without = Architecture({**architecture, "normal.node3.from2": "none"})
    nodes = {node.id for node in DARTS(channels=2).diagram(without).nodes}
    assert nodes == {node.id for node in diagram.nodes} - {"normal.5<-2"}


@pytest.mark.parametrize(
    ("arguments", "match"),
    [
        ({"cells": 2}, "cells is 2"),
        ({"partial": 3}, "divide the 4 channels"),
        ({"partial": 0}, "divide the 4 channels"),
        ({"drop_path": 1.0}, "drop_path is a probability"),
        ({"skip_dropout": -0.1}, "skip_dropout is a probability"),
        ({"operations": "S9"}, "DARTS, S1, S2, S3, S4"),
        ({"operations": "S1", "nodes": 5}, "are those of 4 nodes, not of 5"),
        ({"operations": ()}, "must be some of"),
        ({"operations": ("conv3",)}, "must be some of none, max3"),
        ({"nodes": 0}, "nodes 0"),
        ({"edges": 0}, "from 0 to 0 edges cannot enter a node"),
        ({"edges": (2, 1)}, "from 2 to 1 edges"),
        ({"edges": (1, 2, 3)}, "edges is a number"),
        ({"image": (1, 3, 3)}, "cannot be halved"),
    ],
)
def test_wrong_arguments_are_refused(arguments, match):
    with pytest.raises(SpaceError, match=match):
        small(**arguments)


@pytest.mark.slow
def test_every_argument_of_a_style_is_used():
    assert any(isinstance(m, PartialChannels) for m in small(partial=2).modules())
    assert not any(isinstance(m, PartialChannels) for m in small().modules())
    assert any(isinstance(m, FactorizedReduce) for m in small().modules())


@pytest.mark.slow
def test_the_dropout_behind_skips_fades_as_published():
    network = small(skip_dropout=0.7)
    faders = [module for module in network.modules() if isinstance(module, FadingDropout)]
    options = [
        (name, o) for c in network.choices for name, o in zip(c.names, c.options, strict=True)
    ]
    skips = [option for name, option in options if name == "skip"]
    strided = [option for option in skips if isinstance(option, FactorizedReduce)]
    assert len(faders) == len(skips) - len(strided) > 0 < len(strided)
    one, rate = faders[0], 0.7
    for epoch in range(10):
        one.set_progress(epoch / 25)
        assert one.probability == pytest.approx(rate * (25 - epoch) / 25)
    for epoch in range(10, 26):
        one.set_progress(epoch / 25)
        assert one.probability == pytest.approx(rate * math.exp(-0.2 * (epoch - 10)))
    one.set_progress(0.0)
    x = torch.ones(20000)
    torch.manual_seed(0)
    dropped = one.train()(x)
    assert dropped.unique().tolist() == pytest.approx([0.0, 1 / 0.3])
    assert (dropped == 0).float().mean() == pytest.approx(0.7, abs=0.02)
    assert torch.equal(one.eval()(x), x)

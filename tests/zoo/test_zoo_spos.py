"""SPOS's space has the paper's size, its released network the released cost; units shuffle."""

from __future__ import annotations

from random import Random

import pytest
import torch

from supernet.cost import cost_of, count_macs, count_params, measure_costs
from supernet.errors import SpaceError
from supernet.net import SuperNet, derive
from supernet.ops import Narrow, shuffle_unit, shuffle_xception
from supernet.space import Architecture
from supernet.zoo import SPOS
from supernet.zoo.spos import OPTIONS

RELEASED = (2, 1, 0, 1, 2, 0, 2, 0, 2, 0, 2, 3, 0, 0, 0, 0, 3, 2, 3, 3)
"""From the authors' repository: 323 M multiply-adds, 3.5 M parameters (without a classifier's bias)."""


def small(**arguments):
    defaults = {
        "image": (1, 8, 8),
        "classes": 3,
        "stem": 4,
        "widths": (6, 12),
        "depths": (2, 3),
        "strides": (1, 2),
        "features": 8,
        "stem_stride": 2,
    }
    return SuperNet(SPOS(**defaults | arguments))


@pytest.fixture(scope="module")
def published():
    return SuperNet(SPOS(affine=True))


def test_the_space(published):
    space = published.space

    assert space.size == 4**20
    assert [decision.label for decision in space.decisions] == [f"layer{i}" for i in range(20)]
    assert {decision.options for decision in space.decisions} == {
        ("shuffle3", "shuffle5", "shuffle7", "xception")
    }


@pytest.mark.slow
def test_the_released_architecture_has_the_released_cost(published):
    architecture = Architecture({f"layer{i}": OPTIONS[d] for i, d in enumerate(RELEASED)})
    cost = cost_of(measure_costs(published, torch.zeros(1, 3, 224, 224)), architecture)

    assert round(cost["macs"] / 1e6) == 323
    assert int((cost["params"] - 1000) / 1e5) == 35


def test_stages_have_the_given_widths_depths_and_strides():
    supernet, shapes = small(), []
    for layer in supernet.model.layers:
        layer.register_forward_hook(lambda _, __, y: shapes.append(tuple(y.shape[1:])))
    for option in OPTIONS:
        architecture = supernet.space.build(lambda _, option=option: option)
        supernet(torch.randn(2, 1, 8, 8), architecture)

    assert shapes == 4 * [*[(6, 4, 4)] * 2, *[(12, 2, 2)] * 3]


@pytest.mark.parametrize("affine", [True, False])
def test_affine_is_for_all_batch_norms(affine):
    norms = [m for m in small(affine=affine).modules() if isinstance(m, torch.nn.BatchNorm2d)]

    assert len(norms) == 2 + 5 * (3 * 3 + 6) + 2 * 4 * 2
    assert {norm.affine for norm in norms} == {affine}


@pytest.mark.parametrize("kernel", [3, 5, 7])
def test_sizes_of_shuffle_units(kernel):
    """By hand; the middle is half the output, and the branches together are the output."""
    k = kernel**2
    plain = 4 * 4 + 4 * k + 4 * 4
    first = 6 * 5 + 5 * k + 5 * 4 + (6 * k + 6 * 6)

    assert count_params(shuffle_unit(8, 8, kernel, affine=False)) == plain
    assert count_params(shuffle_unit(8, 8, kernel)) == plain + 2 * (4 + 4 + 4)
    assert count_params(shuffle_unit(6, 10, kernel, first=True, affine=False)) == first


def test_sizes_of_xception_units():
    plain = 4 * 9 + 4 * 4 + 4 * 9 + 4 * 4 + 4 * 9 + 4 * 4
    first = 6 * 9 + 6 * 5 + 5 * 9 + 5 * 5 + 5 * 9 + 5 * 4 + (6 * 9 + 6 * 6)

    assert count_params(shuffle_xception(8, 8, affine=False)) == plain
    assert count_params(shuffle_xception(8, 8)) == plain + 2 * 6 * 4
    assert count_params(shuffle_xception(6, 10, first=True, affine=False)) == first


@pytest.mark.parametrize(
    "make",
    [lambda *a, **k: shuffle_unit(*a, 5, **k), shuffle_xception],
    ids=["shuffle", "xception"],
)
def test_units_pass_even_channels_on_and_compute_with_odd_ones(make):
    unit, x = make(8, 8).eval(), torch.randn(2, 8, 5, 6)
    y = unit(x)

    assert torch.equal(y[:, :4], x[:, [0, 2, 4, 6]])
    assert torch.equal(y[:, 4:], unit.main(x[:, [1, 3, 5, 7]]))
    changed = x.clone()
    changed[:, 0::2] += 1
    assert torch.equal(unit(changed)[:, 4:], y[:, 4:])


@pytest.mark.parametrize("stride", [1, 2])
@pytest.mark.parametrize(
    "make",
    [lambda *a, **k: shuffle_unit(*a, 7, **k), shuffle_xception],
    ids=["shuffle", "xception"],
)
def test_first_units_project_all_channels(make, stride):
    unit, x = make(6, 10, stride=stride, first=True).eval(), torch.randn(2, 6, 7, 8)
    y = unit(x)

    assert y.shape == (2, 10, *((7, 8) if stride == 1 else (4, 4)))
    assert torch.equal(y, torch.cat((unit.project(x), unit.main(x)), 1))


def test_the_diagram_shows_every_layer():
    diagram = small().model.diagram(Architecture({f"layer{i}": OPTIONS[i % 4] for i in range(5)}))

    assert [node.label for node in diagram.nodes] == [
        "image",
        "shuffle3, 6 channels",
        "shuffle5, 6 channels",
        "shuffle7, 12 channels, stride 2",
        "xception, 12 channels",
        "shuffle3, 12 channels",
        "classes",
    ]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"stem": 0}, "stem 0.*must be positive"),
        ({"depths": (2, 0)}, r"depths \(2, 0\).*must be positive"),
        ({"widths": (), "depths": (), "strides": ()}, r"widths \(\).*none empty"),
        ({"depths": (2,)}, r"depths \(2,\).*one entry per stage"),
        ({"strides": (1, 3)}, r"^strides: a stride is 1 or 2 .*not \(1, 3\)"),
        ({"stem_stride": 4}, "^stem_stride: a stride is 1 or 2 .*not 4"),
        ({"image": (1, 3, 3)}, "3×3 cannot be halved 2 times"),
        ({"widths": (6, 11)}, r"widths \(6, 11\) must be even"),
        ({"widths": (4, 12)}, r"stem 4 and widths \(4, 12\) must increase"),
        ({"widths": (8, 8)}, r"stem 4 and widths \(8, 8\) must increase"),
    ],
)
def test_bad_arguments_are_refused(arguments, message):
    with pytest.raises(SpaceError, match=message):
        small(**arguments)


FACTORS = (0.5, 1.0, 1.5)


@pytest.fixture(scope="module", params=[False, True], ids=["plain", "affine"])
def elastic(request):
    torch.manual_seed(0)
    return small(factors=FACTORS, affine=request.param)


@pytest.mark.slow
def test_channels_are_a_decision_of_every_layer():
    assert SuperNet(SPOS(factors=tuple(i / 5 for i in range(1, 11)))).space.size == 40**20


def architectures(supernet, count):
    random = Random(3)
    return [supernet.space.sample(random) for _ in range(count)]


@pytest.mark.slow
def test_networks_of_fewer_channels_are_ordinary_and_equal(elastic):
    images = torch.randn(5, 1, 8, 8)
    for training in (True, False):
        elastic.train(training)
        for architecture in architectures(elastic, 12):
            derived = derive(elastic, architecture)
            assert not any(isinstance(module, Narrow) for module in derived.modules())
            torch.testing.assert_close(derived(images), elastic(images, architecture))


@pytest.mark.slow
def test_costs_are_those_of_the_ordinary_networks(elastic):
    example = torch.zeros(1, 1, 8, 8)
    tables = measure_costs(elastic, example)
    for architecture in architectures(elastic, 12):
        derived = derive(elastic, architecture)
        cost = cost_of(tables, architecture)
        assert cost == {"params": count_params(derived), "macs": count_macs(derived, example)}


def test_factor_one_is_the_ordinary_unit():
    wide, narrow = small(), small(factors=(1.0,))
    answers = {f"layer{i}": OPTIONS[i % 4] for i in range(5)}
    channels = {f"layer{i}.channels": "1.0" for i in range(5)}
    one = derive(wide, Architecture(answers))
    two = derive(narrow, Architecture({**answers, **channels}))
    assert [p.shape for p in one.parameters()] == [p.shape for p in two.parameters()]


def test_widths_of_a_unit_share_their_leading_channels(elastic):
    images = torch.randn(5, 1, 8, 8)
    answers = {f"layer{i}": "shuffle5" for i in range(5)}
    paths = [
        Architecture({**answers, **{f"layer{i}.channels": f for i in range(5)}})
        for f in ("0.5", "1.5")
    ]
    elastic.zero_grad(set_to_none=True)
    for path in paths:
        elastic(images, path).sum().backward()
    unit = elastic.model.layers[1].options[1].options[0]
    weight = unit.main.convolutions[1].weight
    assert weight.shape[0] == 4
    assert weight.grad is not None
    others = elastic.model.layers[1].options[0].options[0].main.convolutions[1].weight
    assert others.grad is None


@pytest.mark.parametrize("factors", [(0.0, 1.0), (-1.0,), (1.0, 1.0)])
def test_odd_factors_are_refused(factors):
    with pytest.raises(SpaceError, match="factors"):
        small(factors=factors)

"""ProxylessNAS's space holds the released networks; its equal networks are found."""

from __future__ import annotations

import copy

import pytest
import torch

from supernet.cost import cost_of, measure_costs
from supernet.errors import SpaceError
from supernet.net import SuperNet
from supernet.space import Architecture
from supernet.zoo import Proxyless

CONVOLUTIONS = ("mb3e3", "mb3e6", "mb5e3", "mb5e6", "mb7e3", "mb7e6")

RELEASED = {
    "mobile": (
        {"widths": (32, 40, 80, 96, 192, 320)},
        "53 33 -- --  73 33 53 53  76 53 53 53  56 53 53 53  76 76 73 73  76",
        4_080_512,
    ),
    "gpu": (
        {"stem": 40, "first": 24, "widths": (32, 56, 112, 128, 256, 432), "features": 1728},
        "53 -- -- --  73 -- -- 33  76 -- -- 53  56 -- 33 53  76 76 76 56  76",
        7_119_848,
    ),
    "cpu": (
        {"stem": 40, "first": 24, "widths": (32, 48, 88, 104, 216, 360), "features": 1432},
        "36 33 33 33  36 33 33 53  36 -- -- 33  56 33 33 33  56 53 53 33  56",
        4_361_648,
    ),
}
"""Arguments, kernels and expansions, and parameters for 1000 classes.

As osmr/imgclsmob has them, whose weights are converted from the authors' repository.
"""


def small(**arguments):
    defaults = {
        "image": (1, 8, 8),
        "classes": 3,
        "stem": 4,
        "first": 2,
        "widths": (4, 6),
        "depths": (1, 3),
        "strides": (1, 2),
        "features": 8,
        "stem_stride": 2,
    }
    return SuperNet(Proxyless(**defaults | arguments))


def layers(*options):
    return Architecture({f"layer{i}": option for i, option in enumerate(options)})


def test_the_space():
    """Six of the 21 layers change the shape, so that they cannot be left out."""
    space = SuperNet(Proxyless(stem=4, first=1, widths=(2, 3, 4, 5, 6, 7), features=4)).space

    assert space.size == 6**6 * 7**15
    for i, decision in enumerate(space.decisions):
        changes = i in (0, 4, 8, 12, 16, 20)
        assert decision.label == f"layer{i}"
        assert decision.options == CONVOLUTIONS if changes else (*CONVOLUTIONS, "identity")


@pytest.mark.slow
@pytest.mark.parametrize("name", RELEASED)
def test_released_networks_have_their_parameters(name):
    arguments, text, params = RELEASED[name]
    supernet = SuperNet(Proxyless(**arguments))
    architecture = layers(*("identity" if x == "--" else f"mb{x[0]}e{x[1]}" for x in text.split()))
    cost = cost_of(measure_costs(supernet, torch.zeros(1, 3, 224, 224)), architecture)

    assert cost["params"] == params
    if name == "mobile":
        assert round(cost["macs"] / 1e6) == 320


def test_stages_have_the_given_widths_depths_and_strides():
    supernet, shapes = small(), []
    for layer in supernet.model.layers:
        layer.register_forward_hook(lambda _, __, y: shapes.append(tuple(y.shape[1:])))
    for option in CONVOLUTIONS:
        supernet(torch.randn(2, 1, 8, 8), layers(*[option] * 4))

    assert shapes == 6 * [(4, 4, 4), *[(6, 2, 2)] * 3]


def test_options_are_of_their_kernel_and_expansion():
    choice = small().model.layers[3]

    for name, option in zip(choice.names[:-1], choice.options[:-1], strict=True):
        depthwise = next(m for m in option.layers if getattr(m, "groups", 1) > 1)
        assert name == f"mb{depthwise.kernel_size[0]}e{depthwise.groups // 6}"
        assert option.shortcut
    assert isinstance(choice.options[-1], torch.nn.Identity)


@pytest.mark.parametrize("affine", [True, False])
def test_affine_is_for_all_batch_norms(affine):
    norms = [m for m in small(affine=affine).modules() if isinstance(m, torch.nn.BatchNorm2d)]

    assert len(norms) == 1 + 2 + 4 * 6 * 3 + 1
    assert {norm.affine for norm in norms} == {affine}


@pytest.mark.parametrize(
    ("arguments", "size", "count"),
    [
        ({}, 6 * 6 * 7 * 7, 6 * 6 * (1 + 6 + 36)),
        # the second stage keeps width and size, so that its layers join the first one's
        ({"widths": (4, 4), "depths": (1, 2), "strides": (2, 1)}, 6 * 7 * 7, 6 * (1 + 6 + 36)),
        # the first stage is as wide as the block before it
        ({"first": 4, "widths": (4, 6), "depths": (1, 1)}, 7 * 6, 7 * 6),
        # equal width, but halved
        ({"widths": (4, 4), "depths": (1, 2)}, 6 * 6 * 7, 6 * 6 * 7),
    ],
)
def test_number_of_architectures_and_networks(arguments, size, count):
    space = small(**arguments).space

    assert space.size == size
    assert len({space.canonical(architecture) for architecture in space}) == count


def test_equal_networks_compute_the_same_with_moved_weights():
    supernet, x = small(), torch.randn(4, 1, 8, 8)
    before = layers("mb3e3", "mb5e3", "identity", "mb7e6")
    after = layers("mb3e3", "mb5e3", "mb7e6", "identity")
    assert supernet.space.canonical(before) == after

    moved = copy.deepcopy(supernet)
    moved.model.layers[2].load_state_dict(supernet.model.layers[3].state_dict())
    expected = supernet(x, before)
    assert torch.allclose(moved(x, after), expected, atol=1e-6)
    assert not torch.allclose(supernet(x, after), expected, atol=1e-3)


def test_canonical_keeps_costs():
    supernet = small()
    tables = measure_costs(supernet, torch.zeros(1, 1, 8, 8))
    for architecture in list(supernet.space)[::7]:
        canonical = supernet.space.canonical(architecture)
        assert cost_of(tables, canonical) == cost_of(tables, architecture)


def test_the_diagram_shows_every_layer():
    diagram = small().model.diagram(layers("mb3e3", "mb7e6", "identity", "mb5e3"))

    assert [node.label for node in diagram.nodes] == [
        "image",
        "mb3e3, 4 channels",
        "mb7e6, 6 channels, stride 2",
        "identity, 6 channels",
        "mb5e3, 6 channels",
        "classes",
    ]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"first": 0}, "first 0.*must be positive"),
        ({"widths": (4, 0)}, r"widths \(4, 0\).*must be positive"),
        ({"widths": (), "depths": (), "strides": ()}, r"widths \(\).*none empty"),
        ({"strides": (1, 2, 2)}, r"strides \(1, 2, 2\).*one entry per stage"),
        ({"strides": (1, 4)}, r"^strides: a stride is 1 or 2 .*not \(1, 4\)"),
        ({"image": (1, 8, 3)}, "8×3 cannot be halved 2 times"),
    ],
)
def test_bad_arguments_are_refused(arguments, message):
    with pytest.raises(SpaceError, match=message):
        small(**arguments)

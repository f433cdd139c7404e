"""Once-for-all's ResNet-50 space: its size, its widths, and ResNet-50-D in it."""

from __future__ import annotations

import random

import pytest
import torch
from torch import nn
from torch.nn import functional as F

import supernet as sn
from supernet.cost import cost_of, count_macs, count_params, measure_costs
from supernet.errors import SpaceError
from supernet.space import Architecture, Ordered
from supernet.zoo import OFAResNet

SMALL = {
    "image": (1, 9, 7),
    "classes": 3,
    "stem": 16,
    "widths": (32, 40),
    "multipliers": (0.5, 0.8, 1),
    "strides": (1, 2),
    "depths": ((1, 2), (1, 2, 3)),
    "expansions": (0.25, 0.5),
    "stem_strides": (2, 1),
}


def small(**arguments):
    torch.manual_seed(0)
    return sn.SuperNet(OFAResNet(**SMALL | arguments))


def samples(space, count):
    stream = random.Random(0)
    return [space.sample(stream) for _ in range(count)]


def nearest(number):
    """Return the nearest multiple of 8; halfway between two, the larger one."""
    return max(8, int(number + 4) // 8 * 8)


def published(number):
    """Return the nearest multiple of 8, but not less than nine tenths, as the authors' code does."""
    rounded = max(8, int(number + 4) // 8 * 8)
    return rounded + 8 if rounded < 0.9 * number else rounded


def shapes(architecture, arguments):
    """Yield (name, channels in, channels out, kernel) of every convolution that runs."""
    half = nearest(arguments["stem"] // 2 * architecture["stem.inner"])
    entering = nearest(arguments["stem"] * architecture["stem.width"])
    yield "stem", arguments["image"][0], half, 3
    if architecture["stem.depth"]:
        yield "stem", half, half, 3
    yield "stem", half, entering, 3
    for number, width in enumerate(arguments["widths"]):
        label = f"stage{number}"
        out = nearest(width * architecture[f"{label}.width"])
        for place in range(architecture[f"{label}.depth"]):
            inner = nearest(out * architecture[f"{label}.block{place}.expansion"])
            yield "block", entering, inner, 1
            yield "block", inner, inner, 3
            yield "block", inner, out, 1
            if not place:
                yield "shortcut", entering, out, 1
            entering = out
    yield "head", entering, arguments["classes"], 1


def parameters(architecture, arguments):
    count = 0
    for name, a, b, kernel in shapes(architecture, arguments):
        count += a * b * kernel**2 + (b if name == "head" else 2 * b)
    return count


@pytest.fixture(scope="module")
def whole():
    """The space of the authors' code, without data."""
    with torch.device("meta"):
        return sn.SuperNet(OFAResNet())


@pytest.mark.slow
def test_the_space_of_the_authors(whole):
    """Six widths have three multipliers, d blocks 3^d expansions, the stem one block more or not."""
    blocks = (3**2 + 3**3 + 3**4) ** 3 * (3**4 + 3**5 + 3**6)
    assert whole.space.size == 3**6 * 2 * blocks
    assert all(isinstance(decision, Ordered) for decision in whole.space.decisions)


def test_widths_are_those_of_the_authors_but_for_ties(whole):
    layer = whole.model.stages[2][3].body[0]
    found = []
    for architecture in samples(whole.space, 60):
        with whole.route(architecture):
            found.append((architecture, len(layer.plain().weight)))
    for architecture, width in found:
        out = published(1024 * architecture["stage2.width"])
        exact = round(out * architecture["stage2.block3.expansion"])
        assert width == published(exact)
    assert len({width for _, width in found}) > 6
    widths = [m * n for m in (0.65, 0.8, 1) for n in (32, 64, 256, 512, 1024, 2048)]
    assert [nearest(width) for width in widths] == [published(width) for width in widths]


def test_resnet_50_d_is_a_network_of_the_published_size(whole):
    """ResNet-50 has 25,557,032 parameters; D has three 3×3 convolutions in its stem for one of 7×7."""
    values = {"stem.inner": 1, "stem.depth": 1, "stem.width": 1}
    for number, depth in enumerate((3, 4, 6, 3)):
        values |= {f"stage{number}.width": 1, f"stage{number}.depth": depth}
        values |= {f"stage{number}.block{place}.expansion": 0.25 for place in range(depth)}
    stem = 27 * 32 + 9 * 32 * 32 + 9 * 32 * 64 + 2 * (32 + 32 + 64)
    derived = sn.derive(whole, Architecture(values))
    assert count_params(derived) == 25_557_032 - (49 * 3 * 64 + 2 * 64) + stem


@pytest.mark.slow
def test_tables_are_exact():
    supernet, x = small(), torch.randn(1, 1, 9, 7)
    tables = measure_costs(supernet, x)
    for architecture in samples(supernet.space, 40):
        derived = sn.derive(supernet, architecture)
        assert cost_of(tables, architecture) == {
            "params": count_params(derived),
            "macs": count_macs(derived, x),
        }
        assert count_params(derived) == parameters(architecture, SMALL)


@pytest.mark.slow
@pytest.mark.parametrize("training", [True, False])
def test_derived_networks_equal_the_supernet(training):
    supernet, x = small().train(training), torch.randn(4, 1, 9, 7)
    for architecture in samples(supernet.space, 30):
        derived = sn.derive(supernet, architecture)
        torch.testing.assert_close(derived(x), supernet(x, architecture))


def test_a_block_computes_what_the_paper_s_does():
    """Slices of the weights, written out, for a block that halves the image."""
    supernet = small().train()
    block = supernet.model.stages[1][0]
    architecture = Architecture(
        {d.label: d.options[0] for d in supernet.space.decisions}
        | {"stage0.width": 0.8, "stage1.width": 1, "stage1.block0.expansion": 0.5}
    )
    x = torch.randn(2, 24, 5, 7)  # 0.8 · 32 is 25.6
    architecture = Architecture(
        {k: v for k, v in architecture.items() if "block1" not in k and "block2" not in k}
    )
    with supernet.route(architecture):
        found = block(x)
    convolutions = [m for m in block.modules() if isinstance(m, nn.Conv2d)]
    weights = [convolution._parameters["weight"] for convolution in convolutions]
    y = normal(F.conv2d(x, weights[0][:24, :24])).relu()
    y = normal(F.conv2d(y, weights[1][:24, :24], stride=2, padding=1)).relu()
    y = normal(F.conv2d(y, weights[2][:40, :24]))
    pooled = F.avg_pool2d(x, 2, ceil_mode=True)
    expected = (y + normal(F.conv2d(pooled, weights[3][:40, :24]))).relu()
    torch.testing.assert_close(found, expected)


def normal(x):
    return F.batch_norm(x, None, None, training=True)


def test_the_diagram_shows_the_blocks_that_run():
    supernet = small()
    architecture = Architecture(
        {
            "stem.inner": 1,
            "stem.width": 0.5,
            "stem.depth": 0,
            "stage0.width": 0.8,
            "stage0.depth": 1,
            "stage0.block0.expansion": 0.25,
            "stage1.width": 1,
            "stage1.depth": 1,
            "stage1.block0.expansion": 0.5,
        }
    )
    supernet.space.validate(architecture)
    assert [node.label for node in supernet.model.diagram(architecture).nodes] == [
        "image",
        "width × 0.8, expansion 0.25",
        "width × 1, expansion 0.5",
        "classes",
    ]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"widths": (32,)}, "1 widths, 2 strides and 2 depths"),
        ({"widths": (32, 0)}, "must be positive"),
        ({"depths": ((1, 2), ())}, "none empty"),
        ({"depths": ((0, 1), (1,))}, "must be positive"),
        ({"expansions": (0,)}, r"expansions \(0,\) must be positive"),
        ({"multipliers": (-1, 1)}, r"multipliers \(-1, 1\)"),
        ({"multipliers": ()}, r"multipliers \(\) .* none empty"),
        ({"strides": (1, 3)}, "^strides: a stride is 1 or 2"),
        ({"stem_strides": (0, 1)}, r"^stem_strides: a stride is 1 or 2 .*not \(0, 1\)"),
        ({"image": (1, 2, 3)}, "2×3 cannot be halved 2 times"),
    ],
)
def test_bad_arguments_are_refused(arguments, message):
    with pytest.raises(SpaceError, match=message):
        small(**arguments)

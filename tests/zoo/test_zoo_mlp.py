"""The space of linear layers: its size, its sizes, and its networks written down a second time."""

import random

import pytest
import torch
from torch.nn import functional as F

import supernet as sn
from supernet.cost import cost_of, measure_costs
from supernet.errors import SpaceError
from supernet.space import Architecture
from supernet.zoo import MLP

SMALL = {"image": (5,), "classes": 3, "widths": (4, 6), "ratios": (0.5, 1, 1.5), "depths": (1, 2)}


def small(**arguments):
    torch.manual_seed(0)
    return sn.SuperNet(MLP(**SMALL | arguments))


def network(width, *blocks):
    values = {"width": width, "depth": len(blocks)}
    for i, (ratio, activation, skip) in enumerate(blocks):
        values |= {f"block{i}.ratio": ratio, f"block{i}.activation": activation}
        values[f"block{i}.skip"] = skip
    return Architecture(values)


def test_the_size_is_that_of_the_formula():
    per_block = 2 * 3 * 3
    assert small().space.size == 2 * (per_block + per_block**2)
    assert sn.SuperNet(MLP()).space.size == 3 * (12 + 12**2 + 12**3)


def test_a_network_computes_what_it_says():
    supernet = small(dropout=0.0).eval()
    architecture = network(4, (1.5, "silu", "skip"), (0.5, "relu", "none"))
    rows = torch.randn(7, 5)
    model = supernet.model

    def linear(layer, x, inside, outside):
        return F.linear(x, layer.weight[:outside, :inside], layer.bias[:outside])

    def normed(norm, x):
        return F.layer_norm(x, (4,)) * norm.weight[:4] + norm.bias[:4]

    first, second = (supernet.get_submodule(f"model.blocks.{i}") for i in range(2))
    second = next(one for one in second.modules() if type(one).__name__ == "Block")
    x = linear(model.stem, rows, 5, 4)
    x = linear(first.reduce, F.silu(linear(first.expand, normed(first.norm, x), 4, 6)), 6, 4) + x
    x = linear(second.reduce, F.relu(linear(second.expand, normed(second.norm, x), 4, 2)), 2, 4)
    wanted = linear(model.classifier, normed(model.norm, x).relu(), 4, 3)
    assert torch.allclose(supernet(rows, architecture), wanted, atol=1e-6)


@pytest.mark.parametrize("seed", range(5))
def test_parameters_and_multiply_adds_are_those_of_the_layers(seed):
    supernet = small()
    architecture = supernet.space.sample(random.Random(seed))
    width = architecture["width"]
    macs, biases = (5 + 3) * width, width + 3 + 2 * width
    for place in range(architecture["depth"]):
        hidden = int(width * architecture[f"block{place}.ratio"] + 0.5)
        macs += 2 * width * hidden
        biases += hidden + 3 * width
    found = cost_of(measure_costs(supernet, torch.zeros(1, 5)), architecture)
    assert found["params"] == macs + biases
    assert found["macs"] == macs


def test_numbers_have_one_output_and_images_are_rows():
    numbers, images = sn.SuperNet(MLP((5,))), sn.SuperNet(MLP((1, 4, 4), 3))
    assert numbers(torch.zeros(2, 5), numbers.space[0]).shape == (2, 1)
    assert images(torch.zeros(2, 1, 4, 4), images.space[0]).shape == (2, 3)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"ratios": ()}, "must be positive and some"),
        ({"dropout": 1.0}, "dropout 1.0 from 0"),
        ({"activations": ("relu", "swish")}, "some of relu, gelu, silu, tanh, not relu, swish"),
        ({"activations": ()}, "not none"),
        ({"widths": (0, 4)}, "must be positive"),
    ],
)
def test_what_cannot_be_built_is_refused(arguments, message):
    with pytest.raises(SpaceError, match=message):
        small(**arguments)

"""Once-for-all's space, with MobileNetV3's blocks and BigNAS's resolutions."""

from __future__ import annotations

import inspect
import random
import re

import pytest
import torch
from torch import nn
from torch.nn import functional as F

import supernet as sn
from supernet.cost import cost_of, count_macs, count_params, measure_costs
from supernet.errors import SpaceError
from supernet.space import Architecture
from supernet.zoo import OFA

SMALL = {
    "image": (1, 8, 8),
    "classes": 3,
    "stem": 4,
    "widths": ((6, 12), (12, 16)),
    "strides": (1, 2),
    "depths": (1, 2),
    "kernels": (3, 5),
    "expansions": (2, 5),
    "features": 8,
    "stem_stride": 1,
    "squeeze": (False, True),
    "activations": ("relu", "hswish"),
    "resolutions": (5, 8, 10),
}


def small(**arguments):
    torch.manual_seed(0)
    return sn.SuperNet(OFA(**SMALL | arguments))


def samples(space, count):
    stream = random.Random(0)
    return [space.sample(stream) for _ in range(count)]


def parameters(architecture, arguments):
    """Return the number of parameters, layer by layer."""
    entering = arguments["stem"]
    count = 9 * arguments["image"][0] * entering + 2 * entering
    for stage, widths in enumerate(arguments["widths"]):
        out = architecture.get(f"stage{stage}.width", widths[0])
        for place in range(architecture[f"stage{stage}.depth"]):
            label = f"stage{stage}.block{place}"
            inner, kernel = (
                entering * architecture[f"{label}.expansion"],
                architecture[f"{label}.kernel"],
            )
            count += entering * inner + 2 * inner + inner * kernel**2 + 2 * inner
            count += inner * out + 2 * out
            if arguments["squeeze"][stage]:
                squeezed = max(8, int(inner / 4 + 4) // 8 * 8)
                count += inner * squeezed + squeezed + squeezed * inner + inner
            entering = out
    features = arguments["features"]
    return count + entering * features + 2 * features + (features + 1) * arguments["classes"]


def test_sizes_of_the_space():
    with torch.device("meta"):
        paper = OFA(resolutions=tuple(range(128, 225, 4)))
    assert sn.SuperNet(paper).space.size == 25 * (9**2 + 9**3 + 9**4) ** 5
    assert small().space.size == 3 * (2 * (4 + 16)) ** 2


@pytest.mark.slow
def test_tables_are_exact_for_every_resolution():
    supernet, x = small(), torch.randn(1, 1, 8, 8)
    tables = measure_costs(supernet, x)
    seen = set()
    for architecture in samples(supernet.space, 30):
        derived = sn.derive(supernet, architecture)
        assert cost_of(tables, architecture) == {
            "params": count_params(derived),
            "macs": count_macs(derived, x),
        }
        assert count_params(derived) == parameters(architecture, SMALL)
        seen.add(architecture["resolution"])
    assert seen == {5, 8, 10}


@pytest.mark.slow
def test_costs_have_the_range_of_all_networks():
    supernet, x = small(widths=((6,), (12, 16)), kernels=(3,)), torch.randn(1, 1, 8, 8)
    for table in measure_costs(supernet, x).values():
        costs = [table.cost(architecture) for architecture in supernet.space]
        assert table.range(supernet.space) == (min(costs), max(costs))


@pytest.mark.slow
@pytest.mark.parametrize("training", [True, False])
def test_derived_networks_equal_the_supernet(training):
    supernet, x = small().train(training), torch.randn(4, 1, 8, 8)
    with torch.no_grad():
        for name, parameter in supernet.named_parameters():
            if "transforms" in name:  # they start as the identity
                parameter.add_(0.1 * torch.randn_like(parameter))
    for architecture in samples(supernet.space, 30):
        derived = sn.derive(supernet, architecture)
        torch.testing.assert_close(derived(x), supernet(x, architecture))


def test_squeeze_and_excitation_scales_the_channels_that_are_there():
    supernet = small(kernels=(3,), resolutions=()).eval()
    block = supernet.model.stages[1][0]
    (squeeze,) = (m for m in block.modules() if type(m).__name__ == "Squeeze")
    _, reduce, _, expand, _ = squeeze.scales
    weights = [reduce._parameters[n] for n in ("weight", "bias")]
    weights += [expand._parameters[n] for n in ("weight", "bias")]
    for width, expansion, between in ((6, 2, 8), (12, 5, 16), (6, 5, 8), (12, 2, 8)):
        inner = width * expansion
        x = torch.randn(2, inner, 4, 4)
        architecture = next(
            a
            for a in supernet.space
            if a["stage0.width"] == width and a["stage1.block0.expansion"] == expansion
        )
        with supernet.route(architecture):
            found = squeeze(x)
        means = x.mean((2, 3))
        hidden = (means @ weights[0][:between, :inner, 0, 0].T + weights[1][:between]).relu()
        scales = F.hardsigmoid(hidden @ weights[2][:inner, :between, 0, 0].T + weights[3][:inner])
        torch.testing.assert_close(found, x * scales[:, :, None, None])


def test_stages_have_their_activation_and_the_ends_that_of_the_last():
    model = small().model

    def kinds(module):
        found = (type(m) for m in module.modules())
        return {kind for kind in found if kind in (nn.ReLU, nn.Hardswish)}

    assert kinds(model.stem) == kinds(model.features) == {nn.Hardswish}
    assert kinds(model.stages[0]) == {nn.ReLU}
    assert kinds(model.stages[1]) == {nn.ReLU, nn.Hardswish}  # within squeeze-and-excitation too
    assert kinds(small(squeeze=(), activations=()).model) == {nn.ReLU}


def test_the_stages_of_the_docstring_are_the_paper_s():
    text = " ".join(inspect.getdoc(OFA).split())
    arguments = eval(f"dict({re.search(r'stages: `([^`]*)`', text)[1]})")
    with torch.device("meta"):
        stages = OFA(**arguments).stages
    squeezed = [any(type(m).__name__ == "Squeeze" for m in stage.modules()) for stage in stages]
    swish = [any(isinstance(m, nn.Hardswish) for m in stage.modules()) for stage in stages]
    assert squeezed == [False, True, False, True, True]
    assert swish == [False, False, True, True, True]


def test_the_small_preset_with_all_that_can_be_open():
    text = " ".join(inspect.getdoc(OFA).split())
    first, rest = re.search(r"grey images: `([^`]*)`; with `([^`]*)`", text).groups()
    supernet = sn.SuperNet(OFA(**eval(f"dict({first}, {rest})")))
    assert supernet.space.size == 2 * (2 * (4 + 16)) ** 2
    for architecture in samples(supernet.space, 3):
        assert supernet(torch.randn(2, 1, 8, 8), architecture).shape == (2, 1000)


def test_the_diagram_shows_resolution_and_blocks():
    supernet = small()
    architecture = Architecture(
        {
            "resolution": 5,
            "stage0.width": 6,
            "stage0.depth": 1,
            "stage0.block0.kernel": 3,
            "stage0.block0.expansion": 2,
            "stage1.width": 12,
            "stage1.depth": 1,
            "stage1.block0.kernel": 5,
            "stage1.block0.expansion": 5,
        }
    )
    supernet.space.validate(architecture)
    assert [node.label for node in supernet.model.diagram(architecture).nodes] == [
        "image",
        "5 × 5 pixels",
        "kernel 3, expansion 2",
        "kernel 5, expansion 5",
        "classes",
    ]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"squeeze": (True,)}, "2 widths, 2 strides, 1 of squeeze and 2 activations"),
        ({"activations": ("relu",)}, "2 of squeeze and 1 activations"),
        ({"activations": ("relu", "gelu")}, "no activation 'gelu'; possible: relu, hswish"),
        ({"widths": ((6,),)}, "1 widths, 2 strides"),
        ({"resolutions": (8, 5)}, "increasing"),
        ({"resolutions": (1, 8)}, "1×1 cannot be halved 1 times"),
        ({"strides": (1, 3)}, "^strides: a stride is 1 or 2"),
        ({"resolutions": (1,)}, "1×1 cannot be halved .* larger resolutions"),
    ],
)
def test_bad_arguments_are_refused(arguments, message):
    with pytest.raises(SpaceError, match=message):
        small(**arguments)

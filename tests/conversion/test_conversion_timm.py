"""Architectures of another library become search spaces without a line for any of them."""

from __future__ import annotations

import random
import warnings

import pytest
import torch
from timm_models import MODELS, QUICK, made

from marks import slow_unless
from supernet.conversion import Depths, Widths, convert
from supernet.cost import count_macs, count_params, measure_costs
from supernet.net import SuperNet, derive

EXPECTED = {
    "residual": {"conv1", "layer1.0.conv1", "layer1.depth"},
    "dense concatenation": {"features.denseblock1.denselayer1.conv2"},
    "convnext": {"stem.0", "stages.0.blocks.0.mlp.fc1"},
    "vit": {"patch_embed.proj", "blocks.0.attn.qkv", "blocks.0.mlp.fc1", "blocks.depth"},
    "swin": {"patch_embed.proj", "layers.0.blocks.1.attn.qkv", "layers.0.blocks.depth"},
    "mixer": {"blocks.0.mlp_tokens.fc1", "blocks.0.mlp_channels.fc1"},
}


@pytest.mark.quick_with("vit")
@pytest.mark.parametrize("name", [slow_unless(name in QUICK, name) for name in MODELS])
def test_timm(name):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        model, x = made(name)
    rules = (Widths(fractions=(0.25, 0.5, 1.0), multiple=4), Depths(least=0.0))
    supernet = SuperNet(convert(model, x, rules=rules)).eval()
    space = supernet.space
    assert space.labels >= EXPECTED.get(name, set())
    largest = space.build(lambda d: d.value(range(len(d.options) - d.high, len(d.options))))
    costs = measure_costs(supernet, x[:1])
    with torch.no_grad():
        expected = model(x)
        torch.testing.assert_close(supernet(x, largest), expected, rtol=1e-5, atol=1e-5)
        assert costs["params"].cost(largest) == count_params(model)
        stream = random.Random(0)
        for _ in range(4):
            architecture = space.sample(stream)
            derived = derive(supernet, architecture)
            torch.testing.assert_close(derived(x), supernet(x, architecture))
            assert costs["params"].cost(architecture) == count_params(derived)
            assert costs["macs"].cost(architecture) == count_macs(derived, x[:1])

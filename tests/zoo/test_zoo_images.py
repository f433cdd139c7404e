"""Every space takes small grey images, MNIST's and CIFAR's, and its docstring's small preset works."""

import ast
import importlib
import inspect
import random
import re

import pytest
import torch

from supernet.cost import count_params
from supernet.net import SuperNet
from supernet.zoo import SPACES, Bender

STRIDES = {
    "autoformer": {"patch": 4},
    "ofa-resnet": {"stem_strides": (1, 1)},
    "spos": {"strides": (1, 2, 2, 2), "stem_stride": 1},
    "proxyless": {"strides": (1, 2, 2, 1, 2, 1), "stem_stride": 1},
    "singlepath": {"strides": (1, 2, 2, 1, 2, 1), "stem_stride": 1},
}
"""Beyond the image, what images of 28 or 32 pixels need."""

THIN = {
    "autoformer": {"widths": (4, 6), "heads": (1, 2), "head": 2, "depths": (1, 2)},
    "bender": {"channels": 2, "groups": (1, 1), "blocks": 2},
    "converted": {"arguments": {"widths": (4, 6), "blocks": 2}, "multiple": 2},
    "darts": {"cells": 3, "channels": 2, "nodes": 2},
    "enas-macro": {"layers": 3, "channels": 2},
    "enas-micro": {"cells": 3, "channels": 2, "blocks": 2},
    "mlp": {"widths": (4, 6), "depths": (1, 2)},
    "nasbench-macro": {"channels": 2, "features": 8},
    "nasbench1shot1": {"channels": 2, "cells": 1},
    "nasbench201": {"channels": 2, "cells": 1},
    "ofa": {
        "stem": 2,
        "widths": ((2, 4), (4,)),
        "strides": (2, 2),
        "features": 4,
        "stem_stride": 1,
    },
    "ofa-resnet": {"stem": 16, "widths": (16, 16, 24, 32)},
    "singlepath": {"stem": 4, "first": 2, "widths": (2, 4, 4, 4, 6, 8), "features": 8},
    "smash": {"banks": 2, "channels": 2, "stages": (2, 1, 1), "bottleneck": 2},
    "spos": {"stem": 2, "widths": (4, 6, 8, 10), "depths": (1, 2, 1, 1), "features": 8},
    "proxyless": {"stem": 4, "first": 2, "widths": (2, 4, 4, 4, 6, 8), "features": 8},
}
"""Few channels, so that the test is quick."""


TEXTS = {"gpt", "textnas"}
"""Spaces for something else than images."""


def space(name):
    module, _, cls = SPACES[name].rpartition(".")
    return getattr(importlib.import_module(module), cls)


@pytest.mark.slow_with(
    "converted-(1, 28, 28)",
    "converted-(3, 32, 32)",
    "enas-micro-(2, 37, 29)",
    "converted-(2, 37, 29)",
    "singlepath-(1, 28, 28)",
    "darts-(1, 28, 28)",
    "enas-micro-(1, 28, 28)",
    "enas-micro-(3, 32, 32)",
    "proxyless-(3, 32, 32)",
    "proxyless-(2, 37, 29)",
    "proxyless-(1, 28, 28)",
)
@pytest.mark.parametrize("image", [(1, 28, 28), (3, 32, 32), (2, 37, 29)], ids=str)
@pytest.mark.parametrize("name", sorted(SPACES.keys() - TEXTS))
def test_images_become_logits(name, image):
    supernet = SuperNet(space(name)(image, 7, **{**THIN[name], **STRIDES.get(name, {})}))
    for seed in range(3):
        output = supernet(torch.randn(2, *image), supernet.space.sample(random.Random(seed)))
        assert output.shape == (2, 7)
        assert torch.isfinite(output).all()


@pytest.mark.slow_with("converted")
@pytest.mark.parametrize("name", sorted(SPACES.keys() - TEXTS - {"bender"}))
def test_the_small_preset_of_the_docstring_works(name):
    text = re.search(r"Small, for 8×8 grey images: `([^`]*)`", inspect.getdoc(space(name)))
    call = ast.parse(f"f({text[1]})", mode="eval").body
    arguments = {keyword.arg: ast.literal_eval(keyword.value) for keyword in call.keywords}
    supernet = SuperNet(space(name)(classes=10, **arguments))

    assert arguments["image"] == (1, 8, 8)
    assert count_params(supernet) < 100_000
    architecture = supernet.space.sample(random.Random(0))
    assert supernet(torch.randn(3, 1, 8, 8), architecture).shape == (3, 10)


@pytest.mark.parametrize("name", sorted(STRIDES))
def test_the_strides_of_the_docstring_are_those_tested(name):
    text = re.search(r"For 32×32: `([^`]*)`", inspect.getdoc(space(name)))[1]
    call = ast.parse(f"f({text})", mode="eval").body

    assert {k.arg: ast.literal_eval(k.value) for k in call.keywords} == STRIDES[name]


def test_small_grey_images_are_bender_s_too():
    supernet = SuperNet(Bender((1, 8, 8), 10, channels=8, groups=(1, 1)))

    assert supernet(torch.randn(3, 1, 8, 8), supernet.space[0]).shape == (3, 10)

"""Architectures of timm, small ones, with random weights."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
import torch

sys.path.append(str(Path(__file__).parents[2]))

from benchmarks.timm_models import create_model

MODELS = {
    "residual": ("resnet18", {}, 32),
    "residual with bottlenecks": ("resnet26", {}, 32),
    "depthwise": ("mobilenetv3_small_050", {}, 32),
    "dense concatenation": ("densenet121", {"block_config": (2, 2), "growth_rate": 16}, 32),
    "squeeze and excitation, groups": ("regnety_002", {}, 32),
    "groups": ("resnext26ts", {}, 32),
    "convnext": ("convnext_atto", {"depths": (1, 1, 2, 1)}, 32),
    "vit": ("vit_tiny_patch16_224", {"img_size": 32, "depth": 2, "patch_size": 8}, 32),
    "swin": (
        "swin_tiny_patch4_window7_224",
        {"img_size": 32, "depths": (2, 2), "num_heads": (2, 4), "embed_dim": 32, "window_size": 4},
        32,
    ),
    "mixer": ("mixer_s32_224", {"img_size": 64}, 64),
    "hierarchical residual": ("res2net50_14w_8s", {"layers": (1, 1, 1, 1)}, 32),
    "ghost": ("ghostnet_050", {}, 32),
    "levit": ("levit_128s", {"img_size": 64}, 64),
}


QUICK = {"residual", "convnext", "vit", "swin"}
"""What the quick tests convert; the others are left to the long ones."""


def made(name):
    """Return a model of timm, and what it takes."""
    model, arguments, size = MODELS[name]
    torch.manual_seed(0)
    try:
        built = create_model(model, num_classes=7, **arguments)
    except ImportError as error:
        pytest.skip(f"timm cannot be imported: {error}")
    return built.eval(), torch.randn(2, 3, size, size)

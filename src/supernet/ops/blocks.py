"""Blocks that the ready spaces are made of; all keep height and width unless a stride is given."""

from __future__ import annotations

from torch import nn

__all__ = ["asymmetric", "pointwise", "pool", "separable"]


def pointwise(channels_in: int, channels_out: int) -> nn.Module:
    """Return a 1×1 convolution without bias: `[b, channels_in, h, w]` to `[b, channels_out, h, w]`."""
    return nn.Conv2d(channels_in, channels_out, 1, bias=False)


def separable(channels: int, kernel: int, *, affine: bool = False) -> nn.Module:
    """Return a pair of depthwise-separable convolutions, each ReLU, depthwise, 1×1, batch norm."""
    layers: list[nn.Module] = []
    for _ in range(2):
        layers += [
            nn.ReLU(),
            nn.Conv2d(channels, channels, kernel, padding=kernel // 2, groups=channels, bias=False),
            pointwise(channels, channels),
            nn.BatchNorm2d(channels, affine=affine),
        ]
    return nn.Sequential(*layers)


def asymmetric(channels: int, kernel: int, *, affine: bool = False) -> nn.Module:
    """Return ReLU, a 1×k and a k×1 convolution, batch norm."""
    return nn.Sequential(
        nn.ReLU(),
        nn.Conv2d(channels, channels, (1, kernel), padding=(0, kernel // 2), bias=False),
        nn.Conv2d(channels, channels, (kernel, 1), padding=(kernel // 2, 0), bias=False),
        nn.BatchNorm2d(channels, affine=affine),
    )


def pool(kind: str) -> nn.Module:
    """Return a 3×3 pooling of stride 1: kind "max", or "avg" over the pixels inside the image."""
    if kind == "max":
        return nn.MaxPool2d(3, stride=1, padding=1)
    return nn.AvgPool2d(3, stride=1, padding=1, count_include_pad=False)

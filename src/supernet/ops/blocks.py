"""Blocks that the ready spaces are made of; all keep height and width unless a stride is given."""

from __future__ import annotations

import torch
from torch import nn

__all__ = ["InvertedResidual", "asymmetric", "pointwise", "pool", "projection", "separable"]


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


def projection(
    channels_in: int, channels_out: int, stride: int, *, affine: bool = True
) -> nn.Module:
    """Return a strided 1×1 convolution and batch norm."""
    return nn.Sequential(
        nn.Conv2d(channels_in, channels_out, 1, stride, bias=False),
        nn.BatchNorm2d(channels_out, affine=affine),
    )


class InvertedResidual(nn.Module):
    """MobileNetV2's block: 1×1 expansion, depthwise convolution, 1×1 projection, and a shortcut.

    Sandler et al., "MobileNetV2: Inverted Residuals and Linear Bottlenecks" (CVPR 2018). The shortcut is
    there where stride and channels let input and output have the same shape.

    Args:
        channels_in: channels of the input.
        channels_out: channels of the output.
        kernel: kernel size of the depthwise convolution.
        expansion: the depthwise convolution has `expansion · channels_in` channels.
        stride: stride of the depthwise convolution.
        affine: whether batch norm learns a scale and an offset.
    """

    def __init__(
        self,
        channels_in: int,
        channels_out: int,
        *,
        kernel: int,
        expansion: int,
        stride: int = 1,
        affine: bool = True,
    ) -> None:
        super().__init__()
        hidden = channels_in * expansion
        expand: list[nn.Module] = [
            nn.Conv2d(channels_in, hidden, 1, bias=False),
            nn.BatchNorm2d(hidden, affine=affine),
            nn.ReLU(),
        ]
        self.layers = nn.Sequential(
            *(expand if expansion > 1 else []),
            nn.Conv2d(hidden, hidden, kernel, stride, kernel // 2, groups=hidden, bias=False),
            nn.BatchNorm2d(hidden, affine=affine),
            nn.ReLU(),
            nn.Conv2d(hidden, channels_out, 1, bias=False),
            nn.BatchNorm2d(channels_out, affine=affine),
        )
        self.shortcut = stride == 1 and channels_in == channels_out

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Map `[b, channels_in, h, w]` to `[b, channels_out, h / stride, w / stride]`."""
        y: torch.Tensor = self.layers(x)
        return x + y if self.shortcut else y

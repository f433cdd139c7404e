"""Operations on the edges of cells, each with a stride: "same" padding, odd sizes are rounded up."""

from __future__ import annotations

import torch
from torch import nn
from torch.nn import functional as F

from supernet.errors import SpaceError
from supernet.space import Role

__all__ = ["FactorizedReduce", "Noise", "Zero", "depthwise", "strided_pool"]


def depthwise(
    channels: int, kernel: int, *, stride: int = 1, dilation: int = 1, affine: bool = False
) -> nn.Module:
    """Return ReLU, a k×k depthwise convolution, a 1×1 convolution, batch norm.

    Args:
        channels: channels of input and output.
        kernel: kernel size of the depthwise convolution, odd.
        stride: stride of the depthwise convolution.
        dilation: dilation of the depthwise convolution.
        affine: whether batch norm learns a scale and an offset.
    """
    padding = dilation * (kernel // 2)
    return nn.Sequential(
        nn.ReLU(),
        nn.Conv2d(
            channels, channels, kernel, stride, padding, dilation, groups=channels, bias=False
        ),
        nn.Conv2d(channels, channels, 1, bias=False),
        nn.BatchNorm2d(channels, affine=affine),
    )


def strided_pool(kind: str, stride: int) -> nn.Module:
    """Return a 3×3 pooling: kind "max", or "avg" over the pixels inside the image."""
    if kind == "max":
        return nn.MaxPool2d(3, stride, padding=1)
    return nn.AvgPool2d(3, stride, padding=1, count_include_pad=False)


class FactorizedReduce(nn.Module):
    """Halves height and width: two 1×1 convolutions of stride 2, the second a pixel further on.

    Args:
        channels_in: channels of the input.
        channels_out: channels of the output, half of them from each convolution; at least 2.
        affine: whether batch norm learns a scale and an offset.

    Raises:
        SpaceError: there are fewer channels.
    """

    def __init__(self, channels_in: int, channels_out: int, *, affine: bool = False) -> None:
        super().__init__()
        if channels_out < 2:
            raise SpaceError(f"channels is {channels_out}, but halvings of images need at least 2")
        half = channels_out // 2
        self.even = nn.Conv2d(channels_in, half, 1, stride=2, bias=False)
        self.odd = nn.Conv2d(channels_in, channels_out - half, 1, stride=2, bias=False)
        self.norm = nn.BatchNorm2d(channels_out, affine=affine)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Map `[b, channels_in, h, w]` to `[b, channels_out, h / 2, w / 2]`."""
        x = F.relu(x)
        # Shifted rather than cut, so that odd sizes give two halves of equal shape.
        shifted = F.pad(x, (-1, 1, -1, 1))
        halves = torch.cat((self.even(x), self.odd(shifted)), dim=1)
        normed: torch.Tensor = self.norm(halves)
        return normed


class Zero(nn.Module):
    """Zeros, whatever the input holds: no connection.

    Args:
        stride: divisor of height and width.
    """

    shape_only = True
    """What it computes depends on the shape of its input alone, see `supernet.net.flow`."""

    option_role: Role = "none"
    """No connection, see `supernet.space.SearchSpace.role`."""

    def __init__(self, stride: int = 1) -> None:
        super().__init__()
        self.stride = stride

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Map `[b, c, h, w]` to zeros `[b, c, h / stride, w / stride]`."""
        return torch.zeros_like(x[..., :: self.stride, :: self.stride])


class Noise(nn.Module):
    """Standard normal noise in place of the input, drawn anew in every pass, also in evaluation.

    Args:
        stride: divisor of height and width.
    """

    shape_only = True

    def __init__(self, stride: int = 1) -> None:
        super().__init__()
        self.stride = stride

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Map `[b, c, h, w]` to noise `[b, c, h / stride, w / stride]`."""
        return torch.randn_like(x[:, :, :: self.stride, :: self.stride])

"""ShuffleNetV2's units, with the depthwise kernels and the "Xception-like" unit of SPOS.

Ma et al., "ShuffleNet V2: Practical Guidelines for Efficient CNN Architecture Design" (ECCV 2018);
Guo et al., "Single Path One-Shot Neural Architecture Search with Uniform Sampling" (ECCV 2020).
"""

from __future__ import annotations

import torch
from torch import nn

__all__ = ["ShuffleUnit", "shuffle_unit", "shuffle_xception"]


class ShuffleUnit(nn.Module):
    """Two branches, concatenated: one computes, the other is passed on or, in a first unit, projected.

    A unit without projection splits its input: even channels are passed on, odd ones computed with.
    The split after the concatenation of the unit before mixes that unit's branches, which is
    ShuffleNetV2's channel shuffle.

    Args:
        main: the computing branch.
        project: the other branch of a unit that changes shape; both read the whole input.
    """

    def __init__(self, main: nn.Module, project: nn.Module | None) -> None:
        super().__init__()
        self.main = main
        self.project = project

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Map `[b, channels_in, h, w]` to `[b, channels_out, h / stride, w / stride]`."""
        if self.project is not None:
            return torch.cat((self.project(x), self.main(x)), dim=1)
        return torch.cat((x[:, 0::2], self.main(x[:, 1::2])), dim=1)


def shuffle_unit(
    channels_in: int,
    channels_out: int,
    kernel: int,
    *,
    stride: int = 1,
    first: bool = False,
    affine: bool = True,
) -> ShuffleUnit:
    """Return the unit whose main branch is 1×1, depthwise, 1×1.

    Args:
        channels_in: channels of the input; even, and equal to `channels_out` unless `first`.
        channels_out: channels of the output; even, and more than `channels_in` if `first`.
        kernel: of the depthwise convolutions.
        stride: of the first depthwise convolution of each branch; other than 1 only if `first`.
        first: whether the unit is the first of its stage, so that both branches read all channels.
        affine: whether batch norm learns a scale and an offset.
    """
    entering, middle, leaving = _widths(channels_in, channels_out, first)
    main = (
        *_pointwise(entering, middle, affine),
        *_depthwise(middle, kernel, stride, affine),
        *_pointwise(middle, leaving, affine),
    )
    return ShuffleUnit(
        nn.Sequential(*main), _projection(channels_in, kernel, stride, affine) if first else None
    )


def shuffle_xception(
    channels_in: int,
    channels_out: int,
    *,
    stride: int = 1,
    first: bool = False,
    affine: bool = True,
) -> ShuffleUnit:
    """Return the unit whose main branch is three depthwise-separable 3×3 convolutions.

    Args:
        channels_in: see `shuffle_unit`.
        channels_out: see `shuffle_unit`.
        stride: see `shuffle_unit`.
        first: see `shuffle_unit`.
        affine: see `shuffle_unit`.
    """
    entering, middle, leaving = _widths(channels_in, channels_out, first)
    main = (
        *_depthwise(entering, 3, stride, affine),
        *_pointwise(entering, middle, affine),
        *_depthwise(middle, 3, 1, affine),
        *_pointwise(middle, middle, affine),
        *_depthwise(middle, 3, 1, affine),
        *_pointwise(middle, leaving, affine),
    )
    return ShuffleUnit(
        nn.Sequential(*main), _projection(channels_in, 3, stride, affine) if first else None
    )


def _widths(channels_in: int, channels_out: int, first: bool) -> tuple[int, int, int]:
    """Return the channels that the main branch reads, has in its middle and returns."""
    entering = channels_in if first else channels_in // 2
    return entering, channels_out // 2, channels_out - entering


def _depthwise(channels: int, kernel: int, stride: int, affine: bool) -> tuple[nn.Module, ...]:
    return (
        nn.Conv2d(channels, channels, kernel, stride, kernel // 2, groups=channels, bias=False),
        nn.BatchNorm2d(channels, affine=affine),
    )


def _pointwise(channels_in: int, channels_out: int, affine: bool) -> tuple[nn.Module, ...]:
    return (
        nn.Conv2d(channels_in, channels_out, 1, bias=False),
        nn.BatchNorm2d(channels_out, affine=affine),
        nn.ReLU(),
    )


def _projection(channels: int, kernel: int, stride: int, affine: bool) -> nn.Module:
    return nn.Sequential(
        *_depthwise(channels, kernel, stride, affine), *_pointwise(channels, channels, affine)
    )

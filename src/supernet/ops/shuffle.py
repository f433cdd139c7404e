"""ShuffleNetV2's units, with the depthwise kernels and the "Xception-like" unit of SPOS.

Ma et al., "ShuffleNet V2: Practical Guidelines for Efficient CNN Architecture Design" (ECCV 2018);
Guo et al., "Single Path One-Shot Neural Architecture Search with Uniform Sampling" (ECCV 2020).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import nn

from supernet.ops.narrow import Narrow

__all__ = ["ShuffleUnit", "narrow_units", "shuffle_unit", "shuffle_xception"]


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
        kernel: kernel size of the depthwise convolutions.
        stride: stride of the first depthwise convolution of each branch; other than 1 only if
            `first`.
        first: whether the unit is the first of its stage, so that both branches read all channels.
        affine: whether batch norm learns a scale and an offset.
    """
    layers = _unit_layers(channels_in, channels_out, kernel, stride, first, channels_out // 2)
    main = nn.Sequential(*[part for layer in layers for part in layer.modules(affine)])
    return ShuffleUnit(main, _projection(channels_in, kernel, stride, affine) if first else None)


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
        channels_in: channels of the input, see `shuffle_unit`.
        channels_out: channels of the output, see `shuffle_unit`.
        stride: stride of the first depthwise convolution of each branch, see `shuffle_unit`.
        first: whether the unit is the first of its stage, see `shuffle_unit`.
        affine: whether batch norm learns a scale and an offset.
    """
    layers = _xception_layers(channels_in, channels_out, stride, first, channels_out // 2)
    main = nn.Sequential(*[part for layer in layers for part in layer.modules(affine)])
    return ShuffleUnit(main, _projection(channels_in, 3, stride, affine) if first else None)


def narrow_units(
    channels_in: int,
    channels_out: int,
    kernel: int | None,
    factors: Sequence[float],
    *,
    stride: int = 1,
    first: bool = False,
    affine: bool = True,
) -> list[nn.Module]:
    """Return a unit for each number of inner channels; their main branches share weights.

    Args:
        channels_in: channels of the input, see `shuffle_unit`.
        channels_out: channels of the output, see `shuffle_unit`.
        kernel: kernel size of the depthwise convolutions; None for the unit of `shuffle_xception`.
        factors: inner channels over those of the ordinary unit.
        stride: stride of the first depthwise convolution of each branch, see `shuffle_unit`.
        first: whether the unit is the first of its stage, see `shuffle_unit`.
        affine: whether batch norm learns a scale and an offset.
    """

    def layers(middle: int) -> list[_Layer]:
        if kernel is None:
            return _xception_layers(channels_in, channels_out, stride, first, middle)
        return _unit_layers(channels_in, channels_out, kernel, stride, first, middle)

    middles = [max(1, round(factor * (channels_out // 2))) for factor in factors]
    shared = nn.ModuleList(layer.convolution() for layer in layers(max(middles)))
    # The other branch has no inner channels, so there is one of it for all.
    project = _projection(channels_in, kernel or 3, stride, affine) if first else None
    units: list[nn.Module] = []
    for middle in middles:
        widths = [layer.leaving for layer in layers(middle)]
        active = [not layer.depthwise for layer in layers(middle)]
        units.append(ShuffleUnit(Narrow(shared, widths, active, affine), project))
    return units


@dataclass(frozen=True)
class _Layer:
    """A convolution followed by batch norm, and by ReLU if it is pointwise."""

    entering: int
    leaving: int
    kernel: int = 1
    stride: int = 1

    @property
    def depthwise(self) -> bool:
        return self.kernel > 1

    def convolution(self) -> nn.Conv2d:
        return nn.Conv2d(
            self.entering,
            self.leaving,
            self.kernel,
            self.stride,
            self.kernel // 2,
            groups=self.entering if self.depthwise else 1,
            bias=False,
        )

    def modules(self, affine: bool) -> list[nn.Module]:
        norm = nn.BatchNorm2d(self.leaving, affine=affine)
        return [self.convolution(), norm, *([] if self.depthwise else [nn.ReLU()])]


def _unit_layers(
    channels_in: int, channels_out: int, kernel: int, stride: int, first: bool, middle: int
) -> list[_Layer]:
    entering, leaving = _widths(channels_in, channels_out, first)
    return [
        _Layer(entering, middle),
        _Layer(middle, middle, kernel, stride),
        _Layer(middle, leaving),
    ]


def _xception_layers(
    channels_in: int, channels_out: int, stride: int, first: bool, middle: int
) -> list[_Layer]:
    entering, leaving = _widths(channels_in, channels_out, first)
    return [
        _Layer(entering, entering, 3, stride),
        _Layer(entering, middle),
        _Layer(middle, middle, 3),
        _Layer(middle, middle),
        _Layer(middle, middle, 3),
        _Layer(middle, leaving),
    ]


def _widths(channels_in: int, channels_out: int, first: bool) -> tuple[int, int]:
    """Return the channels that the main branch reads and returns."""
    entering = channels_in if first else channels_in // 2
    return entering, channels_out - entering


def _projection(channels: int, kernel: int, stride: int, affine: bool) -> nn.Module:
    layers = [_Layer(channels, channels, kernel, stride), _Layer(channels, channels)]
    return nn.Sequential(*[part for layer in layers for part in layer.modules(affine)])

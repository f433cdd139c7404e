"""Operations on the edges of a DARTS cell, and the choice of one."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from torch import nn

from supernet.choice import Choice
from supernet.ops import FactorizedReduce, Noise, Zero, depthwise, strided_pool
from supernet.zoo.genotype import NONE

__all__ = ["OPERATIONS", "MixedOperation"]


def _separable(kernel: int) -> Callable[[int, int, bool], nn.Module]:
    return lambda channels, stride, affine: nn.Sequential(
        depthwise(channels, kernel, stride=stride, affine=affine),
        depthwise(channels, kernel, affine=affine),
    )


def _dilated(kernel: int) -> Callable[[int, int, bool], nn.Module]:
    return lambda channels, stride, affine: depthwise(
        channels, kernel, stride=stride, dilation=2, affine=affine
    )


def _pool(kind: str) -> Callable[[int, int, bool], nn.Module]:
    return lambda channels, stride, affine: (
        strided_pool(kind, stride)
        if affine
        else nn.Sequential(strided_pool(kind, stride), nn.BatchNorm2d(channels, affine=False))
    )


def skip(channels: int, stride: int, affine: bool) -> nn.Module:
    """Return what passes its input on: an identity, or with stride 2 a pair of convolutions."""
    return nn.Identity() if stride == 1 else FactorizedReduce(channels, channels, affine=affine)


OPERATIONS: dict[str, Callable[[int, int, bool], nn.Module]] = {
    NONE: lambda channels, stride, affine: Zero(stride),
    "max3": _pool("max"),
    "avg3": _pool("avg"),
    "skip": skip,
    "sep3": _separable(3),
    "sep5": _separable(5),
    "dil3": _dilated(3),
    "dil5": _dilated(5),
    "noise": lambda channels, stride, affine: Noise(stride),
}
"""By name, what builds an operation for channels, stride and `affine`."""


class MixedOperation(Choice):
    """An edge's choice of operations, which knows what passes its input on.

    Args:
        options: modules of the operations, by name.
        label: label of the decision, see `Choice`.
        shape: channels, stride, and whether batch norms learn a scale and an offset.
    """

    def __init__(
        self, options: Mapping[str, nn.Module], label: str, shape: tuple[int, int, bool]
    ) -> None:
        super().__init__(options, label=label)
        self._shape = shape

    def skip(self) -> nn.Module:
        """Return a new skip of the operations' shape: an identity, or with stride 2 a convolution."""
        return skip(*self._shape)

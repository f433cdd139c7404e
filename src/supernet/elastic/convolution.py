"""Convolutions whose width and kernel are open.

Cai et al., "Once-for-All" (ICLR 2020): a smaller kernel is the centre of a larger one, if so asked
through a matrix that is learned for each step from size to size.
"""

from __future__ import annotations

from typing import Any, cast

import torch
from torch import nn
from torch.nn import functional as F

from supernet.elastic.layers import Elastic, copied
from supernet.errors import SpaceError
from supernet.net.dimension import Size, as_size

__all__ = ["Conv1d", "Conv2d", "Conv3d", "Convolution"]


class Convolution(Elastic):
    """What `Conv1d`, `Conv2d` and `Conv3d` have in common: width and kernel are elastic.

    Args:
        channels_in: those that enter.
        channels_out: those that leave.
        kernel: its size, the same in all directions; smaller ones are the centre of the largest.
        stride: see `torch.nn.Conv2d`.
        padding: around the largest kernel; smaller ones have less, so that the output has the same
            shape. Half of the kernel if not given.
        dilation: see `torch.nn.Conv2d`.
        groups: a number, or the same object as `channels_in` and `channels_out` for a depthwise one.
        bias: whether it has one.
        transforms: whether smaller kernels pass through OFA's learned matrices, the identity at first.

    Raises:
        SpaceError: the groups are open, but the convolution is not depthwise.
    """

    kind: Any
    rank: int

    def __init__(
        self,
        channels_in: Size | int,
        channels_out: Size | int,
        kernel: Size | int,
        stride: int = 1,
        padding: int | None = None,
        dilation: int = 1,
        groups: Size | int = 1,
        bias: bool = True,
        transforms: bool = False,
    ) -> None:
        size = as_size(kernel).largest
        self.kind.__init__(
            self,
            as_size(channels_in).largest,
            as_size(channels_out).largest,
            size,
            stride,
            dilation * (size - 1) // 2 if padding is None else padding,
            dilation,
            as_size(groups).largest,
            bias,
        )
        self.channels_in, self.channels_out = as_size(channels_in), as_size(channels_out)
        self.kernel, self.cut = as_size(kernel), as_size(groups)
        self.open(self.channels_in, self.channels_out, self.kernel, self.cut)
        self.depthwise = groups is channels_in and groups is channels_out
        if not self.depthwise and self.cut.dimensions:
            raise SpaceError(
                "the groups of a convolution are a number, or the object that its channels_in and "
                "channels_out are, for a depthwise one"
            )
        sizes = sorted({int(v) for d in self.kernel.dimensions for v in d.values})
        self.transforms = nn.ParameterDict()
        if transforms:
            for smaller in sizes[:-1]:
                self.transforms[str(smaller)] = nn.Parameter(torch.eye(smaller**self.rank))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Map `[b, channels_in, ...]` to `[b, channels_out, ...]`."""
        conv = cast(nn.Conv2d, self)
        weight, bias, groups, padding = self.used(x.shape[1])
        run = (F.conv1d, F.conv2d, F.conv3d)[self.rank - 1]
        y: torch.Tensor = run(x, weight, bias, conv.stride, padding, conv.dilation, groups)
        return y

    def used(self, entering: int) -> tuple[torch.Tensor, torch.Tensor | None, int, tuple[int, ...]]:
        """Return weight, bias, groups and padding for so many channels that enter."""
        conv = cast(nn.Conv2d, self)
        leaving, kernel = self.channels_out.now, self.kernel.now
        groups = entering if self.depthwise else self.cut.now
        weight, bias = conv.weight, conv.bias
        if groups > 1 and not self.depthwise:
            rows = conv.out_channels // groups
            if leaving % groups or entering % groups:
                raise SpaceError(
                    f"{groups} groups do not divide both {entering} and {leaving} channels of a "
                    "convolution; offer widths that are multiples of the groups"
                )
            if (leaving, entering) != (conv.out_channels, conv.in_channels):
                parts = weight.reshape(groups, rows, *weight.shape[1:])
                weight = parts[:, : leaving // groups, : entering // groups].flatten(0, 1)
                if bias is not None:
                    bias = bias.reshape(groups, rows)[:, : leaving // groups].flatten()
        else:
            weight = weight[:leaving] if self.depthwise else weight[:leaving, :entering]
            bias = None if bias is None else bias[:leaving]
        weight = self._kernel(weight, kernel)
        largest = self.kernel.largest
        padding = tuple(
            pad - dilation * (largest - kernel) // 2
            for pad, dilation in zip(
                cast(tuple[int, ...], conv.padding), conv.dilation, strict=True
            )
        )
        return weight, bias, groups, padding

    def _kernel(self, weight: torch.Tensor, kernel: int) -> torch.Tensor:
        """Return the centre of a kernel, through OFA's matrices from size to size if there are any."""
        sizes = sorted({int(v) for d in self.kernel.dimensions for v in d.values}, reverse=True)
        for size in sizes or [kernel]:
            if size < kernel:
                break
            start = (weight.shape[-1] - size) // 2
            for axis in range(2, 2 + self.rank):
                weight = weight.narrow(axis, start, size)
            if str(size) in self.transforms:
                flat = weight.flatten(2) @ self.transforms[str(size)].T
                weight = flat.reshape(*weight.shape[:2], *self.rank * (size,))
        return weight

    def entering(self, x: torch.Tensor) -> tuple[torch.Tensor]:
        """Return the leading part of a largest input."""
        return (x[:, : self.channels_in.now],)

    def plain(self) -> nn.Module:
        """Return the convolution of the size that the gates say."""
        conv = cast(nn.Conv2d, self)
        entering = self.channels_in.now
        weight, bias, groups, padding = self.used(entering)
        layer = self.kind(
            entering,
            self.channels_out.now,
            self.kernel.now,
            conv.stride,
            padding,
            conv.dilation,
            groups,
            bias is not None,
            device=weight.device,
            dtype=weight.dtype,
        )
        return copied(layer, self, weight=weight, bias=bias)


class Conv1d(Convolution, nn.Conv1d):
    """A convolution of elastic width and kernel, with the arguments of `Convolution`."""

    kind, rank = nn.Conv1d, 1


class Conv2d(Convolution, nn.Conv2d):
    """A convolution of elastic width and kernel, with the arguments of `Convolution`."""

    kind, rank = nn.Conv2d, 2


class Conv3d(Convolution, nn.Conv3d):
    """A convolution of elastic width and kernel, with the arguments of `Convolution`."""

    kind, rank = nn.Conv3d, 3

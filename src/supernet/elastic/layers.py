"""Layers whose shape is open: each computes with the leading part of weights of the largest shape.

Yu and Huang, "Universally Slimmable Networks" (ICCV 2019); Cai et al., "Once-for-All" (ICLR 2020). What
enters a layer says how many of its input channels are used; how many leave is a `Size`. `plain()`
returns the ordinary torch layer of the size that the gates say, with copies of the weights used.

The gradient of a slice is zero outside of it, not missing, so momentum and weight decay also move what
a step does not use, as in the published codes.
"""

from __future__ import annotations

from abc import abstractmethod
from typing import Any, cast

import torch
from torch import nn
from torch.nn import functional as F

from supernet.errors import SpaceError
from supernet.net.dimension import Dimension, Size, as_size

__all__ = [
    "BatchNorm1d",
    "BatchNorm2d",
    "BatchNorm3d",
    "Conv1d",
    "Conv2d",
    "Conv3d",
    "Elastic",
    "Embedding",
    "GroupNorm",
    "LayerNorm",
    "Linear",
    "RMSNorm",
]


class Elastic(nn.Module):
    """What elastic layers have in common; mixed into a torch layer of the largest shape."""

    def open(self, *sizes: Size) -> None:
        """Note what the shape depends on."""
        found = {id(d): d for size in sizes for d in size.dimensions}
        self.opened = nn.ModuleList(found.values())

    @property
    def dimensions(self) -> list[Dimension]:
        """The dimensions that the shape depends on, each once."""
        return cast(list[Dimension], list(self.opened))

    @abstractmethod
    def plain(self) -> nn.Module:
        """Return an ordinary layer of the size that the gates say, with copies of the used weights."""

    @abstractmethod
    def entering(self, x: torch.Tensor) -> tuple[torch.Tensor]:
        """Return what of the largest input enters under the gates that are set."""


def copied(layer: nn.Module, like: nn.Module, **weights: torch.Tensor | None) -> nn.Module:
    """Return a layer that has been given these weights, in the mode of another."""
    with torch.no_grad():
        for name, weight in weights.items():
            if weight is not None:
                getattr(layer, name).copy_(weight)
    return layer.train(like.training)


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


class Linear(Elastic, nn.Linear):
    """A linear layer of elastic width.

    Args:
        features_in: those that enter, `[..., features_in]`.
        features_out: those that leave.
        bias: whether it has one.
    """

    def __init__(
        self, features_in: Size | int, features_out: Size | int, bias: bool = True
    ) -> None:
        inside, outside = as_size(features_in), as_size(features_out)
        nn.Linear.__init__(self, inside.largest, outside.largest, bias)
        self.inside, self.outside = inside, outside
        self.open(inside, outside)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Map `[..., features_in]` to `[..., features_out]`."""
        leaving = self.outside.now
        bias = None if self.bias is None else self.bias[:leaving]
        return F.linear(x, self.weight[:leaving, : x.shape[-1]], bias)

    def entering(self, x: torch.Tensor) -> tuple[torch.Tensor]:
        """Return the leading part of a largest input."""
        return (x[..., : self.inside.now],)

    def plain(self) -> nn.Module:
        """Return the linear layer of the size that the gates say."""
        entering, leaving = self.inside.now, self.outside.now
        weight = self.weight[:leaving, :entering]
        bias = None if self.bias is None else self.bias[:leaving]
        layer = nn.Linear(
            entering, leaving, bias is not None, device=weight.device, dtype=weight.dtype
        )
        return copied(layer, self, weight=weight, bias=bias)


class Embedding(Elastic, nn.Embedding):
    """An embedding of elastic width.

    Args:
        count: of the words.
        width: of a vector.
        padding: the word whose vector is zero, if any.
    """

    def __init__(self, count: int, width: Size | int, padding: int | None = None) -> None:
        size = as_size(width)
        nn.Embedding.__init__(self, count, size.largest, padding)
        self.width = size
        self.open(size)

    def forward(self, input: torch.Tensor) -> torch.Tensor:
        """Map words `[...]` to vectors `[..., width]`."""
        return F.embedding(input, self.weight[:, : self.width.now], self.padding_idx)

    def entering(self, x: torch.Tensor) -> tuple[torch.Tensor]:
        """Return the leading part of a largest input."""
        return (x,)

    def plain(self) -> nn.Module:
        """Return the embedding of the size that the gates say."""
        weight = self.weight[:, : self.width.now]
        layer = nn.Embedding(
            len(weight),
            weight.shape[1],
            self.padding_idx,
            device=weight.device,
            dtype=weight.dtype,
        )
        return copied(layer, self, weight=weight)


class _BatchNorm(Elastic):
    """Batch norms of elastic width, which follow what enters."""

    kind: type[nn.BatchNorm1d] | type[nn.BatchNorm2d] | type[nn.BatchNorm3d]

    def _prepare(self, channels: Size) -> None:
        self.channels = channels
        self.open(channels)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Normalise `[b, channels, ...]`; the statistics of the channels that enter are recorded."""
        norm, count = cast(nn.BatchNorm2d, self), x.shape[1]
        if count == norm.num_features:
            return self.kind.forward(norm, x)
        norm._check_input_dim(x)
        records = norm.training and norm.track_running_stats
        factor = norm.momentum
        if records and norm.num_batches_tracked is not None:
            norm.num_batches_tracked.add_(1)
            if factor is None:
                factor = 1 / float(norm.num_batches_tracked)
        mean, variance = norm.running_mean, norm.running_var
        uses = mean is not None and (not norm.training or norm.track_running_stats)
        return F.batch_norm(
            x,
            mean[:count] if uses and mean is not None else None,
            variance[:count] if uses and variance is not None else None,
            norm.weight[:count] if norm.affine else None,
            norm.bias[:count] if norm.affine else None,
            norm.training or mean is None,
            factor or 0.0,
            norm.eps,
        )

    def entering(self, x: torch.Tensor) -> tuple[torch.Tensor]:
        """Return the leading part of a largest input."""
        return (x[:, : self.channels.now],)

    def plain(self) -> nn.Module:
        """Return the batch norm of the size that the gates say, with its statistics."""
        norm, count = cast(nn.BatchNorm2d, self), self.channels.now
        like = norm.weight if norm.affine else norm.running_mean
        layer = self.kind(
            count,
            eps=norm.eps,
            momentum=norm.momentum,
            affine=norm.affine,
            track_running_stats=norm.track_running_stats,
            device=None if like is None else like.device,
            dtype=None if like is None else like.dtype,
        )
        state = {
            name: value[:count] if value.ndim else value
            for name, value in norm.state_dict().items()
            if name in ("weight", "bias", "running_mean", "running_var", "num_batches_tracked")
        }
        return copied(layer, self, **state)


class BatchNorm1d(_BatchNorm, nn.BatchNorm1d):
    """Batch norm of elastic width, see `BatchNorm2d`."""

    kind = nn.BatchNorm1d

    def __init__(self, channels: Size | int, eps: float = 1e-5, affine: bool = True) -> None:
        nn.BatchNorm1d.__init__(self, as_size(channels).largest, eps, affine=affine)
        self._prepare(as_size(channels))


class BatchNorm2d(_BatchNorm, nn.BatchNorm2d):
    """Batch norm of elastic width.

    Running statistics that were averaged over widths fit none of them: scores recalibrate them, or
    take those of the batch.

    Args:
        channels: those that enter.
        eps: see `torch.nn.BatchNorm2d`.
        affine: whether it learns a scale and an offset.
    """

    kind = nn.BatchNorm2d

    def __init__(self, channels: Size | int, eps: float = 1e-5, affine: bool = True) -> None:
        nn.BatchNorm2d.__init__(self, as_size(channels).largest, eps, affine=affine)
        self._prepare(as_size(channels))


class BatchNorm3d(_BatchNorm, nn.BatchNorm3d):
    """Batch norm of elastic width, see `BatchNorm2d`."""

    kind = nn.BatchNorm3d

    def __init__(self, channels: Size | int, eps: float = 1e-5, affine: bool = True) -> None:
        nn.BatchNorm3d.__init__(self, as_size(channels).largest, eps, affine=affine)
        self._prepare(as_size(channels))


class LayerNorm(Elastic, nn.LayerNorm):
    """Layer norm over the last dimension, of elastic width.

    Args:
        width: of the last dimension.
        eps: see `torch.nn.LayerNorm`.
    """

    def __init__(self, width: Size | int, eps: float = 1e-5) -> None:
        size = as_size(width)
        nn.LayerNorm.__init__(self, size.largest, eps)
        self.width = size
        self.open(size)

    def forward(self, input: torch.Tensor) -> torch.Tensor:
        """Normalise `[..., width]` over its last dimension."""
        count = input.shape[-1]
        return F.layer_norm(input, (count,), self.weight[:count], self.bias[:count], self.eps)

    def entering(self, x: torch.Tensor) -> tuple[torch.Tensor]:
        """Return the leading part of a largest input."""
        return (x[..., : self.width.now],)

    def plain(self) -> nn.Module:
        """Return the layer norm of the size that the gates say."""
        count = self.width.now
        layer = nn.LayerNorm(count, self.eps, device=self.weight.device, dtype=self.weight.dtype)
        return copied(layer, self, weight=self.weight[:count], bias=self.bias[:count])


class RMSNorm(Elastic, nn.RMSNorm):
    """Root-mean-square norm over the last dimension, of elastic width.

    Args:
        width: of the last dimension.
        eps: see `torch.nn.RMSNorm`.
    """

    def __init__(self, width: Size | int, eps: float | None = None) -> None:
        size = as_size(width)
        nn.RMSNorm.__init__(self, size.largest, eps)
        self.width = size
        self.open(size)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Normalise `[..., width]` over its last dimension."""
        count = x.shape[-1]
        return F.rms_norm(x, (count,), self.weight[:count], self.eps)

    def entering(self, x: torch.Tensor) -> tuple[torch.Tensor]:
        """Return the leading part of a largest input."""
        return (x[..., : self.width.now],)

    def plain(self) -> nn.Module:
        """Return the norm of the size that the gates say."""
        count = self.width.now
        layer = nn.RMSNorm(count, self.eps, device=self.weight.device, dtype=self.weight.dtype)
        return copied(layer, self, weight=self.weight[:count])


class GroupNorm(Elastic, nn.GroupNorm):
    """Group norm with groups of fixed size, so that a channel's group is the same in every width.

    Args:
        size: channels of a group.
        channels: those that enter, multiples of the size.
        eps: see `torch.nn.GroupNorm`.

    Raises:
        SpaceError: the size does not divide a width.
    """

    def __init__(self, size: int, channels: Size | int, eps: float = 1e-5) -> None:
        width = as_size(channels)
        widths = [v for d in width.dimensions for v in d.values] if width.dimensions else []
        if width.largest % size or (isinstance(width, Dimension) and any(v % size for v in widths)):
            raise SpaceError(
                f"groups of {size} channels do not divide {widths or width.largest} channels; offer "
                "widths that are multiples"
            )
        nn.GroupNorm.__init__(self, width.largest // size, width.largest, eps)
        self.size, self.channels = size, width
        self.open(width)

    def forward(self, input: torch.Tensor) -> torch.Tensor:
        """Normalise `[b, channels, ...]` within groups."""
        count = input.shape[1]
        return F.group_norm(
            input, count // self.size, self.weight[:count], self.bias[:count], self.eps
        )

    def entering(self, x: torch.Tensor) -> tuple[torch.Tensor]:
        """Return the leading part of a largest input."""
        return (x[:, : self.channels.now],)

    def plain(self) -> nn.Module:
        """Return the group norm of the size that the gates say."""
        count = self.channels.now
        layer = nn.GroupNorm(
            count // self.size,
            count,
            self.eps,
            device=self.weight.device,
            dtype=self.weight.dtype,
        )
        return copied(layer, self, weight=self.weight[:count], bias=self.bias[:count])

"""Norms whose width is open: each normalises what enters, with the leading scales and offsets."""

from __future__ import annotations

from typing import cast

import torch
from torch import nn
from torch.nn import functional as F

from supernet.elastic.layers import Elastic, copied
from supernet.errors import SpaceError
from supernet.net.dimension import Dimension, Size, as_size

__all__ = ["BatchNorm1d", "BatchNorm2d", "BatchNorm3d", "GroupNorm", "LayerNorm", "RMSNorm"]


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

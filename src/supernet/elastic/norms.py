"""Norms of elastic width: torch's own, of which the leading scales, offsets and statistics are used."""

from __future__ import annotations

from torch import nn

from supernet.elastic.module import ElasticLayer
from supernet.elastic.size import Dimension, Size, as_size
from supernet.elastic.spec import ElasticSpec, Groups, SizeTuple, make_elastic
from supernet.errors import SpaceError

__all__ = ["BatchNorm1d", "BatchNorm2d", "BatchNorm3d", "GroupNorm", "LayerNorm", "RMSNorm"]


class _BatchNorm(ElasticLayer):
    """Batch norms of elastic width.

    Running statistics that were averaged over widths fit none of them: scores recalibrate them, or
    take those of the batch.

    Args:
        channels: channels of the input, `[batch, channels, ...]`.
        eps: ε added to the variance, see `torch.nn.BatchNorm2d`.
        affine: whether the norm learns a scale and an offset.
    """

    _ordinary: type[nn.BatchNorm1d] | type[nn.BatchNorm2d] | type[nn.BatchNorm3d]

    def __init__(self, channels: Size | int, eps: float = 1e-5, affine: bool = True) -> None:
        size = as_size(channels)
        self._ordinary.__init__(self, size.largest, eps, affine=affine)  # type: ignore[arg-type]
        names = ("weight", "bias", "running_mean", "running_var")
        make_elastic(self, ElasticSpec(dict.fromkeys(names, (size,)), {"num_features": size}))
        self.leads = ((1, size),)


class BatchNorm1d(_BatchNorm, nn.BatchNorm1d):
    """Batch norm over `[batch, channels]` or `[batch, channels, length]`, of elastic width."""

    _ordinary = nn.BatchNorm1d


class BatchNorm2d(_BatchNorm, nn.BatchNorm2d):
    """Batch norm over `[batch, channels, height, width]`, of elastic width."""

    _ordinary = nn.BatchNorm2d


class BatchNorm3d(_BatchNorm, nn.BatchNorm3d):
    """Batch norm over `[batch, channels, depth, height, width]`, of elastic width."""

    _ordinary = nn.BatchNorm3d


class LayerNorm(ElasticLayer, nn.LayerNorm):
    """Layer norm over the last dimension, of elastic width.

    Args:
        width: size of the last dimension.
        eps: ε added to the variance, see `torch.nn.LayerNorm`.
    """

    _ordinary = nn.LayerNorm

    def __init__(self, width: Size | int, eps: float = 1e-5) -> None:
        size = as_size(width)
        nn.LayerNorm.__init__(self, size.largest, eps)
        make_elastic(
            self,
            ElasticSpec(
                {"weight": (size,), "bias": (size,)}, {"normalized_shape": SizeTuple((size,))}
            ),
        )
        self.leads = ((-1, size),)


class RMSNorm(ElasticLayer, nn.RMSNorm):
    """Root-mean-square norm over the last dimension, of elastic width.

    Args:
        width: size of the last dimension.
        eps: ε added to the mean square, see `torch.nn.RMSNorm`.
    """

    _ordinary = nn.RMSNorm

    def __init__(self, width: Size | int, eps: float | None = None) -> None:
        size = as_size(width)
        nn.RMSNorm.__init__(self, size.largest, eps)
        make_elastic(
            self, ElasticSpec({"weight": (size,)}, {"normalized_shape": SizeTuple((size,))})
        )
        self.leads = ((-1, size),)


class GroupNorm(ElasticLayer, nn.GroupNorm):
    """Group norm with groups of fixed size, so that a channel's group is the same in every width.

    Args:
        size: channels of a group.
        channels: channels of the input, multiples of the size.
        eps: ε added to the variance, see `torch.nn.GroupNorm`.

    Raises:
        SpaceError: the size does not divide a width.
    """

    _ordinary = nn.GroupNorm

    def __init__(self, size: int, channels: Size | int, eps: float = 1e-5) -> None:
        width = as_size(channels)
        widths = width.values if isinstance(width, Dimension) else (width.largest,)
        if any(number % size for number in widths):
            raise SpaceError(
                f"groups of {size} channels do not divide {list(widths)} channels; offer widths that "
                "are multiples"
            )
        nn.GroupNorm.__init__(self, width.largest // size, width.largest, eps)
        make_elastic(
            self,
            ElasticSpec(
                {"weight": (width,), "bias": (width,)},
                {"num_channels": width, "num_groups": Groups(width, width, width.largest // size)},
                ordered=True,
            ),
        )
        self.leads = ((1, width),)

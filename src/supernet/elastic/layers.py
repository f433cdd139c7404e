"""Layers whose shape is open: each computes with the leading part of weights of the largest shape.

Yu and Huang, "Universally Slimmable Networks" (ICCV 2019); Cai et al., "Once-for-All" (ICLR 2020). What
enters a layer says how many of its input channels are used; how many leave is a `Size`. `plain()`
returns the ordinary torch layer of the size that the gates say, with copies of the weights used.

The gradient of a slice is zero outside of it, not missing, so momentum and weight decay also move what
a step does not use, as in the published codes.
"""

from __future__ import annotations

from abc import abstractmethod
from typing import cast

import torch
from torch import nn
from torch.nn import functional as F

from supernet.net.dimension import Dimension, Size, as_size

__all__ = ["Elastic", "Embedding", "Linear", "copied"]


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

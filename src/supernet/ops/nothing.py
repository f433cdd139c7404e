"""What stands for a part of a network that is left out of a sum."""

from __future__ import annotations

from typing import Any

import torch
from torch import nn

from supernet.errors import SpaceError
from supernet.modules.nested import tensors
from supernet.space import Role

__all__ = ["Nothing"]


class Nothing(nn.Module):
    """Zeros of the shape of the first tensor that it is given, whatever else it is given.

    Args:
        values: number of values that it returns in a tuple, the zeros first and then None, as layers do
            that return attention maps or caches beside their output; None for the zeros alone.

    Raises:
        SpaceError: the number of values is not positive.
    """

    shape_only = True
    """What it computes depends on the shape of its input alone, see `supernet.net.flow`."""

    option_role: Role = "none"
    """No connection, see `supernet.space.SearchSpace.role`."""

    def __init__(self, values: int | None = None) -> None:
        super().__init__()
        if values is not None and values < 1:
            raise SpaceError(f"a tuple has at least one value, the zeros, not {values}")
        self.values = values

    def forward(self, *inputs: Any, **named: Any) -> Any:
        """Return zeros, alone or as the first of several values."""
        zeros = torch.zeros_like(next(tensors([inputs, named])))
        return zeros if self.values is None else (zeros, *[None] * (self.values - 1))

    def extra_repr(self) -> str:
        """Return what `repr` shows: the number of values."""
        return "" if self.values is None else f"values={self.values}"

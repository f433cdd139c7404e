"""Ready alternatives of modules, for the rule `Operations`."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from torch import nn

from supernet.choice.plain import Skip
from supernet.ops import Nothing

__all__ = ["Offer", "identity", "left_out"]

Offer = Callable[[nn.Module], Mapping[str, nn.Module]]
"""What `Operations` offers: a function that returns alternatives of a module by name."""


def left_out(values: int | None = None) -> Offer:
    """Offer that a module whose output is added to its input adds nothing: attention, or an MLP.

    Args:
        values: number of values that the module returns in a tuple, the output first: 2 of attention
            that returns its map, too; None for the output alone. The others are None then.
    """
    return lambda module: {"none": Nothing(values)}


def identity(module: nn.Module) -> Mapping[str, nn.Module]:
    """Offer that a module passes on its first input: a whole residual block, or a normalisation."""
    return {"skip": Skip()}

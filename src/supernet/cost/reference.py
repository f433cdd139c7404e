"""The network of a space that others are replacements in."""

from __future__ import annotations

from collections.abc import Mapping

from supernet.cost.table import CostTable
from supernet.space import Architecture, Decision, SearchSpace, Value

__all__ = ["ORIGINAL", "reference"]

ORIGINAL = "original"
"""Name of the option that is a converted model's own module."""


def reference(space: SearchSpace, tables: Mapping[str, CostTable]) -> Architecture:
    """Return the network of the most multiply-adds, of a converted model the model as it was given.

    Where a decision has an option "original" it is that one, whatever it costs. Without a table of
    multiply-adds, and of decisions that the dearest network has not, the last options are meant.

    Args:
        space: space of the network.
        tables: cost tables of the space, by quantity.
    """
    dearest = tables["macs"].extremes(space)[1] if "macs" in tables else Architecture({})

    def answer(decision: Decision) -> Value:
        if ORIGINAL in decision.options:
            return ORIGINAL
        if decision.label in dearest:
            return dearest[decision.label]
        count = len(decision.options)
        return decision.value(range(count - decision.high, count))

    return space.build(answer)

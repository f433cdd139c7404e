"""What costs are called, and in what they are counted."""

from __future__ import annotations

__all__ = ["LATENCY", "unit_of"]

LATENCY = "latency_ms"
"""The quantity of tables that `supernet latency` measures."""

_UNITS = {LATENCY: "ms"}
"""Units of quantities that are not counts."""


def unit_of(quantity: str) -> str:
    """Return the unit of a quantity, such as "ms"; nothing for counts, such as of multiply-adds."""
    return _UNITS.get(quantity, "")

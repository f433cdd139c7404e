"""Ready sets of operations for the edges of a DARTS cell.

S1 to S4 are the spaces of Zela et al., "Understanding and Robustifying Differentiable Architecture
Search" (ICLR 2020), in which DARTS fails; the sets are those of the authors' code. S1 has on each edge
the two operations that were left there when DARTS pruned its own space step by step.
"""

from __future__ import annotations

__all__ = ["BY_EDGE", "PRESETS"]

PRESETS = {
    "DARTS": ("none", "max3", "avg3", "skip", "sep3", "sep5", "dil3", "dil5"),
    "S2": ("skip", "sep3"),
    "S3": ("none", "skip", "sep3"),
    "S4": ("noise", "sep3"),
}
"""By name, the operations of every edge."""

BY_EDGE = {
    "S1": {
        "normal": (
            ("skip dil3", "skip dil5"),
            ("skip dil5", "skip sep3", "skip dil3"),
            ("max3 skip", "skip sep3", "skip sep3", "skip dil3"),
            ("skip sep3", "max3 skip", "skip dil3", "dil3 dil5", "dil3 dil5"),
        ),
        "reduce": (
            ("max3 avg3", "max3 dil3"),
            ("max3 avg3", "max3 avg3", "skip dil5"),
            ("max3 avg3", "max3 sep3", "skip dil3", "skip dil5"),
            ("max3 avg3", "max3 avg3", "skip dil5", "skip dil5", "skip dil5"),
        ),
    }
}
"""By name and kind of cell, for each node and each state that it can read, the operations."""

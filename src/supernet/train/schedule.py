"""Learning-rate schedules as functions of progress, so that resuming needs no state."""

from __future__ import annotations

import math
from typing import Literal

__all__ = ["ScheduleName", "learning_rate_factor"]

ScheduleName = Literal["cosine", "linear", "constant"]


def learning_rate_factor(kind: ScheduleName, warmup: float, progress: float) -> float:
    """Return what the optimizer's learning rate is multiplied by.

    Args:
        kind: the decay after the warm-up, to 0 at progress 1 ("constant": none).
        warmup: share of the run, in 0..1, over which the factor rises linearly.
        progress: 0 at the first step, 1 at the last.
    """
    if progress < warmup:
        return (progress + 0.01) / (warmup + 0.01)
    rest = (progress - warmup) / max(1 - warmup, 1e-9)
    if kind == "cosine":
        return 0.5 * (1 + math.cos(math.pi * rest))
    return 1 - rest if kind == "linear" else 1.0

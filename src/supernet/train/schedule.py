"""Learning-rate schedules as functions of progress, so that resuming needs no state."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

__all__ = ["Schedule", "ScheduleName"]

ScheduleName = Literal["cosine", "linear", "constant"]


@dataclass(frozen=True)
class Schedule:
    """A schedule: the factor of the optimizer's learning rate, by the step.

    Attributes:
        kind: the decay ("constant": none).
        warmup: share of the run, in 0–1, over which the factor rises linearly.
        lowest: the factor that the decay ends at, in 0–1.
    """

    kind: ScheduleName = "cosine"
    warmup: float = 0.0
    lowest: float = 0.0

    def factor(self, progress: float) -> float:
        """Return the factor of a run: first it rises to 1, then it falls.

        Args:
            progress: 0 at the first step, 1 at the last.
        """
        if progress < self.warmup:
            return (progress + 0.01) / (self.warmup + 0.01)
        return self.fall((progress - self.warmup) / max(1 - self.warmup, 1e-9))

    def fall(self, passed: float, peak: float = 1.0) -> float:
        """Return the factor of the decay alone, from a peak to the lowest.

        Args:
            passed: 0 where the decay begins, 1 where it ends.
            peak: the factor where it begins.
        """
        if self.kind == "constant":
            return peak
        left = 0.5 * (1 + math.cos(math.pi * passed)) if self.kind == "cosine" else 1 - passed
        return self.lowest + (peak - self.lowest) * left

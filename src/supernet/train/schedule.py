"""Learning-rate schedules as functions of progress, so that resuming needs no state."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

from supernet.errors import ConfigError
from supernet.reading import shown

__all__ = ["Decay", "Schedule", "ScheduleName"]

ScheduleName = Literal["cosine", "linear", "constant"]

Decay = ScheduleName | Callable[[float], float]
"""How the learning rate falls: by name, or a function of the share of the steps after the warm-up that
are done, in [0, 1), which returns the factor."""


@dataclass(frozen=True)
class Schedule:
    """A schedule: the factor of the optimizer's learning rate, by the step.

    Attributes:
        kind: the decay ("constant": none), by name or as a function, see `Decay`.
        warmup: share of the run, in 0–1, over which the factor rises linearly.
        lowest: the factor that the decay ends at, in 0–1.
    """

    kind: Decay = "cosine"
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
        if self.kind == "cosine":
            left = 0.5 * (1 + math.cos(math.pi * passed))
        elif self.kind == "linear":
            left = 1 - passed
        else:
            left = self._given(self.kind(passed), passed)
        return self.lowest + (peak - self.lowest) * left

    @staticmethod
    def _given(factor: object, passed: float) -> float:
        """Return the factor that a function gave, checked."""
        if isinstance(factor, (int, float)) and 0 <= factor < math.inf:
            return float(factor)
        raise ConfigError(
            f"a schedule returns the factor of the learning rate, a number of 0 or more, but at "
            f"{passed:.3f} of the steps after the warm-up this one returned {shown(factor)}"
        )

"""How well one ranking agrees with another."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy import stats

from supernet.errors import ConfigError
from supernet.random import derive_seed

__all__ = ["RankCorrelation", "kendall"]

ENOUGH = 10
"""Below this many pairs the interval spans most of [-1, 1] and a correlation says nothing."""


@dataclass(frozen=True)
class RankCorrelation:
    """Kendall's τ-b with a confidence interval.

    Attributes:
        kendall_tau: in -1..1, or None where one side has no two different values.
        low: lower end of the interval, or None.
        high: upper end of the interval, or None.
        confidence: of the interval, in 0–1.
        n: number of pairs.
        meaningful: False when n is too small to say anything.
    """

    kendall_tau: float | None
    low: float | None
    high: float | None
    confidence: float
    n: int
    meaningful: bool


def kendall(
    scores: Sequence[float], truth: Sequence[float], confidence: float = 0.95, seed: int = 0
) -> RankCorrelation:
    """Return Kendall's τ-b of two equally long sequences, ties corrected.

    The interval is the percentile bootstrap over pairs (1,000 resamples); resamples in which one
    side is constant are left out.

    Raises:
        ConfigError: the sequences differ in length, or the confidence is not a share.
    """
    if not 0 < confidence < 1:
        raise ConfigError(f"confidence is a share in (0, 1), such as 0.95, not {confidence}")
    if len(scores) != len(truth):
        raise ConfigError(f"{len(scores)} scores cannot be ranked against {len(truth)} values")
    x, y = np.asarray(scores, dtype=float), np.asarray(truth, dtype=float)
    n = len(x)
    tau = _tau(x, y)
    if tau is None:
        return RankCorrelation(None, None, None, confidence, n, False)
    generator = np.random.default_rng(derive_seed(seed, "bootstrap"))
    draws = (generator.integers(0, n, n) for _ in range(1000))
    resampled = [t for t in (_tau(x[i], y[i]) for i in draws) if t is not None]
    tail = (1 - confidence) / 2
    low, high = np.quantile(resampled, [tail, 1 - tail])
    return RankCorrelation(tau, float(low), float(high), confidence, n, n >= ENOUGH)


def _tau(x: np.ndarray, y: np.ndarray) -> float | None:
    if len(np.unique(x)) < 2 or len(np.unique(y)) < 2:
        return None
    return float(stats.kendalltau(x, y, variant="b").statistic)

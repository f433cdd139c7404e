"""Resamples of items with replacement, and Kendall's τ-b in all of them at once.

Shapes: n items have values `[n]`, and are drawn n times with replacement in each resample, so that
counts are `[resamples, n]`.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import scipy
from numpy.typing import NDArray

from supernet.evaluate.pair_counts import PairCounts
from supernet.random import derive_seed

__all__ = ["Array", "Interval", "count_blocks", "counts", "quantiles", "tau", "taus"]

RESAMPLES = 1000

Array = NDArray[np.float64]


@dataclass(frozen=True)
class Interval:
    """A value with its confidence interval.

    Attributes:
        value: the estimate.
        low: the lower end of the interval.
        high: the upper end of the interval.
        confidence: the confidence of the interval, in 0–1.
    """

    value: float
    low: float
    high: float
    confidence: float


def counts(n: int, seed: int) -> Array:
    """Return how often each of n items is in each resample, `[resamples, n]`."""
    return np.vstack(list(count_blocks(n, seed, RESAMPLES)))


def count_blocks(n: int, seed: int, rows: int) -> Iterator[Array]:
    """Yield the same some resamples at a time, `[rows, n]`, so that many items need little memory."""
    generator = np.random.default_rng(derive_seed(seed, "bootstrap"))
    shares = np.full(n, 1 / n)
    for start in range(0, RESAMPLES, rows):
        size = min(rows, RESAMPLES - start)
        yield generator.multinomial(n, shares, size=size).astype(float)


def taus(x: Array, y: Array, drawn: Array) -> Array:
    """Return τ-b of two sides in each resample, `[resamples]`; NaN where one side is constant."""
    # x = (1, 2, 3), y = (1, 3, 2): two pairs agree and one does not, τ = 1/3. A resample of items 0,
    # 0, 1 has the counts (2, 1, 0): only the pair (0, 1) is drawn, twice, and agrees: τ = 1. One of
    # items 1, 1, 2 has the pair (1, 2) alone: τ = -1.
    return PairCounts(x, y).taus(drawn)


def tau(x: Array, y: Array) -> float | None:
    """Return τ-b of two sides; None where one of them has no two different values."""
    if len(np.unique(x)) < 2 or len(np.unique(y)) < 2:
        return None
    return float(scipy.stats.kendalltau(x, y, variant="b").statistic)


def quantiles(values: Array, confidence: float) -> tuple[float, float]:
    """Return the ends of the percentile interval of resampled values; NaNs are left out."""
    tail = (1 - confidence) / 2
    low, high = np.nanquantile(values, [tail, 1 - tail])
    return float(low), float(high)

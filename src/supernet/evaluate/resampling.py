"""Resamples of items with replacement, and Kendall's τ-b in all of them at once.

Shapes: n items have values `[n]`, and are drawn n times with replacement in each resample, so that
counts are `[resamples, n]`. Signs of differences are `[n, n]`, one for each pair.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import stats

from supernet.random import derive_seed

__all__ = ["Array", "Interval", "counts", "quantiles", "tau", "taus"]

RESAMPLES = 1000

MANY = 2000
"""Items above which τ is computed for one resample after the other, in n log n instead of n² steps."""

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
    generator = np.random.default_rng(derive_seed(seed, "bootstrap"))
    return generator.multinomial(n, np.full(n, 1 / n), size=RESAMPLES).astype(float)


def taus(x: Array, y: Array, drawn: Array) -> Array:
    """Return τ-b of two sides in each resample, `[resamples]`; NaN where one side is constant.

    With the signs s of all pairs, τ-b = Σ s_x s_y / sqrt(Σ s_x² Σ s_y²); in a resample a pair counts as
    often as both of its items are drawn together.
    """
    if len(x) > MANY:
        resampled = ([np.repeat(side, many) for side in (x, y)] for many in drawn.astype(int))
        return np.array([math.nan if (one := tau(*sides)) is None else one for sides in resampled])
    # x = (1, 2, 3), y = (1, 3, 2): two pairs agree and one does not, τ = 1/3. A resample of items 0,
    # 0, 1 has the counts (2, 1, 0): only the pair (0, 1) is drawn, twice, and agrees: τ = 1. One of
    # items 1, 1, 2 has the pair (1, 2) alone: τ = -1.
    sx, sy = (np.sign(np.subtract.outer(*[_ranks(side)] * 2)) for side in (x, y))

    def total(signs: Array) -> Array:
        found: Array = ((drawn @ signs) * drawn).sum(1)
        return found

    both = np.sqrt(total(sx * sx) * total(sy * sy))
    nothing = np.full(len(drawn), np.nan)
    found: Array = np.divide(total(sx * sy), both, out=nothing, where=both > 0)
    return found


def tau(x: Array, y: Array) -> float | None:
    """Return τ-b of two sides; None where one of them has no two different values."""
    if len(np.unique(x)) < 2 or len(np.unique(y)) < 2:
        return None
    return float(stats.kendalltau(x, y, variant="b").statistic)


def _ranks(values: Array) -> Array:
    """Return ranks, which differ as the values do, infinite ones too."""
    return np.unique(values, return_inverse=True)[1].astype(float)


def quantiles(values: Array, confidence: float) -> tuple[float, float]:
    """Return the ends of the percentile interval of resampled values; NaNs are left out."""
    tail = (1 - confidence) / 2
    low, high = np.nanquantile(values, [tail, 1 - tail])
    return float(low), float(high)

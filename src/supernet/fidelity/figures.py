"""How well scores rank networks whose worth is known: figures with intervals, all on the same resamples.

Shapes: n networks have scores and truths `[n]`, higher is better in both. In a resample each is drawn
so many times: counts are `[resamples, n]`, and a figure has a value in each, `[resamples]`. The first
resample holds every network once, so that its value is the figure itself.

Intervals are percentile bootstraps over networks (Efron and Tibshirani, "An Introduction to the
Bootstrap", 1993). All scores are resampled alike, so that a difference of two has an interval, too.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from supernet.errors import ConfigError
from supernet.evaluate.resampling import Array, Interval, counts, quantiles, taus
from supernet.random import derive_seed

__all__ = ["BEST", "PICKS", "Fidelity", "fidelity"]

BEST = (0.5, 0.1, 0.05)
"""Shares of the networks that are best in truth, within which the ranking is looked at, too."""

PICKS = (1, 10, 50)
"""How many of the best by score are picked, for figures of what is chosen."""

FEWEST = 10
"""Fewest networks in a share for a correlation within it."""


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
    drawn = np.vstack([np.ones(len(y)), counts(len(y), seed)])
    known = _Truth(y[shuffled], [values[name][shuffled] for name in controls], drawn)
    found = {
        name: _resampled(one[shuffled], known, partial=name not in controls)
        for name, one in values.items()
    }
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


class _Truth:
    """What networks are worth, and what is needed of it for every score.

    Args:
        values: true values, `[n]`.
        controls: values that partial correlations are given for, `[n]` each.
        drawn: counts of each network in each resample, `[resamples, n]`.
    """

    def __init__(self, values: Array, controls: Sequence[Array], drawn: Array) -> None:
        self.values, self.drawn, self.controls = values, drawn, controls
        self.order = np.argsort(-values, kind="stable")
        self.ranks = _ranks(values, drawn)
        self.control_ranks = [_ranks(one, drawn) for one in controls]


def _resampled(score: Array, truth: _Truth, partial: bool) -> dict[str, Array]:
    """Return the figures of one score that are defined, in all resamples, `[resamples]` each."""
    n, drawn, found = len(score), truth.drawn, {}
    if np.ptp(truth.values) > 0 and np.ptp(score) > 0:
        ranks = _ranks(score, drawn)
        found["kendall_tau"] = taus(score, truth.values, drawn)
        found["spearman"] = _correlation(ranks, truth.ranks, drawn)
        for share in BEST:
            among = truth.order[: int(np.ceil(share * n))]
            x, y = score[among], truth.values[among]
            if len(among) >= FEWEST and np.ptp(x) > 0 and np.ptp(y) > 0:
                found[f"kendall_tau_best_{100 * share:.0f}"] = taus(x, y, drawn[:, among])
        if partial and truth.controls:
            left, of_truth = (
                _rest(side, truth.control_ranks, drawn) for side in (ranks, truth.ranks)
            )
            found["partial_spearman"] = _correlation(left, of_truth, drawn)
    return {name: value for name, value in {**found, **_picked(score, truth)}.items() if _is(value)}


def _picked(score: Array, truth: _Truth) -> dict[str, Array]:
    """Return the figures of what is chosen by a score, in all resamples, `[resamples]` each."""
    # Counts (0, 2, 1) of networks whose scores are (3, 2, 1): places in the resample are filled by
    # networks 1, 1, 2; the two best of it are network 1 twice.
    n, order = len(score), np.argsort(-score, kind="stable")
    discounts = 1 / np.log2(np.arange(n) + 2)
    rows: list[dict[str, float]] = []
    place = np.empty(n)
    place[truth.order] = np.arange(n)
    for many in truth.drawn.astype(int):
        by_score = np.repeat(order, many[order])
        by_truth = np.repeat(truth.order, many[truth.order])
        worth, best = truth.values[by_score], truth.values[by_truth]
        row: dict[str, float] = {}
        if best[0] > best[-1]:
            gain = ((worth - best[-1]) @ discounts, (best - best[-1]) @ discounts)
            row["ndcg"] = float(gain[0] / gain[1])
        for k in PICKS:
            if 2 * k <= n:
                # Places from 0 in the resample: how many of it are better.
                better = np.searchsorted(place[by_truth], place[by_score[:k]])
                row[f"precision_at_{k}"] = float(np.mean(better < k))
                row[f"best_rank_at_{k}"] = float(better.min() / (n - 1))
                row[f"regret_at_{k}"] = float(best[0] - worth[:k].max())
        rows.append(row)
    return {name: np.array([row.get(name, np.nan) for row in rows]) for name in rows[0]}


def _ranks(values: Array, drawn: Array) -> Array:
    """Return the rank of each network in each resample, ties averaged, `[resamples, n]`."""
    # Values (5, 7, 7) with counts (2, 1, 0): the resample is 5, 5, 7 with ranks 1.5, 1.5, 3.
    _, group = np.unique(values, return_inverse=True)
    order = np.argsort(group, kind="stable")
    starts = np.flatnonzero(np.r_[True, np.diff(group[order]) > 0])
    many = np.add.reduceat(drawn[:, order], starts, axis=1)
    ranks: Array = (np.cumsum(many, axis=1) - (many - 1) / 2)[:, group]
    return ranks


def _correlation(x: Array, y: Array, drawn: Array) -> Array:
    """Return Pearson's correlation in each resample; NaN where one side is constant."""
    x, y = (side - _mean(side, drawn)[:, None] for side in (x, y))
    both, one, other = ((drawn * pair).sum(1) for pair in (x * y, x * x, y * y))
    size = np.sqrt(one * other)
    nothing = np.full(len(drawn), np.nan)
    found: Array = np.divide(both, size, out=nothing, where=size > 1e-9)
    return found


def _rest(side: Array, controls: Sequence[Array], drawn: Array) -> Array:
    """Return what is left of a side after linear regression on the controls, in each resample."""
    # Normal equations of the controls about their means; ranks as shares of n, near 1 in size.
    n = drawn.shape[1]
    side, *rest = ((one - _mean(one, drawn)[:, None]) / n for one in (side, *controls))
    design = np.stack(rest)
    gram = np.einsum("irn,jrn,rn->rij", design, design, drawn)
    projected = np.einsum("irn,rn,rn->ri", design, side, drawn)
    slopes = np.einsum("rij,rj->ri", np.linalg.pinv(gram, hermitian=True), projected)
    found: Array = side - np.einsum("ri,irn->rn", slopes, design)
    return found


def _mean(side: Array, drawn: Array) -> Array:
    found: Array = (drawn * side).sum(1) / drawn.sum(1)
    return found


def _is(values: Array) -> bool:
    """Return whether a figure is defined for the networks as they are."""
    return not np.isnan(values[0])


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

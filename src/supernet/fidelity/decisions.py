"""What decisions do to scores: the mean score with each option, and the share that a decision explains.

Each decision is looked at by itself: scores are regressed on which of its options a network has (for
one of several options the analysis of variance with one factor; networks in which the decision does not
exist have none of them). Shares are adjusted for chance (Ezekiel's R²: 1 - (1 - R²) (n - 1) / (n - k -
1) with n networks and k degrees of freedom); their intervals come from the noncentral F distribution
(Steiger, "Beyond the F Test", Psychological Methods 2004) in the approximation of Patnaik (Biometrika
1949), those of means and differences from the standard deviation that is left.

All of this describes the networks it is given. Where these were drawn at random it describes the space;
a searcher that goes where scores are high brings good options together.

Shapes: scores are of n networks, `[n]`, and finite.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import scipy

from supernet.evaluate.resampling import Array, Interval
from supernet.space import Architecture, Option

__all__ = ["CONFIDENCE", "DecisionEffect", "decision_effects"]

CONFIDENCE = 0.95
"""Of all intervals here."""


@dataclass(frozen=True)
class DecisionEffect:
    """How scores depend on a decision.

    Attributes:
        label: label of the decision.
        share: the share of the scores' variance that the decision explains, in 0–1.
        probability: the probability of such a share or a larger one if the decision did nothing.
        has: 1 for the networks that have an option and 0 for others, `[n]`, by option.
        scores: scores of the networks, `[n]`.
        deviation: the standard deviation of scores that the decision does not explain.
        freedom: the degrees of freedom of this deviation.
    """

    label: str
    share: Interval
    probability: float
    has: Mapping[Option, Array]
    scores: Array
    deviation: float
    freedom: int

    @cached_property
    def means(self) -> Mapping[Option, Interval]:
        """The mean score of the networks with each option, the highest first."""
        found = {o: self._weighted(has / has.sum()) for o, has in self.has.items()}
        return dict(sorted(found.items(), key=lambda one: -one[1].value))

    def networks(self, option: Option) -> int:
        """Return the number of networks with an option."""
        return int(self.has[option].sum())

    def difference(self, option: Option, other: Option) -> Interval:
        """Return how much higher the mean score with one option is than that with another."""
        one, two = self.has[option], self.has[other]
        return self._weighted(one / one.sum() - two / two.sum())

    def _weighted(self, weights: Array) -> Interval:
        """Return a weighted sum of scores, with the interval that their deviation gives it."""
        value = float(weights @ self.scores)
        quantile = float(scipy.stats.t.isf((1 - CONFIDENCE) / 2, self.freedom))
        room = quantile * self.deviation * float(np.sqrt((weights**2).sum()))
        return Interval(value, value - room, value + room, CONFIDENCE)


def decision_effects(
    scores: Sequence[float], architectures: Sequence[Architecture]
) -> list[DecisionEffect]:
    """Return how scores depend on each decision, the one that explains most first.

    Decisions that are the same in all networks are left out, as are those with as many answers as there
    are networks; all are where the scores are the same.

    Args:
        scores: finite scores, `[n]`.
        architectures: architectures of the same networks.
    """
    values = np.asarray(scores, dtype=float)
    if len(values) < 3 or np.ptp(values) == 0:
        return []
    has: dict[str, dict[Option, Array]] = {}
    for index, one in enumerate(architectures):
        for label, answer in one.items():
            options = has.setdefault(label, {})
            for option in answer if isinstance(answer, tuple) else (answer,):
                options.setdefault(option, np.zeros(len(values)))[index] = 1
    found = [_effect(label, values, options) for label, options in has.items()]
    return sorted((one for one in found if one), key=lambda one: (-one.share.value, one.label))


def _effect(label: str, scores: Array, has: Mapping[Option, Array]) -> DecisionEffect | None:
    columns = np.column_stack([np.ones(len(scores)), *has.values()])
    solution, _, rank, _ = np.linalg.lstsq(columns, scores, rcond=None)
    n, k = len(scores), int(rank) - 1
    freedom = n - k - 1
    if k < 1 or freedom < 1:
        return None
    left = float(((scores - columns @ solution) ** 2).sum())
    whole = float(((scores - scores.mean()) ** 2).sum())
    unexplained = min(1.0, left / whole)
    share = max(0.0, 1 - unexplained * (n - 1) / freedom)
    f = (1 - unexplained) / k / max(unexplained / freedom, 1e-12)
    low, high = (_noncentral_share(f, k, freedom, p) for p in _tails())
    interval = Interval(share, min(low, share), max(high, share), CONFIDENCE)
    return DecisionEffect(
        label,
        interval,
        float(scipy.stats.f.sf(f, k, freedom)),
        has,
        scores,
        math.sqrt(left / freedom),
        freedom,
    )


def _tails() -> tuple[float, float]:
    return (1 + CONFIDENCE) / 2, (1 - CONFIDENCE) / 2


def _noncentral_share(f: float, k: int, freedom: int, probability: float) -> float:
    """Return the share λ / (λ + n) whose F is at most f with this probability."""

    def beyond(share: float) -> float:
        noncentrality = share / (1 - share) * (k + freedom + 1)
        central = f / (1 + noncentrality / k)
        freedom_above = (k + noncentrality) ** 2 / (k + 2 * noncentrality)
        return float(scipy.stats.f.cdf(central, freedom_above, freedom)) - probability

    if beyond(0.0) <= 0:
        return 0.0
    if beyond(1 - 1e-6) >= 0:
        return 1.0
    return float(scipy.optimize.brentq(beyond, 0.0, 1 - 1e-6))

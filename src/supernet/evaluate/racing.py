"""Which candidates cannot be among the best any more, from results on a part of the images.

Races drop candidates as soon as a test on the same images says that they are worse (Maron and Moore,
"Hoeffding Races", NIPS 1993; Birattari et al., "A Racing Algorithm for Configuring Metaheuristics",
GECCO 2002). Here a candidate falls when it is significantly worse than *each* of the `keep` candidates
that lead on the images seen so far. If it is truly among the best `keep`, at least one of any `keep`
others is truly no better, so to lose it a test must err. Each test has the level

    error / (rounds - 1),

so that over all rounds a candidate is wrongly found worse than a given other with probability at most
`error` (Bonferroni). The level is not divided by the number of candidates, as in Birattari's races: the
leaders are picked by the same images and may be lucky, but all `keep` of them would have to be. How
often that loses any of the best is tested on simulated races of 50 and of 1,000 candidates, with images
that are hard for all alike. Dividing by all pairs as well would prove that bound, and saves little at
the sizes of validation splits.

"Best" means by the full score, on all images; the images of a round must be a random part of all,
which those of a shuffled split are.

The tests are paired, image by image. Where every result is 0 or 1 (accuracy), the exact one-sided sign
test of McNemar ("Note on the sampling error of the difference between correlated proportions",
Psychometrika 1947): of the images that one of the two gets right alone, the worse one's are binomial
with probability at least 1/2 if it is no worse. Else (loss), Student's one-sided paired t-test from 30
images on, whose level is approximate where differences have heavy tails.

Shapes: results are `[candidates, images]`, of the images seen so far; a leader's are `[images]`, and a
test of it against all has p-values `[candidates]`.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import scipy
from numpy.typing import NDArray

from supernet.errors import ConfigError
from supernet.evaluate.measure_sums import Score

__all__ = ["DroppedCandidate", "Race", "rounds"]

Results = NDArray[np.float32]

FEWEST = 30
"""Images before a t-test of losses counts."""

GROWTH = 3
"""How many times what was seen before a round is seen after it."""

WORTH = 0.1
"""The share of candidates that must fall in a round for another race round to be worth its overhead."""


@dataclass(frozen=True)
class DroppedCandidate:
    """A candidate that fell before its evaluation was complete.

    Attributes:
        score: means over the images that the candidate was measured on.
        images: number of these images.
    """

    score: Score
    images: int


def rounds(batches: int) -> list[range]:
    """Return the batches of each round: 1, then as many as triple what was seen, then all others.

    Of 40 batches 0, 1..2, 3..8 and 9..39; of 10 batches 0, 1..2 and 3..9.

    The last round is at least as large as all before it together.
    """
    ends = [0, 1]
    while GROWTH * ends[-1] * 2 <= batches:
        ends.append(GROWTH * ends[-1])
    if ends[-1] < batches:
        ends.append(batches)
    return [range(start, end) for start, end in pairwise(ends)]


class Race:
    """One race: the statistical tests by which candidates are dropped, round by round.

    Args:
        candidates: number of candidates that start.
        keep: number of the best that must not be lost.
        count: number of rounds; after the last nothing is dropped.
        error: largest probability of finding a candidate wrongly worse than a given other, over all
            rounds.

    Raises:
        ConfigError: a number is out of range.
    """

    def __init__(self, candidates: int, keep: int, count: int, error: float) -> None:
        if keep < 1:
            raise ConfigError(f"a race keeps at least 1 candidate, not {keep}")
        if not 0 < error < 1:
            raise ConfigError(f"error is a probability in (0, 1), such as 0.05, not {error}")
        self.keep = keep
        self.level = error / max(1, count - 1)
        """Probability at which one test may err."""

    def falls(self, results: Results, higher: bool) -> NDArray[np.bool_]:
        """Return which candidates are worse than each of the leading `keep`, `[candidates]`.

        Args:
            results: `[candidates, images]`, of all that are still in the race.
            higher: whether high results are good, as accuracy is; else low ones, as loss.
        """
        alive = len(results)
        if alive <= self.keep:
            return np.zeros(alive, dtype=bool)
        signed = results if higher else -results
        leading = np.argsort(-signed.mean(1, dtype=float), kind="stable")[: self.keep]
        binary = bool(np.isin(results, (0, 1)).all())
        worse = np.ones(alive, dtype=bool)
        for leader in leading:
            test = _sign_test if binary else _t_test
            worse &= test(signed[leader], signed) <= self.level
        worse[leading] = False
        return worse


def _sign_test(leader: Results, others: Results) -> NDArray[np.float64]:
    """Return the p-value, per row of `others`, of being no worse than the leader."""
    both = others @ leader
    won, lost = others.sum(1) - both, leader.sum() - both
    # Counts of images below 2^24 are exact in single precision.
    return np.asarray(scipy.stats.binom.cdf(won, won + lost, 0.5))


def _t_test(leader: Results, others: Results) -> NDArray[np.float64]:
    images = len(leader)
    p = np.ones(len(others))
    if images < FEWEST:
        return p
    difference = leader.astype(float) - others
    spread = difference.std(1, ddof=1)
    varies = spread > 0  # without a spread there is nothing to judge a difference by
    statistic = difference[varies].mean(1) * math.sqrt(images) / spread[varies]
    p[varies] = scipy.stats.t.sf(statistic, images - 1)
    return p

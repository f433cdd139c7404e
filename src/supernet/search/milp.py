"""Search by integer programming: scores are taken for sums over answers, and the best sum is exact.

A linear model of the answers learns from what was scored. The architectures with the best predicted
score within the bounds are found exactly, as an integer programme (`supernet.search.integer_program`),
are scored, and teach the model in turn. So are chosen the blocks of a network in

* Molchanov et al., "LANA: Latency Aware Network Acceleration" (ECCV 2022), and
* Bercovich et al., "Puzzle: Distillation-Based NAS for Inference-Optimized LLMs" (2024),

from scores of single replacements in a trained network.

Differences: the model is a Bayesian linear regression (MacKay, "Bayesian Interpolation", 1992) of the
normal quantiles of the scores' ranks on which options are chosen, from random architectures and from
those that were proposed, in any space; all but the last proposals are the best by weights drawn from
what is believed of them (Thompson sampling: Agrawal and Goyal, "Thompson Sampling for Contextual Bandits
with Linear Payoffs", 2013), so that what is not known is tried.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import scipy
from numpy.typing import NDArray

from supernet.cost import Constraints
from supernet.errors import ConfigError
from supernet.evaluate import Candidate
from supernet.evaluate.rank_correlation import RankCorrelation, kendall
from supernet.search.base import Generation, Problem, Searcher
from supernet.search.integer_program import IntegerProgram
from supernet.space import Architecture, SearchSpace

__all__ = ["IntegerProgramming", "additivity"]

Array = NDArray[np.float64]

FOLDS = 10
"""Parts of the candidates of which each is predicted from the others."""

SAME = 5
"""Programmes, for each architecture that is wanted, that may end in networks that are known."""


class IntegerProgramming(Searcher):
    """The best sums of what single answers are worth, within the bounds, exactly.

    It is for spaces in which the score is nearly a sum over decisions, such as the blocks of a deep
    network: how nearly, `additivity` says of what was scored.

    Args:
        count: candidates in total, the first ones among them.
        first: candidates that are drawn at random before anything is predicted.
        batch: candidates of each further generation.
        seconds: time of each programme, after which the best that was found is taken.

    Raises:
        ConfigError: a number is not positive.
    """

    def __init__(
        self, count: int = 200, first: int = 100, batch: int = 20, seconds: float = 10.0
    ) -> None:
        if min(count, first, batch) < 1 or not seconds > 0:
            raise ConfigError(
                "count, first and batch must be at least 1, and seconds above 0, not "
                f"{count}, {first}, {batch} and {seconds}"
            )
        self.count, self.first, self.batch, self.seconds = count, first, batch, seconds

    def generations(self, problem: Problem) -> Generation:
        """Yield random architectures, then generations of the best predicted sums."""
        program = IntegerProgram(problem.space, problem.constraints, self.seconds)
        found: list[Candidate] = []
        asked = problem.sample(min(self.first, self.count), problem.stream("generation", 0))
        while asked:
            found.extend((yield asked))
            count = min(self.batch, self.count - len(found))
            last = len(found) + count >= self.count
            asked = _proposed(problem, program, found, count, last) if count else []

    def expected(self, problem: Problem) -> int:
        """Return the count, or the size of a smaller space."""
        return min(self.count, problem.space.size)


def _proposed(
    problem: Problem, program: IntegerProgram, found: Sequence[Candidate], count: int, last: bool
) -> list[Architecture]:
    """Return up to `count` new architectures, the best by weights that are drawn, or by their mean."""
    random = np.random.default_rng(problem.stream("weights", len(found)).getrandbits(32))
    known = {one.key for one in found}
    passed = [one for one in found if one.status == "ok"]
    model = _Linear(program, passed)
    new, excluded, same = list[Architecture](), list[Architecture](), 0
    while len(new) < count and same < SAME * count:
        weights = model.mean if last else model.drawn(random)
        one = program.best(weights.tolist(), excluded)
        if one is None:
            break
        excluded.append(one)
        form = problem.space.canonical(one)
        if form.key in known or not problem.constraints.hold(form):
            same += 1
            continue
        known.add(form.key)
        new.append(form)
    return new or problem.sample(count, problem.stream("random", len(found)), known)


def additivity(
    space: SearchSpace, candidates: Sequence[Candidate], seed: int = 0
) -> RankCorrelation:
    """Return Kendall's τ of scores with what a sum over answers, learned from others, predicts of them.

    Where it is 1, the best architecture is found by `milp` exactly; where it is low, another searcher is
    better. Each candidate is predicted from nine tenths of the others.

    Args:
        space: space of the candidates.
        candidates: candidates that were scored, at least ten of them in full.
        seed: seed of the parts, and of the resampling of the interval.

    Raises:
        ConfigError: too few were scored.
    """
    passed = [one for one in candidates if one.status == "ok"]
    if len(passed) < FOLDS:
        raise ConfigError(
            f"{len(passed)} candidates were scored in full, but at least {FOLDS} are needed; give more"
        )
    program = IntegerProgram(space, Constraints())
    x = np.array([program.indicators(one.architecture) for one in passed])
    part = np.random.default_rng(seed).permutation(len(passed)) % FOLDS
    predicted = np.zeros(len(passed))
    for number in range(FOLDS):
        others = [one for one, each in zip(passed, part, strict=True) if each != number]
        predicted[part == number] = x[part == number] @ _Linear(program, others).mean
    return kendall(predicted.tolist(), _quantiles(passed).tolist(), seed=seed)


class _Linear:
    """A linear model of how bad architectures are, by their options.

    Args:
        program: programme whose options they choose.
        passed: candidates that were scored in full.

    Attributes:
        mean: expected weight of each option, `[atoms]`; 0 of those that all have or none.
    """

    def __init__(self, program: IntegerProgram, passed: Sequence[Candidate]) -> None:
        from sklearn.linear_model import BayesianRidge  # a second of import time

        x = np.array([program.indicators(one.architecture) for one in passed])
        x = x.reshape(len(passed), len(program.atoms))
        self._varies = np.ptp(x, axis=0) > 0 if len(x) else np.zeros(x.shape[1], dtype=bool)
        self.mean: Array = np.zeros(x.shape[1])
        self._root: Array = np.zeros((0, 0))
        if self._varies.any():
            fitted = BayesianRidge().fit(x[:, self._varies], _quantiles(passed))
            self.mean[self._varies] = fitted.coef_
            values, vectors = np.linalg.eigh(fitted.sigma_)
            self._root = vectors * np.sqrt(np.maximum(values, 0.0))

    def drawn(self, random: np.random.Generator) -> Array:
        """Return weights as they may be, `[atoms]`."""
        found = self.mean.copy()
        found[self._varies] += self._root @ random.standard_normal(self._root.shape[1])
        return found


def _quantiles(passed: Sequence[Candidate]) -> Array:
    """Return the normal quantile of the rank of each candidate, higher being worse; ties share one."""
    keys = [one.rank_key[:-1] for one in passed]
    place = {key: number for number, key in enumerate(sorted(set(keys)))}
    ranks = scipy.stats.rankdata([place[key] for key in keys])
    found: Array = scipy.stats.norm.ppf((ranks - 0.5) / len(keys))
    return found

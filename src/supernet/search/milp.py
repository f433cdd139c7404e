"""Search by integer programming: scores are taken for sums over answers, and the best sum is exact.

A linear model of the answers learns from what was scored. The architectures with the best predicted
score within the bounds are found exactly, as an integer programme (`supernet.search.integer_program`),
are scored, and teach the model in turn. So are chosen the blocks of a network in

* Molchanov et al., "LANA: Latency Aware Network Acceleration" (ECCV 2022), and
* Bercovich et al., "Puzzle: Distillation-Based NAS for Inference-Optimized LLMs" (2024),

from scores of single replacements in a trained network, which the design "replacements" begins with, see
`supernet.search.replacements`. By these scores alone the model is exact for the networks of the design;
what is scored then corrects it: a Bayesian linear regression of what is left of the scores.

Differences: with the design "random" the model is a Bayesian linear regression (MacKay, "Bayesian
Interpolation", 1992) of the normal quantiles of the scores' ranks on which options are chosen, from
random architectures and from those that were proposed, in any space; all but the last proposals are the
best by weights drawn from what is believed of them (Thompson sampling: Agrawal and Goyal, "Thompson
Sampling for Contextual Bandits with Linear Payoffs", 2013), so that what is not known is tried.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import numpy as np
import scipy
from numpy.typing import NDArray

from supernet.cost import Constraints
from supernet.cost.reference import reference
from supernet.errors import ConfigError
from supernet.evaluate import Candidate
from supernet.evaluate.rank_correlation import RankCorrelation, kendall
from supernet.search.base import Generation, Problem, Searcher
from supernet.search.integer_program import IntegerProgram
from supernet.search.replacements import badness, replacements, worths
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
        first: candidates that are drawn at random before anything is predicted, by the design
            "random".
        batch: candidates of each further generation.
        seconds: time of each programme, after which the best that was found is taken.
        design: networks that the model learns from at first: "random" ones within the bounds; or
            "replacements", the largest network, of a converted model the model as it was given, and all
            that differ from it in one answer, whatever they cost. None beyond the bounds is selected.

    Raises:
        ConfigError: a number is not positive.
    """

    def __init__(
        self,
        count: int = 200,
        first: int = 100,
        batch: int = 20,
        seconds: float = 10.0,
        design: Literal["random", "replacements"] = "random",
    ) -> None:
        if min(count, first, batch) < 1 or not seconds > 0:
            raise ConfigError(
                "count, first and batch must be at least 1, and seconds above 0, not "
                f"{count}, {first}, {batch} and {seconds}"
            )
        if design not in ("random", "replacements"):
            raise ConfigError(f'design is "random" or "replacements", not {design!r}')
        self.count, self.first, self.batch, self.seconds = count, first, batch, seconds
        self.design: Literal["random", "replacements"] = design

    def generations(self, problem: Problem) -> Generation:
        """Yield the design, then generations of the best predicted sums.

        Raises:
            ConfigError: `count` leaves none beside the replacements.
        """
        program = IntegerProgram(problem.space, problem.constraints, self.seconds)
        found: list[Candidate] = []
        random = problem.stream("generation", 0)
        asked = problem.sample(min(self.first, self.count), random)  # or says that there are none
        replaced = self._replacements(problem) if self.design == "replacements" else []
        asked = replaced or asked
        while asked:
            found.extend((yield asked))
            count = min(self.batch, self.count - len(found))
            if count <= 0:
                return
            model = _Linear(program, found[: len(replaced)], found[len(replaced) :])
            asked = _proposed(
                problem, program, model, found, count, len(found) + count >= self.count
            )

    def _replacements(self, problem: Problem) -> list[Architecture]:
        whole = reference(problem.space, problem.constraints.tables)
        found = replacements(problem.space, whole)
        if self.count <= len(found) < problem.space.size:
            raise ConfigError(
                f"{len(found)} networks are the largest or differ from it in one answer, so that a "
                f"count of {self.count} leaves none to propose; give {len(found) + self.batch} or more "
                '(search.searcher.count), or the design "random"'
            )
        return found

    def expected(self, problem: Problem) -> int:
        """Return the count, or the size of a smaller space."""
        return min(self.count, problem.space.size)


def _proposed(
    problem: Problem,
    program: IntegerProgram,
    model: _Linear,
    found: Sequence[Candidate],
    count: int,
    last: bool,
) -> list[Architecture]:
    """Return up to `count` new architectures, the best by weights that are drawn, or by their mean."""
    random = np.random.default_rng(problem.stream("weights", len(found)).getrandbits(32))
    known = {one.key for one in found}
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
        predicted[part == number] = x[part == number] @ _Linear(program, [], others).mean
    return kendall(predicted.tolist(), _quantiles(passed).tolist(), seed=seed)


class _Linear:
    """A linear model of how bad architectures are, by their options.

    Args:
        program: programme whose options they choose.
        design: single replacements with their scores, from which it begins, if any.
        others: further candidates; those that were scored in full teach it.

    Attributes:
        mean: expected weight of each option, `[atoms]`; 0 of those that all have or none.
    """

    def __init__(
        self, program: IntegerProgram, design: Sequence[Candidate], others: Sequence[Candidate]
    ) -> None:
        from sklearn.linear_model import BayesianRidge  # a second of import time

        passed = [one for one in others if one.status == "ok"]
        x = _indicators(program, passed)
        if design:
            self.mean, constant = worths(_indicators(program, design), design)
            targets = np.array([badness(one) for one in passed]) - x @ self.mean - constant
        else:
            self.mean, targets = np.zeros(x.shape[1]), _quantiles(passed)
        self._varies = np.ptp(x, axis=0) > 0 if len(x) else np.zeros(x.shape[1], dtype=bool)
        self._root: Array = np.zeros((0, 0))
        if self._varies.any():
            fitted = BayesianRidge().fit(x[:, self._varies], targets)
            self.mean[self._varies] += fitted.coef_
            values, vectors = np.linalg.eigh(fitted.sigma_)
            self._root = vectors * np.sqrt(np.maximum(values, 0.0))

    def drawn(self, random: np.random.Generator) -> Array:
        """Return weights as they may be, `[atoms]`."""
        found = self.mean.copy()
        found[self._varies] += self._root @ random.standard_normal(self._root.shape[1])
        return found


def _indicators(program: IntegerProgram, candidates: Sequence[Candidate]) -> Array:
    """Return which options candidates choose, `[candidates, atoms]`, 1 or 0."""
    found = np.array([program.indicators(one.architecture) for one in candidates])
    return found.reshape(len(candidates), len(program.atoms))


def _quantiles(passed: Sequence[Candidate]) -> Array:
    """Return the normal quantile of the rank of each candidate, higher being worse; ties share one."""
    keys = [one.rank_key[:-1] for one in passed]
    place = {key: number for number, key in enumerate(sorted(set(keys)))}
    ranks = scipy.stats.rankdata([place[key] for key in keys])
    found: Array = scipy.stats.norm.ppf((ranks - 0.5) / len(keys))
    return found

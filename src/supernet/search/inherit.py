"""Children of NSGA-II that inherit decisions inside options too.

Optuna's NSGA-II (see `supernet.search.optuna`) recombines the parameters that all trials have, and draws
the others at random. Where decisions lie in options of others most answers would be random ones, and the
search worse than drawing at random throughout. Here a child takes each answer from a parent that has it.
The rest is Optuna's with its defaults: of two random members of the parents' population one that
dominates the other becomes a parent; with probability 0.9 there are two, and each answer that both have
comes from either; answers that mutate are drawn anew. What was not drawn by Optuna, the first generation
and what completes others, has children too, which it has not in Optuna.
"""

from __future__ import annotations

from random import Random
from typing import Any

from optuna import Study
from optuna.distributions import BaseDistribution
from optuna.samplers import NSGAIISampler
from optuna.study import StudyDirection
from optuna.trial import FrozenTrial

__all__ = ["InheritingNSGAII"]

CROSSOVER = 0.9
"""Probability that a child has two parents."""


class InheritingNSGAII(NSGAIISampler):
    """NSGA-II whose children inherit whatever a parent has.

    Args:
        population: members of a generation.
        mutation: probability that an inherited answer is drawn anew; one answer of the first parent's
            on average if not given.
        seed: seed of all draws.
    """

    def __init__(self, population: int, mutation: float | None, seed: int) -> None:
        super().__init__(population_size=population, seed=seed)
        self._mutation = mutation
        self._random = Random(seed)

    def before_trial(self, study: Study, trial: FrozenTrial) -> None:
        """Count the trial to a generation, also where all of it is given: Optuna forgets such ones."""
        super().before_trial(study, trial)
        self.get_trial_generation(study, trial)

    def infer_relative_search_space(
        self, study: Study, trial: FrozenTrial
    ) -> dict[str, BaseDistribution]:
        """Return the parameters that any possible parent has."""
        parents = self.get_parent_population(study, self.get_trial_generation(study, trial))
        return {name: kind for one in parents for name, kind in one.distributions.items()}

    def sample_relative(
        self, study: Study, trial: FrozenTrial, search_space: dict[str, BaseDistribution]
    ) -> dict[str, Any]:
        """Return what a child inherits; nothing in the first generation, and not what mutates."""
        population = self.get_parent_population(study, self.get_trial_generation(study, trial))
        if not population:
            return {}
        random = self._random
        parents = [self._parent(study, population)]
        others = [one for one in population if one is not parents[0]]
        if others and random.random() < CROSSOVER:
            parents.append(self._parent(study, others))
        mutation = self._mutation
        if mutation is None:
            mutation = 1 / max(1, len(parents[0].params))
        child = {}
        for name in search_space:
            having = [parent for parent in parents if name in parent.params]
            if having and random.random() >= mutation:
                child[name] = random.choice(having).params[name]
        return child

    def _parent(self, study: Study, population: list[FrozenTrial]) -> FrozenTrial:
        one, other = self._random.choice(population), self._random.choice(population)
        return one if _dominates(one, other, study.directions) else other


def _dominates(one: FrozenTrial, other: FrozenTrial, directions: list[StudyDirection]) -> bool:
    signs = [-1 if direction == StudyDirection.MAXIMIZE else 1 for direction in directions]
    pairs = [
        (sign * a, sign * b)
        for sign, a, b in zip(signs, one.values or (), other.values or (), strict=True)
    ]
    return all(a <= b for a, b in pairs) and any(a < b for a, b in pairs)

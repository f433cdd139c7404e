"""Regularized (aging) evolution.

Real et al., "Regularized Evolution for Image Classifier Architecture Search" (AAAI 2019): of a
population, a random tournament is held; a mutant of its winner joins the population, and the oldest
member leaves it, however good it is. A mutant differs from its parent in one answer. Population and
tournament default to the paper's 100 and 25.

Differences: the paper scores one child per cycle, many workers at a time; here the `batch` children of
a generation are proposed together, which makes the search the same on any machine (1 is the paper's
algorithm with one worker). Architectures that were scored before are not proposed again, since shared
weights would give them the same score: where nothing new is found near the winners, architectures are
drawn at random.
"""

from __future__ import annotations

from collections import deque
from random import Random

from supernet.errors import ConfigError
from supernet.evaluate import Candidate
from supernet.search.base import Generation, Problem, Searcher
from supernet.space import Architecture, Decision, SearchSpace, Value

__all__ = ["RegularizedEvolution"]


class RegularizedEvolution(Searcher):
    """Tournaments, mutation, and death by age.

    Args:
        count: candidates in total, the first population among them.
        population: P, members alive.
        tournament: S, members drawn (without replacement) of which the best is mutated.
        batch: children per generation.

    Raises:
        ConfigError: a number is not positive, or the tournament is larger than the population.
    """

    def __init__(
        self, count: int = 1_000, population: int = 100, tournament: int = 25, batch: int = 10
    ) -> None:
        if min(count, population, tournament, batch) < 1 or tournament > population:
            raise ConfigError(
                "count, population, tournament and batch must be at least 1 and the tournament at most "
                f"the population, not {count}, {population}, {tournament} and {batch}"
            )
        self.count = count
        self.population = population
        self.tournament = tournament
        self.batch = batch

    def generations(self, problem: Problem) -> Generation:
        """Yield the first population, then generations of `batch` children."""
        alive: deque[Candidate] = deque(maxlen=self.population)
        seen: set[str] = set()
        children = problem.sample(min(self.population, self.count), problem.stream("generation", 0))
        generation = 0
        while children:
            candidates = yield children
            alive.extend(candidates)
            seen.update(candidate.key for candidate in candidates)
            generation += 1
            children = self._children(problem, list(alive), seen, generation)

    def expected(self, problem: Problem) -> int:
        """Return the count, or the size of a smaller space."""
        return min(self.count, problem.space.size)

    def _children(
        self, problem: Problem, alive: list[Candidate], seen: set[str], generation: int
    ) -> list[Architecture]:
        random = problem.stream("generation", generation)
        count = min(self.batch, self.count - len(seen))

        def mutant() -> Architecture:
            drawn = random.sample(alive, min(self.tournament, len(alive)))
            winner = min(drawn, key=lambda candidate: candidate.rank_key)
            return mutate_one(problem.space, winner.architecture, random)

        children = problem.draw(mutant, count, seen)
        known = seen | {child.key for child in children}
        return children + problem.sample(count - len(children), random, known)


def mutate_one(space: SearchSpace, architecture: Architecture, random: Random) -> Architecture:
    """Redraw one answer, uniformly among the other ones; what comes into existence is drawn too."""
    open_labels = [label for label in architecture if space.decision(label).size > 1]
    changed = random.choice(open_labels) if open_labels else None

    def answer(decision: Decision) -> Value:
        here = architecture.get(decision.label)
        if here is not None and decision.label != changed:
            return here
        value = decision.sample(random)
        while value == here and decision.size > 1:
            value = decision.sample(random)
        return value

    return space.build(answer)

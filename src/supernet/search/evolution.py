"""Evolution with the parameters of SPOS.

Guo et al., "Single Path One-Shot Neural Architecture Search with Uniform Sampling" (ECCV 2020): a
population of 50 over 20 generations; the best 10 of all so far are the parents of 25 mutants (each
answer redrawn with probability 0.1, of which it may come out as it was) and 25 crossovers; what is
missing is drawn at random. Architectures that were scored before are not proposed again.

Difference: the authors' code gives up after ten tries for each child wanted, this after a hundred.
"""

from __future__ import annotations

from supernet.errors import ConfigError
from supernet.evaluate import Candidate
from supernet.search.base import Generation, Problem, Searcher
from supernet.space import Architecture

__all__ = ["Evolution"]


class Evolution(Searcher):
    """Mutation and crossover of the best.

    Args:
        population: P, architectures per generation.
        generations: G, number of generations.
        parents: K, how many of the best have children.
        mutants: M, children by mutation; half of the population if not given.
        crossovers: C, children by crossover; half of the population if not given.
        mutation: probability that a mutant's answer is redrawn.
        same: whether a redrawn answer may be the same again, as in the authors' code.

    Raises:
        ConfigError: the numbers contradict each other.
    """

    def __init__(
        self,
        population: int = 50,
        generations: int = 20,
        parents: int = 10,
        mutants: int | None = None,
        crossovers: int | None = None,
        mutation: float = 0.1,
        same: bool = True,
    ) -> None:
        mutants = population // 2 if mutants is None else mutants
        crossovers = population // 2 if crossovers is None else crossovers
        if min(population, generations, parents) < 1 or min(mutants, crossovers) < 0:
            raise ConfigError(
                "population, generations and parents must be at least 1, mutants and crossovers at "
                f"least 0, not {population}, {generations}, {parents}, {mutants} and {crossovers}"
            )
        if mutants + crossovers > population or not 0 < mutation <= 1:
            raise ConfigError(
                f"{mutants} mutants and {crossovers} crossovers must fit into the population of "
                f"{population}, and the mutation probability {mutation} lie in (0, 1]"
            )
        self.population = population
        self.count = generations
        self.parents = parents
        self.looks_at = parents
        self.mutants = mutants
        self.crossovers = crossovers
        self.mutation = mutation
        self.same = same

    def generations(self, problem: Problem) -> Generation:
        """Yield up to `generations` populations; fewer when the space is exhausted."""
        history: dict[str, Candidate] = {}
        population = problem.sample(self.population, problem.stream("generation", 0))
        for generation in range(1, self.count):
            candidates = yield population
            history.update({candidate.key: candidate for candidate in candidates})
            best = sorted(history.values(), key=lambda candidate: candidate.rank_key)
            parents = [candidate.architecture for candidate in best[: self.parents]]
            population = self._children(problem, parents, set(history), generation)
            if not population:
                return
        yield population

    def expected(self, problem: Problem) -> int:
        """Return population times generations, or the size of a smaller space."""
        return min(self.population * self.count, problem.space.size)

    def _children(
        self, problem: Problem, parents: list[Architecture], seen: set[str], generation: int
    ) -> list[Architecture]:
        space, random = problem.space, problem.stream("generation", generation)

        def mutant() -> Architecture:
            return space.mutate(random.choice(parents), self.mutation, random, self.same)

        def crossover() -> Architecture:
            return space.crossover(random.choice(parents), random.choice(parents), random)

        children = problem.draw(mutant, self.mutants, seen)
        known = seen | {child.key for child in children}
        children += problem.draw(crossover, self.crossovers, known)
        known |= {child.key for child in children}
        return children + problem.sample(self.population - len(children), random, known)

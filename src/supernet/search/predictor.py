"""Search by a predictor: what was scored teaches which architectures to score next.

A Gaussian process of costs and answers learns from the candidates so far, and those are asked for that
are the best of a pool in a draw from what is believed (see `supernet.fidelity.combine`). It is the
scheme of BANANAS (White et al., "BANANAS: Bayesian Optimization with Neural Architectures for Neural
Architecture Search", AAAI 2021), in whose pool are mutants of the best so far, too, with independent
Thompson sampling as there.

Differences: the predictor is a Gaussian process on ranks instead of an ensemble of networks on encodings
of paths, as it is exact and quick for the few hundreds of candidates that such a search is for; half of
the pool is drawn at random.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import islice
from random import Random

from supernet.errors import ConfigError
from supernet.evaluate import Candidate
from supernet.fidelity import FEWEST_PROBES, combine
from supernet.search.base import Generation, Problem, Searcher
from supernet.search.regularized_evolution import mutate_one
from supernet.space import Architecture

__all__ = ["Predictor"]

LEARNED_FROM = 300
"""Candidates that are learned from: the best, and the newest; learning costs their number's cube."""


class Predictor(Searcher):
    """Thompson sampling from a Gaussian process of what was scored before.

    It is for candidates that are dear to score: where each is trained a little before
    (`evaluate.tune`), or trained alone.

    Args:
        count: candidates in total, the first ones among them.
        first: candidates that are drawn at random before anything is predicted.
        batch: candidates of each further generation.
        pool: architectures that these are chosen of, half of them mutants of the best.
        parents: how many of the best have mutants.

    Raises:
        ConfigError: a number is not positive, there are too few first ones to learn from, or the pool is
            smaller than a generation.
    """

    def __init__(
        self,
        count: int = 200,
        first: int = 20,
        batch: int = 10,
        pool: int = 500,
        parents: int = 10,
    ) -> None:
        if min(count, batch, parents) < 1 or first < FEWEST_PROBES or pool < batch:
            raise ConfigError(
                f"count, batch and parents must be at least 1, first at least {FEWEST_PROBES} and pool "
                f"at least batch, not {count}, {batch}, {parents}, {first} and {pool}"
            )
        self.count = count
        self.first = first
        self.batch = batch
        self.pool = pool
        self.parents = parents

    def generations(self, problem: Problem) -> Generation:
        """Yield random architectures, then generations of what is predicted to be good."""
        found: list[Candidate] = []
        asked = problem.sample(min(self.first, self.count), problem.stream("generation", 0))
        generation = 0
        while asked:
            found.extend((yield asked))
            generation += 1
            count = min(self.batch, self.count - len(found))
            asked = self._next(problem, found, count, generation) if count else []

    def expected(self, problem: Problem) -> int:
        """Return the count, or the size of a smaller space."""
        return min(self.count, problem.space.size)

    def _next(
        self, problem: Problem, found: Sequence[Candidate], count: int, generation: int
    ) -> list[Architecture]:
        """Return up to `count` new architectures."""
        random = problem.stream("generation", generation)
        best = sorted(found, key=lambda candidate: candidate.rank_key)
        pool = self._pool(problem, best, random, {candidate.key for candidate in found})
        passed = [candidate for candidate in best if candidate.status == "ok"]
        newest = {candidate.key for candidate in found[-LEARNED_FROM // 3 :]}
        known = [
            candidate
            for place, candidate in enumerate(passed)
            if place < LEARNED_FROM * 2 // 3 or candidate.key in newest
        ]
        if len(known) < FEWEST_PROBES or len(pool) <= count:
            return pool[:count]
        every = [*(candidate.architecture for candidate in known), *pool]
        features = {
            quantity: [table.cost(one) for one in every]
            for quantity, table in problem.constraints.tables.items()
        } or {"none": [0.0] * len(every)}
        worth = {number: -float(number) for number in range(len(known))}  # they are in their order
        told = combine(features, worth, architectures=every)
        seed = random.getrandbits(32)
        return [every[number] for number in told.next_probes(count, seed, range(len(known)))]

    def _pool(
        self, problem: Problem, best: Sequence[Candidate], random: Random, seen: set[str]
    ) -> list[Architecture]:
        """Return new architectures: mutants of the best, and random ones."""
        parents = [candidate.architecture for candidate in best[: self.parents]]
        draws = (
            mutate_one(problem.space, random.choice(parents), random) for _ in range(self.pool)
        )
        mutants = list(islice(problem.feasible(draws, seen), self.pool // 2))
        known = seen | {mutant.key for mutant in mutants}
        drawn = problem.sample(self.pool - len(mutants), random, known)
        return random.sample([*mutants, *drawn], len(mutants) + len(drawn))

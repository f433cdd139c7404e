"""Exhaustive search: score every different network of a small space."""

from __future__ import annotations

from itertools import islice

from supernet.errors import ConfigError
from supernet.search.base import Generation, Problem, Searcher
from supernet.space.numbers import size_text

__all__ = ["Exhaustive"]


class Exhaustive(Searcher):
    """Score every architecture that satisfies the constraints, equal networks once.

    Args:
        limit: the largest space to enumerate.
        batch: architectures per generation.

    Raises:
        ConfigError: a number is not positive.
    """

    looks_at = 0

    def __init__(self, limit: int = 100_000, batch: int = 1_000) -> None:
        if min(limit, batch) < 1:
            raise ConfigError(f"limit and batch must be at least 1, not {limit} and {batch}")
        self.limit = limit
        self.batch = batch

    def generations(self, problem: Problem) -> Generation:
        """Yield the space in its own order.

        Raises:
            ConfigError: the space is larger than the limit.
            ConstraintError: no architecture satisfies the constraints.
        """
        if problem.space.size > self.limit:
            raise ConfigError(
                f"the space has {size_text(problem.space.size)} architectures, more than the limit of "
                f"{self.limit:,} for exhaustive search; choose another searcher or raise the limit"
            )
        feasible = problem.feasible(problem.space)
        generation = list(islice(feasible, self.batch))
        if not generation:
            raise problem.impossible(problem.space.size)
        while generation:
            yield generation
            generation = list(islice(feasible, self.batch))

    def expected(self, problem: Problem) -> int:
        """Return the size of the space, an upper bound where networks are equal or infeasible."""
        return problem.space.size

"""Exhaustive search: score every different network of a small space."""

from __future__ import annotations

from itertools import islice

from supernet.errors import ConfigError
from supernet.search.base import Generation, Problem, Searcher

__all__ = ["Exhaustive"]


class Exhaustive(Searcher):
    """Score every architecture that satisfies the constraints, equal networks once.

    Args:
        limit: the largest space to enumerate.
        batch: architectures per generation.
    """

    def __init__(self, limit: int = 100_000, batch: int = 1_000) -> None:
        self.limit = limit
        self.batch = batch

    def generations(self, problem: Problem) -> Generation:
        """Yield the space in its own order.

        Raises:
            ConfigError: the space is larger than the limit.
        """
        if problem.space.size > self.limit:
            raise ConfigError(
                f"the space has {problem.space.size:,} architectures, more than the limit of "
                f"{self.limit:,} for exhaustive search; choose another searcher or raise the limit"
            )
        seen: set[str] = set()
        architectures = iter(problem.space)
        while chunk := list(islice(architectures, self.batch)):
            found = problem.feasible(chunk, seen)
            seen.update(architecture.key for architecture in found)
            if found:
                yield found

    def expected(self, problem: Problem) -> int:
        """Return the size of the space, an upper bound where networks are equal or infeasible."""
        return problem.space.size

"""Random search: the baseline that every searcher has to beat, and the paper's own choice."""

from __future__ import annotations

from supernet.errors import ConfigError
from supernet.search.base import Generation, Problem, Searcher

__all__ = ["RandomSearch"]


class RandomSearch(Searcher):
    """Score architectures drawn uniformly, as far as constraints leave enough of them.

    Where draws hardly ever satisfy the constraints, what is missing is built within them instead (see
    `Problem.sample`), and fewer than `count` may be found.

    Args:
        count: number of architectures.

    Raises:
        ConfigError: the count is not positive.
    """

    looks_at = 0

    def __init__(self, count: int = 200) -> None:
        if count < 1:
            raise ConfigError(f"count must be at least 1, not {count}")
        self.count = count

    def generations(self, problem: Problem) -> Generation:
        """Yield one generation."""
        yield problem.sample(self.count, problem.stream("random"))

    def expected(self, problem: Problem) -> int:
        """Return the count, or the size of a smaller space."""
        return min(self.count, problem.space.size)

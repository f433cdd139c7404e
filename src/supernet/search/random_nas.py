"""The selection of RandomNAS.

Li & Talwalkar, "Random Search and Reproducibility for NAS" (UAI 2019): in each round a thousand random
architectures are scored on one validation batch, the same for all, and the ten best of them on the
whole validation split. The paper has a round for every 10,000 training steps, at least one.
"""

from __future__ import annotations

from supernet.errors import ConfigError
from supernet.search.base import Generation, Partly, Problem, Searcher

__all__ = ["RandomNASSearch"]


class RandomNASSearch(Searcher):
    """Many architectures on one batch, the best of them on all.

    Args:
        count: architectures that a round scores on one batch.
        best: how many of them it scores on the whole split.
        rounds: how often.

    Raises:
        ConfigError: a number is not positive, or more shall be the best than there are.
    """

    looks_at = 0

    def __init__(self, count: int = 1000, best: int = 10, rounds: int = 1) -> None:
        if not 1 <= best <= count or rounds < 1:
            raise ConfigError(
                f"best must be 1 to count, and rounds at least 1, not {best} of {count}, {rounds} times"
            )
        self.count = count
        self.best = best
        self.rounds = rounds

    def generations(self, problem: Problem) -> Generation:
        """Yield two generations a round; fewer rounds when the space is exhausted."""
        seen: set[str] = set()
        for number in range(self.rounds):
            drawn = problem.sample(self.count, problem.stream("round", number), seen)
            if not drawn:
                return
            quick = yield Partly(drawn, batches=1)
            seen.update(candidate.key for candidate in quick)
            passed = sorted(
                (one for one in quick if one.status != "failed"), key=lambda one: one.rank_key
            )
            if passed:
                yield [candidate.architecture for candidate in passed[: self.best]]

    def expected(self, problem: Problem) -> int:
        """Return the number of architectures that are scored on one batch at least."""
        return min(self.count * self.rounds, problem.space.size)

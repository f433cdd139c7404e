"""The selection of RandomNAS.

Li & Talwalkar, "Random Search and Reproducibility for NAS" (UAI 2019): in each round a thousand random
architectures are scored on a part of the validation split, and the ten best of them on all of it. The
paper has a round for every 10,000 training steps, at least one. The part is ten batches of 64 images, as
in the authors' code; how large a batch is says `evaluate.batch_size`.

Differences: the authors score each architecture on the ten batches that come next; here all see the
first ten, so that they differ in what they are and not in the images, and a score is a function of the
architecture. For the authors' batch norm see `supernet.strategies.random_nas`.
"""

from __future__ import annotations

from supernet.errors import ConfigError
from supernet.search.base import Generation, PartialGeneration, Problem, Searcher

__all__ = ["RandomNASSearch"]


class RandomNASSearch(Searcher):
    """Many architectures on a few batches, the best of them on all.

    Args:
        count: architectures that a round scores on a few batches.
        best: number of the best of a round that it scores on the whole split.
        rounds: number of rounds.
        batches: number of batches for the first scores; with as many as the split has, or more,
            these are final.

    Raises:
        ConfigError: a number is not positive, or more shall be the best than there are.
    """

    looks_at = 0

    def __init__(
        self, count: int = 1000, best: int = 10, rounds: int = 1, batches: int = 10
    ) -> None:
        if not 1 <= best <= count or min(rounds, batches) < 1:
            raise ConfigError(
                f"best must be 1 to count, rounds and batches at least 1, not {best} of {count}, "
                f"{rounds} times on {batches} batches"
            )
        self.count = count
        self.best = best
        self.rounds = rounds
        self.batches = batches

    def generations(self, problem: Problem) -> Generation:
        """Yield two generations a round; fewer rounds when the space is exhausted."""
        seen: set[str] = set()
        for number in range(self.rounds):
            drawn = problem.sample(self.count, problem.stream("round", number), seen)
            if not drawn:
                return
            quick = yield PartialGeneration(drawn, self.batches)
            seen.update(candidate.key for candidate in quick)
            passed = sorted(
                (one for one in quick if one.status != "failed"), key=lambda one: one.rank_key
            )
            if passed:
                yield [candidate.architecture for candidate in passed[: self.best]]

    def expected(self, problem: Problem) -> int:
        """Return the number of architectures that are scored at least on a part."""
        return min(self.count * self.rounds, problem.space.size)

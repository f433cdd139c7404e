"""Local search.

White et al., "Exploring the Loss Landscape in Neural Architecture Search" (UAI 2021): score a few
random architectures and start from the best; score all its neighbours, which differ in one answer;
move to the best of them; where none is better, start anew. The paper shows that this simple search
is hard to beat where scores carry little noise.

Difference: the paper may end at the first local optimum; here the search restarts from new random
architectures until `count` candidates are scored. A step takes the best neighbour, whether it was
scored now or before; nothing is scored twice.
"""

from __future__ import annotations

from supernet.errors import ConfigError
from supernet.evaluate import Candidate
from supernet.search.base import Generation, Problem, Searcher

__all__ = ["LocalSearch"]


class LocalSearch(Searcher):
    """Steepest ascent with restarts.

    Args:
        count: candidates in total.
        initial: random architectures per start, of which the best is climbed from.

    Raises:
        ConfigError: a number is not positive.
    """

    def __init__(self, count: int = 500, initial: int = 10) -> None:
        if min(count, initial) < 1:
            raise ConfigError(f"count and initial must be at least 1, not {count} and {initial}")
        self.count = count
        self.initial = initial

    def generations(self, problem: Problem) -> Generation:
        """Yield random architectures at each start, and the new neighbours at each step."""
        told: dict[str, Candidate] = {}
        restart = 0
        while len(told) < self.count:
            random = problem.stream("restart", restart)
            count = min(self.initial, self.count - len(told))
            start = problem.sample(count, random, set(told))
            if not start:
                return
            candidates = yield start
            told.update({candidate.key: candidate for candidate in candidates})
            here = min(candidates, key=lambda candidate: candidate.rank_key)
            while True:
                around = list(problem.feasible(problem.space.neighbours(here.architecture)))
                new = [neighbour for neighbour in around if neighbour.key not in told]
                random.shuffle(new)  # so that a budget that ends here prefers no decision
                new = new[: self.count - len(told)]
                if new:
                    candidates = yield new
                    told.update({candidate.key: candidate for candidate in candidates})
                known = [told[neighbour.key] for neighbour in around if neighbour.key in told]
                best = min([here, *known], key=lambda candidate: candidate.rank_key)
                if best.rank_key[:3] >= here.rank_key[:3]:  # the last part only breaks ties
                    break
                here = best
            restart += 1

    def expected(self, problem: Problem) -> int:
        """Return the count, or the size of a smaller space."""
        return min(self.count, problem.space.size)

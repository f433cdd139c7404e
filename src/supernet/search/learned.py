"""The architecture that a coupled strategy learned while it trained the weights."""

from __future__ import annotations

from supernet.errors import ConfigError, ConstraintError
from supernet.search.base import Generation, Problem, Searcher

__all__ = ["Learned"]


class Learned(Searcher):
    """Score what the strategy learned, and nothing else."""

    looks_at = 0

    def generations(self, problem: Problem) -> Generation:
        """Yield one generation.

        Raises:
            ConfigError: the strategy learns no architecture.
            ConstraintError: none of the learned architectures satisfies the constraints.
        """
        if not problem.learned:
            raise ConfigError(
                "the searcher 'learned' needs a strategy that learns the architecture, such as darts; "
                "for others choose a searcher, such as random or evolution"
            )
        feasible = list(problem.feasible(problem.learned))
        if not feasible:
            raise ConstraintError(
                f"the learned architecture does not satisfy {' and '.join(problem.constraints.texts)}; "
                "let the cost join the loss (strategy.cost), or search the trained weights with "
                "another searcher"
            )
        yield feasible

"""FairNAS: Chu et al., "FairNAS: Rethinking Evaluation Fairness of Weight Sharing NAS" (ICCV 2021).

Strict fairness: of a decision with m options a step trains m single paths, in which every option
occurs exactly once, and adds up their gradients before the optimizer moves anything. Each decision has
its own permutation of the options, drawn anew in every step.

Beyond the paper, whose decisions all choose one of m:

* Decisions with fewer options than the largest one begin a new permutation when theirs is used up,
  so in one step their options occur equally often but for one.
* A decision inside an option takes the next of its permutation whenever it exists.
* A decision that chooses several options draws how many as often as a uniform draw over its subsets
  would, and takes them from the same running permutations: equally often but for one again.

What paths are uniform over is not an option: every decision is drawn by itself, for that is what its
permutations are.
"""

from __future__ import annotations

from collections.abc import Iterator
from random import Random

import torch

from supernet.net import SuperNet
from supernet.space import Architecture, Decision, SearchSpace, Value
from supernet.strategies.base import Strategy
from supernet.strategies.spos import train_path
from supernet.task import Batch, Task
from supernet.train import Moment

__all__ = ["FairNAS", "fair_paths"]


class FairNAS(Strategy):
    """As many single paths a step as the largest decision has options, each option once."""

    adds = True

    def backward(self, model: SuperNet, task: Task, batch: Batch, moment: Moment) -> torch.Tensor:
        """Add the gradients of all paths and return the mean of their losses."""
        paths = fair_paths(model.space, moment.stream("permutations"))
        return torch.stack([train_path(model, path, task, batch) for path in paths]).mean()


def fair_paths(space: SearchSpace, random: Random) -> Iterator[Architecture]:
    """Yield the architectures of one step."""
    decks = {decision.label: _Deck(decision, random) for decision in space.decisions}
    for _ in range(max(len(decision.options) for decision in space.decisions)):
        yield space.build(lambda decision: decks[decision.label].answer())


class _Deck:
    """Permutations of a decision's options, one after the other, dealt as answers."""

    def __init__(self, decision: Decision, random: Random) -> None:
        self._decision = decision
        self._random = random
        self._waiting: list[int] = []

    def answer(self) -> Value:
        """Deal the next answer."""
        decision, hand = self._decision, list[int]()
        if decision.low == decision.high:
            size = decision.low
        else:  # as large as a subset drawn uniformly
            size = len(decision.indices(decision.sample(self._random)))
        while len(hand) < size:
            fresh = [option for option in self._waiting if option not in hand]
            if not fresh:
                self._waiting += self._random.sample(
                    range(len(decision.options)), len(decision.options)
                )
                continue
            self._waiting.remove(fresh[0])
            hand.append(fresh[0])
        return decision.value(sorted(hand))

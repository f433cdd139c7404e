"""AttentiveNAS: Wang et al., "Improving Neural Architecture Search via Attentive Sampling" (CVPR 2021).

The sandwich rule, but the architectures between the smallest and the largest are not any: they are near
the front of accuracy over cost, the best (BestUp) or the worst (WorstUp). For each,

1. a target cost is drawn from the costs of uniformly drawn architectures, in steps;
2. k architectures of about this cost are drawn;
3. the one with the lowest loss on the training batch is trained (WorstUp: the highest).

The losses of step 3 take no gradient, use the batch's statistics in batch norm, and leave no trace in
the supernet. All candidates of a step are compared at once: which one is trained must be known before it
runs, so a step waits for the device once.

Differences: the authors draw a cost from a table of sampled networks, then each answer by how often it
occurs at that cost, independently, and reject what misses the cost. Here one architecture is drawn
uniformly, its cost is the target, and it is the first candidate; the others are drawn uniformly until
the step of cost is met. So both distributions are exact. Where none is met in so many tries, the closest
is taken. Steps are shares of the range of costs, not 25 million multiply-adds. Dropout rests in step 3.
Losses are averaged, see `sandwich`.
"""

from __future__ import annotations

from dataclasses import dataclass
from random import Random
from typing import Literal

import torch

from supernet.cost import CostTable
from supernet.errors import ConfigError
from supernet.net import SuperNet
from supernet.net.batchnorm import batch_statistics
from supernet.space import Architecture, SearchSpace
from supernet.strategies.sandwich import Sandwich
from supernet.task import Batch, Task
from supernet.train import Moment

__all__ = ["Attentive", "AttentiveNAS"]


@dataclass(frozen=True)
class Attentive:
    """How architectures are chosen among others of about the same cost.

    Attributes:
        candidates: how many are compared; 1 is to draw uniformly.
        prefer: which of them is taken, the "best" or the "worst" on the batch.
        bins: steps that the range of costs is divided into; two costs in one are about the same.
        tries: draws until a step is given up.
    """

    candidates: int = 3
    prefer: Literal["best", "worst"] = "best"
    bins: int = 20
    tries: int = 100

    def __post_init__(self) -> None:
        if min(self.candidates, self.bins, self.tries) < 1:
            raise ConfigError(
                f"of the sampling, candidates {self.candidates}, bins {self.bins} and tries "
                f"{self.tries} must be at least 1"
            )

    def draw(
        self,
        space: SearchSpace,
        table: CostTable,
        ends: tuple[Architecture, Architecture],
        random: Random,
    ) -> list[Architecture]:
        """Return candidates of about one cost.

        Args:
            space: of the architectures.
            table: their costs.
            ends: the smallest and the largest architecture.
            random: draws them.
        """
        low, high = map(table.cost, ends)
        width = (high - low) / self.bins or 1.0
        first = space.sample(random)
        left = low + width * min((table.cost(first) - low) // width, self.bins - 1)

        def near() -> Architecture:
            closest, distance = first, float("inf")
            for _ in range(self.tries):
                architecture = space.sample(random)
                cost = table.cost(architecture)
                away = max(left - cost, cost - left - width, 0.0)
                if away < distance:
                    closest, distance = architecture, away
                if not away:
                    break
            return closest

        return [first, *(near() for _ in range(self.candidates - 1))]

    def choose(
        self, groups: list[list[Architecture]], model: SuperNet, task: Task, batch: Batch
    ) -> list[Architecture]:
        """Return the preferred architecture of each group, by the task's loss on the batch."""
        if not groups or self.candidates == 1:
            return [group[0] for group in groups]
        losses = []
        with torch.no_grad(), batch_statistics(model):
            for group in groups:
                for architecture in group:
                    with model.route(architecture):
                        losses.append(task.loss(model, batch))
        table = torch.stack(losses).view(len(groups), self.candidates)
        picked = table.argmin(1) if self.prefer == "best" else table.argmax(1)
        return [group[index] for group, index in zip(groups, picked.tolist(), strict=True)]


class AttentiveNAS(Sandwich):
    """The sandwich rule with architectures near the front of accuracy over cost.

    Args:
        paths: architectures of a step, the largest and the smallest included.
        quantity: the cost of which architectures are compared that have about the same.
        sampling: how those between the smallest and the largest are chosen.

    Raises:
        ConfigError: there are fewer than two paths.
    """

    def __init__(
        self, paths: int = 4, quantity: str = "macs", sampling: Attentive = Attentive()
    ) -> None:
        super().__init__(paths, distil_from=0.0, quantity=quantity)
        self.sampling = sampling

    def middle(
        self, model: SuperNet, task: Task, batch: Batch, moment: Moment
    ) -> list[Architecture]:
        """Return the architectures that are preferred among their like."""
        random = moment.stream("attentive")
        groups = [
            self.sampling.draw(model.space, self._table, self._ends, random)
            for _ in range(self.paths - 2)
        ]
        return self.sampling.choose(groups, model, task, batch)

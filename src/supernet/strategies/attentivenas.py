"""AttentiveNAS: Wang et al., "Improving Neural Architecture Search via Attentive Sampling" (CVPR 2021).

The sandwich rule, but the architectures between the smallest and the largest are not any: they are near
the front of accuracy over cost, the best (BestUp) or the worst (WorstUp). For each,

1. a target cost is drawn from the costs of randomly drawn architectures, in steps;
2. k architectures of about this cost are drawn;
3. the one with the lowest loss on the training batch is trained (WorstUp: the highest).

The losses of step 3 take no gradient, use the batch's statistics in batch norm, and leave no trace in
the supernet. All candidates of a step are compared at once: which one is trained must be known before it
runs, so a step waits for the device once.

No entry of a step's gradient is larger than `clip_value`, as in the authors' code, whose losses are
summed; they are averaged here (see `sandwich`), and so is the bound.

Differences: the authors draw a cost from a table of sampled networks, then each answer by how often it
occurs at that cost, independently, and reject what misses the cost. Here one architecture is drawn, each
decision by itself as in their table; its cost is the target, and it is the first candidate; the others
are drawn alike until the step of cost is met. So both distributions are exact. Where none is met in so
many tries, the closest is taken. Steps are shares of the range of costs, not 25 million multiply-adds.
Dropout rests in step 3.
"""

from __future__ import annotations

from dataclasses import dataclass
from random import Random
from typing import Literal

import torch
from torch import nn

from supernet.cost import CostTable
from supernet.errors import ConfigError
from supernet.net import SuperNet
from supernet.net.batchnorm import batch_statistics
from supernet.space import Architecture, Sampling, SearchSpace
from supernet.strategies.sandwich import Sandwich
from supernet.task import Batch, Task
from supernet.train import Moment, average_gradients

__all__ = ["Attentive", "AttentiveNAS"]


@dataclass(frozen=True)
class Attentive:
    """Settings by which architectures are chosen among others of about the same cost.

    Attributes:
        candidates: number of architectures that are compared; 1 is to draw without a look at
            others.
        prefer: side of the comparison that is taken, the "best" or the "worst" on the batch.
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
        sampling: Sampling = "decisions",
    ) -> list[Architecture]:
        """Return candidates of about one cost.

        Args:
            space: space that the architectures are drawn from.
            table: costs of the architectures.
            ends: the smallest and the largest architecture.
            random: random generator of the draws.
            sampling: set that draws are uniform over, see `Sandwich`.
        """
        low, high = map(table.cost, ends)
        width = (high - low) / self.bins or 1.0
        first = space.sample(random, sampling)
        left = low + width * min((table.cost(first) - low) // width, self.bins - 1)

        def near() -> Architecture:
            closest, distance = first, float("inf")
            for _ in range(self.tries):
                architecture = space.sample(random, sampling)
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
        attention: settings by which the architectures between the smallest and the largest are
            chosen.
        sampling: set that the draws among which they are chosen are uniform over, see `Sandwich`.
        clip_value: the largest entry of the gradient of the losses' sum; None for no limit.

    Raises:
        ConfigError: there are fewer than two paths, or the limit is not positive.
    """

    adds = False  # it compares the losses, and bounds the gradients, of a whole batch

    def __init__(
        self,
        paths: int = 4,
        quantity: str = "macs",
        attention: Attentive = Attentive(),
        sampling: Sampling = "decisions",
        clip_value: float | None = 1.0,
    ) -> None:
        super().__init__(paths, distil_from=0.0, quantity=quantity, sampling=sampling)
        if clip_value is not None and not clip_value > 0:
            raise ConfigError(f"clip_value is above 0, or null for no limit, not {clip_value}")
        self.attention = attention
        self.clip_value = clip_value
        self.averages = clip_value is not None

    def backward(self, model: SuperNet, task: Task, batch: Batch, moment: Moment) -> torch.Tensor:
        """Add the gradients of all paths, within the limit; return the mean of their losses."""
        if self.clip_value is None:
            return super().backward(model, task, batch, moment)
        before = {p: p.grad for p in model.parameters() if p.grad is not None}
        for parameter in before:
            parameter.grad = None
        loss = super().backward(model, task, batch, moment)
        average_gradients(model)
        nn.utils.clip_grad_value_(model.parameters(), self.clip_value / self.paths)
        for parameter, grad in before.items():
            parameter.grad = grad if parameter.grad is None else parameter.grad + grad
        return loss

    def middle(
        self, model: SuperNet, task: Task, batch: Batch, moment: Moment
    ) -> list[Architecture]:
        """Return the architectures that are preferred among their like."""
        random = moment.stream("attentive")
        groups = [
            self.attention.draw(model.space, self._table, self._ends, random, self.sampling)
            for _ in range(self.paths - 2)
        ]
        return self.attention.choose(groups, model, task, batch)

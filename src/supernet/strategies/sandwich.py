"""The sandwich rule: Yu and Huang, "Universally Slimmable Networks" (ICCV 2019).

And with more than widths, Yu et al., "BigNAS" (ECCV 2020). Every step trains the largest architecture,
the smallest, and some drawn uniformly, and adds their gradients. The largest learns from the labels, all
others from what the largest says (in-place distillation): with its outputs z, which pass no gradient,

    L = 1/n · ( L_task(largest) + Σ_others D(outputs, z) ),

where D is the task's distance between outputs, for logits the cross-entropy with softmax(z). Dropout and
dropped paths act in the largest only (BigNAS). After such training sub-networks are good as they are:
score them with recalibrated batch norm, and use them with or without further training.

The largest architecture is the one of the highest cost, the smallest that of the lowest; between equal
costs the last option of a decision counts as the larger.

Differences: the published codes sum the losses (US-Nets, AlphaNet), here they are averaged, so that the
learning rate means the same for any n; weight decay acts on all weights that have a gradient.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch.nn.modules.dropout import _DropoutNd

from supernet.cost import CostTable
from supernet.errors import ConfigError
from supernet.net import SuperNet
from supernet.ops import DropPath
from supernet.space import Architecture, SearchSpace, Value
from supernet.strategies.base import BatchNorm, Setting, Strategy
from supernet.task import Batch, Task, watched
from supernet.train import Moment, backward

__all__ = ["Sandwich", "extremes"]


class Sandwich(Strategy):
    """The largest, the smallest and drawn architectures in every step, with in-place distillation.

    Args:
        paths: architectures of a step, the largest and the smallest included.
        distil: whether all but the largest learn from its outputs instead of the labels.
        quantity: the cost that says which architecture is the largest.

    Raises:
        ConfigError: there are fewer than two paths.
    """

    batch_norm: BatchNorm = "recalibrate"

    def __init__(self, paths: int = 4, distil: bool = True, quantity: str = "macs") -> None:
        if paths < 2:
            raise ConfigError(f"a sandwich has at least 2 paths, not {paths}")
        self.paths = paths
        self.distil = distil
        self.quantity = quantity

    def prepare(self, supernet: SuperNet, setting: Setting) -> None:
        """Find the smallest and the largest architecture.

        Raises:
            ConfigError: there is no table of the quantity.
        """
        self._ends = extremes(supernet.space, setting.table(self.quantity))
        self._random = [m for m in supernet.modules() if isinstance(m, _DropoutNd | DropPath)]

    def backward(self, model: SuperNet, task: Task, batch: Batch, moment: Moment) -> torch.Tensor:
        """Add the gradients of all paths; return the mean of their losses by the labels."""
        _, largest = self._ends
        with model.route(largest):
            loss, outputs = watched(task, model, batch, by="Sandwich")
        backward(loss / self.paths)
        losses = [loss.detach()]
        teacher = [output.detach() for output in outputs]
        for architecture in self.others(model.space, moment):
            with model.route(architecture), self._undropped():
                loss, outputs = watched(task, model, batch, by="Sandwich")
                losses.append(loss.detach())
                if self.distil:
                    pairs = zip(outputs, teacher, strict=True)
                    loss = torch.stack([task.distance(z, other) for z, other in pairs]).sum()
                backward(loss / self.paths)
        return torch.stack(losses).mean()

    def others(self, space: SearchSpace, moment: Moment) -> list[Architecture]:
        """Return the smallest architecture and those drawn in this step."""
        random = moment.stream("sandwich")
        return [self._ends[0], *(space.sample(random) for _ in range(self.paths - 2))]

    @contextmanager
    def _undropped(self) -> Iterator[None]:
        """Within the block nothing is dropped."""
        before = [module.training for module in self._random]
        try:
            for module in self._random:
                module.__dict__["training"] = False
            yield
        finally:
            for module, training in zip(self._random, before, strict=True):
                module.__dict__["training"] = training


def extremes(space: SearchSpace, table: CostTable) -> tuple[Architecture, Architecture]:
    """Return the architectures of the smallest and of the largest cost.

    They are found decision by decision, until none improves: exactly where costs are sums over decisions
    or grow with every size.
    """
    return _extreme(space, table, -1), _extreme(space, table, 1)


def _extreme(space: SearchSpace, table: CostTable, sign: int) -> Architecture:
    answers = {
        d.label: d.value(
            range(len(d.options) - d.high, len(d.options)) if sign > 0 else range(d.low)
        )
        for d in space.decisions
    }

    def built(label: str, value: Value) -> Architecture:
        return space.build(lambda d: value if d.label == label else answers[d.label])

    found, before = built("", ""), None
    while found != before:
        before = found
        for decision in space.decisions:
            if decision.label in found:
                tried = [built(decision.label, value) for value in decision.values()]
                better = max([found, *tried], key=lambda one: sign * table.cost(one))
                answers.update(better)
                found = better
    return found

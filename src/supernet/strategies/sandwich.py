"""The sandwich rule: Yu and Huang, "Universally Slimmable Networks" (ICCV 2019).

And with more than widths, Yu et al., "BigNAS" (ECCV 2020). Every step trains the largest architecture,
the smallest, and some drawn at random, each number by itself, and adds their gradients. The largest
learns from the labels, all others from what the largest says (in-place distillation): with its outputs
z, which pass no gradient,

    L = 1/n · ( L_task(largest) + Σ_others D(outputs, z) ),

where D is the task's distance between outputs, for logits the cross-entropy with softmax(z). In the
first part of the steps all learn from the labels, for the largest has little to say yet. Dropout and
dropped paths act in the largest only (BigNAS). After such training sub-networks are good as they are:
score them with recalibrated batch norm, and use them with or without further training.

The largest architecture is the one of the highest cost, the smallest that of the lowest; between equal
costs the last option of a decision counts as the larger.

Differences: the published codes sum the losses (US-Nets, AlphaNet), here they are averaged, so that the
learning rate means the same for any n; weight decay acts on all weights that have a gradient; the papers
distil from the first step on, which made sub-networks worse in short trainings.
"""

from __future__ import annotations

from typing import ClassVar

import torch

from supernet.errors import ConfigError
from supernet.net import SuperNet
from supernet.space import Architecture, Sampling
from supernet.strategies.base import BatchNorm, Strategy, TrainingContext
from supernet.strategies.undropped import dropping, undropped
from supernet.task import Batch, Task, loss_and_outputs
from supernet.train import Moment, backward

__all__ = ["Sandwich"]


class Sandwich(Strategy):
    """The largest, the smallest and drawn architectures in every step, with in-place distillation.

    Args:
        paths: architectures of a step, the largest and the smallest included.
        distil: whether all architectures but the largest learn from its outputs instead of the
            labels.
        distil_from: share of the steps, in [0, 1], before which all learn from the labels.
        quantity: the cost that says which architecture is the largest.
        sampling: set that drawn architectures are uniform over: the answers of each of their
            "decisions" by itself, or all "architectures", of which most are of the largest depths.

    Raises:
        ConfigError: there are fewer than two paths, or the share is out of range.
    """

    batch_norm: BatchNorm = "recalibrate"
    one_stage: ClassVar[bool] = True
    adds = True

    def __init__(
        self,
        paths: int = 4,
        distil: bool = True,
        distil_from: float = 0.5,
        quantity: str = "macs",
        sampling: Sampling = "decisions",
    ) -> None:
        if paths < 2:
            raise ConfigError(f"a sandwich has at least 2 paths, not {paths}")
        if not 0 <= distil_from <= 1:
            raise ConfigError(f"distil_from is a share of the steps in [0, 1], not {distil_from}")
        self.paths = paths
        self.distil = distil
        self.distil_from = distil_from
        self.quantity = quantity
        self.sampling: Sampling = sampling

    def prepare(self, supernet: SuperNet, setting: TrainingContext) -> None:
        """Find the smallest and the largest architecture.

        Raises:
            ConfigError: there is no table of the quantity.
        """
        self._table = setting.table(self.quantity)
        self._ends = self._table.extremes(supernet.space)
        self._random = dropping(supernet)

    def backward(self, model: SuperNet, task: Task, batch: Batch, moment: Moment) -> torch.Tensor:
        """Add the gradients of all paths; return the mean of their losses by the labels."""
        name, (smallest, largest) = type(self).__name__, self._ends
        with model.route(largest):
            loss, outputs = loss_and_outputs(task, model, batch, by=name)
        backward(loss / self.paths)
        losses = [loss.detach()]
        teacher = [output.detach() for output in outputs]
        distils = self.distil and moment.progress >= self.distil_from
        for architecture in [smallest, *self.middle(model, task, batch, moment)]:
            with model.route(architecture), undropped(self._random):
                loss, outputs = loss_and_outputs(task, model, batch, by=name)
                losses.append(loss.detach())
                if distils:
                    pairs = zip(outputs, teacher, strict=True)
                    loss = torch.stack([self.distance(task, z, other) for z, other in pairs]).sum()
                backward(loss / self.paths)
        return torch.stack(losses).mean()

    def middle(
        self, model: SuperNet, task: Task, batch: Batch, moment: Moment
    ) -> list[Architecture]:
        """Return the architectures between the smallest and the largest that this step trains."""
        random = moment.stream("sandwich")
        return [model.space.sample(random, self.sampling) for _ in range(self.paths - 2)]

    def distance(self, task: Task, outputs: torch.Tensor, teacher: torch.Tensor) -> torch.Tensor:
        """Return how far outputs are from those of the largest, a scalar."""
        return task.distance(outputs, teacher)

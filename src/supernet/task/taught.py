"""A task whose loss is, in part or wholly, the distance from what a teacher says.

Hinton, Vinyals and Dean, "Distilling the Knowledge in a Neural Network" (2015), with temperature 1: with
outputs z of the model and t of the teacher, which passes no gradient, and the share s,

    L = (1 - s) · L_task(z, labels) + s · D(z, t),

where D is the task's distance between outputs, for logits the cross-entropy with softmax(t).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import nn

from supernet.errors import ConfigError
from supernet.modules.nested import tensors
from supernet.task.base import Batch, Task, outputs_of
from supernet.task.watched import loss_and_outputs

__all__ = ["Taught"]

_BY = "a teacher"


class Taught(Task):
    """The task, for models that learn from a teacher.

    Args:
        task: task that is learned from the labels.
        teacher: model in evaluation mode that takes the same inputs; its weights stay as they are.
        share: share of the loss that is the distance from the teacher, in (0, 1]; with 1 labels are not
            looked at.
    """

    def __init__(self, task: Task, teacher: nn.Module, share: float) -> None:
        self._task, self._teacher, self._share = task, teacher, share
        self.lower_is_better = task.lower_is_better
        self._said: tuple[Any, list[torch.Tensor]] | None = None

    def loss(self, model: nn.Module, batch: Batch) -> torch.Tensor:
        """Return the loss by the labels and the teacher.

        Raises:
            ConfigError: the model and the teacher return other numbers or shapes of tensors.
        """
        said = self._outputs(batch)
        if self._share == 1:
            return self._distance(list(tensors(outputs_of(model, batch))), said)
        loss, outputs = loss_and_outputs(self._task, model, batch, by=_BY)
        return (1 - self._share) * loss + self._share * self._distance(outputs, said)

    def distance(self, outputs: torch.Tensor, teacher: torch.Tensor) -> torch.Tensor:
        """Return the task's distance of outputs."""
        return self._task.distance(outputs, teacher)

    def log_probabilities(self, outputs: torch.Tensor) -> torch.Tensor:
        """Return the task's logarithms of probabilities."""
        return self._task.log_probabilities(outputs)

    def measure(self, model: nn.Module, batch: Batch) -> dict[str, torch.Tensor]:
        """Return the task's measures."""
        return self._task.measure(model, batch)

    def figures(self, means: Mapping[str, torch.Tensor]) -> Mapping[str, torch.Tensor]:
        """Return the task's figures."""
        return self._task.figures(means)

    def _outputs(self, batch: Batch) -> list[torch.Tensor]:
        """Return what the teacher says of a batch; of one that comes several times it is asked once."""
        targets = batch[-1]
        if self._said is None or self._said[0] is not targets:
            with torch.no_grad():
                said = [one.detach() for one in tensors(outputs_of(self._teacher, batch))]
            self._said = targets, said
        return self._said[1]

    def _distance(
        self, outputs: Sequence[torch.Tensor], said: Sequence[torch.Tensor]
    ) -> torch.Tensor:
        shapes, others = ([tuple(one.shape) for one in each] for each in (outputs, said))
        if shapes != others:
            raise ConfigError(
                f"{_BY} has to return what the model does, but of a batch the model returned {shapes} "
                f"and the teacher {others}; train without a teacher (--train.teacher null, or "
                "--retrain.train.teacher null)"
            )
        pairs = zip(outputs, said, strict=True)
        return torch.stack([self._task.distance(z, other.to(z.dtype)) for z, other in pairs]).sum()

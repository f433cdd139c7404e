"""A task whose losses and measures are those of the batches of all ranks."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import nn

from supernet.ranks import agreed, ranks
from supernet.task.base import Batch, Task

__all__ = ["of_all_ranks"]


def of_all_ranks(task: Task) -> Task:
    """Return the task, or where several ranks compute together, one whose means are over all of them."""
    return Agreed(task) if ranks() > 1 else task


class Agreed(Task):
    """A task whose loss, and whose measures' means, are the same on all ranks.

    The gradient of a loss is that of this rank's part: the mean of the gradients of all ranks is that of
    the whole.

    Args:
        task: task that computes them for the batch of this rank.
    """

    def __init__(self, task: Task) -> None:
        self._task = task
        self.lower_is_better = task.lower_is_better

    def loss(self, model: nn.Module, batch: Batch) -> torch.Tensor:
        """Return the mean over the batches of all ranks."""
        return agreed(self._task.loss(model, batch))

    def distance(self, outputs: torch.Tensor, teacher: torch.Tensor) -> torch.Tensor:
        """Return how far outputs are from those of a teacher, over all ranks."""
        return agreed(self._task.distance(outputs, teacher))

    def log_probabilities(self, outputs: torch.Tensor) -> torch.Tensor:
        """Return the task's logarithms of probabilities."""
        return self._task.log_probabilities(outputs)

    def measure(self, model: nn.Module, batch: Batch) -> dict[str, torch.Tensor]:
        """Return measures of this rank's examples, moved so that their means are those of all ranks."""
        measures = self._task.measure(model, batch)
        return {name: one + _moved(one) for name, one in measures.items()}

    def figures(self, means: Mapping[str, torch.Tensor]) -> Mapping[str, torch.Tensor]:
        """Return the task's figures."""
        return self._task.figures(means)


def _moved(values: torch.Tensor) -> torch.Tensor:
    """Return by how much the mean over all ranks is higher than that of this one, `[...]`."""
    mean = values.detach().mean(0)
    return agreed(mean) - mean

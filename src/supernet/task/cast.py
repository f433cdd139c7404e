"""A task whose models compute in numbers of half the size."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import nn

from supernet.modules.hooks import hooked
from supernet.modules.nested import mapped
from supernet.precision import Precision, autocasting
from supernet.task.base import Batch, Task

__all__ = ["in_precision"]


def in_precision(task: Task, precision: Precision) -> Task:
    """Return the task, or for less than float32 one that runs models under PyTorch's autocast."""
    return task if precision == "float32" else Cast(task, precision)


class Cast(Task):
    """A task that runs models in a type of half the size, and compares their outputs in float32.

    Strategies run models through tasks only, so whatever a strategy trains is computed so.

    Args:
        task: task that takes losses and measures.
        precision: type that convolutions and matrix products compute in.
    """

    def __init__(self, task: Task, precision: Precision) -> None:
        self._task = task
        self._precision = precision
        self.lower_is_better = task.lower_is_better

    def loss(self, model: nn.Module, batch: Batch) -> torch.Tensor:
        """Return the task's loss."""
        with hooked([model], leave=_outputs), autocasting(self._precision, batch[-1].device):
            return self._task.loss(model, batch)

    def distance(self, outputs: torch.Tensor, teacher: torch.Tensor) -> torch.Tensor:
        """Return the task's distance of outputs."""
        return self._task.distance(_whole(outputs), _whole(teacher))

    def log_probabilities(self, outputs: torch.Tensor) -> torch.Tensor:
        """Return the task's logarithms of probabilities."""
        return self._task.log_probabilities(_whole(outputs))

    def measure(self, model: nn.Module, batch: Batch) -> dict[str, torch.Tensor]:
        """Return the task's measures."""
        with hooked([model], leave=_outputs), autocasting(self._precision, batch[-1].device):
            return self._task.measure(model, batch)

    def figures(self, means: Mapping[str, torch.Tensor]) -> Mapping[str, torch.Tensor]:
        """Return the task's figures."""
        return self._task.figures(means)


def _outputs(model: nn.Module, given: object, returned: Any) -> Any:
    return mapped(_whole, returned)


def _whole(value: torch.Tensor) -> torch.Tensor:
    """Return a tensor in float32 where it is of half the size."""
    return value.float() if value.dtype in (torch.bfloat16, torch.float16) else value

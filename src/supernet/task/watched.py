"""What a model returns while a task takes its loss, for strategies that compare networks."""

from __future__ import annotations

import torch
from torch import nn

from supernet.errors import ConfigError
from supernet.modules.hooks import hooked
from supernet.modules.nested import tensors
from supernet.task.base import Batch, Task

__all__ = ["loss_and_outputs"]


def loss_and_outputs(
    task: Task, model: nn.Module, batch: Batch, by: str
) -> tuple[torch.Tensor, list[torch.Tensor]]:
    """Return the task's loss, and the tensors that the model returned for it, of all its calls.

    Args:
        task: task that calls the model.
        model: returns tensors, alone or in tuples, lists and dictionaries.
        batch: batch of examples, see `Task`.
        by: name of what compares outputs, for the message.

    Raises:
        ConfigError: the model was not called, or returned something else.
    """
    outputs: list[torch.Tensor] = []

    def keep(module: nn.Module, given: object, returned: object) -> None:
        found = list(tensors(returned))
        if not found:
            raise ConfigError(
                f"{by} compares what networks return, tensors alone or in tuples, lists and "
                f"dictionaries, but the model returned {type(returned).__name__}; use another strategy"
            )
        outputs.extend(found)

    with hooked([model], leave=keep):
        loss = task.loss(model, batch)
    if not outputs:
        raise ConfigError(
            f"{by} compares what networks return, but the loss of {type(task).__name__} does not call "
            "the model; use another strategy"
        )
    return loss, outputs

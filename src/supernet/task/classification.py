"""Classification with cross-entropy."""

from __future__ import annotations

import torch
from torch import nn
from torch.nn import functional as F

from supernet.errors import ConfigError, DataError
from supernet.task.base import Batch, Task

__all__ = ["Classification"]


class Classification(Task):
    """The model maps inputs to logits `[batch, classes]`; targets are class indices `[batch]`.

    Args:
        label_smoothing: share of the target mass spread over all classes, in training only.

    Raises:
        ConfigError: the smoothing is not in 0..1.
    """

    def __init__(self, label_smoothing: float = 0.0) -> None:
        if not 0 <= label_smoothing <= 1:
            raise ConfigError(f"label_smoothing must be in 0..1, not {label_smoothing}")
        self.label_smoothing = label_smoothing

    def loss(self, model: nn.Module, batch: Batch) -> torch.Tensor:
        """Return the mean cross-entropy.

        Raises:
            DataError: targets or logits have another shape or type.
        """
        *inputs, targets = batch
        logits = model(*inputs)
        _check(logits, targets)
        return F.cross_entropy(logits, targets, label_smoothing=self.label_smoothing)

    def measure(self, model: nn.Module, batch: Batch) -> dict[str, torch.Tensor]:
        """Return the cross-entropy (without smoothing) and whether the prediction is right."""
        *inputs, targets = batch
        logits = model(*inputs)
        _check(logits, targets)
        return {
            "loss": F.cross_entropy(logits, targets, reduction="none"),
            "accuracy": (logits.argmax(1) == targets).to(logits.dtype),
        }


def _check(logits: torch.Tensor, targets: torch.Tensor) -> None:
    """Check shapes and types (free of cost: no value is read).

    Raises:
        DataError: these are not logits `[batch, classes]` and class numbers `[batch]`.
    """
    if targets.ndim != 1 or targets.dtype != torch.int64:
        raise DataError(
            f"classification needs one class number per example, int64 [batch], but the targets are "
            f"{targets.dtype} {list(targets.shape)}; give targets.argmax(1) for one-hot ones, "
            "targets.squeeze(1).long() for a column, or another task"
        )
    if logits.ndim != 2 or len(logits) != len(targets):
        raise DataError(
            f"classification needs logits [batch, classes], but for {len(targets)} examples the model "
            f"returned {list(logits.shape)}"
        )

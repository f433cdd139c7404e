"""Classification with cross-entropy."""

from __future__ import annotations

import torch
from torch import nn
from torch.nn import functional as F

from supernet.errors import ConfigError
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
        """Return the mean cross-entropy."""
        *inputs, targets = batch
        return F.cross_entropy(model(*inputs), targets, label_smoothing=self.label_smoothing)

    def measure(self, model: nn.Module, batch: Batch) -> dict[str, torch.Tensor]:
        """Return the cross-entropy (without smoothing) and whether the prediction is right."""
        *inputs, targets = batch
        logits = model(*inputs)
        return {
            "loss": F.cross_entropy(logits, targets, reduction="none"),
            "accuracy": (logits.argmax(1) == targets).to(logits.dtype),
        }

"""A strategy: how the shared weights are learned."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Literal

import torch

from supernet.net import SuperNet
from supernet.task import Batch, Task
from supernet.train import Moment

__all__ = ["BatchNorm", "Strategy"]

BatchNorm = Literal["batch", "recalibrate"]
"""Statistics of batch norm when candidates are scored: of the evaluation batch, or re-estimated."""


class Strategy(ABC):
    """Produces the gradients of one step on the shared weights; a `supernet.train.Learner`."""

    batch_norm: BatchNorm = "recalibrate"
    """How the paper scores candidates; the evaluation's default."""

    @abstractmethod
    def backward(self, model: SuperNet, task: Task, batch: Batch, moment: Moment) -> torch.Tensor:
        """Add this step's gradients to the used parameters and return the detached loss.

        Every random draw must come from `moment.stream(...)`. Parameters that are not used keep the
        gradient None.
        """

"""RandomNAS: Li & Talwalkar, "Random Search and Reproducibility for NAS" (UAI 2019).

Every step trains one architecture drawn uniformly from the space, as in SPOS. What is the method's
own is how it selects, which is the searcher `randomnas`.

Candidates are scored with the statistics of the evaluation batch, since the paper re-estimates none.
"""

from __future__ import annotations

import torch

from supernet.net import SuperNet
from supernet.strategies.base import BatchNorm, Strategy
from supernet.strategies.spos import train_path
from supernet.task import Batch, Task
from supernet.train import Moment

__all__ = ["RandomNAS"]


class RandomNAS(Strategy):
    """Uniform single path, selected by the searcher of the same name."""

    batch_norm: BatchNorm = "batch"

    def backward(self, model: SuperNet, task: Task, batch: Batch, moment: Moment) -> torch.Tensor:
        """Add the gradients of one uniformly drawn architecture."""
        return train_path(model, model.space.sample(moment.stream("path")), task, batch)

"""RandomNAS: Li & Talwalkar, "Random Search and Reproducibility for NAS" (UAI 2019).

Every step trains one architecture, of which each decision is drawn uniformly by itself, as in SPOS and
in the authors' code. What is the method's own is how it selects, which is the searcher `randomnas`.

Differences: the authors' code scores in evaluation mode with the running statistics of batch norm, which
have seen all paths and fit none. Here candidates are scored with those of the evaluation batch, unless
`evaluate.batch_norm` says "running".
"""

from __future__ import annotations

import torch

from supernet.net import SuperNet
from supernet.space import Sampling
from supernet.strategies.base import BatchNorm, Strategy
from supernet.strategies.spos import train_path
from supernet.task import Batch, Task
from supernet.train import Moment

__all__ = ["RandomNAS"]


class RandomNAS(Strategy):
    """Uniform single path, selected by the searcher of the same name.

    Args:
        sampling: set that a path is uniform over: the answers of each of its "decisions" by itself,
            or all "architectures".
    """

    batch_norm: BatchNorm = "batch"
    adds = True

    def __init__(self, sampling: Sampling = "decisions") -> None:
        self.sampling: Sampling = sampling

    def backward(self, model: SuperNet, task: Task, batch: Batch, moment: Moment) -> torch.Tensor:
        """Add the gradients of one drawn architecture."""
        path = model.space.sample(moment.stream("path"), self.sampling)
        return train_path(model, path, task, batch)

"""SPOS: Guo et al., "Single Path One-Shot Neural Architecture Search with Uniform Sampling" (ECCV 2020).

Every step trains one architecture, drawn uniformly from the space. Candidates are scored after the
statistics of batch norm were re-estimated for each of them.

The authors' code draws uniformly over cost bins instead; the paper, and this file, over the space.
"""

from __future__ import annotations

import torch

from supernet.net import SuperNet
from supernet.strategies.base import Strategy
from supernet.task import Batch, Task
from supernet.train import Moment, backward

__all__ = ["SPOS"]


class SPOS(Strategy):
    """Uniform single path."""

    def backward(self, model: SuperNet, task: Task, batch: Batch, moment: Moment) -> torch.Tensor:
        """Add the gradients of one uniformly drawn architecture."""
        architecture = model.space.sample(moment.stream("path"))
        with model.route(architecture):
            loss = task.loss(model, batch)
        return backward(loss)

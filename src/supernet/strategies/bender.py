"""One-shot training with path dropout.

Bender et al., "Understanding and Simplifying One-Shot Architecture Search" (ICML 2018).

All options of all decisions are on, and each is dropped independently. For a decision with k options
(an operation with k incoming paths) an option is dropped with probability `progress · r^(1/k)`, rising
linearly from 0 at the first step to r^(1/k) at the last, where the probability that *all* k paths
vanish is (r^(1/k))^k = r whatever k. A decision whose options all vanish contributes zero.

Masks are drawn per label, so all cells that share an architecture share the mask, as they do when
candidates are scored. Each ghost batch has its own masks and, since it passes through the network on
its own, its own batch norm statistics. Parameters without a live path get no gradient, so L2 (the
optimizer's weight decay) and momentum act on active ones only. Candidates are scored with the
statistics of the evaluation batch.

Differences from the paper: its ramp's exact form and the value of r are not published; r = 0.1 here.
"""

from __future__ import annotations

from random import Random

import torch

from supernet.errors import ConfigError
from supernet.net import Routing, SuperNet
from supernet.space import SearchSpace
from supernet.strategies.base import BatchNorm, Strategy
from supernet.task import Batch, Task
from supernet.train import Moment, backward

__all__ = ["BenderOneShot"]


class BenderOneShot(Strategy):
    """Path dropout with independent masks per ghost batch.

    Args:
        vanish: r, the probability at the end of training that all incoming paths of an operation
            are dropped; 0 keeps everything on.
        ghost_size: images per ghost batch; a batch is cut into nearly equal parts of about this size.

    Raises:
        ConfigError: r is not in [0, 1) or the ghost size is not positive.
    """

    batch_norm: BatchNorm = "batch"

    def __init__(self, vanish: float = 0.1, ghost_size: int = 32) -> None:
        if not 0 <= vanish < 1:
            raise ConfigError(f"vanish is a probability in [0, 1), not {vanish}")
        if ghost_size < 1:
            raise ConfigError(f"ghost_size is a number of images, at least 1, not {ghost_size}")
        self.vanish = vanish
        self.ghost_size = ghost_size

    def backward(self, model: SuperNet, task: Task, batch: Batch, moment: Moment) -> torch.Tensor:
        """Add the gradients of the whole batch, each ghost batch under its own masks."""
        random = moment.stream("masks")
        ghosts = max(1, round(len(batch[0]) / self.ghost_size))
        masks = [self.mask(model.space, moment.progress, random) for _ in range(ghosts)]
        with model.route(masks):
            loss = task.loss(model, batch)
        return backward(loss)

    def mask(self, space: SearchSpace, progress: float, random: Random) -> Routing:
        """Draw which options of every decision stay on."""
        keep = {}
        for decision in space.decisions:
            paths = len(decision.options)
            dropped = progress * self.vanish ** (1 / paths)
            keep[decision.label] = tuple(i for i in range(paths) if random.random() >= dropped)
        return Routing.masked(space, keep)

"""One-shot training with path dropout.

Bender et al., "Understanding and Simplifying One-Shot Architecture Search" (ICML 2018).

All options of all decisions are on, and each is dropped independently. For a decision with k options
(an operation with k incoming paths) an option is dropped with probability `progress · r^(1/k)`, rising
linearly from 0 at the first step to r^(1/k) at the last, where the probability that *all* k paths
vanish is (r^(1/k))^k = r whatever k. A decision whose options all vanish contributes zero. One that has
a single option, as in the parts of a supernet that was split, leaves nothing to choose and keeps it.

In the paper's space other blocks carry the signal past one that vanished. In a chain of layers nothing
does: the outputs would be the same for all examples, in most ghost batches of a deep one. So where all
that is dropped cuts the outputs off from the inputs (see `supernet.strategies.reachability`), decisions
without options, in random order, get one of them back, drawn uniformly, until the signal passes. The
log says in which share of the ghost batches that was so ("revived").

Masks are drawn per label, so all cells that share an architecture share the mask, as they do when
candidates are scored. Each ghost batch has its own masks and, since it passes through the network on
its own, its own batch norm statistics. Parameters without a live path get no gradient, so L2 (the
optimizer's weight decay) and momentum act on active ones only. Candidates are scored with the
statistics of the evaluation batch.

Differences from the paper: its ramp's exact form and the value of r are not published; r = 0.1 here. It
says nothing of networks that are cut off, of which its own space has few.
"""

from __future__ import annotations

from collections.abc import Mapping
from random import Random
from typing import Any

import torch

from supernet.choice import Routing
from supernet.errors import ConfigError
from supernet.net import SuperNet
from supernet.ranks import own_part, ranks
from supernet.space import SearchSpace
from supernet.strategies.base import BatchNorm, Strategy
from supernet.strategies.reachability import Reachability
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
    same_paths = False

    def __init__(self, vanish: float = 0.1, ghost_size: int = 32) -> None:
        if not 0 <= vanish < 1:
            raise ConfigError(f"vanish is a probability in [0, 1), not {vanish}")
        if ghost_size < 1:
            raise ConfigError(f"ghost_size is a number of images, at least 1, not {ghost_size}")
        self.vanish = vanish
        self.ghost_size = ghost_size
        self._signal: Reachability | None = None
        self._drawn = self._revived = 0

    def backward(self, model: SuperNet, task: Task, batch: Batch, moment: Moment) -> torch.Tensor:
        """Add the gradients of the whole batch, each ghost batch under its own masks."""
        random = moment.stream("masks")
        whole = len(batch[-1]) * ranks()
        ghosts = max(1, round(whole / self.ghost_size))
        if ranks() > 1 and (ghosts % ranks() or whole % ghosts):
            raise ConfigError(
                f"a batch of {whole} examples has {ghosts} ghost batches of about {self.ghost_size} "
                f"(strategy.ghost_size), which {ranks()} processes cannot share out as they are; choose "
                f"sizes such that the ghost batches are equally large and a multiple of {ranks()}"
            )
        if self._signal is None or self._signal.model is not model:
            self._signal = Reachability(model, task, batch)
        masks = [self.mask(model.space, moment.progress, random) for _ in range(ghosts)]
        with model.route(masks[own_part(ghosts)]):  # each rank has ghost batches of its own
            loss = task.loss(model, batch)
        return backward(loss)

    def mask(self, space: SearchSpace, progress: float, random: Random) -> Routing:
        """Draw which options of every decision stay on.

        Before the first step it is not known what passes the signal; every decision counts as one that
        must then.

        Args:
            space: space whose decisions are masked.
            progress: share of the training that is done, 0 to 1.
            random: random generator of the draws.
        """
        signal = self._signal
        keep = {}
        for decision in space.decisions:
            paths = len(decision.options)
            dropped = progress * self.vanish ** (1 / paths) if paths > 1 else 0.0
            keep[decision.label] = tuple(i for i in range(paths) if random.random() >= dropped)
        self._drawn += 1
        passing = {
            d: signal.passing(d) if signal else tuple(range(len(d.options)))
            for d in space.decisions
        }
        empty = [d for d, some in passing.items() if some and not {*keep[d.label]} & {*some}]
        random.shuffle(empty)
        if empty and not (signal and signal.reaches(keep)):
            self._revived += 1
            while empty and not (signal and signal.reaches(keep)):
                decision = empty.pop()
                back = random.choice(passing[decision])
                keep[decision.label] = tuple(sorted({*keep[decision.label], back}))
        return Routing.masked(space, keep)

    def metrics(self) -> dict[str, float]:
        """Return the share of ghost batches, since the last record, that were cut off and revived."""
        share = self._revived / max(self._drawn, 1)
        self._drawn = self._revived = 0
        return {"revived": round(share, 4)}

    def state_dict(self) -> dict[str, Any]:
        """Return how many ghost batches there were since the last record, and were revived."""
        return {"drawn": self._drawn, "revived": self._revived}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go on counting."""
        self._drawn, self._revived = state["drawn"], state["revived"]

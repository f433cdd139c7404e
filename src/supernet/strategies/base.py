"""A strategy: how the shared weights are learned."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

import torch

from supernet.cost import CostTable
from supernet.data import Loader
from supernet.net import SuperNet
from supernet.space import Architecture
from supernet.task import Batch, Task
from supernet.train import Learner, Moment

__all__ = ["BatchNorm", "Setting", "Strategy"]

BatchNorm = Literal["batch", "recalibrate"]
"""Statistics of batch norm when candidates are scored: of the evaluation batch, or re-estimated."""


@dataclass(frozen=True)
class Setting:
    """What a strategy may know before training begins.

    Attributes:
        seed: of the run.
        costs: the cost tables of the space, by quantity; what a strategy looks up is noted, as the
            trained weights depend on it.
        part: whether it is a part of a supernet that was split, with fewer architectures.
        search: batches of the search split by step, for what learns the architecture; an epoch is a
            permutation, like that of the training batches.
    """

    seed: int
    costs: Mapping[str, CostTable]
    part: bool = False
    search: Loader | None = None


class Strategy(Learner[SuperNet]):
    """Produces the gradients of one step on the shared weights."""

    batch_norm: BatchNorm = "recalibrate"
    """How the paper scores candidates; the evaluation's default."""

    def prepare(self, supernet: SuperNet, setting: Setting) -> None:
        """Get ready to train a supernet; called once, before the first step and after a restart.

        Raises:
            ConfigError: the strategy's options do not fit the space.
        """

    @abstractmethod
    def backward(self, model: SuperNet, task: Task, batch: Batch, moment: Moment) -> torch.Tensor:
        """Add this step's gradients to the used parameters and return the detached loss.

        Every random draw must come from `moment.stream(...)`. Parameters that are not used keep the
        gradient None.
        """

    def learned(self, supernet: SuperNet) -> list[Architecture]:
        """Return the architectures that the training led to, best first; none if it learns none."""
        return []

    def warnings(self) -> list[str]:
        """Return what the user must know about the training, in sentences."""
        return []

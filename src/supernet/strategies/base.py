"""A strategy: how the shared weights are learned."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar, Literal

import torch
from torch import nn

from supernet.cost import CostTable
from supernet.data import Loader
from supernet.errors import ConfigError
from supernet.net import SuperNet
from supernet.space import Architecture
from supernet.suggestions import did_you_mean
from supernet.task import Batch, Preference, Task
from supernet.train import Learner, Moment

__all__ = ["BatchNorm", "Stage", "Strategy", "TrainingContext"]

BatchNorm = Literal["batch", "recalibrate", "running"]
"""Statistics of batch norm when candidates are scored: of the evaluation batch, re-estimated for each,
or those that training left, an average over all paths that fits none."""


@dataclass(frozen=True)
class Stage:
    """A supernet of its own, trained before the configured one, to narrow what the next one offers.

    Attributes:
        model: constructor arguments in which its model differs from the configured one.
        keep: number of options that a decision still has in the next stage.
    """

    model: dict[str, Any] = field(default_factory=dict)
    keep: int = 2

    def __post_init__(self) -> None:
        if self.keep < 1:
            raise ConfigError(f"a stage keeps at least 1 option of a decision, not {self.keep}")


@dataclass(frozen=True)
class TrainingContext:
    """What a strategy may know before training begins.

    Attributes:
        seed: seed of the run.
        costs: the cost tables of the space, by quantity; what a strategy looks up is noted, as the
            trained weights depend on it.
        part: whether the supernet is one part of a split supernet, with fewer architectures.
        search: batches of the search split by step, for what learns the architecture; an epoch is a
            permutation, like that of the training batches.
        before: state of the strategy at the end of the stage before, if there was one.
        stage: number of stages before this one.
        preference: preference by which the run ranks networks, for what learns from rewards.
    """

    seed: int
    costs: Mapping[str, CostTable]
    part: bool = False
    search: Loader | None = None
    before: Mapping[str, Any] | None = None
    stage: int = 0
    preference: Preference = field(default_factory=Preference)

    def table(self, quantity: str) -> CostTable:
        """Return the table of a cost.

        Raises:
            ConfigError: there is none.
        """
        if quantity not in self.costs:
            raise ConfigError(
                f"the strategy uses the cost {quantity!r}, but costs are known for "
                f"{', '.join(sorted(self.costs))}{did_you_mean(quantity, self.costs)}; a "
                "table of latencies, as `supernet latency` writes it, is given by search.costs"
            )
        return self.costs[quantity]


class Strategy(Learner[SuperNet]):
    """Produces the gradients of one step on the shared weights."""

    batch_norm: BatchNorm = "recalibrate"
    """How the paper scores candidates; the evaluation's default."""
    one_stage: ClassVar[bool] = False
    """Whether sub-networks are trained to be used with the supernet's weights, without retraining."""
    rewards: ClassVar[bool] = False
    """Whether training learns from the figure that the run ranks by, and so depends on it."""
    of_task: ClassVar[bool] = True
    """Whether the weights learn the task; if not, the loss of a step is another, and some may rest."""
    stages: tuple[Stage, ...] = ()
    """What is trained before the supernet, in this order, each for as many steps as it."""

    def build(self, model: nn.Module) -> SuperNet:
        """Return the supernet that is trained; networks that are retrained alone know nothing of it.

        Raises:
            ConfigError: the strategy's options do not fit the model.
        """
        return SuperNet(model)

    def prepare(self, supernet: SuperNet, setting: TrainingContext) -> None:
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

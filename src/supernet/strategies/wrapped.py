"""A strategy that adds something to another one, and is otherwise that one."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import nn

from supernet.net import SuperNet
from supernet.space import Architecture
from supernet.strategies.base import Strategy, TrainingContext
from supernet.task import Batch, Task
from supernet.train import Moment, Schedule

__all__ = ["Wrapped"]


class Wrapped(Strategy):
    """Does what another strategy does; subclasses override what they add to.

    Args:
        strategy: strategy that trains.
    """

    def __init__(self, strategy: Strategy) -> None:
        self._strategy = strategy
        self.batch_norm = strategy.batch_norm
        self.same_paths = strategy.same_paths
        self.averages = strategy.averages
        self.adds = strategy.adds

    def build(self, model: nn.Module) -> SuperNet:
        """Return the supernet that the strategy trains."""
        return self._strategy.build(model)

    def prepare(self, supernet: SuperNet, setting: TrainingContext) -> None:
        """Get the strategy ready."""
        self._strategy.prepare(supernet, setting)

    def backward(self, model: SuperNet, task: Task, batch: Batch, moment: Moment) -> torch.Tensor:
        """Add the strategy's gradients."""
        return self._strategy.backward(model, task, batch, moment)

    def start(self, optimizer: torch.optim.Optimizer) -> None:
        """Tell the strategy."""
        self._strategy.start(optimizer)

    def rate(self, schedule: Schedule, moment: Moment) -> float:
        """Return the strategy's rate."""
        return self._strategy.rate(schedule, moment)

    def learned(self, supernet: SuperNet) -> list[Architecture]:
        """Return what the strategy learned."""
        return self._strategy.learned(supernet)

    def warnings(self) -> list[str]:
        """Return the strategy's warnings."""
        return self._strategy.warnings()

    def metrics(self) -> dict[str, float]:
        """Return the strategy's metrics."""
        return self._strategy.metrics()

    def state_dict(self) -> dict[str, Any]:
        """Return the strategy's state."""
        return self._strategy.state_dict()

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Continue the strategy."""
        self._strategy.load_state_dict(state)

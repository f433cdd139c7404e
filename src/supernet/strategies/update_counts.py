"""How often every option was trained, so that unfairness can be seen."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch

from supernet.choice import Routing
from supernet.net import SuperNet
from supernet.strategies.base import Strategy, TrainingContext
from supernet.strategies.wrapped import Wrapped
from supernet.task import Batch, Task
from supernet.train import Moment

__all__ = ["UpdateCounts"]


class UpdateCounts(Wrapped):
    """A strategy that also counts the routed forward passes which each option takes part in.

    A ghost batch counts as a pass. Options of a decision that the pass does not reach, since the
    option it lies in is not chosen, are not counted where the route has no gate for it.

    Args:
        strategy: strategy that trains, and whose updates are counted.
    """

    def __init__(self, strategy: Strategy) -> None:
        super().__init__(strategy)
        self._passes: dict[str, list[int]] = {}

    def prepare(self, supernet: SuperNet, setting: TrainingContext) -> None:
        """Get the strategy ready, and begin to count at zero."""
        self._passes = {d.label: [0] * len(d.options) for d in supernet.space.decisions}
        super().prepare(supernet, setting)

    def backward(self, model: SuperNet, task: Task, batch: Batch, moment: Moment) -> torch.Tensor:
        """Add the strategy's gradients."""
        with model.observed(self._count):
            return super().backward(model, task, batch, moment)

    def metrics(self) -> dict[str, float]:
        """Return the strategy's metrics, and the least and the most trained option's share.

        Both are relative to the mean of the decision; 1 where all are trained equally often.
        """
        shares = [
            count * len(counts) / max(sum(counts), 1)
            for counts in self._passes.values()
            for count in counts
        ]
        return {
            **super().metrics(),
            "least_trained": round(min(shares, default=1.0), 4),
            "most_trained": round(max(shares, default=1.0), 4),
        }

    def passes(self, supernet: SuperNet) -> dict[str, dict[str, int]]:
        """Return the number of passes by decision and option."""
        return {
            label: dict(zip(map(str, supernet.space.decision(label).options), counts, strict=True))
            for label, counts in self._passes.items()
        }

    def state_dict(self) -> dict[str, Any]:
        """Return the strategy's state and the counts."""
        return {"strategy": super().state_dict(), "passes": self._passes}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Continue the strategy and the counts."""
        super().load_state_dict(state["strategy"])
        self._passes = {label: list(counts) for label, counts in state["passes"].items()}

    def _count(self, routing: Routing) -> None:
        for label, gate in routing.items():
            counts = self._passes[label]
            for option in gate.options:
                counts[option] += 1

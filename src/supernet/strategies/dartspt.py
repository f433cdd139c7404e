"""DARTS-PT: perturbation-based selection.

Wang, Cheng, Chen, Tang and Hsieh, "Rethinking Architecture Selection in Differentiable NAS" (ICLR 2021).
How large α is says little about what an option is worth in the mixture. So what is derived is not the
option with the largest α, but the one without which the supernet is worst:

    o*_d = argmin_o accuracy of the supernet without option o of decision d.

The first part of the steps is DARTS. In the rest α stays, and decision after decision, in random order,
is settled so on the search split; between two settlements the weights adapt to what was settled. First
come decisions with one answer (operations on edges), then those with several: of the edges into a node
those are kept without which it is worst.

Differences: the paper searches for 50 epochs and adapts for 5 after each settlement, here the
settlements share what is left of the steps; where the task has no accuracy, and between equal ones, the
loss decides; the batches of the search split are those of training, with its augmentation.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

import torch

from supernet.errors import ConfigError
from supernet.net import Gate, Routing, SuperNet
from supernet.net.batchnorm import batch_statistics
from supernet.random import stream
from supernet.space import Architecture, Decision, OneOf, Value
from supernet.strategies.base import Setting
from supernet.strategies.charge import Charge
from supernet.strategies.coupled import Alpha
from supernet.strategies.darts import DARTS
from supernet.strategies.rules import NONE, best
from supernet.task import Batch, Task
from supernet.train import Moment

__all__ = ["DARTSPT"]


class DARTSPT(DARTS):
    """DARTS, whose architecture is selected by perturbing the supernet.

    Args:
        search: share of the steps that α is learned in.
        batches: of the search split that a perturbed supernet is scored on, null for all.
        order: see `DARTS`.
        alpha: see `Coupled`.
        cost: see `Coupled`.

    Raises:
        ConfigError: a number is out of range, or see `DARTS`.
    """

    def __init__(
        self,
        search: float = 0.6,
        batches: int | None = None,
        order: Literal[1, 2] = 1,
        alpha: Alpha = Alpha(),
        cost: Charge | None = None,
    ) -> None:
        super().__init__(order, alpha, "edges", cost)
        if not 0 < search < 1 or (batches is not None and batches < 1):
            raise ConfigError(
                f"search is a share in (0, 1), not {search}, and batches at least 1 or null, not "
                f"{batches}"
            )
        if alpha.warmup >= search:
            raise ConfigError(
                f"α rests for a share of {alpha.warmup} of the steps and is settled after {search} of "
                "them, so never learned; lower strategy.alpha.warmup below strategy.search"
            )
        self.search = search
        self.batches = batches
        self.settled = 0

    def prepare(self, supernet: SuperNet, setting: Setting) -> None:
        """See `Coupled`; draw the order in which decisions are settled."""
        super().prepare(supernet, setting)
        decisions = list(supernet.space.decisions)
        stream(setting.seed, "settle").shuffle(decisions)
        self._order = sorted(decisions, key=lambda d: not isinstance(d, OneOf))
        self.settled = 0

    def rests(self, moment: Moment) -> bool:
        """Return whether α stays as it is, as it does while decisions are settled."""
        return super().rests(moment) or moment.progress >= self.search

    def backward(self, model: SuperNet, task: Task, batch: Batch, moment: Moment) -> torch.Tensor:
        """Settle the decisions whose turn it is, then train as DARTS does."""
        while self.settled < self.due(moment):
            decision = self._order[self.settled]
            self.kept[decision.label] = self.settle(model, task, decision, moment)
            self.settled += 1
        return super().backward(model, task, batch, moment)

    def due(self, moment: Moment) -> int:
        """Return how many decisions are settled before this step's weights are trained."""
        if moment.progress < self.search:
            return 0
        passed = (moment.progress - self.search) / (1 - self.search)
        return min(1 + int(passed * len(self._order)), len(self._order))

    def settle(
        self, model: SuperNet, task: Task, decision: Decision, moment: Moment
    ) -> tuple[int, ...]:
        """Return the options of a decision that the supernet needs most, as many as it has answers."""
        options = range(len(decision.options))
        named = [i for i in options if decision.options[i] not in NONE]
        with model.observed(None), torch.no_grad(), batch_statistics(model):
            asked = named if len(named) >= decision.low else list(options)
            worth = {i: self.without(model, task, decision, i, moment) for i in asked}
        return tuple(sorted(sorted(worth, key=lambda i: worth[i])[: decision.high]))

    def without(
        self, model: SuperNet, task: Task, decision: Decision, option: int, moment: Moment
    ) -> tuple[float, float]:
        """Return accuracy and negative loss of the supernet without an option; less is worse.

        The weights of the other options stay as they are.
        """
        routing = self.routing(model, moment)
        gate = routing[decision.label]
        left = [position for position, i in enumerate(gate.options) if i != option]
        weights = None if gate.weights is None else gate.weights[left]
        routing[decision.label] = Gate(tuple(gate.options[p] for p in left), weights)
        assert self._search is not None
        count = self._search.batches_per_epoch if self.batches is None else self.batches
        with model.route(Routing(routing)):
            measured = [task.measure(model, self._search.batch(k)) for k in range(count)]
        means = [
            torch.stack([one[name].mean() for one in measured]).mean()
            if name in measured[0]
            else None
            for name in ("accuracy", "loss")
        ]
        accuracy, loss = (0.0 if mean is None else float(mean) for mean in means)
        return accuracy, -loss

    def learned(self, supernet: SuperNet) -> list[Architecture]:
        """Return the architecture of what was settled; what was not yet is derived as in DARTS."""
        settled = {decision.label for decision in self._order[: self.settled]}
        with torch.no_grad():
            strengths = {label: p.tolist() for label, p in self.probabilities().items()}

        def answer(decision: Decision) -> Value:
            if decision.label in settled:
                return decision.value(self.kept[decision.label])
            return best(supernet.space, decision, strengths, forbid_none=True)

        return [supernet.space.build(answer)]

    def state_dict(self) -> dict[str, Any]:
        """Return the state of DARTS, and how many decisions are settled."""
        return {**super().state_dict(), "settled": self.settled}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Continue from what `state_dict` returned."""
        super().load_state_dict(state)
        self.settled = int(state["settled"])

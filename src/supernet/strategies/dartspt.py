"""DARTS-PT: perturbation-based selection.

Wang, Cheng, Chen, Tang and Hsieh, "Rethinking Architecture Selection in Differentiable NAS" (ICLR 2021).
How large α is says little about what an option is worth in the mixture. So what is derived is not the
option with the largest α, but the one without which the supernet is worst:

    o*_d = argmin_o accuracy of the supernet without option o of decision d.

The first part of the steps is DARTS. In the rest decision after decision, in random order, is settled so
on the search split; between two settlements the weights adapt to what was settled, and the α that are
left go on learning. First come decisions with one answer (operations on edges), then those with several:
of the edges into a node those are kept without which it is worst. How many of several is what the rule
`edges` reads off α. Cells of two kinds are settled side by side: in each round a decision of the normal
cell, then one of the reduction cell.

For the settlements the optimizer of the weights begins anew, with a tenth of the learning rate, which
falls to the same lowest as that of the search (in the authors' code 0.025 to 0.001, 0.0025 to 0.001:
`train.lowest` 0.04). `fixed` is the paper's "DARTS-PT (fix α)": α stays as it was drawn.

Differences from the authors' code: there 50 epochs of search and 5 after each settlement (1 after the
last), here the settlements share what is left of the steps in these proportions; their space has no
`none`, here it takes part in the mixture where a space has it, and is never kept; where the task has no
accuracy, and between equal ones, the loss decides (there the first option, and of edges the last goes);
the search batches are a permutation of the search split, see `DARTS`. As there the perturbed supernet
is scored with batch statistics, on images that are augmented as in training.
"""

from __future__ import annotations

from collections.abc import Mapping
from itertools import zip_longest
from typing import Any, Literal

import torch

from supernet.choice import Gate, Routing
from supernet.errors import ConfigError
from supernet.net import SuperNet
from supernet.net.batchnorm import batch_statistics
from supernet.random import stream
from supernet.space import Architecture, Decision, OneOf, Value
from supernet.strategies.alpha import Alpha
from supernet.strategies.base import TrainingContext
from supernet.strategies.cost_penalty import CostPenalty
from supernet.strategies.darts import DARTS
from supernet.strategies.derivation import best
from supernet.task import Batch, Task, batch_figures, checked_measures
from supernet.train import Moment, Schedule

__all__ = ["DARTSPT"]

AFTER = 0.1
"""How long weights adapt after the last settlement, in intervals between two."""


class DARTSPT(DARTS):
    """DARTS, whose architecture is selected by perturbing the supernet.

    Args:
        search: share of the steps that α is learned in.
        batches: number of batches of the search split that a perturbed supernet is scored on, null
            for all.
        rate: peak of the learning rate of the settlements, as a share of that of the search.
        fixed: whether α stays as it began and never learns.
        together: beginnings of labels; decisions with the same beginning are settled side by side,
            one of each in a round.
        order: order of the approximation of α's gradient, see `DARTS`.
        alpha: how α begins and how Adam moves it, see `Coupled`.
        cost: expected cost that joins the loss of α, see `Coupled`.

    Raises:
        ConfigError: a number is out of range, or see `DARTS`.
    """

    def __init__(
        self,
        search: float = 0.6,
        batches: int | None = None,
        rate: float = 0.1,
        fixed: bool = False,
        together: tuple[str, ...] = ("normal.", "reduce."),
        order: Literal[1, 2] = 1,
        alpha: Alpha = Alpha(),
        cost: CostPenalty | None = None,
    ) -> None:
        super().__init__(order, alpha, "edges", cost)
        if not 0 < search < 1 or (batches is not None and batches < 1):
            raise ConfigError(
                f"search is a share in (0, 1), not {search}, and batches at least 1 or null, not "
                f"{batches}"
            )
        if not 0 < rate <= 1:
            raise ConfigError(f"rate is a share in (0, 1] of the peak learning rate, not {rate}")
        if alpha.warmup >= search and not fixed:
            raise ConfigError(
                f"α rests for a share of {alpha.warmup} of the steps and decisions are settled after "
                f"{search} of them, so it is never learned in the whole mixture; lower "
                "strategy.alpha.warmup below strategy.search, or say strategy.fixed true"
            )
        self.search = search
        self.batches = batches
        self.peak = rate
        self.fixed = fixed
        self.together = together
        self.settled = 0
        """How many rounds of settlements are over."""

    def prepare(self, supernet: SuperNet, setting: TrainingContext) -> None:
        """See `Coupled`; draw the order in which decisions are settled."""
        super().prepare(supernet, setting)
        decisions = [decision for decision in supernet.space.decisions if decision.size > 1]
        stream(setting.seed, "settle").shuffle(decisions)
        decisions.sort(key=lambda decision: not isinstance(decision, OneOf))
        kinds: dict[str, list[Decision]] = {}
        for kind in (*self.together, ""):
            kinds[kind] = [d for d in decisions if self._kind(d) == kind]
        self._rounds = [
            tuple(decision for decision in one if decision is not None)
            for one in zip_longest(*kinds.values())
        ]
        self.settled = 0

    def _kind(self, decision: Decision) -> str:
        begins = (start for start in self.together if decision.label.startswith(start))
        return next(begins, "")

    def alpha_rests(self, moment: Moment) -> bool:
        """Return whether α stays as it is."""
        return self.fixed or super().alpha_rests(moment)

    def rate(self, schedule: Schedule, moment: Moment) -> float:
        """Return the factor of the search's schedule, or of the settlements'."""
        if moment.progress < self.search:
            return schedule.factor(moment.progress / self.search)
        return schedule.fall(self._passed(moment), self.peak)

    def backward(self, model: SuperNet, task: Task, batch: Batch, moment: Moment) -> torch.Tensor:
        """Settle the decisions whose turn it is, then train as DARTS does."""
        due = self.due(moment)
        if due and not self.settled and self._weights is not None:
            self._weights.state.clear()  # an optimizer without a past
        while self.settled < due:
            for decision in self._rounds[self.settled]:
                self.race.decide(decision.label, self.settle(model, task, decision, moment))
            self.settled += 1
        return super().backward(model, task, batch, moment)

    def due(self, moment: Moment) -> int:
        """Return how many rounds of settlements come before this step's weights are trained."""
        if moment.progress < self.search:
            return 0
        count = len(self._rounds)
        return min(1 + int(self._passed(moment) * (count - 1 + AFTER)), count)

    def _passed(self, moment: Moment) -> float:
        """Return the share of the steps of the settlements that has passed, 0–1."""
        return (moment.progress - self.search) / (1 - self.search)

    def settle(
        self, model: SuperNet, task: Task, decision: Decision, moment: Moment
    ) -> tuple[int, ...]:
        """Return the options of a decision that the supernet needs most, as many as α says (`best`)."""
        answer = best(model.space, decision, self._strengths(), forbid_none=True)
        count = len(decision.indices(answer))
        options = range(len(decision.options))
        named = model.space.connecting(decision)
        with model.observed(None), torch.no_grad(), batch_statistics(model):
            asked = named if len(named) >= count else list(options)
            worth = {i: self.without(model, task, decision, i, moment) for i in asked}
        return tuple(sorted(sorted(worth, key=lambda i: worth[i])[:count]))

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
        assert self.search_loader is not None
        count = self.search_loader.batches_per_epoch if self.batches is None else self.batches
        with model.route(Routing(routing)):
            found = [
                checked_measures(task, model, self.search_loader.batch(k)) for k in range(count)
            ]
        figures = batch_figures(task, found)
        return float(figures.get("accuracy", 0.0)), -float(figures["loss"])

    def learned(self, supernet: SuperNet) -> list[Architecture]:
        """Return the architecture of what was settled; what was not yet is derived as in DARTS."""
        settled = {d.label for decisions in self._rounds[: self.settled] for d in decisions}
        strengths = self._strengths()

        def answer(decision: Decision) -> Value:
            if decision.label in settled:
                return decision.value(self.kept[decision.label])
            return best(supernet.space, decision, strengths, forbid_none=True)

        return [supernet.space.build(answer)]

    def _strengths(self) -> dict[str, list[float]]:
        with torch.no_grad():
            return {label: p.tolist() for label, p in self.probabilities().items()}

    def state_dict(self) -> dict[str, Any]:
        """Return the state of DARTS, and how many rounds of settlements are over."""
        return {**super().state_dict(), "settled": self.settled}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Continue from what `state_dict` returned."""
        super().load_state_dict(state)
        self.settled = int(state["settled"])

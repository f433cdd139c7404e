"""What methods have in common that learn the architecture while they train the weights.

A step first moves the architecture's parameters α by the gradient of the loss on a batch of the search
split, then leaves the gradients of the weights on the batch of the training split. Where α is used, and
how it becomes gates, is the method's own.

α is one vector per decision, `[options]`, drawn from a normal distribution. A decision that chooses
several options is weighed like any other, unless decisions lie in its options (which edges enter a node,
with an operation on each): methods that learn no edges leave all of them on, and the derivation rule
looks at what lies in them.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import replace
from typing import Any

import torch
from torch import nn
from torch.nn.modules.batchnorm import _NormBase

from supernet.choice import Gate, Routing
from supernet.cost import ExpectedCost
from supernet.data import Loader
from supernet.errors import ConfigError
from supernet.net import SuperNet
from supernet.net.batchnorm import unrecorded
from supernet.space import Architecture, Decision, OneOf, SearchSpace
from supernet.strategies.alpha import Alpha
from supernet.strategies.base import BatchNorm, Stage, Strategy, TrainingContext
from supernet.strategies.cost_penalty import CostPenalty
from supernet.strategies.derivation import RULES, RuleName, edges_of
from supernet.strategies.gradient_paths import check_answers, check_gradient_paths
from supernet.strategies.guards import guard_of
from supernet.strategies.monitors import (
    collapse_warnings,
    dominance,
    entropy,
    finite_values,
    parameterless,
)
from supernet.strategies.movement import Movement
from supernet.strategies.race import Race, Weights
from supernet.task import Batch, Task
from supernet.train import Moment, backward

__all__ = ["Coupled"]


class Coupled(Strategy):
    """Architecture parameters α and the optimizer that moves them.

    Args:
        alpha: how α begins and how Adam moves it.
        rule: name of the rule that makes an architecture of α, see `supernet.strategies.derivation`.
        cost: an expected cost that joins the loss of α.
        stages: supernets that are trained before, and how many options go on from each.

    Attributes:
        alphas: α by the label of its decision, `[options]` each; Adam moves these. Like all that
            follows, it is there from `prepare` on.
        decisions: decisions of the space, by label.
        edges: labels of the decisions that choose edges: several options, in which decisions lie.
        parameterless: for each option of each decision, whether it has no parameters, as a skip.
        search_loader: batches of the search split, if there is one.
        expected_cost: expected cost of an architecture as a function of `chances`, if α pays for one.
        charge: `cost`, with the cost that is free of charge, if α pays for one.

    Raises:
        ConfigError: a number is out of range, a later stage keeps more options than one before, or early
            stopping is asked for where it has no meaning.
    """

    batch_norm: BatchNorm = "batch"
    several = True
    """Whether decisions that choose several options can be relaxed."""
    all_edges = False
    """Whether, where several options cannot be relaxed, those that decisions lie in all run: edges."""
    learns_edges = False
    """Whether α also weighs options that decisions lie in, of decisions that choose several."""
    two_level = True
    """Whether α learns on batches of the search split."""
    smooth = True
    """Whether the loss is a smooth function of α, so that its curvature says something."""
    weighs = True
    """Whether α learns by a gradient through the gates, and not from how paths score."""
    weights_first = False
    """Whether a step moves the weights before α, in the order of some authors' code."""
    alpha_goes_on = False
    """Whether a stage continues α and its optimizer from the stage before, or draws α anew."""
    alpha_on_cpu = False
    """Whether α lies on the CPU whatever the weights lie on, for methods that draw paths from it."""

    def __init__(
        self,
        alpha: Alpha = Alpha(),
        rule: RuleName = "strongest",
        cost: CostPenalty | None = None,
        stages: Sequence[Stage] = (),
    ) -> None:
        counts = [stage.keep for stage in stages]
        if counts != sorted(counts, reverse=True):
            raise ConfigError(
                f"the stages of {type(self).__name__} keep {', '.join(map(str, counts))} options, but a "
                "later stage cannot keep more than the one before"
            )
        self.alpha = alpha
        self.stages = tuple(stages)
        self.rule = rule
        self.cost = cost
        self.guard = guard_of(alpha, type(self).__name__, smooth=self.smooth)
        self.alphas: dict[str, nn.Parameter] = {}
        self.race = Race(())
        self.decisions: dict[str, Decision] = {}
        self.edges: set[str] = set()
        self.parameterless: dict[str, list[bool]] = {}
        self.search_loader: Loader | None = None
        self.expected_cost: ExpectedCost | None = None
        self.charge: CostPenalty | None = None
        self._idle = False

    @property
    def kept(self) -> Mapping[str, tuple[int, ...]]:
        """By decision, the indices of the options in the race; `race.decide` takes others out."""
        return self.race.kept

    def prepare(self, supernet: SuperNet, setting: TrainingContext) -> None:
        """Draw α and make its optimizer.

        Raises:
            ConfigError: a decision cannot be relaxed, there is no search split, or no such cost.
        """
        self._check_learnable(supernet, setting)
        device = "cpu" if self.alpha_on_cpu else next(supernet.parameters()).device
        self.search_loader = setting.search
        self.alphas = {
            decision.label: nn.Parameter(self.alpha.drawn(decision, setting.seed).to(device))
            for decision in supernet.space.decisions
        }
        self._optimizer = torch.optim.Adam(
            self.alphas.values(),
            lr=self.alpha.learning_rate,
            betas=self.alpha.betas,
            weight_decay=self.alpha.weight_decay,
        )
        self.race = Race(supernet.space.decisions)
        self._norms = [module for module in supernet.modules() if isinstance(module, _NormBase)]
        self.parameterless = parameterless(supernet)
        self.decisions = {decision.label: decision for decision in supernet.space.decisions}
        self.edges = edges_of(supernet.space)
        if setting.before is not None:
            self._narrow(supernet.space, setting.before, self.stages[setting.stage - 1].keep)
        if self.guard is not None:
            self.guard.reset()
        self.movement = Movement(self.probabilities())
        self.expected_cost = None
        if self.cost is not None:
            table = setting.table(self.cost.quantity)
            self.expected_cost = ExpectedCost(table, supernet.space)
            with torch.no_grad():
                start = float(self.expected_cost(self.chances()))
            self.charge = self.cost.settled(start, table, supernet.space)

    def _check_learnable(self, supernet: SuperNet, setting: TrainingContext) -> None:
        """Refuse what the method cannot learn; see `prepare`."""
        name = type(self).__name__
        if not self.several:
            check_answers(name, supernet.space, edges=self.all_edges)
        if setting.search is None and self.two_level:
            raise ConfigError(
                f"{name} learns the architecture on a search split, but there is none"
            )
        if self.weighs:
            check_gradient_paths(name, supernet, setting.search)

    def _narrow(self, space: SearchSpace, before: Mapping[str, Any], keep: int) -> None:
        """Keep the strongest options of the stage before in the race, of decisions with one answer.

        Args:
            space: space that is searched.
            before: state of the strategy at the end of that stage.
            keep: number of options of each decision that stay.
        """
        drawn = {label: alpha.detach().clone() for label, alpha in self.alphas.items()}
        with torch.no_grad():
            for label, alpha in self.alphas.items():
                alpha.copy_(before["alphas"][label])
            self.race.load_state_dict(before["kept"])
            self._idle = not self.race.narrow(space, self.probabilities(), keep)
            if self.alpha_goes_on:
                self._optimizer.load_state_dict(before["optimizer"])
                return
            for label, alpha in self.alphas.items():
                alpha.copy_(drawn[label])

    def start(self, optimizer: torch.optim.Optimizer) -> None:
        """Tell the guard which optimizer moves the weights.

        Raises:
            ConfigError: the guard cannot use it.
        """
        if self.guard is not None:
            self.guard.start(optimizer)

    def backward(self, model: SuperNet, task: Task, batch: Batch, moment: Moment) -> torch.Tensor:
        """Move α, then add the gradients of the weights.

        Where the weights come first, α's move of a step follows at the start of the next one.
        """
        self.movement.begun = True
        due = replace(moment, step=moment.step - 1) if self.weights_first else moment
        if due.step >= 0 and not self.alpha_rests(due):
            with model.observed(None):  # these passes train no weights
                self.alpha_step(model, task, batch, due)
                self._look(model, task, due)
        with model.route(self.weight_routing(model, moment)):
            loss = task.loss(model, batch)
        return backward(loss)

    def alpha_rests(self, moment: Moment) -> bool:
        """Return whether α stays as it is in this step."""
        stopped = self.guard is not None and self.guard.stopped
        return stopped or moment.progress < self.alpha.warmup

    def alpha_step(self, model: SuperNet, task: Task, batch: Batch, moment: Moment) -> None:
        """Move α by the gradient of the loss on the search batch of this step."""
        with self.unrecorded(), model.route(self.routing(model, moment)):
            loss = self.alpha_loss(task.loss(model, self.search_batch(moment)), moment)
        self.move_alpha(torch.autograd.grad(loss, list(self.alphas.values()), allow_unused=True))

    @abstractmethod
    def routing(self, model: SuperNet, moment: Moment) -> Routing:
        """Return the gates of the architecture step, differentiable in α."""

    def weight_routing(self, model: SuperNet, moment: Moment) -> Routing:
        """Return the gates of the weight step: the same, without a gradient."""
        with torch.no_grad():
            return self.routing(model, moment)

    def probabilities(self) -> dict[str, torch.Tensor]:
        """Return softmax(α) over the options in the race, 0 for others; several: their shares."""
        left = self.race.left(self.alphas)
        return self.race.whole({label: torch.softmax(alpha, 0) for label, alpha in left.items()})

    def active_alphas(self) -> dict[str, torch.Tensor]:
        """Return α by decision, of what it decides: the options in the race.

        Decisions that choose edges are left out where the method does not learn which of them enter a
        node (`learns_edges`).
        """
        left = self.race.left(self.alphas)
        return {label: alpha for label, alpha in left.items() if self._learns(label)}

    def chances(self) -> dict[str, torch.Tensor]:
        """Return how likely each option is to be in the derived architecture, for the expected cost.

        Of several, its share of as many as are chosen, at most 1; edges that are not learned are equally
        likely, so that α cannot seem cheaper by moving what the derivation does not look at.
        """
        found = {}
        for label, p in self.probabilities().items():
            if self._one(label):
                found[label] = p
            else:
                share = p / p.sum() if self._learns(label) else torch.full_like(p, 1 / len(p))
                found[label] = torch.clamp(share * self.decisions[label].high, max=1.0)
        return found

    def soft(self, weights: Weights) -> Routing:
        """Return gates with these weights; edges are all on, and what lies in them is weighed.

        Options that are out of the race do not run.
        """
        gates = {}
        for label, w in weights.items():
            weighed = None if label in self.edges else self.race.left_of(label, w)
            gates[label] = Gate(self.kept[label], weighed)
        return Routing(gates)

    def search_batch(self, moment: Moment) -> Batch:
        """Return the batch of the search split for this step."""
        assert self.search_loader is not None
        return self.search_loader.batch(moment.step)

    def regulariser(self, moment: Moment) -> torch.Tensor | float:
        """Return what the method adds to the loss that α minimises, a scalar; by default nothing.

        Args:
            moment: the step, for terms whose weight follows a schedule.
        """
        return 0.0

    def alpha_loss(
        self, loss: torch.Tensor, moment: Moment, chances: Weights | None = None
    ) -> torch.Tensor:
        """Return what α minimises: the loss with the expected cost, if any, and the regulariser.

        Args:
            loss: loss of the task on the batch that α learns from, a scalar.
            moment: the step.
            chances: probability of each option, by decision; what `chances` returns if not given.
        """
        if self.expected_cost is not None and self.charge is not None:
            expected = self.expected_cost(self.chances() if chances is None else chances)
            loss = self.charge.added(loss, expected)
        return loss + self.regulariser(moment)

    def move_alpha(self, gradients: tuple[torch.Tensor | None, ...]) -> None:
        """Let Adam move α by these gradients, scaled down where their norm is too large."""
        self.movement.note(gradients)
        for alpha, gradient in zip(self.alphas.values(), gradients, strict=True):
            alpha.grad = gradient
        if self.alpha.clip is not None:
            nn.utils.clip_grad_norm_(self.alphas.values(), self.alpha.clip)
        self._optimizer.step()
        self._optimizer.zero_grad(set_to_none=True)

    def _look(self, model: SuperNet, task: Task, moment: Moment) -> None:
        """Let the guard look at the loss in α where it is due, and take α back if it says so."""
        if self.guard is None or not self.guard.due(moment):
            return
        alphas = list(self.alphas.values())
        with self.unrecorded(), model.route(self.routing(model, moment)):
            loss = task.loss(model, self.search_batch(moment))
        back = self.guard.look(loss, alphas, self.guard.remember(model, self.state_dict()))
        if back is not None:
            self.load_state_dict({**self.state_dict(), **self.guard.restore(model, back)})

    def unrecorded(self) -> AbstractContextManager[None]:
        """Within the block batch norm normalises by the batch and records no running statistics."""
        return unrecorded(self._norms)

    def learned(self, supernet: SuperNet) -> list[Architecture]:
        """Return the architecture that the derivation rule reads off α."""
        with torch.no_grad():
            strengths = {label: p.tolist() for label, p in self.probabilities().items()}
        return [RULES[self.rule](supernet.space, strengths)]

    def metrics(self) -> dict[str, float]:
        """Return entropy, movement and dominance.

        "entropy" is the mean over decisions of the entropy over its largest value, in 0–1.
        "least_moved" is by how much the probability of an option has changed since the start, the
        largest change of a decision, of the decision where it is smallest, in 0–1.
        "skip_dominance" is the share of decisions whose strongest option has no parameters, of those
        that have options with and without.

        Raises:
            DivergedError: α is not finite.
        """
        with torch.no_grad():
            probabilities = self.probabilities()
            moved = self.movement.distances(probabilities)
        values = finite_values(type(self).__name__, probabilities, self.alphas)
        found = {"entropy": entropy(values, self.kept)}
        if derived := self._derived():
            found["least_moved"] = round(min(moved[label] for label in derived), 6)
        share = dominance(
            values, self.parameterless, [label for label in values if self._one(label)]
        )
        if share is not None:
            found["skip_dominance"] = share
        if self.guard is not None and self.guard.eigenvalues:
            found["eigenvalue"] = self.guard.eigenvalues[-1]
        return found

    def warnings(self) -> list[str]:
        """Say whether α was taken back, whether options without parameters have won, and the like."""
        stops = [] if self.guard is None else self.guard.warnings()
        if self._idle:
            stops.append(
                "the stage before took no option out of any decision, since none has more than it "
                "keeps; lower the `keep` of strategy.stages"
            )
        stops += self.movement.warnings(type(self).__name__, self._derived())
        share = self.metrics().get("skip_dominance", 0.0)
        return stops + collapse_warnings(type(self).__name__, share)

    def state_dict(self) -> dict[str, Any]:
        """Return α and the state of its optimizer."""
        return {
            "alphas": {label: alpha.detach() for label, alpha in self.alphas.items()},
            "kept": self.race.state_dict(),
            "optimizer": self._optimizer.state_dict(),
            "movement": self.movement.state_dict(),
            **({} if self.guard is None else {"guard": self.guard.state_dict()}),
        }

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Continue from α and the state of its optimizer."""
        with torch.no_grad():
            for label, alpha in self.alphas.items():
                alpha.copy_(state["alphas"][label])
        self.race.load_state_dict(state["kept"])
        self._optimizer.load_state_dict(state["optimizer"])
        self.movement.load_state_dict(state["movement"])
        if self.guard is not None:
            self.guard.load_state_dict(state["guard"])

    def _derived(self) -> set[str]:
        """Return the decisions that are derived from their own α, and have options to choose from."""
        return {label for label, kept in self.kept.items() if len(kept) > 1 and self._learns(label)}

    def _learns(self, label: str) -> bool:
        """Return whether α decides this decision, and not only what lies in its options."""
        return self.learns_edges or label not in self.edges

    def _one(self, label: str) -> bool:
        return isinstance(self.decisions[label], OneOf)

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

import math
from abc import abstractmethod
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any, Literal

import torch
from torch import nn
from torch.nn.modules.batchnorm import _NormBase

from supernet.cost import ExpectedCost
from supernet.data import Loader
from supernet.errors import ConfigError, DivergedError
from supernet.net import Gate, Routing, SuperNet
from supernet.random import generator
from supernet.space import Architecture, Decision, OneOf
from supernet.strategies.base import BatchNorm, Setting, Strategy
from supernet.strategies.guards import EarlyStop
from supernet.strategies.rules import RULES, RuleName, holds_decisions
from supernet.task import Batch, Task
from supernet.train import Moment, backward

__all__ = ["CostLoss", "Coupled"]

CostLoss = Literal["linear", "log"]

DOMINATED = 0.8
"""From this share of decisions on whose strongest option has no parameters, a search has collapsed."""

Weights = Mapping[str, torch.Tensor]
"""By decision, a number for each option."""


class Coupled(Strategy):
    """Architecture parameters α and the optimizer that moves them.

    Args:
        learning_rate: of α, with Adam.
        betas: of Adam.
        weight_decay: on α.
        warmup: share of the steps in which only weights are trained.
        spread: standard deviation of α at the start.
        rule: how α becomes an architecture, see `supernet.strategies.rules`.
        cost: a quantity whose expectation joins the loss of α: "macs", "latency_ms", ...
        cost_weight: λ of the cost term.
        cost_target: the cost that is free of charge; the expectation at the start if not given.
        cost_loss: "linear": loss + λ · (E - target) / target; "log": loss · (ln E / ln target)^λ.
        early_stop: by how much the dominant eigenvalue of the loss in α may grow before α goes back and
            stays, see `supernet.strategies.guards`; 1.3 in the paper, null for never.

    Raises:
        ConfigError: a number is out of range.
    """

    batch_norm: BatchNorm = "batch"
    several = True
    """Whether decisions that choose several options can be relaxed."""
    learns_edges = False
    """Whether α also weighs options that decisions lie in, of decisions that choose several."""

    def __init__(
        self,
        learning_rate: float = 3e-4,
        betas: tuple[float, float] = (0.5, 0.999),
        weight_decay: float = 1e-3,
        warmup: float = 0.0,
        spread: float = 1e-3,
        rule: RuleName = "strongest",
        cost: str | None = None,
        cost_weight: float = 0.1,
        cost_target: float | None = None,
        cost_loss: CostLoss = "linear",
        early_stop: float | None = None,
    ) -> None:
        if learning_rate <= 0 or weight_decay < 0 or spread < 0 or not 0 <= warmup < 1:
            raise ConfigError(
                f"learning_rate {learning_rate} must be positive, weight_decay {weight_decay} and "
                f"spread {spread} not negative, and warmup {warmup} a share in [0, 1)"
            )
        self.learning_rate = learning_rate
        self.betas = betas
        self.weight_decay = weight_decay
        self.warmup = warmup
        self.spread = spread
        self.rule = rule
        self.cost = cost
        self.cost_weight = cost_weight
        self.cost_target = cost_target
        self.cost_loss = cost_loss
        self.guard = None if early_stop is None else EarlyStop(early_stop)
        self.alphas: dict[str, nn.Parameter] = {}
        self._search: Loader | None = None
        self._expected: ExpectedCost | None = None
        self._edges: set[str] = set()
        self._target = 0.0

    def prepare(self, supernet: SuperNet, setting: Setting) -> None:
        """Draw α and make its optimizer.

        Raises:
            ConfigError: a decision cannot be relaxed, there is no search split, or no such cost.
        """
        name, device = type(self).__name__, next(supernet.parameters()).device
        for decision in supernet.space.decisions:
            if not self.several and not isinstance(decision, OneOf):
                raise ConfigError(
                    f"{name} cannot relax decision {decision.label!r}, which chooses "
                    f"{decision.describe()}; it needs decisions with one answer, or another strategy"
                )
        if setting.search is None:
            raise ConfigError(
                f"{name} learns the architecture on a search split, but there is none"
            )
        self._search = setting.search
        self.alphas = {
            decision.label: self._initial(decision, setting.seed, device)
            for decision in supernet.space.decisions
        }
        self._optimizer = torch.optim.Adam(
            self.alphas.values(),
            lr=self.learning_rate,
            betas=self.betas,
            weight_decay=self.weight_decay,
        )
        self._norms = [module for module in supernet.modules() if isinstance(module, _NormBase)]
        self._free = {
            label: [not any(True for _ in option.parameters()) for option in choice.options]
            for choice, label in supernet.choices.items()
        }
        self._decisions = {decision.label: decision for decision in supernet.space.decisions}
        self._edges = {
            decision.label
            for decision in supernet.space.decisions
            if not isinstance(decision, OneOf) and holds_decisions(supernet.space, decision)
        }
        if self.guard is not None:
            self.guard.reset()
        self._expected = None
        if self.cost is not None:
            self._expected = self._charge(self.cost, supernet, setting)

    def _charge(self, cost: str, supernet: SuperNet, setting: Setting) -> ExpectedCost:
        """Return the expected cost, and settle the target.

        Raises:
            ConfigError: there is no such cost, or its logarithm or the target is not positive.
        """
        if cost not in setting.costs:
            raise ConfigError(
                f"strategy.cost is {cost!r}, but costs are known for "
                f"{', '.join(sorted(setting.costs))}; a table of latencies, as `supernet latency` "
                "writes it, is given by search.costs"
            )
        table = setting.costs[cost]
        expected = ExpectedCost(table, supernet.space)
        with torch.no_grad():
            start = float(expected(self.chances()))
        self._target = start if self.cost_target is None else self.cost_target
        if not self._target > 0:
            raise ConfigError(f"strategy.cost_target must be above 0, not {self._target}")
        if self.cost_loss == "log":
            least = table.range(supernet.space)[0]
            if not min(self._target, least) > 1:
                raise ConfigError(
                    f"strategy.cost_loss 'log' takes logarithms of {cost}, which must be above 1, but "
                    f"the target is {self._target:g} and the cheapest architecture costs {least:g}; "
                    "use 'linear', or a table in a smaller unit"
                )
        return expected

    def backward(self, model: SuperNet, task: Task, batch: Batch, moment: Moment) -> torch.Tensor:
        """Move α, then add the gradients of the weights."""
        if moment.progress >= self.warmup and not (self.guard and self.guard.stopped):
            with model.observed(None):  # these passes train no weights
                self.learn(model, task, batch, moment)
                self._look(model, task, moment)
        with model.route(self.weight_routing(model, moment)):
            loss = task.loss(model, batch)
        return backward(loss)

    def learn(self, model: SuperNet, task: Task, batch: Batch, moment: Moment) -> None:
        """Move α by the gradient of the loss on the search batch of this step."""
        with self.unrecorded(), model.route(self.routing(model, moment)):
            loss = self.charged(task.loss(model, self.search_batch(moment)))
        self.step(torch.autograd.grad(loss, list(self.alphas.values()), allow_unused=True))

    @abstractmethod
    def routing(self, model: SuperNet, moment: Moment) -> Routing:
        """Return the gates of the architecture step, differentiable in α."""

    def weight_routing(self, model: SuperNet, moment: Moment) -> Routing:
        """Return the gates of the weight step: the same, without a gradient."""
        with torch.no_grad():
            return self.routing(model, moment)

    def probabilities(self) -> dict[str, torch.Tensor]:
        """Return how likely each option is, by decision; several options: their shares."""
        return {label: torch.softmax(alpha, 0) for label, alpha in self.alphas.items()}

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
                rests = label in self._edges and not self.learns_edges
                share = torch.full_like(p, 1 / len(p)) if rests else p / p.sum()
                found[label] = torch.clamp(share * self._decisions[label].high, max=1.0)
        return found

    def soft(self, weights: Weights) -> Routing:
        """Return gates with these weights; edges are all on, and what lies in them is weighed."""
        return Routing(
            {
                label: Gate(tuple(range(len(w))), None if label in self._edges else w)
                for label, w in weights.items()
            }
        )

    def search_batch(self, moment: Moment) -> Batch:
        """Return the batch of the search split for this step."""
        assert self._search is not None
        return self._search.batch(moment.step)

    def charged(self, loss: torch.Tensor) -> torch.Tensor:
        """Return the loss with the expected cost, if one is configured."""
        if self._expected is None:
            return loss
        expected = self._expected(self.chances())
        if self.cost_loss == "linear":
            return loss + self.cost_weight * (expected - self._target) / self._target
        return loss * (torch.log(expected) / math.log(self._target)) ** self.cost_weight

    def step(self, gradients: tuple[torch.Tensor | None, ...]) -> None:
        """Let Adam move α by these gradients."""
        for alpha, gradient in zip(self.alphas.values(), gradients, strict=True):
            alpha.grad = gradient
        self._optimizer.step()
        self._optimizer.zero_grad(set_to_none=True)

    def _look(self, model: SuperNet, task: Task, moment: Moment) -> None:
        """Let the guard look at the loss in α where it is due, and take α back if it says so."""
        if self.guard is None or not self.guard.due(moment):
            return
        alphas = list(self.alphas.values())
        with self.unrecorded(), model.route(self.routing(model, moment)):
            loss = task.loss(model, self.search_batch(moment))
        back = self.guard.look(loss, self.alphas, moment.progress)
        if back is not None:
            with torch.no_grad():
                for alpha, earlier in zip(alphas, back, strict=True):
                    alpha.copy_(earlier)

    @contextmanager
    def unrecorded(self) -> Iterator[None]:
        """Within the block batch norm normalises by the batch and records no running statistics."""
        before = [norm.track_running_stats for norm in self._norms]
        try:
            for norm in self._norms:
                norm.track_running_stats = False
            yield
        finally:
            for norm, tracks in zip(self._norms, before, strict=True):
                norm.track_running_stats = tracks

    def learned(self, supernet: SuperNet) -> list[Architecture]:
        """Return the architecture that the derivation rule reads off α."""
        with torch.no_grad():
            strengths = {label: p.tolist() for label, p in self.probabilities().items()}
        return [RULES[self.rule](supernet.space, strengths)]

    def metrics(self) -> dict[str, float]:
        """Return entropy and dominance.

        "entropy" is the mean over decisions of the entropy over its largest value, in 0–1.
        "skip_dominance" is the share of decisions whose strongest option has no parameters, of those
        that have options with and without.

        Raises:
            DivergedError: α is not finite.
        """
        entropies, dominated = [], []
        with torch.no_grad():
            for label, p in self.probabilities().items():
                values = p.tolist()
                if not all(map(math.isfinite, values + self.alphas[label].tolist())):
                    raise DivergedError(
                        f"{type(self).__name__}: the architecture parameters of {label!r} are not "
                        "finite; lower strategy.learning_rate, or mend what makes the loss so large"
                    )
                total = sum(values)
                shares = [value / total for value in values if value > 0]
                if len(values) > 1:
                    entropy = -sum(share * math.log(share) for share in shares)
                    entropies.append(entropy / math.log(len(values)))
                free = self._free.get(label, [])
                if self._one(label) and any(free) and not all(free):
                    dominated.append(free[values.index(max(values))])
        found = {"entropy": round(sum(entropies) / max(len(entropies), 1), 5)}
        if dominated:
            found["skip_dominance"] = round(sum(dominated) / len(dominated), 4)
        if self.guard is not None and self.guard.eigenvalues:
            found["eigenvalue"] = self.guard.eigenvalues[-1]
        return found

    def warnings(self) -> list[str]:
        """Say whether α was taken back, and whether options without parameters have won."""
        stops = [] if self.guard is None else self.guard.warnings()
        share = self.metrics().get("skip_dominance", 0.0)
        if share < DOMINATED:
            return stops
        return [
            *stops,
            f"{type(self).__name__} has collapsed: in {100 * share:.0f} % of the decisions the "
            "strongest option has no parameters (a skip, a pooling or none). Train less or regularise "
            "the weights more, keep α still for longer (strategy.warmup), or try another strategy",
        ]

    def state_dict(self) -> dict[str, Any]:
        """Return α and the state of its optimizer."""
        return {
            "alphas": {label: alpha.detach() for label, alpha in self.alphas.items()},
            "optimizer": self._optimizer.state_dict(),
            **({} if self.guard is None else {"guard": self.guard.state_dict()}),
        }

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Continue from α and the state of its optimizer."""
        with torch.no_grad():
            for label, alpha in self.alphas.items():
                alpha.copy_(state["alphas"][label])
        self._optimizer.load_state_dict(state["optimizer"])
        if self.guard is not None:
            self.guard.load_state_dict(state["guard"])

    def _one(self, label: str) -> bool:
        return isinstance(self._decisions[label], OneOf)

    def _initial(self, decision: Decision, seed: int, device: torch.device) -> nn.Parameter:
        drawn = torch.randn(
            len(decision.options), generator=generator(seed, "alpha", decision.label)
        )
        return nn.Parameter((self.spread * drawn).to(device))

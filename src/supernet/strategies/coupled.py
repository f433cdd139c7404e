"""What methods have in common that learn the architecture while they train the weights.

A step first moves the architecture's parameters α by the gradient of the loss on a batch of the search
split, then leaves the gradients of the weights on the batch of the training split. Where α is used, and
how it becomes gates, is the method's own.

α is one vector per decision, `[options]`, drawn from a normal distribution. Of a decision that chooses
several options (which edges enter a node) the vector is the strength of each; methods that learn
no edges leave all of them on, and the derivation rule looks at what lies in them.
"""

from __future__ import annotations

import math
from abc import abstractmethod
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any, Literal

import torch
from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm

from supernet.cost import ExpectedCost
from supernet.data import Loader
from supernet.errors import ConfigError, DivergedError
from supernet.net import Gate, Routing, SuperNet
from supernet.random import generator
from supernet.space import Architecture, Decision, OneOf
from supernet.strategies.base import BatchNorm, Setting, Strategy
from supernet.strategies.rules import RULES, RuleName
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

    Raises:
        ConfigError: a number is out of range.
    """

    batch_norm: BatchNorm = "batch"
    several = True
    """Whether decisions that choose several options can be relaxed."""

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
        self.alphas: dict[str, nn.Parameter] = {}
        self._search: Loader | None = None
        self._expected: ExpectedCost | None = None
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
        self._norms = [module for module in supernet.modules() if isinstance(module, _BatchNorm)]
        self._free = {
            label: [not any(True for _ in option.parameters()) for option in choice.options]
            for choice, label in supernet.choices.items()
        }
        self._decisions = {decision.label: decision for decision in supernet.space.decisions}
        if self.cost is not None:
            if self.cost not in setting.costs:
                raise ConfigError(
                    f"strategy.cost is {self.cost!r}, but costs are known for "
                    f"{', '.join(sorted(setting.costs))}"
                )
            self._expected = ExpectedCost(setting.costs[self.cost], supernet.space)
            with torch.no_grad():
                start = float(self._expected(self.probabilities()))
            self._target = start if self.cost_target is None else self.cost_target
            if not self._target > 1:
                raise ConfigError(f"strategy.cost_target must be above 1, not {self._target}")

    def backward(self, model: SuperNet, task: Task, batch: Batch, moment: Moment) -> torch.Tensor:
        """Move α, then add the gradients of the weights."""
        if moment.progress >= self.warmup:
            self.learn(model, task, batch, moment)
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

    def soft(self, weights: Weights) -> Routing:
        """Return gates with these weights; of decisions that choose several all options are on."""
        return Routing(
            {
                label: Gate(tuple(range(len(w))), w if self._one(label) else None)
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
        expected = self._expected(self.probabilities())
        if self.cost_loss == "linear":
            return loss + self.cost_weight * (expected - self._target) / self._target
        return loss * (torch.log(expected) / math.log(self._target)) ** self.cost_weight

    def step(self, gradients: tuple[torch.Tensor | None, ...]) -> None:
        """Let Adam move α by these gradients."""
        for alpha, gradient in zip(self.alphas.values(), gradients, strict=True):
            alpha.grad = gradient
        self._optimizer.step()
        self._optimizer.zero_grad(set_to_none=True)

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
                if not all(map(math.isfinite, values)):
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
        return found

    def warnings(self) -> list[str]:
        """Say whether the search collapsed into options without parameters."""
        share = self.metrics().get("skip_dominance", 0.0)
        if share < DOMINATED:
            return []
        return [
            f"{type(self).__name__} has collapsed: in {100 * share:.0f} % of the decisions the "
            "strongest option has no parameters (a skip, a pooling or none). Stop earlier, regularise "
            "the weights more, or use a strategy made against it, such as fairdarts or dartsminus"
        ]

    def state_dict(self) -> dict[str, Any]:
        """Return α and the state of its optimizer."""
        return {
            "alphas": {label: alpha.detach() for label, alpha in self.alphas.items()},
            "optimizer": self._optimizer.state_dict(),
        }

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Continue from α and the state of its optimizer."""
        with torch.no_grad():
            for label, alpha in self.alphas.items():
                alpha.copy_(state["alphas"][label])
        self._optimizer.load_state_dict(state["optimizer"])

    def _one(self, label: str) -> bool:
        return isinstance(self._decisions[label], OneOf)

    def _initial(self, decision: Decision, seed: int, device: torch.device) -> nn.Parameter:
        drawn = torch.randn(
            len(decision.options), generator=generator(seed, "alpha", decision.label)
        )
        return nn.Parameter((self.spread * drawn).to(device))

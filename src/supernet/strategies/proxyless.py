"""ProxylessNAS, with its two ways to learn the architecture.

Cai, Zhu and Han, "ProxylessNAS: Direct Neural Architecture Search on Target Task and Hardware" (ICLR
2019).

A weight step trains one path, each option drawn from p = softmax(α). Every n-th step also moves α:

* `ProxylessNAS`: of each decision two options are drawn from Multinomial(p) without replacement, with
  shares s = softmax of their two α. One is active, chosen by s: the binary gates are g = (1, 0), both
  options run, and ∂L/∂α_i = Σ_j ∂L/∂g_j · s_j (δ_ij - s_i) over the two. After Adam's step both α are
  shifted by -ln(Σ exp α_new / Σ exp α_old), so that the two keep the mass they had together. Expected
  costs are taken over the two as well, as in the authors' code: otherwise Adam, which knows no scale,
  would move the options that were not drawn by their cost alone.
* `ProxylessRL`: REINFORCE. A batch of paths is scored, `R = accuracy · (target / cost)^w`, and
  ∇α = -mean((R - b) ∇ ln p(path)). The baseline b is the running mean
  `decay · b + (1 - decay) · mean R`, as it was before the paths of this step (in the first step, their
  mean). The authors' code has `b += 0.99 (mean R - b)`, which follows the newest rewards and smooths
  almost nothing.

The straight-through gradient is the exact one where the loss is linear in the gates and a decision has
two options; with more, every pair's difference keeps its sign, but not its weight.

Other differences: Adam's first β is 0 as in the code, so that an α without gradient stays; the code
skips the α of a decision whose active option is its zero layer, here it learns like others; a decision
inside an option is left alone where it is not drawn. α lies on the CPU, where paths are drawn.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from random import Random
from typing import Any

import torch

from supernet.cost import CostTable
from supernet.errors import ConfigError
from supernet.net import Gate, Routing, SuperNet
from supernet.space import Architecture, SearchSpace
from supernet.strategies.base import Setting
from supernet.strategies.charge import Charge
from supernet.strategies.coupled import Alpha, Coupled
from supernet.strategies.rules import RuleName
from supernet.task import Batch, Task
from supernet.train import Moment

__all__ = ["OnePath", "ProxylessNAS", "ProxylessRL", "draw_pair"]

PUBLISHED = Alpha(1e-3, (0.0, 0.999), weight_decay=0.0, warmup=0.25)
"""How the paper's code learns α."""


class OnePath(Coupled):
    """Weight steps on one path drawn from softmax(α), and an architecture step now and then.

    Args:
        every: steps from one architecture step to the next.
        alpha: see `Coupled`.
        rule: see `Coupled`.
        cost: see `Coupled`.

    Raises:
        ConfigError: `every` is not positive, or see `Coupled`.
    """

    several = False
    smooth = False
    alpha_on_cpu = True

    def __init__(self, every: int, alpha: Alpha, rule: RuleName, cost: Charge | None) -> None:
        super().__init__(alpha, rule, cost)
        if every < 1:
            raise ConfigError(f"every is a number of steps, at least 1, not {every}")
        self.every = every

    def due(self, moment: Moment) -> bool:
        """Return whether this step moves α."""
        return (moment.step + 1) % self.every == 0

    def weight_routing(self, model: SuperNet, moment: Moment) -> Routing:
        """Return the gates of one path."""
        return Routing.hard(model.space, self.path(model.space, moment.stream("path")))

    def path(self, space: SearchSpace, random: Random) -> Architecture:
        """Draw an architecture from softmax(α), decision by decision."""
        return space.build(lambda d: random.choices(d.options, _shares(self.alphas[d.label]))[0])


class ProxylessNAS(OnePath):
    """Binary gates on two paths.

    Args:
        every: steps from one architecture step to the next.
        alpha: see `Coupled`.
        rule: see `Coupled`.
        cost: see `Coupled`; the weight of "linear" is 0.1 in the paper, the exponent of "log" 0.3 in
            its code.

    Raises:
        ConfigError: `every` is not positive, or see `Coupled`.
    """

    def __init__(
        self,
        every: int = 5,
        alpha: Alpha = PUBLISHED,
        rule: RuleName = "strongest",
        cost: Charge | None = None,
    ) -> None:
        super().__init__(every, alpha, rule, cost)

    def learn(self, model: SuperNet, task: Task, batch: Batch, moment: Moment) -> None:
        """Move the α of the drawn pairs, and put their masses right."""
        if not self.due(moment):
            return
        pairs = self.pairs(moment)
        masses = self._masses(pairs)
        with self.unrecorded(), model.route(self.routing(model, moment)):
            loss = task.loss(model, self.search_batch(moment))
        loss = self.charged(loss, self._of_pairs(pairs))
        self.step(torch.autograd.grad(loss, list(self.alphas.values()), allow_unused=True))
        with torch.no_grad():
            for label, mass in self._masses(pairs).items():
                self.alphas[label][list(pairs[label])] -= mass - masses[label]

    def routing(self, model: SuperNet, moment: Moment) -> Routing:
        """Return gates of the two drawn options, the active one's weight 1 and the other's 0."""
        pairs = self.pairs(moment)
        reached = {label: pair for label, pair in pairs.items() if _reached(model, label, pairs)}
        gates = []
        for label, pair in reached.items():
            shares = torch.softmax(self.alphas[label][list(pair)], 0)
            active = torch.arange(len(pair)) == 0
            gates.append(active + (shares - shares.detach()))
        together = torch.cat(gates).to(next(model.parameters()).device)
        weights = torch.split(together, [len(gate) for gate in gates])
        return Routing(
            {
                label: Gate(pair, weight)
                for (label, pair), weight in zip(reached.items(), weights, strict=True)
            }
        )

    def pairs(self, moment: Moment) -> dict[str, tuple[int, ...]]:
        """Draw two options for every decision, the active one first."""
        random = moment.stream("pairs")
        return {label: draw_pair(_shares(alpha), random) for label, alpha in self.alphas.items()}

    def _masses(self, pairs: Mapping[str, tuple[int, ...]]) -> dict[str, torch.Tensor]:
        return {
            label: torch.logsumexp(self.alphas[label].detach()[list(pair)], 0)
            for label, pair in pairs.items()
        }

    def _of_pairs(self, pairs: Mapping[str, tuple[int, ...]]) -> dict[str, torch.Tensor]:
        """Return how likely each option is between those of its pair, 0 for the others."""
        return {
            label: torch.zeros_like(alpha).scatter(
                0, (i := torch.tensor(pairs[label])), torch.softmax(alpha[i], 0)
            )
            for label, alpha in self.alphas.items()
        }


class ProxylessRL(OnePath):
    """REINFORCE with a running baseline.

    Where the task has no accuracy, exp(-loss) stands in for it.

    Args:
        every: steps from one architecture step to the next.
        paths: that are scored in an architecture step.
        decay: of the baseline: the share that it keeps in a step.
        alpha: see `Coupled`.
        rule: see `Coupled`.
        cost: what the reward pays for; the weight is w, the exponent, and the target the cost that
            changes no reward. Its form is the paper's, whatever `form` says.

    Raises:
        ConfigError: a number is out of range, or see `Coupled`.
    """

    weighs = False

    def __init__(
        self,
        every: int = 5,
        paths: int = 10,
        decay: float = 0.99,
        alpha: Alpha = PUBLISHED,
        rule: RuleName = "strongest",
        cost: Charge | None = None,
    ) -> None:
        super().__init__(every, alpha, rule, cost)
        if paths < 1 or not 0 <= decay < 1:
            raise ConfigError(f"paths {paths} must be at least 1 and decay {decay} in [0, 1)")
        self.paths = paths
        self.decay = decay
        self.baseline: float | None = None
        self._table: CostTable | None = None

    def prepare(self, supernet: SuperNet, setting: Setting) -> None:
        """See `Coupled`; look up the table of costs."""
        super().prepare(supernet, setting)
        self.baseline = None
        self._table = None if self.cost is None else setting.table(self.cost.quantity)
        if self._table is not None and not self._table.range(supernet.space)[0] > 0:
            raise ConfigError(
                f"ProxylessRL divides by {self._table.quantity}, of which the cheapest architecture has "
                "none; choose another quantity"
            )

    def learn(self, model: SuperNet, task: Task, batch: Batch, moment: Moment) -> None:
        """Score paths on the search batch of this step, and move α towards the better ones."""
        if not self.due(moment):
            return
        searched = self.search_batch(moment)
        drawn = [self.path(model.space, moment.stream("rl", i)) for i in range(self.paths)]
        with self.unrecorded(), torch.no_grad():
            rewards = torch.stack([self.reward(model, task, searched, path) for path in drawn])
        values = rewards.tolist()
        mean = sum(values) / len(values)
        before = mean if self.baseline is None else self.baseline
        loss = self.surrogate(model.space, drawn, [value - before for value in values])
        self.step(torch.autograd.grad(loss, list(self.alphas.values()), allow_unused=True))
        self.baseline = self.decay * before + (1 - self.decay) * mean

    def reward(self, model: SuperNet, task: Task, batch: Batch, path: Architecture) -> torch.Tensor:
        """Return the accuracy of a path on a batch, times the price of its cost."""
        with model.route(path):
            measures = task.measure(model, batch)
        if "accuracy" in measures:
            quality = measures["accuracy"].mean()
        else:
            quality = torch.exp(-measures["loss"].mean())
        if self._table is not None and (charge := self._charge) is not None:
            assert charge.target is not None  # it is settled
            quality = quality * (charge.target / self._table.cost(path)) ** charge.weight
        return quality

    def surrogate(
        self, space: SearchSpace, paths: Sequence[Architecture], advantages: Sequence[float]
    ) -> torch.Tensor:
        """Return `-mean(advantage · ln p(path))`, whose gradient is REINFORCE's."""
        terms = [
            advantage
            * torch.log_softmax(self.alphas[label], 0)[space.decision(label).indices(value)[0]]
            for path, advantage in zip(paths, advantages, strict=True)
            for label, value in path.items()
        ]
        return -torch.stack(terms).sum() / len(paths)

    def routing(self, model: SuperNet, moment: Moment) -> Routing:
        """Return the gates of the first path that an architecture step scores."""
        return Routing.hard(model.space, self.path(model.space, moment.stream("rl", 0)))

    def state_dict(self) -> dict[str, Any]:
        """Return the state and the baseline."""
        return {**super().state_dict(), "baseline": self.baseline}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Continue from the state and the baseline."""
        super().load_state_dict(state)
        self.baseline = state["baseline"]


def draw_pair(p: Sequence[float], random: Random) -> tuple[int, ...]:
    """Draw two of the options without replacement, and return the active one first.

    A decision with one option has no second.
    """
    options = range(len(p))
    if len(p) == 1:
        return (0,)
    (first,) = random.choices(options, p)
    (second,) = random.choices(options, [0.0 if i == first else x for i, x in enumerate(p)])
    swap = random.random() < p[second] / (p[first] + p[second])
    return (second, first) if swap else (first, second)


def _shares(alpha: torch.Tensor) -> list[float]:
    """Return softmax(α), in double precision so that none is zero."""
    shares: list[float] = torch.softmax(alpha.detach().double(), 0).tolist()
    return shares


def _reached(model: SuperNet, label: str, pairs: Mapping[str, tuple[int, ...]]) -> bool:
    """Return whether a decision exists under one of the options that run."""
    space = model.space
    return any(
        all(space.decision(outer).options.index(option) in pairs[outer] for outer, option in path)
        for path in space.conditions(label)
    )

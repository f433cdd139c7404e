"""ProxylessNAS, with its two ways to learn the architecture.

Cai, Zhu and Han, "ProxylessNAS: Direct Neural Architecture Search on Target Task and Hardware" (ICLR
2019).

A weight step trains one path, each option drawn from p = softmax(α). Every n-th step also moves α:

* `ProxylessNAS`: binary gates. One option of each decision is active, its gate is 1 and those of the
  others 0, but all run, and ∂L/∂α_i = Σ_j ∂L/∂g_j · s_j (δ_ij - s_i), with s the shares that the active
  one was drawn by. By `mode` "full", the default of the authors' code ("full_v2" there), s = p and all
  options have a gate. By "two", as in the paper, two options are drawn from Multinomial(p) without
  replacement, and s = softmax of their two α; after Adam's step both α are shifted by
  -ln(Σ exp α_new / Σ exp α_old), so that the two keep the mass they had together. Expected costs are
  over s too: otherwise Adam, which knows no scale, would move options without a gate by cost alone.
* `ProxylessRL`: REINFORCE. A batch of paths is scored, `R = accuracy · (target / cost)^w`, and
  ∇α = -mean((R - b) ∇ ln p(path)). The baseline b moves to `decay · b + (1 - decay) · mean R`, and is
  then subtracted. With the code's decay of 0.01 it is almost the mean of the newest rewards.

The loss of α is the measured one, so cross-entropy without the label smoothing that weights are trained
with. α rests while the weights warm up on nearly uniform paths, for 40 epochs of 160 at twice the
learning rate with a schedule of its own, and for one more epoch. It also rests, in a step of
`ProxylessNAS`, where the active option of a decision is its zero operation, since the code leaves such a
layer out of the network. That is an option which computes zeros, or which passes its input on: the zero
beside a shortcut, "identity" in the space "proxyless".

The gradient by pairs is the exact one where the loss is linear in the gates and a decision has two
options; with more, every pair's difference keeps its sign, but not its weight. That of "full" is exact
for a linear loss with any number of options.

Other differences from the authors' code: it computes the options that are not active again in the
backward pass, without their graph, which saves memory; the constant factor of its "mul#log" loss is
left out; a decision inside an option does not move where that is not active. As there Adam's first β is
0, so that an α without gradient stays. α lies on the CPU, where paths are drawn.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from random import Random
from typing import Any, Literal, get_args

import torch

from supernet.choice import Gate, Routing
from supernet.cost import CostTable
from supernet.errors import ConfigError
from supernet.net import SuperNet
from supernet.space import Architecture, Role, SearchSpace
from supernet.strategies.alpha import Alpha
from supernet.strategies.base import TrainingContext
from supernet.strategies.cost_penalty import CostPenalty
from supernet.strategies.coupled import Coupled
from supernet.strategies.derivation import RuleName
from supernet.task import Batch, Preference, Task, batch_figures, checked_measures
from supernet.train import Moment, Schedule

__all__ = ["OnePath", "ProxylessNAS", "ProxylessRL", "draw_pair"]

Mode = Literal["full", "two"]

PUBLISHED = Alpha(1e-3, (0.0, 0.999), weight_decay=0.0, warmup=41 / 160)
"""How the paper's code learns α: after 40 epochs of warm-up and one more."""

START_RATE = 2.0
"""Peak of the learning rate in the warm-up of the weights, in peaks of that after it (0.05, 0.025)."""


class OnePath(Coupled):
    """Weight steps on one path drawn from softmax(α), and an architecture step now and then.

    Args:
        every: steps from one architecture step to the next.
        start: share of the steps at the beginning in which the learning rate has a schedule of its own,
            from twice the peak; 0 for none.
        alpha: how α begins and how Adam moves it, see `Coupled`.
        rule: name of the rule that derives an architecture from α, see `supernet.strategies.derivation`.
        cost: expected cost that joins the loss of α, see `Coupled`.

    Raises:
        ConfigError: `every` is not positive, `start` no share, or see `Coupled`.
    """

    several = False
    smooth = False
    alpha_on_cpu = True

    def __init__(
        self, every: int, start: float, alpha: Alpha, rule: RuleName, cost: CostPenalty | None
    ) -> None:
        super().__init__(alpha, rule, cost)
        if every < 1:
            raise ConfigError(f"every is a number of steps, at least 1, not {every}")
        if not 0 <= start < 1:
            raise ConfigError(f"start is a share of the steps in [0, 1), not {start}")
        self.every = every
        self.start_share = start

    def rate(self, schedule: Schedule, moment: Moment) -> float:
        """Return the factor of the warm-up's schedule, or of the one after it."""
        begun = self.start_share
        if moment.progress < begun:
            return START_RATE * schedule.factor(moment.progress / begun)
        if begun:
            return schedule.fall((moment.progress - begun) / (1 - begun))
        return schedule.factor(moment.progress)

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
    """ProxylessNAS by gradients: binary gates on one or two paths.

    Args:
        every: steps from one architecture step to the next.
        start: share of the steps with a schedule of the learning rate of their own, see `OnePath`.
        mode: options that have a gate in an architecture step, "full" for all, "two" for a drawn
            pair.
        zeros: roles of options that leave a layer out, see `supernet.space.roles`; where one is
            active, α of its decision rests. None of them: ().
        alpha: how α begins and how Adam moves it, see `Coupled`.
        rule: name of the rule that derives an architecture from α, see `supernet.strategies.derivation`.
        cost: expected cost that joins the loss of α, see `Coupled`; the weight of "linear" is 0.1
            in the paper, the exponent of "log" 0.3 in its code.

    Raises:
        ConfigError: `every` is not positive, there is no such mode or role, or see `OnePath`.
    """

    def __init__(
        self,
        every: int = 5,
        start: float = 0.25,
        mode: Mode = "full",
        zeros: tuple[Role, ...] = ("none", "skip"),
        alpha: Alpha = PUBLISHED,
        rule: RuleName = "strongest",
        cost: CostPenalty | None = None,
    ) -> None:
        super().__init__(every, start, alpha, rule, cost)
        if mode not in get_args(Mode):
            raise ConfigError(f"mode is {' or '.join(get_args(Mode))}, not {mode!r}")
        if not set(zeros) <= {*get_args(Role)}:
            raise ConfigError(f"zeros are roles, {' and '.join(get_args(Role))}, not {zeros!r}")
        self.mode = mode
        self.zeros = zeros

    def alpha_step(self, model: SuperNet, task: Task, batch: Batch, moment: Moment) -> None:
        """Move the α of the drawn options; put the masses of pairs right.

        Raises:
            ConfigError: the task's measure has no gradient.
        """
        if not self.due(moment):
            return
        drawn = self.drawn(moment)
        with self.unrecorded(), model.route(self.routing(model, moment)):
            loss = checked_measures(task, model, self.search_batch(moment))["loss"].mean()
        if not loss.requires_grad:
            raise ConfigError(
                f"ProxylessNAS follows the gradient of the measured loss, but that of "
                f"{type(task).__name__} has none; let its method measure compute a loss that has one"
            )
        loss = self.alpha_loss(loss, moment, self._chances(drawn))
        found = torch.autograd.grad(loss, list(self.alphas.values()), allow_unused=True)
        active = [(label, self.decisions[label].options[i[0]]) for label, i in drawn.items()]
        learns = [model.space.role(label, option) not in self.zeros for label, option in active]
        masses = self._masses(drawn)
        self.move_alpha(tuple(g if one else None for g, one in zip(found, learns, strict=True)))
        if self.mode == "two":
            with torch.no_grad():
                for label, mass in self._masses(drawn).items():
                    self.alphas[label][list(drawn[label])] -= mass - masses[label]

    def routing(self, model: SuperNet, moment: Moment) -> Routing:
        """Return gates of the drawn options, the active one's weight 1 and the others' 0."""
        drawn = self.drawn(moment)
        reached = {label: found for label, found in drawn.items() if _reached(model, label, drawn)}
        gates = []
        for label, options in reached.items():
            shares = torch.softmax(self.alphas[label][list(options)], 0)
            active = torch.arange(len(options)) == 0
            gates.append(active + (shares - shares.detach()))
        together = torch.cat(gates).to(next(model.parameters()).device)
        weights = torch.split(together, [len(gate) for gate in gates])
        return Routing(
            {
                label: Gate(options, weight)
                for (label, options), weight in zip(reached.items(), weights, strict=True)
            }
        )

    def drawn(self, moment: Moment) -> dict[str, tuple[int, ...]]:
        """Draw for every decision which options have a gate, the active one first."""
        random, draw = moment.stream("gates"), draw_pair if self.mode == "two" else draw_active
        return {label: draw(_shares(alpha), random) for label, alpha in self.alphas.items()}

    def _masses(self, drawn: Mapping[str, tuple[int, ...]]) -> dict[str, torch.Tensor]:
        return {
            label: torch.logsumexp(self.alphas[label].detach()[list(options)], 0)
            for label, options in drawn.items()
        }

    def _chances(self, drawn: Mapping[str, tuple[int, ...]]) -> dict[str, torch.Tensor]:
        """Return how likely each option is among those with a gate, 0 for the others."""
        return {
            label: torch.zeros_like(alpha).scatter(
                0, (i := torch.tensor(drawn[label])), torch.softmax(alpha[i], 0)
            )
            for label, alpha in self.alphas.items()
        }


class ProxylessRL(OnePath):
    """ProxylessNAS by rewards: REINFORCE with a baseline.

    The reward is the accuracy, or the figure that the run ranks by; e to minus it where lower is better,
    as it is of the loss, which stands in where the task has neither.

    Args:
        every: steps from one architecture step to the next (300 in an epoch of ImageNet).
        start: share of the steps with a schedule of the learning rate of their own, see `OnePath`.
        paths: number of paths that are scored in an architecture step.
        decay: share of its old value that the reward's baseline keeps in a step.
        alpha: how α begins and how Adam moves it, see `Coupled`.
        rule: name of the rule that derives an architecture from α, see `supernet.strategies.derivation`.
        cost: cost that the reward pays for; the weight is w, the exponent, and the target the cost
            that changes no reward. Its form is the paper's, whatever `form` says.

    Raises:
        ConfigError: a number is out of range, or see `Coupled`.
    """

    weighs = False

    rewards = True

    def __init__(
        self,
        every: int = 16,
        start: float = 0.25,
        paths: int = 10,
        decay: float = 0.01,
        alpha: Alpha = PUBLISHED,
        rule: RuleName = "strongest",
        cost: CostPenalty | None = None,
    ) -> None:
        super().__init__(every, start, alpha, rule, cost)
        if paths < 1 or not 0 <= decay < 1:
            raise ConfigError(f"paths {paths} must be at least 1 and decay {decay} in [0, 1)")
        self.paths = paths
        self.decay = decay
        self.baseline: float | None = None
        self._table: CostTable | None = None
        self._better = Preference()

    def prepare(self, supernet: SuperNet, setting: TrainingContext) -> None:
        """See `Coupled`; look up the table of costs."""
        super().prepare(supernet, setting)
        self.baseline, self._better = None, setting.preference
        self._table = None if self.cost is None else setting.table(self.cost.quantity)
        if self._table is not None and not self._table.range(supernet.space)[0] > 0:
            raise ConfigError(
                f"ProxylessRL divides by {self._table.quantity}, of which the cheapest architecture has "
                "none; choose another quantity"
            )

    def alpha_step(self, model: SuperNet, task: Task, batch: Batch, moment: Moment) -> None:
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
        self.baseline = self.decay * before + (1 - self.decay) * mean
        loss = self.surrogate(model.space, drawn, [value - self.baseline for value in values])
        self.move_alpha(torch.autograd.grad(loss, list(self.alphas.values()), allow_unused=True))

    def reward(self, model: SuperNet, task: Task, batch: Batch, path: Architecture) -> torch.Tensor:
        """Return the figure of a path on a batch that the run ranks by, times the price of its cost.

        It is the accuracy instead of the loss, and e to minus it where lower is better. With a cost what
        is negative counts as 0, since a factor would turn it round.
        """
        with model.route(path):
            figures = batch_figures(task, [checked_measures(task, model, batch)])
        name = self._better.final(figures)
        quality = torch.exp(-figures[name]) if self._better.falls(name) else figures[name]
        if self._table is not None and (charge := self.charge) is not None:
            assert charge.target is not None  # it is settled
            quality = (
                quality.clamp(min=0) * (charge.target / self._table.cost(path)) ** charge.weight
            )
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


def draw_active(p: Sequence[float], random: Random) -> tuple[int, ...]:
    """Draw one option, and return it before all others."""
    (active,) = random.choices(range(len(p)), p)
    return (active, *(i for i in range(len(p)) if i != active))


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

"""Single-Path NAS: Stamoulis et al., "Single-Path NAS" (ECML-PKDD 2019).

All options of a layer are parts of one superkernel, and indicators say which part is used (see
`supernet.ops.superblock`): 1[x > t] of a squared norm x of weights and a threshold t that is learned,
differentiated as a sigmoid. One pass trains weights and thresholds on a training batch, by

    L = CE + λ · ln(R),   R = Σ_layers Σ_options amount · (product of their indicators),

where R comes from a table of any quantity. A step computes one network, the largest.

As in the authors' code: until 5/8 of the steps λ is 0 and each indicator is dropped with probability
0.4, so that parts learn to do without the rest; from there on λ counts and nothing is dropped. λ = 20 is
its example, `--runtime_lambda_val=0.020`, which it multiplies by 1,000.

Differences: the argument of the sigmoid is scaled by the sizes of norm and threshold, since else it has
no derivative in float32 where norms are larger than 17, which is most of the published space.
Thresholds are learned as shares of the squared norms that they are compared with, as these are at the
start and without rings, so that they reach large layers as soon as small ones: t = share · norm. They
have an Adam of their own, where the code has one RMSProp for all. What is not dropped is not scaled up
by 1 / 0.6, and what is dropped does not change the norms that others compare. See
`supernet.ops.superblock` for others.

Shares that start at 0, as in the code, have everything on, and must first come near 1. Weight decay
makes rings smaller whatever they are worth, so it leads to kernels of 3.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import torch
from torch import nn

from supernet.choice import Gate, Routing
from supernet.cost import ExpectedCost
from supernet.elastic import SuperKernel
from supernet.errors import ConfigError, DivergedError
from supernet.net import SuperNet
from supernet.random import generator
from supernet.space import Architecture, Option, Value
from supernet.strategies.base import Strategy, TrainingContext
from supernet.strategies.movement import Movement
from supernet.task import Batch, Task
from supernet.train import Moment, backward

__all__ = ["SinglePath"]

Indicators = dict[str, torch.Tensor]
"""By decision, k, e6 and e3."""


class SinglePath(Strategy):
    """Thresholds on the norms of superkernels, trained with the weights.

    Args:
        learning_rate: learning rate of the Adam optimizer that moves the thresholds: about the
            share of their norms that they move by in a step.
        start: the thresholds at first, as a share of the norms that they are compared with, those of
            channels without their rings; 0 for all on, 1 for just off.
        warmup: share of the steps in which indicators are dropped and the cost is free.
        dropout: probability of dropping an indicator then.
        cost: the quantity that R is, or None for the cross-entropy alone.
        weight: λ, the weight of the cost term R in the loss.

    Raises:
        ConfigError: a number is out of range.
    """

    def __init__(
        self,
        learning_rate: float = 1e-2,
        start: float = 0.0,
        warmup: float = 0.625,
        dropout: float = 0.4,
        cost: str | None = "macs",
        weight: float = 20.0,
    ) -> None:
        if not learning_rate > 0 or not weight >= 0 or not math.isfinite(start):
            raise ConfigError(
                f"of SinglePath, learning_rate {learning_rate} must be positive, weight {weight} not "
                f"negative, and start {start} a number"
            )
        if not (0 <= warmup <= 1 and 0 <= dropout < 1):
            raise ConfigError(
                f"of SinglePath, warmup {warmup} must be a share in [0, 1], and dropout {dropout} a "
                "probability in [0, 1)"
            )
        self.learning_rate = learning_rate
        self.start_share = start
        self.warmup = warmup
        self.dropout = dropout
        self.cost = cost
        self.weight = weight
        self.kernels: dict[str, SuperKernel] = {}
        self.thresholds: dict[str, nn.Parameter] = {}
        """By decision, those of k, e6 and e3 as shares of `norms`."""
        self.norms: dict[str, torch.Tensor] = {}
        """By decision, the squared norms of ring and halves at the start, without rings."""
        self._settled: dict[str, Option] = {}
        """Decisions with one option, as a part of a split supernet has one."""
        self._expected: ExpectedCost | None = None

    def prepare(self, supernet: SuperNet, setting: TrainingContext) -> None:
        """Set the thresholds and make their optimizer.

        Raises:
            ConfigError: a decision is not that of one superkernel, or the cost cannot be used.
        """
        self.kernels = _superkernels(supernet)
        self._settled = {
            decision.label: decision.options[0]
            for decision in supernet.space.decisions
            if decision.label not in self.kernels
        }
        self.thresholds, self.norms = {}, {}
        for label, kernel in self.kernels.items():
            sizes = kernel.block.sizes(kernel=0.0).detach()[: 3 if kernel.block.shortcut else 2]
            self.norms[label] = sizes
            self.thresholds[label] = nn.Parameter(torch.full_like(sizes, self.start_share))
        self.movement = Movement(self.thresholds)
        self._optimizer = torch.optim.Adam(self.thresholds.values(), lr=self.learning_rate)
        self._expected = None
        if self.cost is not None:
            table = setting.table(self.cost)
            least, _ = table.range(supernet.space)
            if not least > 0:
                raise ConfigError(
                    f"SinglePath takes the logarithm of {self.cost}, which is {least:.3g} for the "
                    "cheapest architecture; give a table in which every architecture costs something"
                )
            self._expected = ExpectedCost(table, supernet.space)

    def backward(self, model: SuperNet, task: Task, batch: Batch, moment: Moment) -> torch.Tensor:
        """Add the gradients of the weights, and move the thresholds by theirs from the same pass."""
        warm = moment.progress < self.warmup
        on = self.indicators()
        with model.route(self.routing(self.dropped(on, moment) if warm else on)):
            loss = task.loss(model, batch)
        backward(loss if warm else loss + self.charge(on))
        self.movement.note([values.grad for values in self.thresholds.values()])
        self._optimizer.step()
        self._optimizer.zero_grad(set_to_none=True)
        return loss.detach()

    def indicators(self) -> Indicators:
        """Return the indicators of every decision, `[3]`, differentiable in thresholds and weights."""
        return {
            label: kernel.block.indicators(self.thresholds[label] * self.norms[label])
            for label, kernel in self.kernels.items()
        }

    def dropped(self, on: Indicators, moment: Moment) -> Indicators:
        """Return the indicators with some of them 0; a layer that cannot be left out is kept."""
        random = generator(moment.seed, "indicators", moment.step)
        found = {}
        for label, indicators in on.items():
            kept = torch.rand(3, generator=random) >= self.dropout
            kept[2] |= not self.kernels[label].block.shortcut
            found[label] = indicators * kept.to(indicators)
        return found

    def routing(self, on: Indicators) -> Routing:
        """Return gates that compute by indicators."""
        values = torch.stack(list(on.values())).tolist()
        gates: dict[str, Gate] = {label: Gate((0,)) for label in self._settled}
        for (label, indicators), numbers in zip(on.items(), values, strict=True):
            gates[label] = self.kernels[label].gate_of(indicators, numbers)
        return Routing(gates)

    def charge(self, on: Indicators) -> torch.Tensor | float:
        """Return `λ · ln(R)`, 0 without a cost."""
        if self._expected is None:
            return 0.0
        shares = {label: self.kernels[label].shares(values) for label, values in on.items()}
        like = next(iter(on.values()))
        shares |= {label: torch.ones_like(like[:1]) for label in self._settled}
        return self.weight * torch.log(self._expected(shares))

    def learned(self, supernet: SuperNet) -> list[Architecture]:
        """Return the architecture that the indicators say."""
        with torch.no_grad():
            gates = self.routing(self.indicators())
        answers: dict[str, Value] = dict(self._settled)
        for label, kernel in self.kernels.items():
            answers[label] = kernel.names[gates[label].options[0]]
        return [Architecture(answers)]

    def metrics(self) -> dict[str, float]:
        """Return the shares of superkernels with indicators on, "kernel5", "expansion6" and "layers".

        "least_moved" is how far thresholds have moved, as a share of their norms: the largest way of a
        superkernel's, of the superkernel where it is smallest.

        Raises:
            DivergedError: a threshold is not finite.
        """
        for label, thresholds in self.thresholds.items():
            if not bool(thresholds.isfinite().all()):
                raise DivergedError(
                    f"SinglePath: the thresholds of {label!r} are not finite; lower "
                    "strategy.learning_rate, or mend what makes the loss so large"
                )
        with torch.no_grad():
            means = torch.stack(list(self.indicators().values())).mean(0).tolist()
        names = "kernel5", "expansion6", "layers"
        found = {name: round(mean, 4) for name, mean in zip(names, means, strict=True)}
        found["least_moved"] = round(min(self.movement.distances(self.thresholds).values()), 6)
        return found

    def warnings(self) -> list[str]:
        """Say which thresholds had no gradient, and whether none was crossed."""
        still = self.movement.warnings("SinglePath", self.kernels.keys())
        found = self.metrics()
        if min(found["kernel5"], found["expansion6"], found["layers"]) < 1:
            return still
        return [
            *still,
            "SinglePath has decided nothing: every superkernel is used whole. Thresholds must come from "
            f"strategy.start ({self.start_share:g} of their norms) to about 1, and moved by at least "
            f"{found['least_moved']:g} in each superkernel; give them a start nearer to 1, a larger "
            "strategy.learning_rate or more steps, or the cost a larger strategy.weight where the "
            "cross-entropy holds everything on",
        ]

    def state_dict(self) -> dict[str, Any]:
        """Return the thresholds, what they are shares of, and the state of their optimizer."""
        return {
            "thresholds": {label: values.detach() for label, values in self.thresholds.items()},
            "norms": self.norms,
            "optimizer": self._optimizer.state_dict(),
            "movement": self.movement.state_dict(),
        }

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Continue from what `state_dict` returned."""
        with torch.no_grad():
            for label, values in self.thresholds.items():
                values.copy_(state["thresholds"][label])
                self.norms[label].copy_(state["norms"][label])
        self._optimizer.load_state_dict(state["optimizer"])
        self.movement.load_state_dict(state["movement"])


def _superkernels(supernet: SuperNet) -> dict[str, SuperKernel]:
    """Return the superkernel of every decision that has several options.

    Raises:
        ConfigError: a decision has none or several, or no decision has several options.
    """
    found: dict[str, SuperKernel] = {}
    for choice, label in supernet.choices.items():
        if len(choice.names) == 1:
            continue
        if not isinstance(choice, SuperKernel):
            what = "is not that of a superkernel"
        elif label in found:
            what = "is that of several superkernels, whose weights could disagree"
        else:
            found[label] = choice
            continue
        raise ConfigError(
            f"SinglePath cannot relax decision {label!r}, which {what}; it needs one "
            "supernet.elastic.SuperKernel for each decision, as the space singlepath has them, or "
            "another strategy"
        )
    if not found:
        raise ConfigError(
            f"SinglePath has nothing to decide: of {', '.join(sorted(supernet.space.labels))}, each has "
            "one option left; train a supernet with more decisions, or use another strategy"
        )
    return found

"""Single-Path NAS: Stamoulis et al., "Single-Path NAS" (ECML-PKDD 2019).

All options of a layer are parts of one superkernel, and indicators say which part is used (see
`supernet.ops.superkernel`): 1[x > t] of a squared norm x of weights and a threshold t that is learned,
differentiated as σ(x - t). One pass trains weights and thresholds on a training batch, by

    L = CE + λ · ln(R),   R = Σ_layers Σ_options amount · (product of their indicators),

where R comes from a table of any quantity. A step computes one network, the largest.

As in the authors' code: until 5/8 of the steps λ is 0 and each indicator is dropped with probability
0.4, so that parts learn to do without the rest; from there on λ counts and nothing is dropped.
Differences: what is not dropped is not scaled up by 1 / 0.6, and what is dropped does not change the
norms that others compare; thresholds have an Adam of their own, where the code has one RMSProp for all.
See `supernet.ops.superkernel` for others.

Thresholds that start at 0, as in the code, have everything on, and must first come near the norms.
Weight decay makes rings smaller whatever they are worth, so it leads to kernels of 3.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import torch
from torch import nn

from supernet.cost import ExpectedCost
from supernet.errors import ConfigError, DivergedError
from supernet.net import Gate, Routing, SuperKernel, SuperNet
from supernet.random import generator
from supernet.space import Architecture, Option, Value
from supernet.strategies.base import Setting, Strategy
from supernet.task import Batch, Task
from supernet.train import Moment, backward

__all__ = ["SinglePath"]

Indicators = dict[str, torch.Tensor]
"""By decision, k, e6 and e3."""


class SinglePath(Strategy):
    """Thresholds on the norms of superkernels, trained with the weights.

    Args:
        learning_rate: of the thresholds, with Adam.
        start: the thresholds at first, as a share of the norms that they are compared with, those of
            channels without their rings; 0 for all on, 1 for just off.
        warmup: share of the steps in which indicators are dropped and the cost is free.
        dropout: probability of dropping an indicator then.
        cost: the quantity that R is, or None for the cross-entropy alone.
        weight: λ.

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
        weight: float = 0.02,
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
        self._settled: dict[str, Option] = {}
        """Decisions with one option, as a part of a split supernet has one."""
        self._expected: ExpectedCost | None = None

    def prepare(self, supernet: SuperNet, setting: Setting) -> None:
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
        self.thresholds = {}
        with torch.no_grad():
            for label, kernel in self.kernels.items():
                sizes = kernel.block.sizes(kernel=0.0)
                count = 3 if kernel.block.shortcut else 2
                self.thresholds[label] = nn.Parameter(self.start_share * sizes[:count])
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
        self._optimizer.step()
        self._optimizer.zero_grad(set_to_none=True)
        return loss.detach()

    def indicators(self) -> Indicators:
        """Return the indicators of every decision, `[3]`, differentiable in thresholds and weights."""
        return {
            label: kernel.block.indicators(self.thresholds[label])
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
        return {name: round(mean, 4) for name, mean in zip(names, means, strict=True)}

    def warnings(self) -> list[str]:
        """Say whether no threshold was crossed."""
        if min(self.metrics().values()) < 1:
            return []
        return [
            "SinglePath has decided nothing: every superkernel is used whole. Give the cost a larger "
            "strategy.weight, thresholds a start nearer to the norms (strategy.start, in 0-1) or a "
            "larger strategy.learning_rate, or train for longer",
        ]

    def state_dict(self) -> dict[str, Any]:
        """Return the thresholds and the state of their optimizer."""
        return {
            "thresholds": {label: values.detach() for label, values in self.thresholds.items()},
            "optimizer": self._optimizer.state_dict(),
        }

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Continue from the thresholds and the state of their optimizer."""
        with torch.no_grad():
            for label, values in self.thresholds.items():
                values.copy_(state["thresholds"][label])
        self._optimizer.load_state_dict(state["optimizer"])


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
            "supernet.net.SuperKernel for each decision, as the space singlepath has them, or another "
            "strategy"
        )
    if not found:
        raise ConfigError(
            f"SinglePath has nothing to decide: of {', '.join(sorted(supernet.space.labels))}, each has "
            "one option left; train a supernet with more decisions, or use another strategy"
        )
    return found

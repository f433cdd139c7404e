"""CDARTS: Yu et al., "Cyclic Differentiable Architecture Search" (TPAMI 2022).

A second network, the evaluation network, has the architecture that is derived from α at present, so
that α learns from how a derived network behaves, and not the mixture alone. On a batch of the search
split, α and the weights v of the evaluation network follow the gradient of

    L(w, α) + L(v) + λ · T² · D(w, α; v) + ρ · Σ |α_o|,

where D is the mean Kullback-Leibler divergence from softmax(outputs of the evaluation network / T) to
softmax(outputs of the search network / T), or smooth L1 of the outputs. It pulls at both networks. The
sum is over skips and options without parameters but `none`, and ρ falls linearly to 0. Then the weights
w of the search network learn on a batch of the training split.

The edges into a node are weighed alike in the mixture, by one over their number; what is derived has its
edges without weights. With `edges` "learned" (the code's `--use_beta`) there is a vector β for each
node, as in PC-DARTS, and what is derived is read off softmax(β) · softmax(α).

First w learns alone. Cycles follow: in each the evaluation network takes over the architecture of α, v
learns alone for a while, on the search split, and then together with α. v is kept for all options, also
while they are out of the architecture.

The text of the paper could not be consulted; this follows the authors' code (microsoft/Cream, folder
CDARTS) and its scripts for CIFAR-10, which the defaults are from (there D is smooth L1), and ImageNet
(there the divergence). There L(v) moves no α either: the evaluation network has no gates.

Differences from the code. The evaluation network: there deeper (20 cells for 8), with the stem in
common; here a copy of the model, which begins with the same weights and then shares nothing. D: there
also of auxiliary heads, with learned weights, and the divergence divided by the number of classes; here
of what the model returns, each output alike. While v learns alone, w rests there and is trained here.
Gradients are clipped there together, here v's alone. With each cycle α's and w's optimizers begin anew
there, here only that of v. ρ counts three times there where all cells of a kind share α. A network that
is trained alone has a weight decay of 3e-4 there if it has less than 3.5 million parameters, else 5e-4,
and drops paths with 0.2 below 3 million, else 0.3: here they are what the options say, whatever is
found.
"""

from __future__ import annotations

import copy
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, get_args

import torch
from torch import nn
from torch.nn import functional as F

from supernet.choice import Gate, Routing
from supernet.errors import ConfigError
from supernet.net import SuperNet
from supernet.ranks import averaged
from supernet.space import Architecture
from supernet.strategies.alpha import Alpha
from supernet.strategies.base import TrainingContext
from supernet.strategies.cost_penalty import CostPenalty
from supernet.strategies.coupled import Coupled
from supernet.strategies.derivation import RULES, RuleName
from supernet.strategies.pcdarts import products
from supernet.task import Batch, Task, loss_and_outputs
from supernet.train import Moment, Scheduled

__all__ = ["CDARTS", "Evaluation"]

Distance = Literal["kl", "smooth_l1"]
Edges = Literal["mean", "learned"]


@dataclass(frozen=True)
class Evaluation:
    """Settings of the SGD that trains the evaluation network.

    Attributes:
        learning_rate: learning rate of SGD, the same in every step.
        momentum: momentum of SGD; it begins anew with each cycle.
        weight_decay: weight decay of SGD.
        clip: largest gradient norm, null for any.
        warmup: share of a cycle in which the evaluation network learns and α rests.
    """

    learning_rate: float = 0.08
    momentum: float = 0.9
    weight_decay: float = 3e-4
    clip: float | None = 5.0
    warmup: float = 0.5

    def __post_init__(self) -> None:
        if (
            not 0 < self.learning_rate < math.inf
            or not 0 <= self.momentum < 1
            or not 0 <= self.weight_decay < math.inf
            or not 0 <= self.warmup < 1
            or (self.clip is not None and not self.clip > 0)
        ):
            raise ConfigError(
                f"of strategy.evaluation, learning_rate {self.learning_rate} must be positive, "
                f"momentum {self.momentum} and warmup {self.warmup} in [0, 1), weight_decay "
                f"{self.weight_decay} not negative, and clip {self.clip} positive or null"
            )


class CDARTS(Coupled):
    """DARTS with feedback from a network of the derived architecture.

    Args:
        cycles: number of times that the evaluation network takes over the architecture.
        weight: λ, the weight of the distance between the two networks.
        temperature: T, the temperature of the outputs that are compared.
        distance: D, "smooth_l1" for any outputs, "kl" for logits `[batch, classes, ...]`.
        edges: weighing of the edges into a node in the mixture, by one over their number ("mean")
            or by a vector that is "learned".
        regular: ρ at the start of the cycles.
        regular_share: share of the cycles' steps after which ρ is 0.
        evaluation: settings by which the evaluation network is trained.
        alpha: how α begins and how Adam moves it, see `Coupled`; in its warm-up w learns alone.
        rule: name of the rule that derives an architecture from α, see `supernet.strategies.derivation`.
        cost: expected cost that joins the loss of α, see `Coupled`.

    Raises:
        ConfigError: a number is out of range, there is no such distance or weighing, or see `Coupled`.
    """

    def __init__(
        self,
        cycles: int = 30,
        weight: float = 1.0,
        temperature: float = 2.0,
        distance: Distance = "smooth_l1",
        edges: Edges = "mean",
        regular: float = 5.0,
        regular_share: float = 0.667,
        evaluation: Evaluation = Evaluation(),
        alpha: Alpha = Alpha(3e-4, weight_decay=0.0, warmup=0.03),
        rule: RuleName = "edges",
        cost: CostPenalty | None = None,
    ) -> None:
        super().__init__(alpha, rule, cost)
        if cycles < 1 or not 0 < temperature < math.inf or not 0 < regular_share <= 1:
            raise ConfigError(
                f"CDARTS needs cycles of at least 1, not {cycles}, a positive temperature, not "
                f"{temperature}, and regular_share in (0, 1], not {regular_share}"
            )
        if not 0 < weight < math.inf or not 0 <= regular < math.inf:
            raise ConfigError(
                f"of CDARTS, weight {weight} must be positive and regular {regular} not negative"
            )
        if distance not in get_args(Distance):
            raise ConfigError(
                f"CDARTS compares outputs by {' or '.join(get_args(Distance))}, not {distance!r}"
            )
        if edges not in get_args(Edges):
            raise ConfigError(
                f"CDARTS weighs edges by {' or '.join(get_args(Edges))}, not {edges!r}"
            )
        self.learns_edges = edges == "learned"
        self.cycles = cycles
        self.weight = weight
        self.temperature = temperature
        self.distance: Distance = distance
        self.regular = regular
        self.regular_share = regular_share
        self.evaluation = evaluation
        self.cycle = -1
        self.routed: dict[str, tuple[int, ...]] = {}
        """By decision, the indices of the options that the evaluation network has."""

    def prepare(self, supernet: SuperNet, setting: TrainingContext) -> None:
        """See `Coupled`; copy the model for the evaluation network."""
        super().prepare(supernet, setting)
        self.network = supernet.like(copy.deepcopy(supernet.model)).train()
        self._weights = [p for p in self.network.parameters() if p.requires_grad]
        self._scheduled = [m for m in self.network.modules() if isinstance(m, Scheduled)]
        self._regular = {
            label: torch.tensor(
                [
                    role == "skip" or (is_free and role != "none")
                    for option, is_free in zip(
                        self.decisions[label].options, self.parameterless[label], strict=True
                    )
                    for role in [supernet.space.role(label, option)]
                ],
                dtype=alpha.dtype,
                device=alpha.device,
            )
            for label, alpha in self.alphas.items()
        }
        self.cycle, self.routed = -1, {}
        self._renew()

    def routing(self, model: SuperNet, moment: Moment) -> Routing:
        """Return gates with softmax weights, those of edges among them."""
        probabilities = self.probabilities()
        if self.learns_edges:
            return Routing.soft(model.space, probabilities)
        routing = self.soft(probabilities)
        for label in self.edges:
            options = routing[label].options
            alike = torch.full_like(probabilities[label], 1 / len(options)).detach()
            routing[label] = Gate(options, alike[: len(options)])
        return routing

    def learned(self, supernet: SuperNet) -> list[Architecture]:
        """Return the architecture that the derivation rule reads off α, and β if edges are learned."""
        if not self.learns_edges:
            return super().learned(supernet)
        with torch.no_grad():
            shares = {label: p.tolist() for label, p in self.probabilities().items()}
        return [RULES[self.rule](supernet.space, products(supernet.space, shares))]

    def alpha_step(self, model: SuperNet, task: Task, batch: Batch, moment: Moment) -> None:
        """Move the evaluation network, and α too where the cycle's warm-up is over."""
        cycle, passed = self.place(moment)
        if cycle != self.cycle:
            self.cycle = cycle
            derived = self.learned(model)[0]
            self.routed = {
                label: self.decisions[label].indices(value) for label, value in derived.items()
            }
            self._renew()
        for module in self._scheduled:
            module.set_progress(moment.progress)
        joint = passed >= self.evaluation.warmup
        search = self.search_batch(moment)
        with self.network.route(Routing({label: Gate(i) for label, i in self.routed.items()})):
            loss, theirs = self.compared(self.network, task, search)
        if joint:
            with self.unrecorded(), model.route(self.routing(model, moment)):
                mine, ours = self.compared(model, task, search)
            feedback = self.weight * self.apart(ours, theirs)
            loss = self.alpha_loss(mine, moment) + loss + feedback
        if not loss.requires_grad:  # an evaluation network without parameters
            return
        alphas = list(self.alphas.values()) if joint else []
        found = torch.autograd.grad(loss, [*alphas, *self._weights], allow_unused=True)
        if joint:
            self.move_alpha(found[: len(alphas)])
        self._train(averaged(found[len(alphas) :]))

    def place(self, moment: Moment) -> tuple[int, float]:
        """Return the cycle that a step lies in, from 0, and the share of it that has passed."""
        passed = self._passed(moment) * self.cycles
        cycle = min(int(passed), self.cycles - 1)
        return cycle, passed - cycle

    def regulariser(self, moment: Moment) -> torch.Tensor | float:
        """Return ρ times the absolute values of α of skips and options without parameters."""
        rho = self.regular * max(1 - self._passed(moment) / self.regular_share, 0.0)
        if rho == 0:
            return 0.0
        return rho * sum((self._regular[label] * a.abs()).sum() for label, a in self.alphas.items())

    def apart(self, ours: Sequence[torch.Tensor], theirs: Sequence[torch.Tensor]) -> torch.Tensor:
        """Return T² · D, the mean over the outputs.

        Args:
            ours: outputs of the search network, `[batch, classes, ...]` for "kl".
            theirs: outputs of the evaluation network.
        """
        return (
            self.temperature**2
            * torch.stack([self._distance(a, b) for a, b in zip(ours, theirs, strict=True)]).mean()
        )

    def compared(
        self, model: SuperNet, task: Task, batch: Batch
    ) -> tuple[torch.Tensor, list[torch.Tensor]]:
        """Return the task's loss, and what the model returned while the task took it.

        Raises:
            ConfigError: these outputs cannot be compared, or there are none.
        """
        loss, outputs = loss_and_outputs(task, model, batch, by="CDARTS")
        for output in outputs:
            self._check(output)
        return loss, outputs

    def _check(self, output: torch.Tensor) -> None:
        logits = output.ndim > 1 and output.shape[1] > 1
        if not output.is_floating_point() or not (logits or self.distance != "kl"):
            raise ConfigError(
                "CDARTS compares what two networks return, by strategy.distance kl logits [batch, "
                "classes, ...], by smooth_l1 any tensors of floating point, but the model returned "
                f"{output.dtype} {list(output.shape)}; use the other distance, or another strategy"
            )

    def _distance(self, ours: torch.Tensor, theirs: torch.Tensor) -> torch.Tensor:
        if self.distance == "smooth_l1":
            return F.smooth_l1_loss(ours, theirs)
        q, p = (torch.log_softmax(output / self.temperature, 1) for output in (ours, theirs))
        return (p.exp() * (p - q)).sum(1).mean()

    def _passed(self, moment: Moment) -> float:
        """Return the share of the steps of all cycles that has passed, 0–1."""
        return (moment.progress - self.alpha.warmup) / (1 - self.alpha.warmup)

    def _renew(self) -> None:
        """Make the optimizer of the evaluation network, without momentum."""
        self._sgd = torch.optim.SGD(
            self.network.parameters(),
            lr=self.evaluation.learning_rate,
            momentum=self.evaluation.momentum,
            weight_decay=self.evaluation.weight_decay,
        )

    def _train(self, gradients: Sequence[torch.Tensor | None]) -> None:
        """Let SGD move the evaluation network; what has no gradient stays."""
        for weight, gradient in zip(self._weights, gradients, strict=True):
            weight.grad = gradient
        if self.evaluation.clip is not None:
            nn.utils.clip_grad_norm_(self._weights, self.evaluation.clip)
        self._sgd.step()
        self._sgd.zero_grad(set_to_none=True)

    def state_dict(self) -> dict[str, Any]:
        """Return the state of α and the evaluation network with its architecture and optimizer."""
        return {
            **super().state_dict(),
            "cycle": self.cycle,
            "routed": {label: list(indices) for label, indices in self.routed.items()},
            "evaluation": self.network.state_dict(),
            "evaluation_optimizer": self._sgd.state_dict(),
        }

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Continue from what `state_dict` returned."""
        super().load_state_dict(state)
        self.cycle = int(state["cycle"])
        self.routed = {label: tuple(indices) for label, indices in state["routed"].items()}
        self.network.load_state_dict(state["evaluation"])
        self._sgd.load_state_dict(state["evaluation_optimizer"])

"""DARTS: Liu, Simonyan and Yang, "DARTS: Differentiable Architecture Search" (ICLR 2019).

A mixed operation is `Σ_o softmax(α)_o · o(x)`. Each step moves α by the gradient of the loss on a search
batch, then the weights by that on a training batch. First order takes the weights as they are (ξ = 0).
Second order looks one step of the weights ahead:

    w' = w - η (m · buffer + ∇_w L_train(w, α))        the optimizer's step, its buffer not yet updated
    ∇_α L_val(w', α) - η · (∇_α L_train(w⁺, α) - ∇_α L_train(w⁻, α)) / 2R,
    w± = w ± R v,  v = ∇_w' L_val(w', α),  R = 0.01 / ‖v‖,

where the weight decay is part of ∇_w L_train, and the mixed second derivative a central difference. Of
SGD with dampening or after Nesterov, the step and its derivative are those of that optimizer. Where the
network draws at random (dropped paths, dropout behind skips, noise), the three passes over the training
batch draw the same, as a derivative is one of a fixed function.

Differences from the authors' code: the search batches of an epoch are a permutation of the search split,
where the code takes the first batch of a freshly shuffled loader in every step; batch norm does not
record statistics in architecture steps; the authors' search network draws nothing at random, and their
code would draw anew in each pass. As there, the step ahead is not clipped, and neither is α's gradient
(`alpha.clip` bounds it).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Literal

import torch
from torch import nn

from supernet.choice import Routing
from supernet.errors import ConfigError
from supernet.net import SuperNet
from supernet.random import derive_seed, seeded
from supernet.ranks import averaged
from supernet.strategies.alpha import Alpha
from supernet.strategies.cost_penalty import CostPenalty
from supernet.strategies.coupled import Coupled
from supernet.strategies.derivation import RuleName
from supernet.task import Batch, Task
from supernet.train import Moment

__all__ = ["DARTS"]

RADIUS = 0.01
"""Length of the steps of the central difference."""


class DARTS(Coupled):
    """Softmax mixtures, by first or second order.

    Args:
        order: order of the approximation of α's gradient, 1 or 2.
        alpha: how α begins and how Adam moves it, see `Coupled`.
        rule: name of the rule that derives an architecture from α, see `supernet.strategies.derivation`.
        cost: expected cost that joins the loss of α, see `Coupled`.

    Raises:
        ConfigError: the order is neither 1 nor 2, or see `Coupled`.
    """

    def __init__(
        self,
        order: Literal[1, 2] = 1,
        alpha: Alpha = Alpha(),
        rule: RuleName = "edges",
        cost: CostPenalty | None = None,
    ) -> None:
        super().__init__(alpha, rule, cost)
        if order not in (1, 2):
            raise ConfigError(f"DARTS is of order 1 or 2, not {order}")
        self.order = order
        self._weights: torch.optim.Optimizer | None = None

    def start(self, optimizer: torch.optim.Optimizer) -> None:
        """Learn the weights' optimizer, whose step second order looks ahead by.

        Raises:
            ConfigError: it is not SGD, of whose step the formula is.
        """
        if self.order == 2 and not isinstance(optimizer, torch.optim.SGD):
            raise ConfigError(
                f"DARTS of second order looks a step of SGD ahead, not of {type(optimizer).__name__}; "
                "use train.optimizer torch.optim.SGD, or strategy.order 1"
            )
        super().start(optimizer)
        self._weights = optimizer

    def routing(self, model: SuperNet, moment: Moment) -> Routing:
        """Return gates with softmax weights."""
        return self.soft(self.probabilities())

    def alpha_step(self, model: SuperNet, task: Task, batch: Batch, moment: Moment) -> None:
        """Move α by the first- or second-order gradient."""
        if self.order == 1:
            super().alpha_step(model, task, batch, moment)
            return
        with self.unrecorded():
            self.move_alpha(self.unrolled(model, task, batch, self.search_batch(moment), moment))

    def unrolled(
        self, model: SuperNet, task: Task, train: Batch, search: Batch, moment: Moment
    ) -> tuple[torch.Tensor | None, ...]:
        """Return the second-order gradient of α; the weights are put back to the bit."""
        weights = [p for p in model.parameters() if p.requires_grad]
        before = [p.detach().clone() for p in weights]
        alphas = list(self.alphas.values())

        def gradients(
            batch: Batch, of: Sequence[torch.Tensor], of_search: bool = False
        ) -> tuple[torch.Tensor | None, ...]:
            # All passes over the training batch are of one function: with other masks at the two ends,
            # the central difference would mostly be that of the masks.
            masks = derive_seed(moment.seed, "unrolled", moment.step, int(of_search))
            with seeded(masks), model.route(self.routing(model, moment)):
                loss = task.loss(model, batch)
            loss = self.alpha_loss(loss, moment) if of_search else loss
            return torch.autograd.grad(loss, of, allow_unused=True)

        try:
            # Over all ranks, as those of α are.
            slopes = self._slopes(weights, averaged(gradients(train, weights)))
            with torch.no_grad():
                for p, (step, _) in zip(weights, slopes, strict=True):
                    p.sub_(step)
            found = gradients(search, [*alphas, *weights], of_search=True)
            direct, slope_of = found[: len(alphas)], averaged(found[len(alphas) :])
            # Where groups of weights differ in their rate, v is weighed by it.
            v = [
                torch.zeros_like(p) if g is None else slope * g
                for p, g, (_, slope) in zip(weights, slope_of, slopes, strict=True)
            ]
            length = torch.linalg.vector_norm(torch.stack([torch.linalg.vector_norm(g) for g in v]))
            radius = RADIUS / length.clamp_min(torch.finfo(length.dtype).tiny ** 0.5)
            around = []
            for sign in (1, -1):
                with torch.no_grad():
                    for p, start, g in zip(weights, before, v, strict=True):
                        p.copy_(start + sign * radius * g)
                around.append(gradients(train, alphas))
        finally:
            with torch.no_grad():
                for p, start in zip(weights, before, strict=True):
                    p.copy_(start)
        return tuple(
            d if plus is None or minus is None else _or_zero(d) - (plus - minus) / (2 * radius)
            for d, plus, minus in zip(direct, *around, strict=True)
        )

    def _slopes(
        self, weights: Sequence[nn.Parameter], gradients: Sequence[torch.Tensor | None]
    ) -> list[tuple[torch.Tensor, float]]:
        """Return by weight what SGD would subtract now, and its derivative by the gradient."""
        assert self._weights is not None
        found = dict(zip(weights, gradients, strict=True))
        steps = {}
        for group in self._weights.param_groups:
            for p in group["params"]:
                if (gradient := found.get(p)) is not None:
                    buffer = self._weights.state.get(p, {}).get("momentum_buffer")
                    steps[p] = _sgd_step(p.detach(), gradient, buffer, group)
        return [steps.get(p, (torch.zeros_like(p), 0.0)) for p in weights]


def _or_zero(gradient: torch.Tensor | None) -> torch.Tensor | float:
    return 0.0 if gradient is None else gradient


def _sgd_step(
    weight: torch.Tensor,
    gradient: torch.Tensor,
    buffer: torch.Tensor | None,
    group: Mapping[str, Any],
) -> tuple[torch.Tensor, float]:
    """Return what `torch.optim.SGD` would subtract from a weight, and its derivative by the gradient."""
    momentum, rate = group["momentum"], float(group["lr"])
    sign = -1.0 if group["maximize"] else 1.0
    gradient = sign * gradient + group["weight_decay"] * weight
    fresh = 1.0 if buffer is None else 1.0 - group["dampening"]
    moved = gradient if buffer is None else momentum * buffer + fresh * gradient
    if group["nesterov"]:
        moved, fresh = gradient + momentum * moved, 1.0 + momentum * fresh
    return rate * moved, sign * rate * fresh

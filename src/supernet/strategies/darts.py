"""DARTS: Liu, Simonyan and Yang, "DARTS: Differentiable Architecture Search" (ICLR 2019).

A mixed operation is `Σ_o softmax(α)_o · o(x)`. Each step moves α by the gradient of the loss on a search
batch, then the weights by that on a training batch. First order takes the weights as they are (ξ = 0).
Second order looks one step of the weights ahead:

    w' = w - η (m · buffer + ∇_w L_train(w, α))        the optimizer's step, its buffer not yet updated
    ∇_α L_val(w', α) - η · (∇_α L_train(w⁺, α) - ∇_α L_train(w⁻, α)) / 2R,
    w± = w ± R v,  v = ∇_w' L_val(w', α),  R = 0.01 / ‖v‖,

where the weight decay is part of ∇_w L_train, and the mixed second derivative a central difference.

Differences from the authors' code: the search batches of an epoch are a permutation of the search split,
where the code takes the first batch of a freshly shuffled loader in every step; batch norm does not
record statistics in architecture steps.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import torch
from torch import nn

from supernet.errors import ConfigError
from supernet.net import Routing, SuperNet
from supernet.strategies.coupled import CostLoss, Coupled
from supernet.strategies.rules import RuleName
from supernet.task import Batch, Task
from supernet.train import Moment

__all__ = ["DARTS"]


class DARTS(Coupled):
    """Softmax mixtures, by first or second order.

    Args:
        order: of the approximation, 1 or 2.
        learning_rate: see `Coupled`.
        betas: see `Coupled`.
        weight_decay: see `Coupled`.
        warmup: see `Coupled`.
        rule: see `Coupled`.
        cost: see `Coupled`.
        cost_weight: see `Coupled`.
        cost_target: see `Coupled`.
        cost_loss: see `Coupled`.

    Raises:
        ConfigError: the order is neither 1 nor 2, or see `Coupled`.
    """

    def __init__(
        self,
        order: Literal[1, 2] = 1,
        learning_rate: float = 3e-4,
        betas: tuple[float, float] = (0.5, 0.999),
        weight_decay: float = 1e-3,
        warmup: float = 0.0,
        rule: RuleName = "edges",
        cost: str | None = None,
        cost_weight: float = 0.1,
        cost_target: float | None = None,
        cost_loss: CostLoss = "linear",
    ) -> None:
        super().__init__(
            learning_rate,
            betas,
            weight_decay,
            warmup,
            rule=rule,
            cost=cost,
            cost_weight=cost_weight,
            cost_target=cost_target,
            cost_loss=cost_loss,
        )
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
        self._weights = optimizer

    def routing(self, model: SuperNet, moment: Moment) -> Routing:
        """Return gates with softmax weights."""
        return self.soft(self.probabilities())

    def learn(self, model: SuperNet, task: Task, batch: Batch, moment: Moment) -> None:
        """Move α by the first- or second-order gradient."""
        if self.order == 1:
            super().learn(model, task, batch, moment)
            return
        with self.unrecorded():
            self.step(self.unrolled(model, task, batch, self.search_batch(moment), moment))

    def unrolled(
        self, model: SuperNet, task: Task, train: Batch, search: Batch, moment: Moment
    ) -> tuple[torch.Tensor | None, ...]:
        """Return the second-order gradient of α; the weights are put back to the bit."""
        weights = [p for p in model.parameters() if p.requires_grad]
        before = [p.detach().clone() for p in weights]
        alphas = list(self.alphas.values())

        def gradients(
            batch: Batch, of: Sequence[torch.Tensor], charged: bool = False
        ) -> list[torch.Tensor]:
            with model.route(self.routing(model, moment)):
                loss = task.loss(model, batch)
            found = torch.autograd.grad(
                self.charged(loss) if charged else loss, of, allow_unused=True
            )
            return [torch.zeros_like(x) if g is None else g for x, g in zip(of, found, strict=True)]

        try:
            steps = self._virtual_steps(weights, gradients(train, weights))
            with torch.no_grad():
                for p, step in zip(weights, steps, strict=True):
                    p.sub_(step)
            found = gradients(search, [*alphas, *weights], charged=True)
            direct, v = found[: len(alphas)], found[len(alphas) :]
            radius = 0.01 / torch.sqrt(sum(((g * g).sum() for g in v), torch.zeros(()).to(v[0])))
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
        rate = self._rate()
        return tuple(
            d - rate * (plus - minus) / (2 * radius)
            for d, plus, minus in zip(direct, *around, strict=True)
        )

    def _rate(self) -> float:
        assert self._weights is not None
        return float(self._weights.param_groups[0]["lr"])

    def _virtual_steps(
        self, weights: Sequence[nn.Parameter], gradients: Sequence[torch.Tensor]
    ) -> list[torch.Tensor]:
        """Return what SGD would subtract from each weight now, momentum and weight decay included."""
        assert self._weights is not None
        found = dict(zip(weights, gradients, strict=True))
        steps = {}
        for group in self._weights.param_groups:
            for p in group["params"]:
                if p in found:
                    buffer = self._weights.state.get(p, {}).get("momentum_buffer")
                    moved = found[p] + group["weight_decay"] * p.detach()
                    if buffer is not None:
                        moved = moved + group["momentum"] * buffer
                    steps[p] = group["lr"] * moved
        return [steps.get(p, torch.zeros_like(p)) for p in weights]

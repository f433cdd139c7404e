"""DrNAS: Chen, Wang, Cheng, Tang and Hsieh, "DrNAS: Dirichlet Neural Architecture Search" (ICLR 2021).

The weights of a mixed operation are a draw from a Dirichlet distribution, which the gradient passes
through (`rsample`) to its concentration:

    θ ~ Dir(c),   c = elu(α) + 1,   y = Σ_o θ_o · o(x).

The distribution is held near Dir(1): by weight decay on α, which is the authors' "l2" (c = 1 at α = 0),
or by `w · Σ KL(Dir(c) ‖ Dir(1))` in the loss of α. Every pass draws anew. What is derived has the
largest mean, E[θ] = c / Σ c.

α lies on the CPU, where torch's sampler can be seeded without touching the devices' random states.

Differences: the progressive scheme, which drops options and widens partial channels between stages, is
left out, since it changes the supernet during training; c is at least 1e-6, where elu rounds to -1.
"""

from __future__ import annotations

from typing import Literal

import torch
from torch import nn
from torch.distributions import Dirichlet, kl_divergence
from torch.nn import functional as F

from supernet.errors import ConfigError, DivergedError
from supernet.net import Routing, SuperNet
from supernet.random import derive_seed
from supernet.space import Decision
from supernet.strategies.coupled import CostLoss, Coupled
from supernet.strategies.rules import RuleName
from supernet.train import Moment

__all__ = ["DrNAS"]


class DrNAS(Coupled):
    """Mixtures with weights from a learned Dirichlet distribution.

    Args:
        learning_rate: see `Coupled`.
        betas: see `Coupled`.
        regulariser: "l2": weight decay on α; "kl": the divergence from Dir(1).
        regulariser_weight: of either; the paper's is that of "l2".
        warmup: see `Coupled`.
        rule: see `Coupled`.
        cost: see `Coupled`; it is that of the mean.
        cost_weight: see `Coupled`.
        cost_target: see `Coupled`.
        cost_loss: see `Coupled`.

    Raises:
        ConfigError: there is no such regulariser, its weight is negative, or see `Coupled`.
    """

    def __init__(
        self,
        learning_rate: float = 3e-4,
        betas: tuple[float, float] = (0.5, 0.999),
        regulariser: Literal["l2", "kl"] = "l2",
        regulariser_weight: float = 1e-3,
        warmup: float = 0.0,
        rule: RuleName = "edges",
        cost: str | None = None,
        cost_weight: float = 0.1,
        cost_target: float | None = None,
        cost_loss: CostLoss = "linear",
    ) -> None:
        if regulariser not in ("l2", "kl") or regulariser_weight < 0:
            raise ConfigError(
                f"regulariser is 'l2' or 'kl', not {regulariser!r}, and regulariser_weight at least 0, "
                f"not {regulariser_weight}"
            )
        super().__init__(
            learning_rate,
            betas,
            regulariser_weight if regulariser == "l2" else 0.0,
            warmup,
            rule=rule,
            cost=cost,
            cost_weight=cost_weight,
            cost_target=cost_target,
            cost_loss=cost_loss,
        )
        self.divergence = regulariser_weight if regulariser == "kl" else 0.0

    def concentrations(self) -> dict[str, torch.Tensor]:
        """Return c by decision."""
        return {label: (F.elu(a) + 1).clamp(min=1e-6) for label, a in self.alphas.items()}

    def probabilities(self) -> dict[str, torch.Tensor]:
        """Return the mean of θ by decision."""
        return {label: c / c.sum() for label, c in self.concentrations().items()}

    def routing(self, model: SuperNet, moment: Moment) -> Routing:
        """Return gates with drawn weights."""
        return self.drawn(model, moment, "alpha")

    def weight_routing(self, model: SuperNet, moment: Moment) -> Routing:
        """Return gates with weights drawn anew."""
        with torch.no_grad():
            return self.drawn(model, moment, "weights")

    def charged(self, loss: torch.Tensor) -> torch.Tensor:
        """Return the loss with the divergence, and with the expected cost if one is configured."""
        loss = super().charged(loss)
        if self.divergence:
            for c in self.concentrations().values():
                loss = loss + self.divergence * kl_divergence(
                    Dirichlet(c), Dirichlet(torch.ones_like(c))
                )
        return loss

    def drawn(self, model: SuperNet, moment: Moment, purpose: str) -> Routing:
        """Draw θ for every decision.

        Raises:
            DivergedError: α is not finite.
        """
        concentrations = self.concentrations()
        if not all(bool(c.isfinite().all()) for c in concentrations.values()):
            raise DivergedError(
                "DrNAS: the architecture parameters are not finite; lower strategy.learning_rate, or "
                "mend what makes the loss so large"
            )
        with torch.random.fork_rng(devices=[]):  # rsample takes no generator
            torch.default_generator.manual_seed(
                derive_seed(moment.seed, "dirichlet", purpose, moment.step)
            )
            draws = {label: Dirichlet(c).rsample() for label, c in concentrations.items()}
        device = next(model.parameters()).device
        return self.soft({label: draw.to(device) for label, draw in draws.items()})

    def _initial(self, decision: Decision, seed: int, device: torch.device) -> nn.Parameter:
        return super()._initial(decision, seed, torch.device("cpu"))

"""DrNAS: Chen, Wang, Cheng, Tang and Hsieh, "DrNAS: Dirichlet Neural Architecture Search" (ICLR 2021).

The weights of a mixed operation are a draw from a Dirichlet distribution, which the gradient passes
through (`rsample`) to its concentration:

    θ ~ Dir(c),   c = elu(α) + 1,   y = Σ_o θ_o · o(x).

The distribution is held near Dir(1): by weight decay on α, which is the authors' "l2" (c = 1 at α = 0),
or by `w · Σ KL(Dir(c) ‖ Dir(1))` in the loss of α (then with `alpha.weight_decay` 0). Every pass draws
anew. What is derived has the largest mean, E[θ] = c / Σ c.

α lies on the CPU, where torch's sampler can be seeded without touching the devices' random states.

The progressive scheme: a first stage computes with fewer channels (the space "darts" with `partial: 6`,
then 4), and the strongest options of every decision go on (4 of 8) to the next.

Differences: weights and α begin anew in each stage, where the authors widen the weights that they have;
c is at least 1e-6, where elu rounds to -1.
"""

from __future__ import annotations

import torch
from torch.distributions import Dirichlet, kl_divergence
from torch.nn import functional as F

from supernet.errors import ConfigError, DivergedError
from supernet.net import Routing, SuperNet
from supernet.random import derive_seed
from supernet.strategies.base import Stage
from supernet.strategies.charge import Charge
from supernet.strategies.coupled import Alpha, Coupled, Weights
from supernet.strategies.rules import RuleName
from supernet.train import Moment

__all__ = ["DrNAS"]


class DrNAS(Coupled):
    """Mixtures with weights from a learned Dirichlet distribution.

    Args:
        alpha: see `Coupled`.
        divergence: w, the weight of the divergence from Dir(1), 0 for weight decay alone.
        rule: see `Coupled`.
        cost: see `Coupled`; it is that of the mean.
        stages: see `Coupled`.

    Raises:
        ConfigError: the weight is negative, or see `Coupled`.
    """

    smooth = False
    alpha_on_cpu = True

    def __init__(
        self,
        alpha: Alpha = Alpha(),
        divergence: float = 0.0,
        rule: RuleName = "edges",
        cost: Charge | None = None,
        stages: tuple[Stage, ...] = (),
    ) -> None:
        super().__init__(alpha, rule, cost, stages)
        if divergence < 0:
            raise ConfigError(f"divergence is a weight, at least 0, not {divergence}")
        self.divergence = divergence

    def concentrations(self) -> dict[str, torch.Tensor]:
        """Return c by decision, of the options that are still in the race."""
        return {label: (F.elu(a) + 1).clamp(min=1e-6) for label, a in self.racing().items()}

    def probabilities(self) -> dict[str, torch.Tensor]:
        """Return the mean of θ by decision."""
        return self.whole({label: c / c.sum() for label, c in self.concentrations().items()})

    def routing(self, model: SuperNet, moment: Moment) -> Routing:
        """Return gates with drawn weights."""
        return self.drawn(model, moment, "alpha")

    def weight_routing(self, model: SuperNet, moment: Moment) -> Routing:
        """Return gates with weights drawn anew."""
        with torch.no_grad():
            return self.drawn(model, moment, "weights")

    def charged(self, loss: torch.Tensor, chances: Weights | None = None) -> torch.Tensor:
        """Return the loss with the divergence, and with the expected cost if one is configured."""
        loss = super().charged(loss, chances)
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
                "DrNAS: the architecture parameters are not finite; lower strategy.alpha.learning_rate, "
                "or mend what makes the loss so large"
            )
        with torch.random.fork_rng(devices=[]):  # rsample takes no generator
            torch.default_generator.manual_seed(
                derive_seed(moment.seed, "dirichlet", purpose, moment.step)
            )
            draws = {label: Dirichlet(c).rsample() for label, c in concentrations.items()}
        device = next(model.parameters()).device
        return self.soft({label: draw.to(device) for label, draw in self.whole(draws).items()})

"""FBNet: Wu et al., "FBNet: Hardware-Aware Efficient ConvNet Design via Differentiable NAS" (CVPR 2019).

All options run, weighted by a Gumbel-softmax draw `m = softmax((log softmax(α) + G) / τ)`. The loss of α
is

    L = CE · a · ln(LAT)^b,   LAT = Σ_layers Σ_o m_o · latency(o),   a = 0.2,  b = 0.6,

where LAT comes from a table of any quantity, through the same draw m as the cross-entropy. τ falls
exponentially: the paper's 5 · 0.956^epoch over 90 epochs is from 5 to 0.087. The first tenth of the
steps trains weights only. The weights learn under a draw of their own.

Differences: the paper draws several architectures from softmax(α), trains them all and keeps the best;
here the most likely one is taken. The search code was never published. ln(LAT) must be positive, so the
unit must make every cost greater than 1.
"""

from __future__ import annotations

import torch

from supernet.choice import Routing
from supernet.errors import ConfigError
from supernet.net import SuperNet
from supernet.random import generator
from supernet.strategies.alpha import Alpha
from supernet.strategies.base import TrainingContext
from supernet.strategies.cost_penalty import CostPenalty
from supernet.strategies.coupled import Coupled
from supernet.strategies.derivation import RuleName
from supernet.strategies.snas import check_temperatures, concrete
from supernet.task import Batch, Task
from supernet.train import Moment

__all__ = ["FBNet"]


class FBNet(Coupled):
    """Gumbel-softmax over all options, with a loss that multiplies by the cost's logarithm.

    Args:
        alpha: how α begins and how Adam moves it, see `Coupled`.
        temperature: τ at the first step.
        last_temperature: τ at the last step.
        rule: name of the rule that derives an architecture from α, see `supernet.strategies.derivation`.
        cost: the quantity that LAT is, or None for the cross-entropy alone.
        scale: a, the factor of the loss's cost term.
        exponent: b, the exponent of the loss's cost term.

    Raises:
        ConfigError: a temperature or the scale is not positive, or see `Coupled`.
    """

    several = False
    smooth = False

    def __init__(
        self,
        alpha: Alpha = Alpha(1e-2, (0.9, 0.999), 5e-4, warmup=0.1),
        temperature: float = 5.0,
        last_temperature: float = 0.087,
        rule: RuleName = "strongest",
        cost: str | None = "macs",
        scale: float = 0.2,
        exponent: float = 0.6,
    ) -> None:
        super().__init__(alpha, rule, None if cost is None else CostPenalty(cost))
        check_temperatures(temperature, last_temperature)
        if scale <= 0:
            raise ConfigError(f"scale multiplies the loss and must be positive, not {scale}")
        self.temperatures = temperature, last_temperature
        self.scale = scale
        self.exponent = exponent

    def prepare(self, supernet: SuperNet, setting: TrainingContext) -> None:
        """See `Coupled`.

        Raises:
            ConfigError: an architecture costs 1 or less, or see `Coupled`.
        """
        super().prepare(supernet, setting)
        if self.cost is not None:
            least, _ = setting.table(self.cost.quantity).range(supernet.space)
            if least <= 1:
                raise ConfigError(
                    f"FBNet takes the logarithm of {self.cost.quantity}, which is {least:.3g} for the "
                    "cheapest architecture; give it in a unit in which every cost is greater than 1"
                )

    def alpha_step(self, model: SuperNet, task: Task, batch: Batch, moment: Moment) -> None:
        """Move α by the gradient of the loss on the search batch of this step."""
        weights = self.draw(moment, "alpha")
        with self.unrecorded(), model.route(self.soft(weights)):
            loss = task.loss(model, self.search_batch(moment))
        if self.expected_cost is not None:
            loss = loss * self.scale * torch.log(self.expected_cost(weights)) ** self.exponent
        self.move_alpha(torch.autograd.grad(loss, list(self.alphas.values()), allow_unused=True))

    def routing(self, model: SuperNet, moment: Moment) -> Routing:
        """Return the gates of the architecture step."""
        return self.soft(self.draw(moment, "alpha"))

    def weight_routing(self, model: SuperNet, moment: Moment) -> Routing:
        """Return gates with weights drawn anew."""
        with torch.no_grad():
            return self.soft(self.draw(moment, "weights"))

    def temperature(self, moment: Moment) -> float:
        """Return τ of this step."""
        first, last = self.temperatures
        return float(first * (last / first) ** moment.progress)

    def draw(self, moment: Moment, purpose: str) -> dict[str, torch.Tensor]:
        """Draw m for every decision."""
        random = generator(moment.seed, "gumbel", purpose, moment.step)
        temperature = self.temperature(moment)
        return {label: concrete(alpha, temperature, random) for label, alpha in self.alphas.items()}

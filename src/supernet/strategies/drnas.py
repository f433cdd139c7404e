"""DrNAS: Chen, Wang, Cheng, Tang and Hsieh, "DrNAS: Dirichlet Neural Architecture Search" (ICLR 2021).

The weights of a mixed operation are a draw from a Dirichlet distribution, which the gradient passes
through (`rsample`) to its concentration:

    θ ~ Dir(c),   c = elu(α) + 1,   y = Σ_o θ_o · o(x).

The distribution is held near Dir(1): by weight decay on α, which is the authors' "l2" (c = 1 at α = 0),
or by `w · Σ KL(Dir(c) ‖ Dir(1))` in the loss of α (their "kl": w = 1e-3, and `alpha.weight_decay` 0).
Every pass draws anew. Of an edge the option with the largest mean is derived, E[θ] = c / Σ c, which is
that with the largest α. Edges are ranked by the largest softmax(α) of theirs, as in the authors' code;
by the largest mean, as its README says, with `rank` "mean".

α lies on the CPU, where torch's sampler can be seeded without touching the devices' random states.

The progressive scheme: a first stage computes with fewer channels (the space "darts" with `partial: 6`,
then 4), and the strongest options of every decision go on (4 of 7) to the next, with their α and its
optimizer. One schedule of the learning rate spans all stages: with two, a cosine falls to half in the
first and from there to its end in the second.

Differences from the authors' code: weights begin anew in each stage, where it widens those that there
are; the divergence is of the options in the race, where the code counts those that are out as well; c is
at least 1e-6, where elu rounds to -1; the search batches are a permutation of the search split, see
`DARTS`. Not different: the code draws weights of all options, and rescales those in the race to sum 1,
whose distribution is the Dirichlet distribution of these.
"""

from __future__ import annotations

from typing import Literal, get_args

import torch
from torch.distributions import Dirichlet, kl_divergence
from torch.nn import functional as F

from supernet.choice import Routing
from supernet.errors import ConfigError, DivergedError
from supernet.net import SuperNet
from supernet.random import derive_seed
from supernet.space import Architecture
from supernet.strategies.alpha import Alpha
from supernet.strategies.base import Stage, TrainingContext
from supernet.strategies.cost_penalty import CostPenalty
from supernet.strategies.coupled import Coupled
from supernet.strategies.derivation import RULES, RuleName
from supernet.train import Moment, Schedule

__all__ = ["DrNAS"]

Rank = Literal["softmax", "mean"]


class DrNAS(Coupled):
    """Mixtures with weights from a learned Dirichlet distribution.

    Args:
        alpha: how α begins and how Adam moves it, see `Coupled`.
        divergence: w, the weight of the divergence from Dir(1), 0 for weight decay alone.
        rank: quantity that edges are ranked by, "softmax" of α or the "mean" of θ.
        rule: name of the rule that derives an architecture from α, see `supernet.strategies.derivation`.
        cost: expected cost that joins the loss of α, see `Coupled`; it is that of the mean.
        stages: supernets that are trained before, and how many options go on from each, see
            `Coupled`.

    Raises:
        ConfigError: the weight is negative, there is no such rank, or see `Coupled`.
    """

    smooth = False
    alpha_goes_on = True
    alpha_on_cpu = True

    def __init__(
        self,
        alpha: Alpha = Alpha(),
        divergence: float = 0.0,
        rank: Rank = "softmax",
        rule: RuleName = "edges",
        cost: CostPenalty | None = None,
        stages: tuple[Stage, ...] = (),
    ) -> None:
        super().__init__(alpha, rule, cost, stages)
        if divergence < 0:
            raise ConfigError(f"divergence is a weight, at least 0, not {divergence}")
        if rank not in get_args(Rank):
            raise ConfigError(f"DrNAS ranks edges by {' or '.join(get_args(Rank))}, not {rank!r}")
        self.divergence = divergence
        self.rank = rank
        self._stage = 0

    def prepare(self, supernet: SuperNet, setting: TrainingContext) -> None:
        """See `Coupled`; note the stage."""
        super().prepare(supernet, setting)
        self._stage = setting.stage

    def rate(self, schedule: Schedule, moment: Moment) -> float:
        """Return the factor of the schedule that spans all stages."""
        return schedule.factor((self._stage + moment.progress) / (len(self.stages) + 1))

    def learned(self, supernet: SuperNet) -> list[Architecture]:
        """Return the architecture that the rule reads off what edges are ranked by."""
        with torch.no_grad():
            found = self.probabilities() if self.rank == "mean" else self._softmax()
        strengths = {label: p.tolist() for label, p in found.items()}
        return [RULES[self.rule](supernet.space, strengths)]

    def _softmax(self) -> dict[str, torch.Tensor]:
        """Return softmax(α) of the options in the race by decision, 0 for the others."""
        return self.race.whole(
            {label: a.softmax(0) for label, a in self.race.left(self.alphas).items()}
        )

    def concentrations(self) -> dict[str, torch.Tensor]:
        """Return c by decision, of the options that are still in the race."""
        left = self.race.left(self.alphas)
        return {label: (F.elu(a) + 1).clamp(min=1e-6) for label, a in left.items()}

    def probabilities(self) -> dict[str, torch.Tensor]:
        """Return the mean of θ by decision."""
        return self.race.whole({label: c / c.sum() for label, c in self.concentrations().items()})

    def routing(self, model: SuperNet, moment: Moment) -> Routing:
        """Return gates with drawn weights."""
        return self.drawn(model, moment, "alpha")

    def weight_routing(self, model: SuperNet, moment: Moment) -> Routing:
        """Return gates with weights drawn anew."""
        with torch.no_grad():
            return self.drawn(model, moment, "weights")

    def regulariser(self, moment: Moment) -> torch.Tensor | float:
        """Return the weighted divergence from Dir(1)."""
        if not self.divergence:
            return 0.0
        return sum(
            self.divergence * kl_divergence(Dirichlet(c), Dirichlet(torch.ones_like(c)))
            for c in self.concentrations().values()
        )

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
        return self.soft({label: draw.to(device) for label, draw in self.race.whole(draws).items()})

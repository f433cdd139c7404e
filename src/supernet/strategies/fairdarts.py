"""FairDARTS: Chu, Zhou, Zhang and Li, "Fair DARTS: Eliminating Unfair Advantages in DARTS" (ECCV 2020).

Options do not compete: each has a weight of its own, `y = Σ_o σ(α_o) · o(x)`. A zero-one loss drives
the sigmoids away from a half, so that cutting them off changes little:

    L = L_val + w · L_01,   L_01 = -mean((σ(α) - 0.5)²) over all options,   w = 10.

α starts at zero, where all sigmoids are a half. Of a decision with one answer the option with the
largest sigmoid is derived; of one that chooses several, those of 0.85 and more, at most as many as it
may and none if it may. The authors' nodes have from none to two edges: argument `edges` of the space
"darts".

A decision that chooses several is weighed by sigmoids too, unless its options hold decisions: then
these say how strong they are.

Differences from the authors' code: the space is the user's (the paper's has no `none`; here `none` is
never derived where there is something else), and two edges a node, DARTS's, are its default; an edge
keeps one operation at most ("threshold_sparse", not "threshold_edge"); the zero-one loss is the
quadratic one; weights and α never learn from the same batch ("single_level"). In networks that are
trained alone nodes without edges stay, as zeros, and dropped paths are those of DARTS, where the code
drops the sum of a node. Search batches and batch norm are as in `DARTS`.
"""

from __future__ import annotations

import torch

from supernet.choice import Routing
from supernet.errors import ConfigError
from supernet.net import SuperNet
from supernet.space import OneOf
from supernet.strategies.alpha import Alpha
from supernet.strategies.cost_penalty import CostPenalty
from supernet.strategies.coupled import Coupled
from supernet.strategies.derivation import CONFIDENT, RuleName
from supernet.train import Moment

__all__ = ["FairDARTS"]


class FairDARTS(Coupled):
    """Sigmoid mixtures and the zero-one loss.

    Args:
        alpha: how α begins and how Adam moves it, see `Coupled`.
        zero_one: w, the weight of the zero-one loss.
        rule: name of the rule that derives an architecture from α, see `supernet.strategies.derivation`.
        cost: expected cost that joins the loss of α, see `Coupled`; an option of a decision with
            one answer counts with its sigmoid.

    Raises:
        ConfigError: the weight of the zero-one loss is negative, or see `Coupled`.
    """

    def __init__(
        self,
        alpha: Alpha = Alpha(3e-3, (0.9, 0.999), spread=0.0),
        zero_one: float = 10.0,
        rule: RuleName = "threshold",
        cost: CostPenalty | None = None,
    ) -> None:
        super().__init__(alpha, rule, cost)
        if zero_one < 0:
            raise ConfigError(f"zero_one weighs a loss and cannot be negative, but is {zero_one}")
        self.zero_one = zero_one

    def probabilities(self) -> dict[str, torch.Tensor]:
        """Return σ(α) by decision."""
        return {label: torch.sigmoid(alpha) for label, alpha in self.alphas.items()}

    def chances(self) -> dict[str, torch.Tensor]:
        """Return σ(α), which says by itself how likely an option is there; edges as in `Coupled`."""
        rest = super().chances()
        return {
            label: rest[label] if label in self.edges else p
            for label, p in self.probabilities().items()
        }

    def warnings(self) -> list[str]:
        """See `Coupled`; say where the threshold decides nothing, or leaves nothing."""
        found = super().warnings()
        if self.rule != "threshold":
            return found
        several = [d for d in self.decisions.values() if not isinstance(d, OneOf)]
        fixed = [d for d in several if d.low == d.high]
        with torch.no_grad():
            surest = max(float(p.max()) for p in self.probabilities().values())
        if any(d.low == 0 for d in several) and surest < CONFIDENT:
            found.append(
                f"FairDARTS is sure of nothing: the largest sigmoid is {surest:.2f}, and options are "
                f"derived from {CONFIDENT} on, so that none is where none may be. Search longer, or "
                "with a larger strategy.alpha.learning_rate"
            )
        if not fixed:
            return found
        return [
            *found,
            f"the threshold of FairDARTS decides nothing about {len(fixed)} decisions, since "
            f"{fixed[0].label!r} and the like choose {fixed[0].describe()}; its authors let from none "
            "to two edges enter a node, in the space darts model.edges [0, 2]",
        ]

    def routing(self, model: SuperNet, moment: Moment) -> Routing:
        """Return gates with sigmoid weights."""
        return self.soft(self.probabilities())

    def regulariser(self, moment: Moment) -> torch.Tensor:
        """Return the weighted zero-one loss."""
        away = torch.cat([torch.sigmoid(a) for a in self.active_alphas().values()]) - 0.5
        return -self.zero_one * (away * away).mean()

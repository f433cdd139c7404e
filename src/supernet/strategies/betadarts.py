"""β-DARTS: what leads is held back.

Ye et al., "β-DARTS: Beta-Decay Regularization for Differentiable Architecture Search" (CVPR 2022).
Mixtures and steps are those of `DARTS` of first order, `y = Σ_o β_o · o(x)` with β = softmax(α). The
loss of α has one more term, a smooth maximum of the α of each decision d, with a weight that grows:

    L = L_val + λ · mean_d log Σ_o exp(α_do),   λ = weight · progress.

Its gradient in α_do is β_do, times λ over the number of decisions. So the options that lead are pulled
down most, and β does not become uneven while the weights are still bad.

As in the authors' code (`mlc_loss` in its `optimizers/darts/architect.py`) the mean is over all
decisions whose α is learned, and the weight decay of α's Adam stays. The code's λ is half the number of
the epoch, however long the search: from 0 to 50 in the 100 epochs of its search in NAS-Bench-201.

Differences from the authors' code: λ grows by the step and not by the epoch, from 0 at the first to
`weight` at the last; `none` is never derived, where the code for NAS-Bench-201 takes the strongest
option (`rule: strongest`). Its search in the cells of DARTS has 50 epochs, thus `weight` 25; as
published it does not run, since it does not hand on the epoch. Its second order leaves the term out,
and is left out here. Search batches and batch norm are as in `DARTS`.
"""

from __future__ import annotations

import torch

from supernet.choice import Routing
from supernet.errors import ConfigError
from supernet.net import SuperNet
from supernet.strategies.alpha import Alpha
from supernet.strategies.cost_penalty import CostPenalty
from supernet.strategies.coupled import Coupled
from supernet.strategies.derivation import RuleName
from supernet.train import Moment

__all__ = ["BetaDARTS"]


class BetaDARTS(Coupled):
    """Softmax mixtures with a regulariser that holds α together.

    Args:
        alpha: how α begins and how Adam moves it, see `Coupled`.
        weight: λ at the last step; it is 0 at the first.
        rule: name of the rule that derives an architecture from α, see `supernet.strategies.derivation`.
        cost: expected cost that joins the loss of α, see `Coupled`.

    Raises:
        ConfigError: the weight is negative, or see `Coupled`.
    """

    def __init__(
        self,
        alpha: Alpha = Alpha(),
        weight: float = 50.0,
        rule: RuleName = "edges",
        cost: CostPenalty | None = None,
    ) -> None:
        super().__init__(alpha, rule, cost)
        if weight < 0:
            raise ConfigError(f"strategy.weight is that of a regulariser, at least 0, not {weight}")
        self.weight = weight

    def routing(self, model: SuperNet, moment: Moment) -> Routing:
        """Return gates with softmax weights."""
        return self.soft(self.probabilities())

    def regulariser(self, moment: Moment) -> torch.Tensor:
        """Return λ times the mean over decisions of log Σ exp(α)."""
        decay = torch.stack([torch.logsumexp(a, 0) for a in self.active_alphas().values()])
        return self.weight * moment.progress * decay.mean()

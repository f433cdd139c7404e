"""DARTS-: Chu et al., "Robustly Stepping out of Performance Collapse Without Indicators" (ICLR 2021).

Skips win in DARTS partly because they stabilise training, whatever they compute. An auxiliary skip takes
over that part: `y = β · skip(x) + Σ_o softmax(α)_o · o(x)`, with β falling linearly from 1 to 0, so that
the final supernet is that of DARTS. The auxiliary skip has no α. As it is the skip option's own output
that is added, its weight is `softmax(α)_skip + β`, and it runs once.

The skip of a decision with one answer is its option named `skip`, `skip_connect` or `identity`; other
decisions are as in DARTS. Differences: where a skip has weights (with a stride it is a convolution), the
auxiliary one shares them; α is trained by first order only, and batch norm records no statistics in its
steps.
"""

from __future__ import annotations

import torch

from supernet.errors import ConfigError
from supernet.net import Routing, SuperNet
from supernet.space import OneOf
from supernet.strategies.base import Setting
from supernet.strategies.charge import Charge
from supernet.strategies.coupled import Alpha, Coupled
from supernet.strategies.rules import SKIPS, RuleName
from supernet.train import Moment

__all__ = ["DARTSMinus"]


class DARTSMinus(Coupled):
    """Softmax mixtures with an auxiliary skip that fades.

    Args:
        alpha: see `Coupled`.
        auxiliary: β at the first step; it is 0 at the last.
        rule: see `Coupled`.
        cost: see `Coupled`.

    Raises:
        ConfigError: β is negative, or see `Coupled`.
    """

    def __init__(
        self,
        alpha: Alpha = Alpha(),
        auxiliary: float = 1.0,
        rule: RuleName = "edges",
        cost: Charge | None = None,
    ) -> None:
        super().__init__(alpha, rule, cost)
        if auxiliary < 0:
            raise ConfigError(f"auxiliary is the weight of a skip, at least 0, not {auxiliary}")
        self.auxiliary = auxiliary
        self._skips: dict[str, torch.Tensor] = {}

    def prepare(self, supernet: SuperNet, setting: Setting) -> None:
        """See `Coupled`; find the skips.

        Raises:
            ConfigError: no decision has a skip (a part of a supernet may have none), or see `Coupled`.
        """
        super().prepare(supernet, setting)
        self._skips = {
            d.label: torch.tensor([option in SKIPS for option in d.options]).to(alpha)
            for d, alpha in zip(supernet.space.decisions, self.alphas.values(), strict=True)
            if isinstance(d, OneOf) and set(SKIPS) & set(d.options)
        }
        if not self._skips and not setting.part:
            raise ConfigError(
                f"DARTSMinus adds to skips, but no decision has an option named {' or '.join(SKIPS)}; "
                "name the option that passes its input on so, or use another strategy"
            )

    def beta(self, moment: Moment) -> float:
        """Return β of this step."""
        return self.auxiliary * (1 - moment.progress)

    def routing(self, model: SuperNet, moment: Moment) -> Routing:
        """Return gates with softmax weights, and β more for the skips."""
        weights = self.probabilities()
        for label, skip in self._skips.items():
            weights[label] = weights[label] + self.beta(moment) * skip
        return self.soft(weights)

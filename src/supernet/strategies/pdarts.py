"""P-DARTS: Chen, Xie, Wu and Tian, "Progressive Differentiable Architecture Search" (ICCV 2019).

Cells that are searched in a shallow network are trained in a deep one. So the search goes through
stages, each with a deeper network and, to pay for it, fewer options: after a stage the strongest
options of every decision go on, and weights and α begin anew. In the paper 5, 11 and 17 cells with 8,
5 and 3 options:

    stages: [{model: {cells: 5}, keep: 5}, {model: {cells: 11}, keep: 3}],  and the model has 17 cells.

Within a stage it is DARTS of first order, with α at rest in the first 10 of 25 epochs. Two
regularisers hold the skips down: a dropout behind them, which fades within a stage (argument
`skip_dropout` of the space "darts"; the paper's rates are 0.1, 0.4 and 0.7 for the stages), and a
bound on the number of skips in the normal cell: while there are more, the weakest is taken out and the
cell derived again.

As in the code, the norm of α's gradient is bounded by 5, and a stage's options are kept by softmax(α).

Differences from the authors' code: the bound counts all decisions whose label begins with `within`; in
a space with no such labels it bounds nothing, and the code prints a cell for each number of skips.
Decisions with several answers keep all their options. `none` goes on where it is strong, but not
alone, and is never derived. The dropout fades by the step and not by the epoch; neither has one unless
told to. Batch norm is as in `DARTS`.
"""

from __future__ import annotations

import torch

from supernet.choice import Routing
from supernet.errors import ConfigError
from supernet.net import SuperNet
from supernet.space import Architecture
from supernet.strategies.alpha import Alpha
from supernet.strategies.base import Stage
from supernet.strategies.cost_penalty import CostPenalty
from supernet.strategies.coupled import Coupled
from supernet.strategies.derivation import RULES, RuleName, with_at_most
from supernet.train import Moment

__all__ = ["PDARTS"]


class PDARTS(Coupled):
    """DARTS in stages, with fewer options from stage to stage.

    Args:
        stages: smaller supernets that are trained before the configured model, and how many options
            go on from each.
        skips: most skips in the derived architecture, null for any number.
        within: beginning of the labels of the decisions whose skips are counted.
        alpha: how α begins and how Adam moves it, see `Coupled`; by default as in the paper.
        rule: name of the rule that derives an architecture from α, see `supernet.strategies.derivation`.
        cost: expected cost that joins the loss of α, see `Coupled`.

    Raises:
        ConfigError: the number of skips is negative, or see `Coupled`.
    """

    def __init__(
        self,
        stages: tuple[Stage, ...] = (Stage(keep=5), Stage(keep=3)),
        skips: int | None = 2,
        within: str = "normal",
        alpha: Alpha = Alpha(6e-4, warmup=0.4, clip=5.0),
        rule: RuleName = "edges",
        cost: CostPenalty | None = None,
    ) -> None:
        super().__init__(alpha, rule, cost, stages)
        if skips is not None and skips < 0:
            raise ConfigError(f"skips is a number of skips, at least 0, or null, not {skips}")
        self.skips = skips
        self.within = within

    def routing(self, model: SuperNet, moment: Moment) -> Routing:
        """Return gates with softmax weights."""
        return self.soft(self.probabilities())

    def learned(self, supernet: SuperNet) -> list[Architecture]:
        """Return the architecture that the rule derives within the bound on skips."""
        with torch.no_grad():
            strengths = {label: p.tolist() for label, p in self.probabilities().items()}
        rule = RULES[self.rule]
        if self.skips is None:
            return [rule(supernet.space, strengths)]
        return [with_at_most(self.skips, rule, supernet.space, strengths, self.within)]

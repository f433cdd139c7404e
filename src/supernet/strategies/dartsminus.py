"""DARTS-: Chu et al., "Robustly Stepping out of Performance Collapse Without Indicators" (ICLR 2021).

Skips win in DARTS partly because they stabilise training, whatever they compute. An auxiliary skip
takes over that part: `y = β · skip(x) + Σ_o softmax(α)_o · o(x)`, with β falling linearly from 1 to 0,
so that the final supernet is that of DARTS. The auxiliary skip has no α. As in the authors' code it
lies beside every mixed edge, whether the operations of that edge include a skip or not, has weights of
its own where it needs any (with a stride it is a pair of convolutions), and is dropped with the edge.

The edges of the space "darts" say what a skip of theirs is. In other spaces the auxiliary skip is a
copy of the option named `skip`, `skip_connect` or `identity`, and decisions without one are as in
DARTS.

Differences from the authors' code: β falls by the step and not by the epoch, to 0 instead of 0.02.
Options of the code are left out: β that falls along a cosine, a 1×1 convolution for the skip, and
second order. There too the search batches of an epoch are a permutation; batch norm is as in `DARTS`.
"""

from __future__ import annotations

import copy

import torch
from torch import nn

from supernet.choice import Routing
from supernet.choice.choice import ChoiceModule
from supernet.choice.plain import role_of
from supernet.errors import ConfigError
from supernet.net import AuxiliarySuperNet, Skippable, SuperNet
from supernet.space.roles import PUBLISHED
from supernet.strategies.alpha import Alpha
from supernet.strategies.base import TrainingContext
from supernet.strategies.cost_penalty import CostPenalty
from supernet.strategies.coupled import Coupled
from supernet.strategies.derivation import RuleName
from supernet.task import Batch, Task
from supernet.train import Moment

__all__ = ["DARTSMinus"]


SKIPS = [str(name) for name, role in PUBLISHED.items() if role == "skip"]
"""Names of the option that passes its input on, for the message."""


class DARTSMinus(Coupled):
    """Softmax mixtures with an auxiliary skip that fades.

    Args:
        alpha: how α begins and how Adam moves it, see `Coupled`.
        auxiliary: β at the first step; it is 0 at the last.
        rule: name of the rule that derives an architecture from α, see `supernet.strategies.derivation`.
        cost: expected cost that joins the loss of α, see `Coupled`; the auxiliary skip is free.

    Raises:
        ConfigError: β is negative, or see `Coupled`.
    """

    def __init__(
        self,
        alpha: Alpha = Alpha(),
        auxiliary: float = 1.0,
        rule: RuleName = "edges",
        cost: CostPenalty | None = None,
    ) -> None:
        super().__init__(alpha, rule, cost)
        if auxiliary < 0:
            raise ConfigError(f"auxiliary is the weight of a skip, at least 0, not {auxiliary}")
        self.auxiliary = auxiliary

    def build(self, model: nn.Module) -> SuperNet:
        """Return the supernet with auxiliary skips."""
        return AuxiliarySuperNet.of(model, _skip)

    def prepare(self, supernet: SuperNet, setting: TrainingContext) -> None:
        """See `Coupled`.

        Raises:
            ConfigError: there are no auxiliary skips (a part of a supernet may have none), or see
                `Coupled`.
        """
        super().prepare(supernet, setting)
        skips = isinstance(supernet, AuxiliarySuperNet) and supernet.with_beside
        if not skips and not setting.part:
            raise ConfigError(
                f"DARTSMinus adds to skips, but no decision has an option named {' or '.join(SKIPS)}; "
                "name the option that passes its input on so, or use another strategy"
                if isinstance(supernet, AuxiliarySuperNet)
                else "DARTSMinus trains a supernet with auxiliary skips; make it by its method "
                "build(model) instead of SuperNet(model)"
            )

    def backward(self, model: SuperNet, task: Task, batch: Batch, moment: Moment) -> torch.Tensor:
        """Move α, then add the gradients of the weights, both beside the auxiliary skips."""
        assert isinstance(model, AuxiliarySuperNet)
        with model.beside(self.beta(moment)):
            return super().backward(model, task, batch, moment)

    def beta(self, moment: Moment) -> float:
        """Return β of this step."""
        return self.auxiliary * (1 - moment.progress)

    def routing(self, model: SuperNet, moment: Moment) -> Routing:
        """Return gates with softmax weights."""
        return self.soft(self.probabilities())


def _skip(choice: ChoiceModule) -> nn.Module | None:
    """Return an auxiliary skip for a choice, if it is known what that is."""
    if isinstance(choice, Skippable):
        return choice.skip()
    if choice.pick != 1:
        return None
    options = zip(choice.names, choice.options, strict=True)
    skips = [option for name, option in options if role_of(name, option) == "skip"]
    return copy.deepcopy(skips[0]) if skips else None

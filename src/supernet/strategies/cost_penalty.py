"""A cost in the loss of the architecture: of its expectation, so that it has a gradient."""

from __future__ import annotations

import dataclasses
import math
from typing import Literal

import torch

from supernet.cost import CostTable
from supernet.errors import ConfigError
from supernet.space import SearchSpace

__all__ = ["CostPenalty"]


@dataclasses.dataclass(frozen=True)
class CostPenalty:
    """What an architecture's expected cost E adds to its loss (Cai et al., "ProxylessNAS", ICLR 2019).

    Attributes:
        quantity: "params", "macs", or that of a table in search.costs, such as "latency_ms".
        weight: λ, the weight of the cost in the loss.
        target: the cost that is free of charge; the expectation at the start if not given.
        form: "linear": loss + λ · (E - target) / target; "log": loss · (ln E / ln target)^λ.
    """

    quantity: str
    weight: float = 0.1
    target: float | None = None
    form: Literal["linear", "log"] = "linear"

    def __post_init__(self) -> None:
        if not 0 <= self.weight < math.inf:
            raise ConfigError(
                f"strategy.cost.weight is at least 0, not {self.weight}: what costs more is charged more"
            )

    def settled(self, start: float, table: CostTable, space: SearchSpace) -> CostPenalty:
        """Return the charge with a target.

        Args:
            start: the expectation before the first step.
            table: cost table of the quantity.
            space: space of the architectures.

        Raises:
            ConfigError: the target, or a logarithm, is not positive.
        """
        target = start if self.target is None else self.target
        if not target > 0:
            raise ConfigError(f"strategy.cost.target must be above 0, not {target}")
        least = table.range(space)[0]
        if self.form == "log" and not min(target, least) > 1:
            raise ConfigError(
                f"strategy.cost.form 'log' takes logarithms of {self.quantity}, which must be above 1, "
                f"but the target is {target:g} and the cheapest architecture costs {least:g}; use "
                "'linear', or a table in a smaller unit"
            )
        return dataclasses.replace(self, target=target)

    def added(self, loss: torch.Tensor, expected: torch.Tensor) -> torch.Tensor:
        """Return a loss with the charge for an expected cost; the target must be settled."""
        assert self.target is not None
        if self.form == "linear":
            return loss + self.weight * (expected - self.target) / self.target
        return loss * (torch.log(expected) / math.log(self.target)) ** self.weight

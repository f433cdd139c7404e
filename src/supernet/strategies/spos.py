"""SPOS: Guo et al., "Single Path One-Shot Neural Architecture Search with Uniform Sampling" (ECCV 2020).

Every step trains one architecture. Candidates are scored after the statistics of batch norm were
re-estimated for each of them.

The paper draws a path uniformly: the choice of each layer by itself, which is the default. In its own
space that is uniform over all architectures too; where decisions lie in options, such as layers that
only deeper networks have, it is not, and `sampling="architectures"` draws hardly anything but the
deepest. The authors' code draws a bin of costs uniformly and then, by rejection, a path inside it; that
is `sampling="cost"`. Its bins are 290 to 360 million multiply-adds in steps of 10; here the bounds are
options, by default the 5 % and the 95 % quantile of a thousand paths. Where no path of the bin is found
in so many tries, the one whose cost came closest is taken.
"""

from __future__ import annotations

from random import Random
from typing import Literal

import torch

from supernet.cost import CostTable
from supernet.errors import ConfigError
from supernet.net import SuperNet
from supernet.random import stream
from supernet.space import Architecture, Sampling, SearchSpace
from supernet.strategies.base import Strategy, TrainingContext
from supernet.task import Batch, Task
from supernet.train import Moment, backward

__all__ = ["SPOS", "train_path"]

QUANTILE_DRAWS = 1000


class SPOS(Strategy):
    """Single path, drawn uniformly, decision by decision, over the space or over its costs.

    Args:
        sampling: set that a path is uniform over: the answers of each of its "decisions" by itself,
            all "architectures", all different "networks", or bins of "cost", within which it is drawn
            by its decisions.
        quantity: the cost that the bins divide: "macs", "params", ...
        low: lower end of the first bin.
        high: upper end of the last bin.
        bins: number of bins.
        tries: number of draws after which a path inside the bin is given up.

    Raises:
        ConfigError: a number is not positive or the bounds contradict each other.
    """

    adds = True

    def __init__(
        self,
        sampling: Sampling | Literal["cost"] = "decisions",
        quantity: str = "macs",
        low: float | None = None,
        high: float | None = None,
        bins: int = 8,
        tries: int = 500,
    ) -> None:
        if min(bins, tries) < 1 or (low is not None and high is not None and low >= high):
            raise ConfigError(
                f"bins {bins} and tries {tries} must be at least 1, and low {low} below high {high}"
            )
        self.sampling: Sampling | Literal["cost"] = sampling
        self.quantity = quantity
        self.low = low
        self.high = high
        self.bins = bins
        self.tries = tries
        self._table: CostTable | None = None
        self._bounds = (0.0, 0.0)

    def prepare(self, supernet: SuperNet, setting: TrainingContext) -> None:
        """Look up the table of costs and fix the bins.

        Raises:
            ConfigError: there is no table of the quantity, or no architecture within the bounds.
        """
        if self.sampling != "cost":
            return
        table = setting.table(self.quantity)
        random = stream(setting.seed, "cost bins")
        draws = sorted(
            table.cost(self._path(supernet.space, random)) for _ in range(QUANTILE_DRAWS)
        )
        low = draws[QUANTILE_DRAWS // 20] if self.low is None else self.low
        high = draws[-QUANTILE_DRAWS // 20] if self.high is None else self.high
        smallest, largest = table.range(supernet.space)
        if setting.part:  # bins that the whole reaches and this part does not are left out
            low, high = max(low, smallest), min(high, largest)
            if not low < high:
                self._table = None
                return
        if not low < high or low > largest or high < smallest:
            raise ConfigError(
                f"the cost bins reach from {low:,.6g} to {high:,.6g}, but {self.quantity} in this space "
                f"from {smallest:,.6g} to {largest:,.6g}; choose strategy.low below strategy.high within"
            )
        self._table, self._bounds = table, (low, high)

    def backward(self, model: SuperNet, task: Task, batch: Batch, moment: Moment) -> torch.Tensor:
        """Add the gradients of one drawn architecture."""
        return train_path(model, self.draw(model.space, moment.stream("path")), task, batch)

    def draw(self, space: SearchSpace, random: Random) -> Architecture:
        """Draw an architecture."""
        if self._table is None:
            return self._path(space, random)
        low, high = self._bounds
        width = (high - low) / self.bins
        left = low + width * random.randrange(self.bins)
        closest, distance = self._path(space, random), float("inf")
        for _ in range(self.tries):
            architecture = self._path(space, random)
            cost = self._table.cost(architecture)
            away = max(left - cost, cost - left - width, 0.0)
            if away < distance:
                closest, distance = architecture, away
            if not away:
                break
        return closest

    def _path(self, space: SearchSpace, random: Random) -> Architecture:
        return space.sample(random, "decisions" if self.sampling == "cost" else self.sampling)


def train_path(
    model: SuperNet, architecture: Architecture, task: Task, batch: Batch
) -> torch.Tensor:
    """Add the gradients of one architecture and return its detached loss."""
    with model.route(architecture):
        loss = task.loss(model, batch)
    return backward(loss)

"""First-order Taylor: how much the loss changes if a channel is taken away.

Molchanov et al., "Importance Estimation for Neural Network Pruning" (CVPR 2019). A channel's output z is
thought to be multiplied by a gate of 1; the importance is the square of the loss's derivative by it,

    I_j = mean over batches of ( Σ_w w · ∂L/∂w )²    over the weights w that multiply channel j,

since Σ w · ∂L/∂w is that derivative (of one gate for all weights that read the channel), so that -Σ is
what the loss changes by to first order if the channel becomes 0.

Differences from the paper: it puts gates behind batch norms, and sums up over a training; here a channel
is what the next layers read, and the model is as it is. It runs in evaluation mode.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

import torch
from torch import nn

from supernet.elastic.importance import Amounts, Importance
from supernet.importance.measuring import (
    checked_batches,
    explaining,
    gradients,
    read,
    standing_in,
)
from supernet.task import Classification, Task

__all__ = ["Taylor"]


class Taylor(Importance):
    """The squared change of the loss, to first order, without a channel (Molchanov et al., 2019).

    Args:
        batches: iterable of `(inputs, labels)`, of several inputs `(first, second, ..., labels)`, by
            name `({"name": first, ...}, labels)`; for instance a thousand examples in batches of 32.
            Each batch counts alike.
        task: task whose loss is looked at; classification if not given.
        seed: seed of what the model draws.

    Raises:
        ConfigError: batches are none, at the latest when they are gone through.
        DataError: a batch has no labels, or is not what model and task take.
        DivergedError: a loss is not a finite number.
    """

    def __init__(self, batches: Iterable[Any], task: Task | None = None, seed: int = 0) -> None:
        self.batches = checked_batches(batches)
        self.task = task or Classification()
        self.seed = seed

    def amounts(self, model: nn.Module) -> Iterator[Amounts]:
        """Yield w · ∂L/∂w of each batch."""
        with standing_in(model, self.seed) as (stand_in, weights):
            for inputs, labels in read(self.batches, model, labels=True, by="Taylor"):
                with explaining("Taylor", inputs):
                    loss = self.task.loss(stand_in, (*inputs, labels))
                    found = gradients(loss, weights, by="Taylor")
                yield {own: weights[own].detach() * gradient for own, gradient in found.items()}

    def of_channels(self, sums: torch.Tensor) -> torch.Tensor:
        """Return the squares of the sums, `[channels]`."""
        return sums.square()

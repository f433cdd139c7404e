"""Early stopping: a training ends when held-out examples say that it no longer helps.

What is used is the model of the moment with the lowest loss on them, as in Prechelt, "Early Stopping -
But When?" (1998), by his criterion UP with strips of one record of the log.
"""

from __future__ import annotations

import copy
import math
from collections.abc import Mapping
from typing import Any

from torch import nn

__all__ = ["EarlyStopping"]


class EarlyStopping:
    """Remembers the model with the lowest loss, and says when to end.

    Args:
        model: model that is trained.
        patience: looks in a row without a lower loss after which the training ends.
    """

    def __init__(self, model: nn.Module, patience: int) -> None:
        self._model, self._patience = model, patience
        self._lowest, self._since = math.inf, 0
        self._kept: dict[str, Any] = {}

    def over(self, loss: float, counts: bool = True) -> bool:
        """Take in the loss of the model as it is now, and return whether the training ends.

        Args:
            loss: loss on the held-out examples.
            counts: whether this look counts where the loss is not lower.
        """
        if loss < self._lowest or not self._kept:
            self._lowest, self._since = loss, 0
            self._kept = copy.deepcopy(self._model.state_dict())
        elif counts:
            self._since += 1
        return self._since >= self._patience

    def take(self) -> None:
        """Make the model that with the lowest loss."""
        if self._kept:
            self._model.load_state_dict(self._kept)

    def state_dict(self) -> dict[str, Any]:
        """Return what `load_state_dict` continues from."""
        return {"lowest": self._lowest, "since": self._since, "kept": self._kept}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Continue from what `state_dict` returned."""
        self._lowest, self._since, self._kept = state["lowest"], state["since"], state["kept"]

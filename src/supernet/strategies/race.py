"""Which options are still in the race: methods that narrow a search take the weakest out of it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from functools import lru_cache
from typing import Any

import torch

from supernet.errors import CodeError
from supernet.space import Decision, OneOf, SearchSpace

__all__ = ["Race", "Weights"]

Weights = Mapping[str, torch.Tensor]
"""By decision, a number for each option."""


class Race:
    """The options of each decision that still run.

    Args:
        decisions: decisions of the space; all their options run at first.

    Attributes:
        kept: indices of the options that are in the race, ascending, by the label of the decision.
    """

    def __init__(self, decisions: Iterable[Decision]) -> None:
        self._decisions = {decision.label: decision for decision in decisions}
        self.kept = {label: tuple(range(len(d.options))) for label, d in self._decisions.items()}

    def left(self, values: Weights) -> dict[str, torch.Tensor]:
        """Return numbers for the options in the race from those for all options."""
        return {label: self.left_of(label, value) for label, value in values.items()}

    def left_of(self, label: str, value: torch.Tensor) -> torch.Tensor:
        """Return the numbers for the options of one decision that are in the race."""
        kept = self.kept[label]
        return value if len(kept) == len(value) else value[_indices(kept, value.device)]

    def whole(self, values: Weights) -> dict[str, torch.Tensor]:
        """Return numbers for all options from those of the options in the race, 0 for the others."""
        return {
            label: value
            if len(value) == (count := len(self._decisions[label].options))
            else value.new_zeros(count).scatter(0, _indices(self.kept[label], value.device), value)
            for label, value in values.items()
        }

    def decide(self, label: str, kept: Iterable[int]) -> None:
        """Leave these options of a decision in the race only; one that is alone runs with weight 1.

        Args:
            label: label of the decision.
            kept: indices of its options, at least one.

        Raises:
            CodeError: there is none, or one that the decision does not have.
        """
        found = tuple(sorted(set(kept)))
        options = self._decisions[label].options
        if not found or not set(found) <= set(range(len(options))):
            raise CodeError(
                f"of decision {label!r}, with options 0 to {len(options) - 1}, a strategy keeps "
                f"{list(found)}; keep one or more of them"
            )
        self.kept[label] = found

    def narrow(self, space: SearchSpace, probabilities: Weights, keep: int) -> bool:
        """Keep the strongest options in the race, of decisions with one answer.

        Args:
            space: space of the decisions, which knows which options are no connection.
            probabilities: probabilities of all options, by decision, 0 for those that are out of
                the race.
            keep: how many of each decision.

        Returns:
            Whether any option was taken out.
        """
        before = dict(self.kept)
        for label, p in probabilities.items():
            if isinstance(decision := self._decisions[label], OneOf):
                connecting = space.connecting(decision)
                self.decide(label, _strongest(connecting, before[label], p, keep))
        return self.kept != before

    def state_dict(self) -> dict[str, list[int]]:
        """Return the options that are in the race."""
        return {label: list(kept) for label, kept in self.kept.items()}

    def load_state_dict(self, state: Mapping[str, Sequence[Any]]) -> None:
        """Continue with the options that were in the race."""
        self.kept = {label: tuple(kept) for label, kept in state.items()}


def _strongest(
    connecting: Sequence[int], left: Sequence[int], p: torch.Tensor, keep: int
) -> tuple[int, ...]:
    """Return the strongest of the options that are left; at least one of the connecting."""
    order = sorted(left, key=lambda i: -float(p[i]))
    best = order[:keep]
    named = [i for i in order if i in connecting]
    if named and not set(named) & set(best):
        best[-1] = named[0]
    return tuple(sorted(best))


@lru_cache(maxsize=4096)
def _indices(kept: tuple[int, ...], device: torch.device) -> torch.Tensor:
    """Return indices on a device, each copied there once."""
    return torch.tensor(kept, device=device)

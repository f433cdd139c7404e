"""Routing: what a strategy hands the supernet for one forward pass.

A choice computes `y = Σ_i g_i · op_i(x)` and runs only the options its gate lists. A hard gate lists
the chosen options, a soft one carries a weight for each, a masked one lists what was not dropped.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Self

import torch

from supernet.errors import RoutingError
from supernet.space import Architecture, SearchSpace

__all__ = ["Gate", "Routing"]


@dataclass(frozen=True, eq=False)
class Gate:
    """The options of one decision that run, and what their outputs are multiplied by.

    Attributes:
        options: indices of the options that run; may be empty, and the output is then zero.
        weights: weights of the listed options, `[len(options)]`; None stands for ones.
    """

    options: tuple[int, ...]
    weights: torch.Tensor | None = None

    def __post_init__(self) -> None:
        if self.weights is not None and self.weights.shape != (len(self.options),):
            raise RoutingError(
                f"a gate over {len(self.options)} options needs weights of shape "
                f"[{len(self.options)}], not {list(self.weights.shape)}"
            )

    def learning_by(self, change: Callable[[torch.Tensor], torch.Tensor]) -> Self:
        """Return the gate with what has a gradient in it changed: its weights, if it has any."""
        return self if self.weights is None else replace(self, weights=change(self.weights))


class Routing(dict[str, Gate]):
    """Gates by decision label; a decision without a gate must not be reached."""

    @classmethod
    def hard(cls, space: SearchSpace, architecture: Architecture) -> Routing:
        """Run exactly the chosen options, each with weight one.

        Raises:
            SpaceError: the architecture answers an unknown decision or gives an impossible answer.
        """
        return cls(
            {
                label: Gate(space.decision(label).indices(value))
                for label, value in architecture.items()
            }
        )

    @classmethod
    def soft(cls, space: SearchSpace, weights: Mapping[str, torch.Tensor]) -> Routing:
        """Run every option of the given decisions; `weights` holds a vector `[options]` for each.

        Raises:
            RoutingError: a vector has not one weight for each option.
        """
        for label, given in weights.items():
            if given.shape != (len(options := space.decision(label).options),):
                raise RoutingError(
                    f"decision {label!r} has the {len(options)} options {list(options)} and needs "
                    f"weights [{len(options)}], not {list(given.shape)}"
                )
        return cls({label: Gate(tuple(range(len(w))), w) for label, w in weights.items()})

    @classmethod
    def masked(cls, space: SearchSpace, keep: Mapping[str, tuple[int, ...]]) -> Routing:
        """Run the kept options of each decision, and all options where `keep` is silent."""
        return cls(
            {
                decision.label: Gate(keep.get(decision.label, tuple(range(len(decision.options)))))
                for decision in space.decisions
            }
        )

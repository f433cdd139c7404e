"""Whether what is learned has moved: no decision is derived from its starting noise in silence.

For every decision two things are watched: whether its gradient was ever other than zero, and how far
what is derived from has gone from where it began. Both stay on the device until somebody asks.
"""

from __future__ import annotations

from collections.abc import Container, Iterable, Mapping, Sequence
from typing import Any

import torch

__all__ = ["Movement"]

NAMED = 5
"""How many decisions a warning names."""

Numbers = Mapping[str, torch.Tensor]
"""By decision, one number for each option or threshold."""


class Movement:
    """A watch on the numbers that decisions are derived from: whether they were ever moved.

    Args:
        values: the numbers at the start, probabilities for instance; on one device.
    """

    def __init__(self, values: Numbers) -> None:
        self.begun = False
        """Whether a step was taken, in which the numbers may have rested."""
        self._sizes = {label: value.numel() for label, value in values.items()}
        self._start = _flat(values.values())
        self._zeros = torch.zeros_like(self._start)
        self._ever = torch.zeros_like(self._start, dtype=torch.bool)

    def note(self, gradients: Sequence[torch.Tensor | None]) -> None:
        """Watch the gradients of a step, one of every decision, None for zeros."""
        self.begun = True
        zeros = self._zeros.split(list(self._sizes.values()))  # type: ignore[no-untyped-call]
        pairs = zip(gradients, zeros, strict=True)
        found = torch.cat([zero if g is None else g.detach().flatten() for g, zero in pairs])
        self._ever |= found != 0

    def distances(self, values: Numbers) -> dict[str, float]:
        """Return by decision the largest difference of a number from what it was at the start."""
        differences = (_flat(values.values()) - self._start).abs().tolist()
        return {label: max(part) for label, part in self._parts(differences).items()}

    def still(self) -> list[str]:
        """Return the decisions whose gradients were zero in every step; none before the first."""
        if not self.begun:
            return []
        return [label for label, ever in self._parts(self._ever.tolist()).items() if not any(ever)]

    def warnings(self, name: str, among: Container[str]) -> list[str]:
        """Say for which decisions nothing was learned.

        Args:
            name: name of the strategy.
            among: the decisions that something is derived for.
        """
        still = [label for label in self.still() if label in among]
        if not still:
            return []
        named = ", ".join(map(repr, still[:NAMED])) + (", ..." if len(still) > NAMED else "")
        return [
            f"{name} has learned nothing about {len(still)} of its decisions ({named}): no step gave "
            "them a gradient, so what is derived for them is what they started from, chance. Train for "
            "longer, let them learn from earlier on (the strategy's warmup), and see that the model "
            "runs the modules of these decisions and its output depends on them"
        ]

    def state_dict(self) -> dict[str, Any]:
        """Return what was watched, and where the numbers began."""
        return {"begun": self.begun, "ever": self._ever, "start": self._start}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Continue from what `state_dict` returned."""
        self.begun = bool(state["begun"])
        self._ever.copy_(state["ever"])
        self._start.copy_(state["start"])

    def _parts(self, values: list[Any]) -> dict[str, list[Any]]:
        found, start = {}, 0
        for label, size in self._sizes.items():
            found[label] = values[start : start + size]
            start += size
        return found


def _flat(values: Iterable[torch.Tensor]) -> torch.Tensor:
    return torch.cat([value.detach().flatten() for value in values])

"""Which of two scores is the better one."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass

__all__ = ["Preference"]


@dataclass(frozen=True)
class Preference:
    """By which figure of a task networks are ranked, and which figures are better when lower.

    Attributes:
        by: figure that candidates are ranked by.
        lower: figures of which lower ones are better, besides the loss.
    """

    by: str = "loss"
    lower: Collection[str] = ()

    @property
    def figure(self) -> str:
        """The figure that is ranked by, where it is neither the loss nor the accuracy; else empty."""
        return "" if self.by in ("loss", "accuracy") else self.by

    def falls(self, name: str) -> bool:
        """Return whether a figure is better when it is lower."""
        return name == "loss" or name in self.lower

    def signed(self, name: str, value: float) -> float:
        """Return a figure as a number that is higher when it is better."""
        return -value if self.falls(name) else value

    def named(self, name: str) -> str:
        """Return what the signed figure is called, such as "accuracy" or "-loss"."""
        return f"-{name}" if self.falls(name) else name

    def final(self, score: Mapping[str, object]) -> str:
        """Return the figure that networks trained alone are compared by.

        That is the one candidates are ranked by; but where that is the loss, which also says how sure a
        network is, the accuracy if there is one.
        """
        by = "accuracy" if self.by == "loss" else self.by
        return by if score.get(by) is not None else "loss"

    def key(self, score: Mapping[str, float | None]) -> tuple[float, float]:
        """Return what is larger for better networks alone: the final figure, then minus the loss."""
        name, loss = self.final(score), score.get("loss")
        worst = float("-inf") if loss is None else -loss
        value = score.get(name)
        return (worst if value is None else self.signed(name, value), worst)

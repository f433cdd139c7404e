"""Numbers as a person reads them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from supernet.cost.quantities import unit_of

__all__ = [
    "MISSING",
    "answer_text",
    "cost_text",
    "count",
    "duration",
    "milliseconds",
    "percent",
    "score",
    "tuned_text",
]

MISSING = "—"


def percent(fraction: float | None) -> str:
    """Return an accuracy in 0–1 as percent with two decimals."""
    return MISSING if fraction is None else f"{100 * fraction:.2f} %"


def count(number: float | None) -> str:
    """Return a count of parameters or multiply-adds with three digits and a unit: 1.23 M."""
    if number is None:
        return MISSING
    for unit, size in (("", 1), ("k", 1e3), ("M", 1e6), ("G", 1e9)):
        # Half a unit of the last digit below 1000, what is left rounds up to the next unit.
        if abs(number) / size < 999.995:
            return f"{number / size:.2f} {unit}" if unit else f"{number:.0f}"
    return f"{number / 1e12:.2f} T"


def duration(seconds: float | None) -> str:
    """Return seconds as the two largest of hours, minutes and seconds."""
    if seconds is None:
        return MISSING
    if seconds < 59.95:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes:02} min" if hours else f"{minutes} min {rest:02} s"


def milliseconds(latency: float | None) -> str:
    """Return a latency with three digits."""
    return MISSING if latency is None else f"{latency:.3g} ms"


def cost_text(quantity: str, cost: float | None) -> str:
    """Return a cost as a latency, or as a count, as its quantity is."""
    return milliseconds(cost) if unit_of(quantity) == "ms" else count(cost)


def score(
    measured: Mapping[str, float | None] | None, figure: str = "", *, named: bool = True
) -> str:
    """Return the accuracy, or the loss where the task has no accuracy.

    Args:
        measured: figures by name.
        figure: name of the figure to return instead, if there is one.
        named: whether to say this name.
    """
    if measured is not None and (found := measured.get(figure)) is not None:
        return f"{figure} {found:.4f}" if named else f"{found:.4f}"
    accuracy, loss = (None if measured is None else measured.get(n) for n in ("accuracy", "loss"))
    if accuracy is not None:
        return percent(accuracy)
    return MISSING if loss is None else f"loss {loss:.4f}"


def tuned_text(tuning: str, networks: int, seconds: float | None) -> str:
    """Say how networks were trained before they were scored, and how long; nothing without tuning."""
    if not tuning or not networks:
        return ""
    each = "" if networks == 1 else " each"
    return (
        f"Trained before the score: {count(networks)} network{'' if networks == 1 else 's'}, "
        f"{tuning}{each}, in {duration(seconds)}."
    )


def answer_text(answer: Any) -> str:
    """Return the answer to a decision: the option, or all of several."""
    return ", ".join(map(str, answer)) if isinstance(answer, list | tuple) else str(answer)

"""From numbers to places on a figure: ranges, round ticks, and how they are written."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Literal

__all__ = ["MOST_TICKS", "Scale", "Unit", "tick_texts", "ticks", "written"]

Unit = Literal["number", "percent"]
"""How values are written: as they are, or values in 0–1 as percent."""

MOST_TICKS = 6
"""Of an axis, where no number is given."""

_PREFIXES = ((1e12, " T"), (1e9, " G"), (1e6, " M"), (1e4, " k"))


@dataclass(frozen=True)
class Scale:
    """A linear map from values to places.

    Attributes:
        low: the smallest value.
        high: the largest value, above the smallest.
        start: place of the smallest value, in user units of the drawing.
        end: place of the largest value.
    """

    low: float
    high: float
    start: float
    end: float

    @classmethod
    def of(cls, values: Iterable[float], start: float, end: float, *, pad: float = 0.04) -> Scale:
        """Return the scale that shows all finite values, with a share of their range at both ends."""
        known = [value for value in values if math.isfinite(value)] or [0.0, 1.0]
        low, high = min(known), max(known)
        if low == high:
            low, high = low - (abs(low) / 10 or 1), high + (abs(high) / 10 or 1)
        room = pad * (high - low)
        return cls(low - room, high + room, start, end)

    def __call__(self, value: float) -> float:
        """Return the place of a value."""
        share = (value - self.low) / (self.high - self.low)
        return self.start + share * (self.end - self.start)


def ticks(low: float, high: float, most: int = MOST_TICKS) -> list[float]:
    """Return at most so many round values of a range: multiples of 1, 2 or 5 times a power of ten."""
    power = math.floor(math.log10((high - low) / most))
    while True:
        for factor in (1, 2, 5):
            step = factor * 10.0**power
            first, last = math.ceil(low / step - 1e-9), math.floor(high / step + 1e-9)
            if last - first < most:
                digits = max(0, -power)
                return [round(i * step, digits) for i in range(first, last + 1)]
        power += 1


def tick_texts(values: Sequence[float], unit: Unit) -> list[str]:
    """Return how ticks are written: all with the same prefix and as many decimals as they need."""
    largest = max(map(abs, values), default=0.0)
    size, mark = (0.01, " %") if unit == "percent" else (1.0, "")
    if unit == "number":
        size, mark = next((one for one in _PREFIXES if largest >= one[0]), (1.0, ""))
        size = 1e3 if mark == " k" else size
    if 0 < largest < 1e-3 and unit == "number":
        return [f"{value:.2g}" for value in values]
    shown = [value / size for value in values]
    for decimals in range(6):
        texts = [f"{value:.{decimals}f}" for value in shown]
        if all(
            abs(float(t) - v) <= 1e-6 * largest / size for t, v in zip(texts, shown, strict=True)
        ):
            break
    return [f"{text}{mark}" for text in texts]


def written(value: float, unit: Unit) -> str:
    """Return a value with four digits, or in percent with two decimals."""
    return f"{100 * value:.2f} %" if unit == "percent" else f"{value:,.4g}"

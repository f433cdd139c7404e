"""Figures of intervals, one below the other, as SVG."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from html import escape

from supernet.evaluate.resampling import Interval
from supernet.track.charts import WIDTH, axis_texts
from supernet.track.scales import Scale, Unit, ticks, written

__all__ = ["Line", "forest"]

_ROW, _LEFT, _RIGHT, _BOTTOM = 20.0, 158.0, 20.0, 22.0
_LONGEST = 24


@dataclass(frozen=True)
class Line:
    """A value with its interval.

    Attributes:
        name: name of what has the value.
        value: the value.
        title: more on it, shown when it is pointed at.
        marked: whether it stands out.
    """

    name: str
    value: Interval
    title: str = ""
    marked: bool = False


def forest(
    lines: Sequence[Line],
    unit: Unit,
    name: str,
    *,
    ends: tuple[float, float] | None = None,
    middle: float | None = None,
) -> str:
    """Return intervals as an element of a page, one below the other.

    Args:
        lines: the intervals; intervals are cut off where they leave the drawing.
        unit: how values are written.
        name: text that stands for the figure where it is not seen.
        ends: ends of the axis; by default those of all intervals.
        middle: value of a line from top to bottom, to compare with.
    """
    values = [end for one in lines for end in (one.value.low, one.value.high)]
    scale = Scale.of(ends or values, _LEFT, WIDTH - _RIGHT, pad=0.0 if ends else 0.04)
    foot = _ROW * len(lines) + 2
    grid = "".join(f"M{scale(v):.1f} 0V{foot:.0f}" for v in ticks(scale.low, scale.high, 4))
    parts = [f'<path class="grid" d="{grid}"/>']
    if middle is not None:
        parts.append(f'<path class="middle" d="M{scale(middle):.1f} 0V{foot:.0f}"/>')
    parts += [_row(one, scale, unit, _ROW * (i + 0.5)) for i, one in enumerate(lines)]
    parts.append(axis_texts(scale, unit, "x", foot + 13, most=4))
    return (
        f'<svg class="chart forest" role="img" aria-label="{escape(name)}" '
        f'viewBox="0 0 {WIDTH:.0f} {foot + _BOTTOM:.0f}">{"".join(parts)}</svg>'
    )


def _row(one: Line, scale: Scale, unit: Unit, y: float) -> str:
    low, high = (min(max(v, scale.low), scale.high) for v in (one.value.low, one.value.high))
    said = (
        f"{one.name}: {written(one.value.value, unit)} ({written(one.value.low, unit)} to "
        f"{written(one.value.high, unit)}){', ' if one.title else ''}{one.title}"
    )
    half = _LONGEST // 2
    short = f"{one.name[: half - 1]}…{one.name[-half:]}"
    name = one.name if len(one.name) <= _LONGEST else short
    return (
        f'<g class="interval{" marked" if one.marked else ""}"><title>{escape(said)}</title>'
        f'<text class="name" x="{_LEFT - 8:.0f}" y="{y:.1f}">{escape(name)}</text>'
        f'<path d="M{scale(low):.1f} {y:.1f}H{scale(high):.1f}"/>'
        f'<circle cx="{scale(one.value.value):.1f}" cy="{y:.1f}" r="4"/></g>'
    )

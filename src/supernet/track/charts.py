"""Figures as SVG: lines and points over two axes, with colours that the page's style gives.

Every figure is a text that depends on its numbers alone, needs no script, and scales with its
container. Points are one path, a move and a dot each, so that a thousand of them take some 15 kB;
where there are few, each is an element that says in its title what it is.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from html import escape
from typing import Literal

from supernet.track.scales import MOST_TICKS, Scale, Unit, tick_texts, ticks, written

__all__ = ["MOST_POINTS", "Axis", "Chart", "Series", "axis_texts", "svg"]

MOST_POINTS = 2000
"""Points of a series beyond which only some, evenly chosen, are drawn."""

TITLED = 250
"""Points of a series up to which each has a title of its own."""

LINE_POINTS = 4000
"""Points that all lines of a figure have together, at most; of each at least `FEWEST` are drawn."""

FEWEST = 20

WIDTH, HEIGHT = 400.0, 250.0
"""Of the drawing, in user units; a text is 11 of them high."""

_LEFT, _RIGHT, _TOP, _BOTTOM = 62.0, 14.0, 8.0, 40.0


@dataclass(frozen=True)
class Axis:
    """What an axis shows.

    Attributes:
        label: name of the values.
        unit: how they are written.
    """

    label: str
    unit: Unit = "number"


@dataclass(frozen=True)
class Series:
    """Points that belong together; those that are not finite are left out.

    Attributes:
        name: name of the series, for the legend; series of one name share an entry.
        x: values on the horizontal axis.
        y: values on the vertical axis.
        kind: points, a line through them, or steps from each to the next.
        colour: a class of the page's style, see `page`.
        titles: name of each point, shown when it is pointed at, where there are few; of a line its own.
        size: radius of a point, in user units.
        side: whether the values are on the axis at the right.
        listed: whether the legend has the name.
    """

    name: str
    x: Sequence[float]
    y: Sequence[float]
    kind: Literal["points", "line", "steps"] = "points"
    colour: str = "blue"
    titles: Sequence[str] = ()
    size: float = 3.0
    side: bool = False
    listed: bool = True


@dataclass(frozen=True)
class Chart:
    """A figure.

    Attributes:
        x: the horizontal axis.
        y: the vertical axis at the left.
        series: lines and points, the first at the bottom.
        side: the vertical axis at the right; it begins at 0.
        note: text below the figure.
    """

    x: Axis
    y: Axis
    series: tuple[Series, ...]
    side: Axis | None = None
    note: str = ""

    @property
    def notes(self) -> str:
        """The note, and how many points are drawn where not all are."""
        many = [one for one in self.series if one.kind == "points" and len(one.x) > MOST_POINTS]
        drawn = [f"{MOST_POINTS:,} of {len(one.x):,} {one.name}s are drawn." for one in many]
        return " ".join([*([self.note] if self.note else []), *drawn])


def svg(chart: Chart, name: str) -> str:
    """Return a figure as an element of a page.

    Args:
        chart: the figure.
        name: text that stands for it where it is not seen.
    """
    right = WIDTH - (_LEFT if chart.side else _RIGHT)
    left = [one for one in chart.series if not one.side]
    x = Scale.of([v for one in chart.series for v in one.x], _LEFT, right)
    y = Scale.of([v for one in left for v in one.y], HEIGHT - _BOTTOM, _TOP)
    sides = [v for one in chart.series if one.side for v in one.y]
    side = Scale.of([0.0, *sides], y.start, y.end)
    lines = max(1, sum(one.kind != "points" for one in chart.series))
    most = max(FEWEST, LINE_POINTS // lines)
    parts = [_axes(chart, x, y, side)]
    parts += [_drawn(chart, one, x, side if one.side else y, most) for one in chart.series]
    return (
        f'<svg class="chart" role="img" aria-label="{escape(name)}" '
        f'viewBox="0 0 {WIDTH:.0f} {HEIGHT:.0f}">{"".join(parts)}</svg>'
    )


def axis_texts(
    scale: Scale,
    unit: Unit,
    kind: Literal["x", "y", "side"],
    at: float,
    most: int = MOST_TICKS,
) -> str:
    """Return the texts at the ticks of an axis.

    Args:
        scale: scale of the axis.
        unit: how values are written.
        kind: name of the axis, a class of the page's style.
        at: place of the texts across the axis, in user units.
        most: the largest number of ticks.
    """
    values = ticks(scale.low, scale.high, most)
    return "".join(
        f'<text class="{kind}" '
        + (
            f'x="{scale(v):.1f}" y="{at:.0f}"'
            if kind == "x"
            else f'x="{at:.0f}" y="{scale(v):.1f}"'
        )
        + f">{text}</text>"
        for v, text in zip(values, tick_texts(values, unit), strict=True)
    )


def _axes(chart: Chart, x: Scale, y: Scale, side: Scale) -> str:
    lines = [f"M{x.start:.0f} {y(v):.1f}H{x.end:.0f}" for v in ticks(y.low, y.high)]
    lines += [f"M{x(v):.1f} {y.end:.0f}V{y.start:.0f}" for v in ticks(x.low, x.high)]
    texts = axis_texts(x, chart.x.unit, "x", HEIGHT - 24)
    texts += axis_texts(y, chart.y.unit, "y", x.start - 5)
    texts += _label(chart.x.label, (x.start + x.end) / 2, HEIGHT - 8)
    texts += _label(chart.y.label, 8, (y.start + y.end) / 2, turned=True)
    if chart.side:
        texts += axis_texts(side, chart.side.unit, "side", x.end + 5)
        texts += _label(chart.side.label, WIDTH - 8, (y.start + y.end) / 2, turned=True)
    return f'<path class="grid" d="{"".join(lines)}"/>{texts}'


def _label(text: str, x: float, y: float, *, turned: bool = False) -> str:
    turn = f' transform="rotate(-90 {x:.0f} {y:.0f})"' if turned else ""
    return f'<text class="label" x="{x:.0f}" y="{y:.0f}"{turn}>{escape(text)}</text>'


def _drawn(chart: Chart, one: Series, x: Scale, y: Scale, most: int) -> str:
    finite = [i for i, p in enumerate(zip(one.x, one.y, strict=True)) if all(map(math.isfinite, p))]
    name = f'class="{one.kind} {one.colour}" aria-label="{escape(one.name)}"'
    if one.kind != "points":
        places = [(x(one.x[i]), y(one.y[i])) for i in _extremes(one.y, finite, most)]
        title = f"<title>{escape(one.titles[0])}</title>" if one.titles else ""
        return f'<path {name} d="{_line(places, one.kind)}">{title}</path>' if places else ""
    if one.titles and len(finite) <= TITLED:
        units = (chart.x.unit, chart.y.unit)
        points = "".join(
            f'<circle cx="{x(one.x[i]):.1f}" cy="{y(one.y[i]):.1f}" r="{one.size:g}"><title>'
            f"{escape(one.titles[i])}: {written(one.x[i], units[0])}, {written(one.y[i], units[1])}"
            "</title></circle>"
            for i in finite
        )
        return f"<g {name}>{points}</g>"
    step = max(1.0, len(finite) / MOST_POINTS)
    shown = [finite[int(i * step)] for i in range(min(len(finite), MOST_POINTS))]
    dots = "".join(f"M{x(one.x[i]):.1f} {y(one.y[i]):.1f}h0" for i in shown)
    return f'<path {name} stroke-width="{2 * one.size:g}" d="{dots}"/>' if dots else ""


def _line(places: Sequence[tuple[float, float]], kind: str) -> str:
    first, *others = places
    between = "H{0:.1f}V{1:.1f}" if kind == "steps" else "L{0:.1f} {1:.1f}"
    return f"M{first[0]:.1f} {first[1]:.1f}" + "".join(between.format(*one) for one in others)


def _extremes(values: Sequence[float], indices: Sequence[int], most: int) -> list[int]:
    """Return at most so many of the indices: in each of equal stretches the least and largest value."""
    if len(indices) <= most:
        return list(indices)
    return list(_of_stretches(values, indices, most // 2))


def _of_stretches(values: Sequence[float], indices: Sequence[int], stretches: int) -> Iterator[int]:
    for k in range(stretches):
        part = indices[k * len(indices) // stretches : (k + 1) * len(indices) // stretches]
        low, high = min(part, key=values.__getitem__), max(part, key=values.__getitem__)
        yield from sorted({low, high})

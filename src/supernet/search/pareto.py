"""Pareto fronts and hypervolumes of points whose every coordinate is to be small."""

from __future__ import annotations

import math
from collections.abc import Sequence

from supernet.errors import ConfigError

__all__ = ["hypervolume", "pareto_front"]

Point = Sequence[float]


def pareto_front(points: Sequence[Point]) -> list[int]:
    """Return the indices of the points that no other point dominates, in their order.

    A point dominates another if it is nowhere larger and somewhere smaller. Equal points are all
    kept; a point with a NaN is never on the front.

    Args:
        points: points of equal length, each coordinate minimised.

    Raises:
        ConfigError: the points differ in length.
    """
    _length(points)
    front, different = list[int](), list[tuple[float, ...]]()
    # A point can only be dominated by one that comes before it in this order; equal ones are neighbours.
    known = [i for i, point in enumerate(points) if not any(map(math.isnan, point))]
    for i in sorted(known, key=lambda i: tuple(points[i])):
        point = tuple(points[i])
        if point in different[-1:]:
            front.append(i)
        elif not any(_dominates(other, point) for other in different):
            front.append(i)
            different.append(point)
    return sorted(front)


def hypervolume(points: Sequence[Point], reference: Point) -> float:
    """Return the volume of what the points dominate, up to a reference point.

    Exact for any number of objectives, by slices along the last one (Zitzler, "Evolutionary
    Algorithms for Multiobjective Optimization", 1999); with two objectives this is a sweep, in
    O(n log n). A point beyond the reference in any coordinate adds nothing.

    Args:
        points: points of equal length, each coordinate minimised.
        reference: a point worse than all that should count.

    Raises:
        ConfigError: the points or the reference differ in length, or the reference is not finite.
    """
    if _length([*points, reference]) == 0 or not all(map(math.isfinite, reference)):
        raise ConfigError(f"a reference point has finite coordinates, not {list(reference)}")
    inside = [tuple(p) for p in points if all(x < r for x, r in zip(p, reference, strict=True))]
    return _volume(inside, tuple(reference))


def _volume(points: list[tuple[float, ...]], reference: tuple[float, ...]) -> float:
    """Return the volume up to the reference, all points lying within."""
    if not points:
        return 0.0
    if len(reference) == 1:
        return reference[0] - min(point[0] for point in points)
    points = sorted(points, key=lambda point: point[-1])
    ends = [*(point[-1] for point in points[1:]), reference[-1]]
    volume, base = 0.0, list[tuple[float, ...]]()
    for point, end in zip(points, ends, strict=True):
        base = list(dict.fromkeys([*base, point[:-1]]))
        base = [base[i] for i in pareto_front(base)]
        volume += _volume(base, reference[:-1]) * (end - point[-1])
    return volume


def _dominates(one: Point, other: Point) -> bool:
    pairs = list(zip(one, other, strict=True))
    return all(a <= b for a, b in pairs) and any(a < b for a, b in pairs)


def _length(points: Sequence[Point]) -> int:
    lengths = {len(point) for point in points}
    if len(lengths) > 1:
        raise ConfigError(f"points must have one length, not {sorted(lengths)}")
    return next(iter(lengths), 0)

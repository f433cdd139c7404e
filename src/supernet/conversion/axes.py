"""Which axes of tensors must have one size, found by following them through a network's operators.

Every axis of a tensor is a product of `Axis` objects, the first outermost (an axis of one position is
the empty product). An operator says which of its axes are the same; `unite` unites them. Where a view
cuts an axis, or a tensor is cut into parts, an axis turns out to be made of others: a product (heads and
the size of a head), or a sum (what was concatenated). What cannot change is `fixed`, with a reason.

What is left in the end, united, not fixed and not made of others, is a width that can be open.

In the examples beside the code a number stands for an axis of so many positions, `3·4` for the product
of two (3 heads of 4 numbers), and `2+6` for the sum of two (2 channels before 6 others).
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from typing import Literal

__all__ = [
    "Axis",
    "AxisShape",
    "Dim",
    "cut_dim",
    "extent",
    "factors",
    "fix",
    "fixed_dim",
    "joined_dim",
    "keep_order",
    "unite",
    "viewed",
]


class Axis:
    """One factor of the size of an axis.

    Args:
        extent: number of positions along the axis.
        fixed: why it cannot change, if so.
    """

    def __init__(self, extent: int, fixed: str = "") -> None:
        self.extent = extent
        self.fixed = fixed
        self.ordered = False
        """Whether its positions have an order that means something, as in a running sum."""
        self.united: Axis | None = None
        self.kind: Literal["leaf", "product", "sum"] = "leaf"
        self.parts: list[Dim] = []
        """Of a sum its summands, of a product its factors, one axis each."""

    @property
    def root(self) -> Axis:
        """The axis that stands for all that it was united with."""
        axis = self
        while axis.united is not None:
            if axis.united.united is not None:
                axis.united = axis.united.united
            axis = axis.united
        return axis

    def __repr__(self) -> str:
        root = self.root
        what = f"{root.extent}" if root.kind == "leaf" else f"{root.kind} {root.parts}"
        return f"<{what}{' fixed' if root.fixed else ''}>"


Dim = tuple[Axis, ...]
"""The size of one axis of a tensor, as a product."""
AxisShape = tuple[Dim, ...]
"""The sizes of a tensor's axes."""


def extent(dim: Dim) -> int:
    """Return how many positions an axis has."""
    return math.prod(axis.extent for axis in dim)


def factors(dim: Dim) -> list[Axis]:
    """Return the factors of an axis, none of which is a product, or a single position."""
    found: list[Axis] = []
    for axis in dim:
        root = axis.root
        if root.kind == "product":
            found += [factor for part in root.parts for factor in factors(part)]
        elif root.extent != 1:
            found.append(root)
    return found


def fixed_dim(count: int, reason: str) -> Dim:
    """Return an axis whose size cannot change."""
    return () if count == 1 else (Axis(count, reason),)


def fix(dims: Iterable[Dim], reason: str) -> None:
    """Say that the sizes of axes cannot change; an earlier reason stays."""
    for dim in dims:
        for axis in factors(dim):
            axis.fixed = axis.fixed or reason
            if axis.kind == "sum":
                fix(axis.parts, reason)


def keep_order(dims: Iterable[Dim]) -> None:
    """Say that positions of axes have an order, which those of narrower ones keep."""
    for dim in dims:
        for axis in factors(dim):
            axis.ordered = True
            if axis.kind == "sum":
                keep_order(axis.parts)


def joined_dim(dims: Sequence[Dim]) -> Dim:
    """Return the axis of tensors that are concatenated along theirs."""
    axis = Axis(sum(map(extent, dims)))
    axis.kind, axis.parts = "sum", list(dims)
    return (axis,)


def unite(first: Dim, second: Dim, reason: str) -> None:
    """Unite two axes of as many positions.

    Args:
        first: one of the two axes.
        second: the other axis.
        reason: why neither can change, where they cannot be made the same.
    """
    # 6 and 2·3: 6 is the larger, and becomes the product 2·3 itself; its 2 is united with the other 2,
    # and in the next round the 3 that is left with the 3. 6 and 4·2 have no such cut: both are fixed.
    left, right = factors(first), factors(second)
    while left and right:
        a, b = _next(left), _next(right)
        if a.extent != b.extent:
            larger, smaller, row = (a, b, left) if a.extent > b.extent else (b, a, right)
            split = _split(larger, smaller.extent)
            if split is None:
                fix((first, second), reason)
                return
            row[0:0] = split[1]
            a, b = split[0], smaller
        if a is not b:
            _unite(a, b, reason)


def viewed(shape: Sequence[Dim], sizes: Sequence[int], reason: str) -> AxisShape:
    """Return the axes of a tensor after a view in other sizes, in the same order of positions.

    Args:
        shape: axes before the view.
        sizes: sizes after the view; of as many positions in all.
        reason: why axes cannot change, where the view cuts them in a way that has no name.
    """
    # [5, 12] as [5, 3, 4]: 5 is taken as it is, and 12 is cut: from now on it is the product 3·4.
    # [5, 6, 4] as [5, 3, 8]: 6 becomes 3·2, and the last axis is the product of 2 and 4.
    # [5, 6, 4] as [5, 4, 6]: no factor ends where 4 positions do, up to where 24 are gone through on
    # both sides; so 6 and 4 are fixed, before and after, and what follows is told apart again.
    rest = [factor for dim in shape for factor in factors(dim)]
    found: list[Dim] = []
    place = 0
    while place < len(sizes):
        taken: list[Axis] = []
        dim = _taken(rest, sizes[place], taken)
        if dim is not None:
            found.append(dim)
            place += 1
            continue
        # What follows up to where both have as many positions again cannot be told apart.
        before, after = extent(tuple(taken)), 1
        while before != after or after == 1:
            if before < after:
                taken.append(_next(rest))
                before *= taken[-1].extent
            else:
                after *= sizes[place]
                found.append(fixed_dim(sizes[place], reason))
                place += 1
        fix([tuple(taken)], reason)
    return tuple(found)


def _taken(rest: list[Axis], size: int, taken: list[Axis]) -> Dim | None:
    """Take factors of this product, the last perhaps cut; None if it cannot be cut so."""
    need = size
    while need > 1:
        axis = _next(rest)
        if need % axis.extent:
            parts = _split(axis, need)
            if parts is None:
                taken.append(axis)
                return None
            axis = parts[0]
            rest[0:0] = parts[1]
        taken.append(axis)
        need //= axis.extent
    return tuple(taken)


def _next(row: list[Axis]) -> Axis:
    """Take the next factor; it may have been found to be a product meanwhile."""
    first, *others = factors((row.pop(0),))
    row[0:0] = others
    return first


def _split(axis: Axis, outer: int) -> tuple[Axis, Dim] | None:
    """Make an axis the product of one of this extent and others; None if it cannot be.

    A sum of as many equal parts is such a product, and the parts are one.
    """
    if axis.kind == "sum" and {extent(part) * outer for part in axis.parts} == {axis.extent}:
        first, second = Axis(outer, "it counts equal parts"), axis.parts[0]
        for part in axis.parts[1:]:
            unite(second, part, "the parts that are counted are made of different parts")
    elif axis.kind == "leaf" and axis.extent % outer == 0:
        first, second = Axis(outer, axis.fixed), (Axis(axis.extent // outer, axis.fixed),)
    else:
        return None
    axis.kind, axis.parts = "product", [(first,), second]
    if axis.ordered:
        keep_order([(axis,)])
    return first, second


def _unite(a: Axis, b: Axis, reason: str) -> None:
    """Unite two axes of one extent, neither of which is a product."""
    if a.kind == "sum" and b.kind == "leaf":
        a, b = b, a
    if a.kind == "sum":
        _align(a, b, reason)
    if a.fixed or b.fixed:
        fix([(a,), (b,)], a.fixed or b.fixed)
    if a.ordered or b.ordered:
        keep_order([(a,), (b,)])
    if a.root is not b.root:
        a.united = b


def _align(a: Axis, b: Axis, reason: str) -> None:
    """Unite the summands of two sums, cutting the larger ones."""
    # 2+6 and 4+4: of the first 4 a part of 2 is cut off and united with the 2; the 2 that is left of it
    # with a part of 2 of the 6; and the 4 that is left of that with the last 4. Both are 2+2+4.
    left, right = list(a.parts), list(b.parts)
    found: list[Dim] = []
    while left and right:
        x, y = left.pop(0), right.pop(0)
        if extent(x) != extent(y):
            larger, smaller, row = (x, y, left) if extent(x) > extent(y) else (y, x, right)
            part, rest = cut_dim(
                larger, [extent(smaller), extent(larger) - extent(smaller)], reason
            )
            row.insert(0, rest)
            x, y = part, smaller
        unite(x, y, reason)
        found.append(y)
    b.parts = found


def cut_dim(dim: Dim, sizes: Sequence[int], reason: str) -> list[Dim]:
    """Return the axes of these extents that an axis consists of, one after the other.

    Args:
        dim: axis that is cut.
        sizes: sizes of the parts, outermost first.
        reason: why it cannot change, where it is made of other parts.
    """
    # 48·4 in parts of 64 and 128: the parts are 16·4 and 32·4, and 48 is 16+32. Parts of 65 and 127
    # would cut through a group of 4: the axis is fixed.
    first, *inner = factors(dim) or [Axis(1)]
    size = extent(tuple(inner))
    if any(number % size for number in sizes):
        fix([dim], reason)
        return [fixed_dim(number, reason) for number in sizes]
    parts: list[Dim] = [(Axis(number // size),) for number in sizes]
    unite((first,), joined_dim(parts), reason)
    return [(*part, *inner) for part in parts]

"""Axes that must be of one size because the code computes one number for them.

`x.reshape(B, N, C)` says that what heads and their sizes amount to is the width of what came in, and
`C // self.num_heads` that the size of a head is its part; an attribute that is passed for two axes says
that they are one.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from supernet.conversion.axes import Dim, extent, factors, unite
from supernet.conversion.operators import OperatorCall, PassedNumber
from supernet.conversion.sources import Origin, Quotient, SizeOf, spelled

__all__ = ["read_numbers"]

Calls = Mapping[str, Sequence[OperatorCall]]
Known = Mapping[tuple[str, str], Sequence[Sequence[tuple[int, Origin]]]]


def read_numbers(calls: Calls, known: Known) -> dict[str, list[PassedNumber]]:
    """Return the numbers that each module's code passes, with where from; unite axes that they tie.

    Args:
        calls: the operators, by the name of the module whose code calls them.
        known: sources that `numbers_passed` returns. It says nothing of an operator that a module's
            code calls another number of times, so that calls cannot be told apart.
    """
    matched = _matched(calls)
    found: dict[str, list[PassedNumber]] = {}
    tied: list[tuple[Dim, Origin, str]] = []
    for (scope, name), alike in matched.items():
        numbers = known.get((scope, name), ())
        for place, call in enumerate(alike):
            given = numbers[place] if len(numbers) == len(alike) else ()
            for passed in call.numbers:
                if passed.place is not None and passed.place < len(given):
                    value, origin = given[passed.place]
                    if value == passed.value:
                        tied.append((passed.dim, origin, call.reason))
                        known_as = (origin,) if isinstance(origin, tuple) else ()
                        passed = passed._replace(sources=known_as)
                found.setdefault(scope, []).append(passed)
    dims: dict[Origin, Dim] = {}
    for dim, origin, reason in tied:
        if isinstance(origin, tuple):
            _tie(dims.setdefault(origin, dim), dim, reason)
    for dim, origin, reason in tied:
        if isinstance(origin, SizeOf):
            _tie(_sized(origin, matched, known), dim, reason)
        elif isinstance(origin, Quotient):
            whole, part = (
                _sized(one, matched, known) if isinstance(one, SizeOf) else dims.get(one)
                for one in (origin.whole, origin.part)
            )
            if part is not None:
                _tie(whole, (*part, *dim), reason)
    return found


def _matched(calls: Calls) -> dict[tuple[str, str], list[OperatorCall]]:
    """Return calls by module and the name of the operator in its code."""
    found: dict[tuple[str, str], list[OperatorCall]] = {}
    for scope, all_calls in calls.items():
        for call in all_calls:
            found.setdefault((scope, spelled(call.name)), []).append(call)
    return found


def _sized(
    size: SizeOf, matched: Mapping[tuple[str, str], list[OperatorCall]], known: Known
) -> Dim | None:
    """Return the axis that a size is of, if the operator that made the tensor is known."""
    key = size.scope, size.operator
    alike = matched.get(key, [])
    if not alike or len(alike) != len(known.get(key, ())):
        return None
    call = alike[size.call]
    shape = call.shapes.get(call.node)
    if isinstance(shape, list):
        shape = shape[size.output]
    return shape[size.axis] if shape is not None and size.axis < len(shape) else None


def _tie(first: Dim | None, second: Dim, reason: str) -> None:
    """Unite two axes of one size; what both are made of, in whatever order, is so already."""
    if first is None or extent(first) != extent(second):
        return
    left, right = factors(first), factors(second)
    for axis in list(left):
        if axis in right:
            left.remove(axis)
            right.remove(axis)
    unite(tuple(left), tuple(right), reason)

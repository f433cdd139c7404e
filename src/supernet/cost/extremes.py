"""The cheapest and the dearest architecture, decision by decision."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping

from supernet.space import Architecture, Decision, SearchSpace, Value

Cost = Callable[[Mapping[str, Value]], float]
"""The cost of an architecture."""

__all__ = ["extremes"]

ENUMERATED = 64
"""Answers of a decision that are all tried; of larger ones those next to the present one are."""


def extremes(space: SearchSpace, cost: Cost) -> tuple[Architecture, Architecture]:
    """Return the architectures of the smallest and of the largest cost.

    They are found decision by decision, until none improves: exactly where costs are sums over decisions
    or grow with every size. Of architectures of equal cost the one with the last options is the largest,
    the one with the first the smallest.
    """
    return _extreme(space, cost, -1), _extreme(space, cost, 1)


def _extreme(space: SearchSpace, cost: Cost, sign: int) -> Architecture:
    answers = {
        d.label: d.value(
            range(len(d.options) - d.high, len(d.options)) if sign > 0 else range(d.low)
        )
        for d in space.decisions
    }

    def built(label: str, value: Value) -> Architecture:
        return space.build(lambda d: value if d.label == label else answers[d.label])

    found, before = built("", ""), None
    while found != before:
        before = found
        for decision in space.decisions:
            if decision.label in found:
                values = _values(decision, found[decision.label])
                tried = [built(decision.label, value) for value in values]
                better = max([found, *tried], key=lambda one: sign * cost(one))
                answers.update(better)
                found = better
    return found


def _values(decision: Decision, here: Value) -> Iterable[Value]:
    return decision.values() if decision.size <= ENUMERATED else decision.neighbours(here)

"""The cheapest and the dearest architecture of a space."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence

from supernet.cost.completions import Completions, joint_entries, order
from supernet.cost.entry import Entry
from supernet.cost.guesses import GuessedAmounts
from supernet.space import Architecture, Decision, SearchSpace, Value
from supernet.space.levels import TooManyStates

Cost = Callable[[Mapping[str, Value]], float]
"""The cost of an architecture."""

__all__ = ["extremes"]

FEW = 20_000
"""Architectures that are rather all tried than guesses about them (see `GuessedAmounts`)."""

ENUMERATED = 64
"""Answers of a decision that are all tried; of larger ones those next to the present one are."""


def extremes(
    space: SearchSpace, entries: Sequence[Entry], cost: Cost
) -> tuple[Architecture, Architecture]:
    """Return the architectures of the smallest and of the largest cost.

    Exactly; but where very many decisions act on each other, as widths that are all concatenated,
    decision by decision until none improves: exactly where costs grow with every size. Of architectures
    of equal cost the one with the last options is the largest, the one with the first the smallest.

    Args:
        space: space of the architectures.
        entries: the amounts of a table of costs, none without paths.
        cost: the sum of the amounts that count.
    """
    if space.size <= FEW and GuessedAmounts(joint_entries(entries), 1).decisions:
        return _of_all(space, cost)
    try:
        smallest, largest = (Completions(entries, space, sign).architecture() for sign in (1, -1))
    except TooManyStates:
        return _decision_by_decision(space, cost, 1), _decision_by_decision(space, cost, -1)
    return smallest, largest


def _of_all(space: SearchSpace, cost: Cost) -> tuple[Architecture, Architecture]:
    """Return the smallest and the largest of all architectures."""
    all_costs = [(cost(architecture), architecture) for architecture in space]

    def first(found: float, sign: int) -> Architecture:
        equal = (architecture for cost, architecture in all_costs if cost == found)
        return min(equal, key=lambda one: _order(space, one, sign))

    costs = [cost for cost, _ in all_costs]
    return first(min(costs), 1), first(max(costs), -1)


def _order(
    space: SearchSpace, architecture: Architecture, sign: int
) -> list[tuple[int, list[int]]]:
    answered = (d for d in space.decisions if d.label in architecture)
    return [order(d.indices(architecture[d.label]), sign) for d in answered]


def _decision_by_decision(space: SearchSpace, cost: Cost, sign: int) -> Architecture:
    """Return the architecture where no other answer to a single decision has a smaller `sign * cost`."""
    answers = {
        d.label: d.value(
            range(len(d.options) - d.high, len(d.options)) if sign < 0 else range(d.low)
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
                better = min([found, *tried], key=lambda one: sign * cost(one))
                answers.update(better)
                found = better
    return found


def _values(decision: Decision, here: Value) -> Iterable[Value]:
    return decision.values() if decision.size <= ENUMERATED else decision.neighbours(here)

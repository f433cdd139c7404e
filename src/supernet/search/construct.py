"""Feasible architectures built decision by decision, where random draws hardly ever satisfy a bound.

Before an answer is given, the exact smallest (or largest) cost that it can still lead to is compared
with each bound. With one bound no answer is given that ends outside it. Several bounds may each be
within reach and still exclude each other; what is built then is repaired by small changes that never
take it farther outside, a bounded number of times.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from random import Random
from typing import TypeVar

from supernet.cost import Constraint, CostTable
from supernet.search.completions import Completions, Place
from supernet.space import Architecture, Decision, SearchSpace, Value

__all__ = ["Bound", "build", "extend"]

REPAIRS = 50
"""Changes tried per decision to bring what was built within all bounds."""

MIXING = 6
"""Changes tried per decision to forget in which order the decisions were answered."""

EXTENSIONS = 200
"""Changes tried per decision to find the end of what a quantity reaches, for a message."""

ENUMERATED = 64
"""Decisions with so many answers are shuffled; of larger ones so many answers are drawn."""

ROUNDING = 1e-9
"""Relative: a sum in another order may differ by this from the cost of the table."""

T = TypeVar("T", float, tuple[float, float])


@dataclass(frozen=True)
class Bound:
    """A constraint, and the best cost within reach at every place of a walk."""

    constraint: Constraint
    table: CostTable
    completions: Completions

    @classmethod
    def of(cls, constraint: Constraint, table: CostTable, space: SearchSpace) -> Bound:
        """Look ahead to the smallest costs for an upper bound, to the largest for a lower one."""
        sign = 1 if constraint.sense == "<=" else -1
        return cls(constraint, table, Completions(table, space, sign))

    def outside(self, cost: float) -> float:
        """Return how far a cost lies outside, as a share of the limit; 0 within."""
        if self.constraint.holds(cost):
            return 0.0
        return abs(cost - self.constraint.limit) / (abs(self.constraint.limit) or 1.0)


def build(space: SearchSpace, bounds: Sequence[Bound], random: Random) -> Architecture | None:
    """Return an architecture within the bounds (one at least); None if it was not found.

    Each answer is drawn uniformly from those after which every bound, taken alone, can still be met;
    then early answers are freer than late ones. Therefore a random walk among the architectures within
    the bounds follows, which in the long run reaches each of them equally often where decisions do not
    depend on each other. It is short: the result is not exactly uniform.
    """

    def outside(architecture: Architecture) -> float:
        return sum(bound.outside(bound.table.cost(architecture)) for bound in bounds)

    found = _built(space, bounds, random)
    for _ in range(REPAIRS):
        if outside(found) == 0:
            return _walk(space, found, outside, MIXING, random)
        found = _walk(space, found, outside, 1, random)
    return None


def extend(
    space: SearchSpace, others: Sequence[Bound], bound: Bound, random: Random
) -> float | None:
    """Return the smallest (of a lower bound, the largest) cost found where the other bounds hold.

    None if not even the others were met together.
    """
    if not others:
        return bound.completions.extreme
    start = build(space, others, random)
    if start is None:
        return None
    sign = 1 if bound.constraint.sense == "<=" else -1

    def badness(architecture: Architecture) -> tuple[float, float]:
        far = sum(other.outside(other.table.cost(architecture)) for other in others)
        return far, sign * bound.table.cost(architecture)

    return bound.table.cost(_walk(space, start, badness, EXTENSIONS, random))


def _walk(
    space: SearchSpace,
    architecture: Architecture,
    badness: Callable[[Architecture], T],
    steps: int,
    random: Random,
) -> Architecture:
    """Redraw about two answers at a time, `steps` times per answer, never for the worse."""
    here = badness(architecture)
    for _ in range(steps * len(architecture)):
        moved = space.mutate(architecture, min(1.0, 2 / len(architecture)), random)
        there = badness(moved)
        if there <= here:
            architecture, here = moved, there
    return architecture


def _built(space: SearchSpace, bounds: Sequence[Bound], random: Random) -> Architecture:
    values: dict[str, Value] = {}
    places = [bound.completions.start for bound in bounds]
    for level, decision in enumerate(space.decisions):
        exists = bounds[0].completions.exists(level, places[0])
        choices = _choices(decision, level, bounds, places, random) if exists else iter([()])
        nearest = float("inf")
        for chosen in choices:
            after = [
                bound.completions.after(level, place, chosen)
                for bound, place in zip(bounds, places, strict=True)
            ]
            outside = sum(
                bound.outside(bound.completions.reach(level + 1, place))
                for bound, place in zip(bounds, after, strict=True)
            )
            if outside < nearest:
                nearest, best, ahead = outside, chosen, after
            if outside <= ROUNDING:
                break
        places = ahead
        if exists:
            values[decision.label] = decision.value(best)
    return Architecture(values)


def _choices(
    decision: Decision, level: int, bounds: Sequence[Bound], places: Sequence[Place], random: Random
) -> Iterator[tuple[int, ...]]:
    """Yield answers in random order, those that end nearest to a bound's far side among them."""
    if decision.size <= ENUMERATED:
        answers = list(decision.values())
        random.shuffle(answers)
        yield from map(decision.indices, answers)
    else:
        yield from (decision.indices(decision.sample(random)) for _ in range(ENUMERATED))
        for bound, place in zip(bounds, places, strict=True):
            yield bound.completions.best(level, place)

"""Feasible architectures built within bounds, where random draws hardly ever satisfy them.

They are built decision by decision. Before an answer is given, the exact smallest (or largest) cost that
it can still lead to is compared with each bound. With one bound no answer is given that ends outside it.
Several bounds may each be within reach and still exclude each other; what is built then is repaired by
small changes that never take it farther outside, a bounded number of times.

Where too many decisions act on each other for that, as widths that are all concatenated, an architecture
is drawn, and of its answers no more than need be are moved towards those of the cheapest (or dearest).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from random import Random
from typing import TypeVar

from supernet.cost import Constraint, CostTable
from supernet.cost.completions import Completions, Place
from supernet.space import Architecture, Decision, Ordered, SearchSpace, Value
from supernet.space.levels import TooManyStates

__all__ = ["Bound", "build", "extend"]

REPAIRS = 50
"""Changes tried per decision to bring what was built within all bounds."""

MIXING = 6
"""Changes tried per decision to forget in which order the decisions were answered."""

EXTENSIONS = 200
"""Changes tried per decision to find the end of what a quantity reaches, for a message."""

ENUMERATED = 64
"""Decisions with so many answers are shuffled; of larger ones so many answers are drawn."""

T = TypeVar("T", float, tuple[float, float])


@dataclass(frozen=True)
class Bound:
    """A constraint, and what is needed to end within it.

    Attributes:
        constraint: the constraint.
        table: table of the costs that the constraint bounds.
        end: the cheapest architecture of an upper bound, the dearest of a lower one.
        completions: the best cost within reach at every place of a walk; None where too many decisions
            act on each other.
    """

    constraint: Constraint
    table: CostTable
    end: Architecture
    completions: Completions | None

    @classmethod
    def of(cls, constraint: Constraint, table: CostTable, space: SearchSpace) -> Bound:
        """Look ahead to the smallest costs for an upper bound, to the largest for a lower one."""
        sign = 1 if constraint.sense == "<=" else -1
        end = table.extremes(space)[0 if sign > 0 else 1]
        try:
            return cls(constraint, table, end, Completions(table.entries, space, sign))
        except TooManyStates:
            return cls(constraint, table, end, None)

    @property
    def extreme(self) -> float:
        """The smallest cost of an upper bound, the largest of a lower one."""
        return self.table.cost(self.end)

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

    Where too many decisions act on each other an architecture is drawn and moved instead, see `_drawn`.
    """

    def outside(architecture: Architecture) -> float:
        return sum(bound.outside(bound.table.cost(architecture)) for bound in bounds)

    ahead = [bound.completions for bound in bounds if bound.completions is not None]
    exact = len(ahead) == len(bounds)
    found = _built(space, bounds, ahead, random) if exact else _drawn(space, bounds, random)
    for _ in range(REPAIRS):
        if outside(found) == 0:
            return _walk(space, found, outside, MIXING, random) if exact else found
        found = _walk(space, found, outside, 1, random)
    return None


def extend(
    space: SearchSpace, others: Sequence[Bound], bound: Bound, random: Random
) -> float | None:
    """Return the smallest (of a lower bound, the largest) cost found where the other bounds hold.

    None if not even the others were met together.
    """
    if not others:
        return bound.extreme
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


def _built(
    space: SearchSpace, bounds: Sequence[Bound], ahead: Sequence[Completions], random: Random
) -> Architecture:
    values: dict[str, Value] = {}
    places = [each.start for each in ahead]
    for level, decision in enumerate(space.decisions):
        exists = ahead[0].exists(level, places[0])
        choices = _choices(decision, level, ahead, places, random) if exists else iter([()])
        nearest = float("inf")
        for chosen in choices:
            after = [
                each.after(level, place, chosen) for each, place in zip(ahead, places, strict=True)
            ]
            outside = sum(
                bound.outside(each.reach(level + 1, place))
                for bound, each, place in zip(bounds, ahead, after, strict=True)
            )
            if outside < nearest:
                nearest, best, reached = outside, chosen, after
            if outside == 0:
                break
        places = reached
        if exists:
            values[decision.label] = decision.value(best)
    return Architecture(values)


def _choices(
    decision: Decision,
    level: int,
    ahead: Sequence[Completions],
    places: Sequence[Place],
    random: Random,
) -> Iterator[tuple[int, ...]]:
    """Yield answers in random order, those that end nearest to a bound's far side among them."""
    if decision.size <= ENUMERATED:
        answers = list(decision.values())
        random.shuffle(answers)
        yield from map(decision.indices, answers)
    else:
        yield from (decision.indices(decision.sample(random)) for _ in range(ENUMERATED))
        for each, place in zip(ahead, places, strict=True):
            yield each.best(level, place)


def _drawn(space: SearchSpace, bounds: Sequence[Bound], random: Random) -> Architecture:
    """Draw uniformly, and move answers towards the end of each bound that is not met, one at a time.

    The moves have a random order, and of it no more are made than must be, as halving finds. One bound
    is always met if its end meets it.
    """
    found = space.sample(random)
    for bound in bounds:
        if bound.outside(bound.table.cost(found)):
            # Drawn a=3, b=x; the end is a=7, b=y, where a is one of 3, 5, 7. The ways are a: 5, 7 and
            # b: y, so the moves are a, a and b in random order, such as a, b, a. If two of them are
            # enough, what is drawn becomes a=5, b=y.
            ways = {label: _way(space.decision(label), found, bound.end) for label in bound.end}
            order = [label for label, way in ways.items() for _ in way]
            random.shuffle(order)
            too_few, enough, drawn = 0, len(order), found
            while enough - too_few > 1:
                middle = (too_few + enough) // 2
                if bound.outside(bound.table.cost(_moved(space, drawn, ways, order[:middle]))):
                    too_few = middle
                else:
                    enough = middle
            found = _moved(space, drawn, ways, order[:enough])
    return found


def _way(decision: Decision, here: Architecture, end: Architecture) -> list[Value]:
    """Return the answers on the way to that of the end: of ordered ones all between, else that one."""
    there = end[decision.label]
    if decision.label not in here:
        return [there]
    if not isinstance(decision, Ordered):
        return [there] * (here[decision.label] != there)
    (first,), (last,) = decision.indices(here[decision.label]), decision.indices(there)
    step = 1 if last > first else -1
    return [decision.options[i] for i in range(first + step, last + step, step)]


def _moved(
    space: SearchSpace, drawn: Architecture, ways: Mapping[str, list[Value]], moves: Sequence[str]
) -> Architecture:
    """Return what is drawn after these moves; what comes into existence is answered as the end does."""
    values = {label: way[-1] for label, way in ways.items() if way} | dict(drawn)
    values.update((label, ways[label][count - 1]) for label, count in Counter(moves).items())
    return space.build(lambda decision: values.get(decision.label, next(decision.values())))

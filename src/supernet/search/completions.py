"""The best cost within reach at every place of a walk over the decisions of a space."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence

from supernet.cost import CostTable, Entry
from supernet.cost.extremes import extremes
from supernet.cost.guesses import Guessed
from supernet.space import Architecture, Atom, SearchSpace, Value
from supernet.space.levels import Event, State, Step, TooManyStates

__all__ = ["Completions", "Place", "extreme"]

Place = tuple[tuple[State, float], ...]
"""Where a walk stands: what of the answers given matters later, and `sign * cost` of them.

Once for each way to guess what is known late only, see `supernet.cost.guesses`.
"""


class Completions:
    """The smallest (sign 1) or largest (sign -1) cost that every beginning can lead to.

    A walk answers the decisions of the space one after the other, in their order. Exact but for
    rounding.

    Args:
        table: cost table of the quantity.
        space: space whose decisions are walked over.
        sign: 1 for the smallest cost, -1 for the largest.

    Attributes:
        start: the place before the first decision.
        extreme: the smallest or largest cost in the space.

    Raises:
        TooManyStates: too many decisions act on each other.
    """

    def __init__(self, table: CostTable, space: SearchSpace, sign: int) -> None:
        self._space, self._sign = space, sign
        base, single, joint = 0.0, defaultdict[Atom, float](float), list[Entry]()
        for entry in table.entries:
            path = next(iter(entry.paths), ())
            if () in entry.paths:
                base += sign * entry.amount
            elif len(entry.paths) == len(path) == 1:
                single[path[0]] += sign * entry.amount
            else:
                joint.append(entry)
        guessed = Guessed(joint, sign)
        self._joint: dict[Atom | Event, float] = {
            i: sign * amount for i, amount in enumerate(guessed.amounts)
        }
        wrong = 1 + sum(map(abs, self._joint.values()))
        self._joint |= {event: wrong * factor for event, factor in guessed.events.items()}
        for atom in guessed.paid:
            single[atom] += wrong
        self._levels = space.levels(guessed.watched, guessed.decisions)
        self._each = [
            [single[decision.label, option] for option in decision.options]
            for decision in self._levels.decisions
        ]
        self._steps: list[dict[State, list[Step]]] = [{} for _ in self._each]
        self._rest = self._levels.fold(0.0, self._merge)
        self._first = len(guessed.decisions)
        """Level of the first decision of the space, behind the guesses."""
        self.start: Place = ((frozenset(), base),)
        for level in range(self._first):
            self.start = tuple(
                (step.state, spent + self._cost(level, state, step))
                for state, spent in self.start
                for step in self._steps[level][state]
            )
        self.extreme = self.reach(0, self.start)

    def reach(self, level: int, place: Place) -> float:
        """Return the smallest or largest cost of the architectures that go on from this place."""
        rest = self._rest[self._first + level]
        return self._sign * min(spent + rest[state] for state, spent in place)

    def exists(self, level: int, place: Place) -> bool:
        """Return whether the decision of this level is to be answered; if not, it chooses nothing."""
        return self._levels.exists(self._first + level, place[0][0])

    def after(self, level: int, place: Place, chosen: Sequence[int]) -> Place:
        """Return the place after an answer, given as the indices of the chosen options."""
        level += self._first
        added = sum(self._each[level][i] for i in chosen)
        found = []
        for state, spent in place:
            steps = self._steps[level][state]
            marked = set(chosen).difference(steps[0].free)
            step = next(step for step in steps if marked == set(step.marked))
            found.append((step.state, spent + added + self._new(step, state)))
        return tuple(found)

    def best(self, level: int, place: Place) -> tuple[int, ...]:
        """Return an answer after which the cost of `reach` is still within reach."""
        level += self._first
        _, _, step = min(
            (spent + self._cost(level, state, step) + self._rest[level + 1][step.state], i, step)
            for i, (state, spent, step) in enumerate(
                (state, spent, step) for state, spent in place for step in self._steps[level][state]
            )
        )
        return tuple(sorted(step.marked + self._cheapest(level, step)))

    def architecture(self) -> Architecture:
        """Return an architecture with the smallest or largest cost in the space."""
        values: dict[str, Value] = {}
        place = self.start
        for level, decision in enumerate(self._space.decisions):
            chosen = self.best(level, place)
            if self.exists(level, place):
                values[decision.label] = decision.value(chosen)
            place = self.after(level, place, chosen)
        return Architecture(values)

    def _merge(self, level: int, state: State, steps: list[tuple[Step, float]]) -> float:
        self._steps[level][state] = [step for step, _ in steps]
        return min(self._cost(level, state, step) + rest for step, rest in steps)

    def _cost(self, level: int, state: State, step: Step) -> float:
        """Return the smallest `sign * cost` that a step adds."""
        chosen = step.marked + self._cheapest(level, step)
        return sum(self._each[level][i] for i in chosen) + self._new(step, state)

    def _cheapest(self, level: int, step: Step) -> tuple[int, ...]:
        free = sorted(step.free, key=lambda i: self._each[level][i])
        return tuple(free[: step.count(self._sign)])

    def _new(self, step: Step, state: State) -> float:
        """Return the amounts that count from this step on since all they depend on is chosen."""
        return sum(self._joint.get(event, 0.0) for event in step.state - state)


def extreme(table: CostTable, space: SearchSpace, sign: int) -> Architecture:
    """Return an architecture with the smallest (sign 1) or largest (sign -1) cost in the space.

    Exactly, or as `extremes` where too many decisions act on each other.
    """
    try:
        return Completions(table, space, sign).architecture()
    except TooManyStates:
        return extremes(space, table.cost)[0 if sign > 0 else 1]

"""The best cost within reach at every place of a walk over the decisions of a space."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence

from supernet.cost.entry import Entry
from supernet.cost.guesses import GuessedAmounts
from supernet.space import Architecture, Atom, SearchSpace, Value
from supernet.space.levels import Event, State, Step

__all__ = ["Completions", "Place", "joint_entries", "order"]

Place = tuple[tuple[State, int], ...]
"""Where a walk stands: what of the answers given matters later, and the amounts that they cost.

Once for each way to guess what is known late only, see `supernet.cost.guesses`. Amounts are integers,
see `Completions`.
"""


class Completions:
    """The smallest (sign 1) or largest (sign -1) cost that every beginning can lead to.

    A walk answers the decisions of the space one after the other, in their order. Costs are exact:
    amounts are counted as integers, `sign * amount` over a common denominator, which is a power of two.

    Args:
        entries: amounts of a cost table, none without paths.
        space: space whose decisions are walked over.
        sign: 1 for the smallest cost, -1 for the largest.

    Attributes:
        start: the place before the first decision.

    Raises:
        TooManyStates: too many decisions act on each other.
    """

    def __init__(self, entries: Sequence[Entry], space: SearchSpace, sign: int) -> None:
        self._space, self._sign = space, sign
        ratios = [entry.amount.as_integer_ratio() for entry in entries]
        self._denominator = max((bottom for _, bottom in ratios), default=1)
        amounts = [sign * top * (self._denominator // bottom) for top, bottom in ratios]
        base, single, joint = 0, defaultdict[Atom, int](int), list[int]()
        for entry, amount in zip(entries, amounts, strict=True):
            path = next(iter(entry.paths))
            if () in entry.paths:
                base += amount
            elif len(entry.paths) == len(path) == 1:
                single[path[0]] += amount
            else:
                joint.append(amount)
        guessed = GuessedAmounts(joint_entries(entries), sign)
        self._joint: dict[Atom | Event, int] = dict(enumerate(joint))
        wrong = 1 + sum(map(abs, joint))
        self._joint |= {event: wrong * factor for event, factor in guessed.events.items()}
        for atom in guessed.paid:
            single[atom] += wrong
        self._levels = space.levels(guessed.watched, guessed.decisions)
        self._each = [
            [single[decision.label, option] for option in decision.options]
            for decision in self._levels.decisions
        ]
        self._steps: list[dict[State, list[Step]]] = [{} for _ in self._each]
        self._rest = self._levels.fold(0, self._merge)
        self._first = len(guessed.decisions)
        """Level of the first decision of the space, behind the guesses."""
        self.start: Place = ((frozenset(), base),)
        for level in range(self._first):
            self.start = tuple(
                (step.state, spent + self._cost(level, state, step))
                for state, spent in self.start
                for step in self._steps[level][state]
            )

    def reach(self, level: int, place: Place) -> float:
        """Return the smallest or largest cost of the architectures that go on from this place."""
        rest = self._rest[self._first + level]
        best = min(spent + rest[state] for state, spent in place)
        return self._sign * best / self._denominator

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
        """Return an answer after which the cost of `reach` is still within reach, see `order`."""
        level += self._first
        answers = (
            (self._chosen(level, step), spent + self._cost(level, state, step) + rest)
            for state, spent in place
            for step in self._steps[level][state]
            for rest in [self._rest[level + 1][step.state]]
        )
        return min(answers, key=lambda one: (one[1], order(one[0], self._sign)))[0]

    def architecture(self) -> Architecture:
        """Return an architecture with the smallest or largest cost in the space, see `order`."""
        values: dict[str, Value] = {}
        place = self.start
        for level, decision in enumerate(self._space.decisions):
            chosen = self.best(level, place)
            if self.exists(level, place):
                values[decision.label] = decision.value(chosen)
            place = self.after(level, place, chosen)
        return Architecture(values)

    def _merge(self, level: int, state: State, steps: list[tuple[Step, int]]) -> int:
        self._steps[level][state] = [step for step, _ in steps]
        return min(self._cost(level, state, step) + rest for step, rest in steps)

    def _cost(self, level: int, state: State, step: Step) -> int:
        """Return the smallest amount that a step adds."""
        each = self._each[level]
        return sum(each[i] for i in self._chosen(level, step)) + self._new(step, state)

    def _chosen(self, level: int, step: Step) -> tuple[int, ...]:
        """Return the answer of a step that adds the smallest amount, see `order`."""
        each = self._each[level]
        free = sorted(step.free, key=lambda i: (each[i], self._sign * i))
        return tuple(sorted(step.marked + tuple(free[: step.count(self._sign)])))

    def _new(self, step: Step, state: State) -> int:
        """Return the amounts that count from this step on since all they depend on is chosen."""
        return sum(self._joint.get(event, 0) for event in step.state - state)


def joint_entries(entries: Sequence[Entry]) -> list[Entry]:
    """Return the entries that wait for several options: not for none, and not for a single one."""
    return [
        entry
        for entry in entries
        if () not in entry.paths and (len(entry.paths) > 1 or len(next(iter(entry.paths))) > 1)
    ]


def order(chosen: Sequence[int], sign: int) -> tuple[int, list[int]]:
    """Return a key by which answers of equal cost are told apart, given as indices of options.

    The smallest (sign 1) answer has the fewest and first options, the largest (-1) the most and last.
    """
    return sign * len(chosen), [sign * i for i in chosen]

"""Exact costs of any architecture from per-option amounts measured once on the supernet.

An amount belongs to the options it lies in: it counts if all of them are chosen. An architecture's
cost is the sum of the amounts that count, without building it and without touching data. This is
exact whenever the shape that an option sees does not depend on other choices.

Sums are rounded once, at their end, so that neither a cost nor the ends of the range depend on the
order of addition, in which equal architectures may differ.
"""

from __future__ import annotations

import hashlib
import math
from collections import defaultdict
from collections.abc import Iterable, Mapping
from functools import cached_property

from supernet.cost.entry import Entry
from supernet.cost.extremes import extremes
from supernet.cost.guesses import Guessed
from supernet.space import Architecture, Atom, Path, SearchSpace, Value
from supernet.space.levels import Event, State, Step, TooManyStates

__all__ = ["CostTable", "Entry", "cost_of"]

FEW = 20_000
"""Architectures that are rather all tried than guesses about them (see `Guessed`)."""


class CostTable:
    """The amounts of one quantity, for instance multiply-adds, by the options they belong to.

    Args:
        quantity: the name used in constraints and columns: "params", "macs", ...
        entries: the amounts, none negative; those without paths, which never count, are left out.
    """

    def __init__(self, quantity: str, entries: Iterable[Entry]) -> None:
        self.quantity = quantity
        self.entries = tuple(entry for entry in entries if entry.paths)
        self._base: list[float] = []
        self._single: defaultdict[Atom, list[float]] = defaultdict(list)
        self._joint: list[Entry] = []
        self._ending: defaultdict[Atom, list[tuple[int, Path]]] = defaultdict(list)
        self._range: tuple[SearchSpace, tuple[float, float]] | None = None
        for entry in self.entries:
            paths = list(entry.paths)
            if () in entry.paths:
                self._base.append(entry.amount)
            elif len(paths) == 1 and len(paths[0]) == 1:
                self._single[paths[0][0]].append(entry.amount)
            else:
                for path in paths:
                    self._ending[path[-1]].append((len(self._joint), path))
                self._joint.append(entry)

    @cached_property
    def digest(self) -> str:
        """A hash of the amounts, the same in every process and for every order of entries."""
        rows = sorted((sorted(map(repr, entry.paths)), entry.amount) for entry in self.entries)
        return hashlib.blake2b(repr(rows).encode(), digest_size=8).hexdigest()

    def cost(self, architecture: Mapping[str, Value]) -> float:
        """Return the cost of an architecture."""
        atoms = {
            (label, option)
            for label, value in architecture.items()
            for option in (value if isinstance(value, tuple) else (value,))
        }
        amounts, joint = self._base.copy(), set[int]()
        for atom in atoms:
            amounts += self._single.get(atom, ())
            for index, path in self._ending.get(atom, ()):
                if atoms.issuperset(path):
                    joint.add(index)
        amounts += [self._joint[index].amount for index in joint]
        return math.fsum(amounts)

    def range(self, space: SearchSpace) -> tuple[float, float]:
        """Return the smallest and the largest cost in the space.

        Exactly; but where very many decisions act on each other, as widths that are all concatenated,
        decision by decision (see `extremes`): exactly where costs grow with every size.
        """
        if self._range is None or self._range[0] is not space:
            self._range = space, self._found_range(space)
        return self._range[1]

    def _found_range(self, space: SearchSpace) -> tuple[float, float]:
        if space.size <= FEW and Guessed(self._joint, 1).decisions:
            costs = [self.cost(architecture) for architecture in space]
            return min(costs), max(costs)
        try:
            return self._extreme(space, 1), self._extreme(space, -1)
        except TooManyStates:
            smallest, largest = extremes(space, self.cost)
            return self.cost(smallest), self.cost(largest)

    def _extreme(self, space: SearchSpace, sign: int) -> float:
        """Return the smallest (sign 1) or largest (sign -1) cost: the smallest of `sign * cost`.

        It is found with integers, the amounts over a common denominator.

        Raises:
            TooManyStates: too many decisions act on each other.
        """
        denominator = max((_denominator(entry.amount) for entry in self.entries), default=1)

        def exact(amounts: Iterable[float]) -> int:
            return sign * sum(_numerator(amount, denominator) for amount in amounts)

        single = {atom: exact(amounts) for atom, amounts in self._single.items()}
        guessed = Guessed(self._joint, sign)
        joint: dict[Atom | Event, int] = {
            i: exact([amount]) for i, amount in enumerate(guessed.amounts)
        }
        wrong = 1 + sum(map(abs, joint.values()))
        single |= dict.fromkeys(guessed.paid, wrong)
        joint |= {event: wrong * factor for event, factor in guessed.events.items()}
        levels = space.levels(guessed.watched, guessed.decisions)

        def merge(level: int, state: State, steps: list[tuple[Step, int]]) -> int:
            decision = levels.decisions[level]
            each = [single.get((decision.label, option), 0) for option in decision.options]

            def total(step: Step, rest: int) -> int:
                free = sorted(each[i] for i in step.free)[: step.count(sign)]
                new = sum(joint.get(event, 0) for event in step.state - state)
                return rest + sum(each[i] for i in step.marked) + sum(free) + new

            return min(total(step, rest) for step, rest in steps)

        best = levels.fold(0, merge)[0][frozenset()]
        return sign * (exact(self._base) + best) / denominator


def cost_of(tables: Mapping[str, CostTable], architecture: Architecture) -> dict[str, float]:
    """Return every quantity of an architecture."""
    return {quantity: table.cost(architecture) for quantity, table in tables.items()}


def _denominator(amount: float) -> int:
    """Return the power of two that an amount is a fraction of."""
    return amount.as_integer_ratio()[1]


def _numerator(amount: float, denominator: int) -> int:
    """Return `amount · denominator` without rounding; the denominator is a multiple of its own."""
    top, bottom = amount.as_integer_ratio()
    return top * (denominator // bottom)

"""Exact costs of any architecture from per-option amounts measured once on the supernet.

An amount belongs to the options it lies in: it counts if all of them are chosen. An architecture's
cost is the sum of the amounts that count, without building it and without touching data. This is
exact whenever the shape that an option sees does not depend on other choices.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from supernet.space import Architecture, Atom, Path, SearchSpace, Value
from supernet.space.levels import Event, State, Step

__all__ = ["CostTable", "Entry", "cost_of"]


@dataclass(frozen=True)
class Entry:
    """An amount that counts if, for one of the paths, every (label, option) is chosen."""

    paths: frozenset[Path]
    amount: float


class CostTable:
    """The amounts of one quantity, for instance multiply-adds, by the options they belong to.

    Args:
        quantity: the name used in constraints and columns: "params", "macs", ...
        entries: the amounts, none negative.
    """

    def __init__(self, quantity: str, entries: Iterable[Entry]) -> None:
        self.quantity = quantity
        self._base = 0.0
        self._single: defaultdict[Atom, float] = defaultdict(float)
        self._joint: list[Entry] = []
        for entry in entries:
            paths = list(entry.paths)
            if () in entry.paths:
                self._base += entry.amount
            elif len(paths) == 1 and len(paths[0]) == 1:
                self._single[paths[0][0]] += entry.amount
            else:
                self._joint.append(entry)

    def cost(self, architecture: Mapping[str, Value]) -> float:
        """Return the cost of an architecture."""
        atoms = {
            (label, option)
            for label, value in architecture.items()
            for option in (value if isinstance(value, tuple) else (value,))
        }
        single = sum(self._single.get(atom, 0) for atom in atoms)
        joint = sum(e.amount for e in self._joint if any(atoms.issuperset(p) for p in e.paths))
        return self._base + single + joint

    def range(self, space: SearchSpace) -> tuple[float, float]:
        """Return the smallest and the largest cost in the space, exactly."""
        return self._extreme(space, 1), self._extreme(space, -1)

    def _extreme(self, space: SearchSpace, sign: int) -> float:
        """Return the smallest (sign 1) or largest (sign -1) cost: the smallest of `sign * cost`."""
        joint: dict[Atom | Event, float] = {i: e.amount for i, e in enumerate(self._joint)}
        levels = space.levels({i: entry.paths for i, entry in enumerate(self._joint)})

        def merge(level: int, state: State, steps: list[tuple[Step, float]]) -> float:
            decision = space.decisions[level]
            each = [sign * self._single[decision.label, option] for option in decision.options]

            def total(step: Step, rest: float) -> float:
                free = sorted(each[i] for i in step.free)[: step.count(sign)]
                new = sum(sign * joint.get(event, 0) for event in step.state - state)
                return rest + sum(each[i] for i in step.marked) + sum(free) + new

            return min(total(step, rest) for step, rest in steps)

        return self._base + sign * levels.fold(0.0, merge)[0][frozenset()]


def cost_of(tables: Mapping[str, CostTable], architecture: Architecture) -> dict[str, float]:
    """Return every quantity of an architecture."""
    return {quantity: table.cost(architecture) for quantity, table in tables.items()}

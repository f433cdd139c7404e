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
from supernet.cost.quantities import unit_of
from supernet.space import Architecture, Atom, Path, SearchSpace, Value

__all__ = ["CostTable", "Entry", "cost_of"]


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
        self._extremes: tuple[SearchSpace, tuple[Architecture, Architecture]] | None = None
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

    @property
    def unit(self) -> str:
        """The unit of the costs, such as "ms"; nothing for counts."""
        return unit_of(self.quantity)

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

    def extremes(self, space: SearchSpace) -> tuple[Architecture, Architecture]:
        """Return the cheapest and the dearest architecture of the space.

        Exactly; but where very many decisions act on each other, as widths that are all concatenated,
        decision by decision: exactly where costs grow with every size. Of architectures of equal cost
        the one with the last options is the dearest, the one with the first the cheapest.
        """
        if self._extremes is None or self._extremes[0] is not space:
            self._extremes = space, extremes(space, self.entries, self.cost)
        return self._extremes[1]

    def range(self, space: SearchSpace) -> tuple[float, float]:
        """Return the smallest and the largest cost in the space, those of `extremes`."""
        cheapest, dearest = self.extremes(space)
        return self.cost(cheapest), self.cost(dearest)


def cost_of(tables: Mapping[str, CostTable], architecture: Architecture) -> dict[str, float]:
    """Return every quantity of an architecture."""
    return {quantity: table.cost(architecture) for quantity, table in tables.items()}

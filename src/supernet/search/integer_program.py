"""The best architecture by a sum over its answers, within bounds on costs: an integer programme.

There is a binary variable for each option of a decision, and a continuous one for each path of several
options (all of them are chosen) and for each amount that counts where one of several paths holds. With
x the options' variables these are tied to them by

    p ≤ x_i for each option i of the path,   p ≥ Σ x_i - (k - 1),
    z ≥ p_j for each of the paths,           z ≤ Σ p_j,

so that they are 0 or 1 where the x are. A decision that exists under conditions has as many options as
it may have where z of its paths is 1, and none where it is 0. Costs are sums of x, p and z. Solved
exactly by HiGHS (Huangfu and Hall, "Parallelizing the dual revised simplex method", 2018), as SciPy has
it.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence

import numpy as np
import scipy

from supernet.cost import Constraints
from supernet.space import Architecture, Atom, Decision, Path, SearchSpace, Value

__all__ = ["IntegerProgram"]

SLACK = 1e-9
"""Share of a bound that is kept free, for sums that are rounded otherwise than costs are."""


class IntegerProgram:
    """Finds architectures whose sum of weights is the smallest.

    Args:
        space: space of the architectures.
        constraints: bounds that they satisfy.
        seconds: time after which the best that was found is taken.
    """

    def __init__(self, space: SearchSpace, constraints: Constraints, seconds: float = 60.0) -> None:
        self._space, self._constraints, self._seconds = space, constraints, seconds
        self.atoms: tuple[Atom, ...] = tuple(
            (decision.label, option) for decision in space.decisions for option in decision.options
        )
        """Options of all decisions, whose weights are summed."""
        self._place = {atom: number for number, atom in enumerate(self.atoms)}
        self._count = len(self.atoms)
        self._rows: list[tuple[dict[int, float], float, float]] = []
        self._known: dict[frozenset[Path], int] = {}
        for decision in space.decisions:
            self._add_decision(decision)
        for bound in constraints.bounds:
            amounts = defaultdict[frozenset[Path], list[float]](list)
            for entry in constraints.tables[bound.quantity].entries:
                # A table may be of a larger space, of whose options some cannot be chosen here.
                paths = frozenset(path for path in entry.paths if self._place.keys() >= set(path))
                amounts[frozenset([()]) if () in paths else paths].append(entry.amount)
            base = math.fsum(amounts.pop(frozenset([()]), []))
            amounts.pop(frozenset(), None)
            row = {self._either(paths): math.fsum(some) for paths, some in amounts.items()}
            left = bound.limit - base
            slack = SLACK * abs(bound.limit)
            least, most = (-np.inf, left - slack) if bound.sense == "<=" else (left + slack, np.inf)
            self._rows.append((row, least, most))

    def indicators(self, architecture: Mapping[str, Value]) -> list[float]:
        """Return which options an architecture chooses, `[atoms]`, 1 or 0."""
        found = [0.0] * len(self.atoms)
        for label, value in architecture.items():
            for option in value if isinstance(value, tuple) else (value,):
                found[self._place[label, option]] = 1.0
        return found

    def best(
        self, weights: Sequence[float], excluded: Iterable[Architecture] = ()
    ) -> Architecture | None:
        """Return the architecture whose options' weights have the smallest sum.

        Args:
            weights: weight of each option, `[atoms]`.
            excluded: architectures that are not wanted.

        Returns:
            The architecture, within the bounds; None where there is none, or none was found in time.
        """
        rows = [*self._rows, *map(self._other, excluded)]
        places = [(number, *one) for number, (row, _, _) in enumerate(rows) for one in row.items()]
        number, place, value = zip(*places, strict=True) if places else ((), (), ())
        matrix = scipy.sparse.csr_array((value, (number, place)), shape=(len(rows), self._count))
        binary = np.arange(self._count) < len(self.atoms)
        found = scipy.optimize.milp(
            np.concatenate([weights, np.zeros(self._count - len(self.atoms))]),
            integrality=binary.astype(int),
            bounds=scipy.optimize.Bounds(0, 1),
            constraints=scipy.optimize.LinearConstraint(
                matrix, [least for _, least, _ in rows], [most for _, _, most in rows]
            ),
            options={"time_limit": self._seconds},
        )
        if found.x is None:
            return None
        architecture = self._space.build(lambda decision: self._value(decision, found.x))
        return architecture if self._constraints.hold(architecture) else None

    def _value(self, decision: Decision, x: Sequence[float]) -> Value:
        chosen = [
            place
            for place, option in enumerate(decision.options)
            if x[self._place[decision.label, option]] > 0.5
        ]
        return decision.value(chosen)

    def _other(self, architecture: Architecture) -> tuple[dict[int, float], float, float]:
        """Return the row that an architecture alone breaks: at least one option differs."""
        chosen = self.indicators(architecture)
        row = {place: -1.0 if one else 1.0 for place, one in enumerate(chosen)}
        return row, 1.0 - sum(chosen), np.inf

    def _add_decision(self, decision: Decision) -> None:
        """Have a decision's options chosen as often as they may be where it exists."""
        row = {self._place[decision.label, option]: 1.0 for option in decision.options}
        paths = frozenset(self._space.conditions(decision.label))
        if not paths or () in paths:
            self._rows.append((row, decision.low, decision.high))
            return
        exists = self._either(paths)
        self._rows.append(({**row, exists: -float(decision.low)}, 0.0, np.inf))
        self._rows.append(({**row, exists: -float(decision.high)}, -np.inf, 0.0))

    def _either(self, paths: frozenset[Path]) -> int:
        """Return the variable that is 1 where one of the paths holds."""
        if paths in self._known:
            return self._known[paths]
        each = sorted(map(self._all, paths))
        if len(each) == 1:
            self._known[paths] = each[0]
            return each[0]
        made = self._known[paths] = self._new()
        for one in each:
            self._rows.append(({made: 1.0, one: -1.0}, 0.0, np.inf))
        self._rows.append(({made: 1.0, **dict.fromkeys(each, -1.0)}, -np.inf, 0.0))
        return made

    def _all(self, path: Path) -> int:
        """Return the variable that is 1 where all options of a path are chosen."""
        atoms = [self._place[atom] for atom in dict.fromkeys(path)]
        if len(atoms) == 1:
            return atoms[0]
        alone = frozenset([path])
        if alone in self._known:
            return self._known[alone]
        made = self._known[alone] = self._new()
        for atom in atoms:
            self._rows.append(({made: 1.0, atom: -1.0}, -np.inf, 0.0))
        row = {made: 1.0, **dict.fromkeys(atoms, -1.0)}
        self._rows.append((row, 1.0 - len(atoms), np.inf))
        return made

    def _new(self) -> int:
        self._count += 1
        return self._count - 1

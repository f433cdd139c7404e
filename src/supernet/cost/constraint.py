"""Constraints on costs, written as in "macs <= 40e6" or "params <= 60%" of the largest."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from supernet.cost.table import CostTable
from supernet.errors import ConstraintError
from supernet.reading import shown
from supernet.space import Architecture, SearchSpace
from supernet.suggestions import did_you_mean

__all__ = ["Constraint", "Constraints", "number_text", "read_constraint"]

LONGEST = 200
"""Characters of a constraint."""

_FORM = re.compile(
    r"\s*([A-Za-z_]\w*)\s*(<=|>=)\s*((?:\d+(?:\.\d*)?|\.\d+)(?:[eE][+-]?\d+)?)\s*(?:(%)\s*)?",
    re.ASCII,
)


def number_text(cost: float) -> str:
    """Return a cost for a message: whole numbers in full, others with six digits."""
    return f"{cost:,.0f}" if cost == round(cost) else f"{cost:,.6g}"


def read_constraint(text: str) -> tuple[str, str, float, bool]:
    """Return what a constraint bounds, by "<=" or ">=", by which number, and whether that is percent.

    Raises:
        ConstraintError: the text cannot be read.
    """
    if not isinstance(text, str):
        raise ConstraintError(f"a constraint is a text such as 'macs <= 40e6', not {shown(text)}")
    match = _FORM.fullmatch(text) if len(text) <= LONGEST else None
    if match is None:
        raise ConstraintError(
            f"the constraint {shown(text)} cannot be read; write 'quantity <= number', with <= or "
            ">=, for instance 'macs <= 40e6', or a share of the largest: 'params <= 60%'"
        )
    quantity, sense, number, percent = match.groups()
    if not math.isfinite(float(number)):
        raise ConstraintError(f"the constraint {shown(text)} bounds by no finite number")
    return quantity, sense, float(number), bool(percent)


@dataclass(frozen=True)
class Constraint:
    """A bound on one quantity."""

    quantity: str
    sense: str
    limit: float

    @classmethod
    def parse(cls, text: str, tables: Mapping[str, CostTable], space: SearchSpace) -> Constraint:
        """Read a constraint and check that some architecture satisfies it.

        Raises:
            ConstraintError: the text cannot be read, the quantity has no table, or the bound lies
                outside what the space reaches.
        """
        quantity, sense, number, percent = read_constraint(text)
        if quantity not in tables:
            raise ConstraintError(
                f"the constraint {text!r} bounds {quantity!r}, but costs are known for "
                f"{', '.join(sorted(tables))}{did_you_mean(quantity, tables)}"
            )
        smallest, largest = tables[quantity].range(space)
        limit = number * largest / 100 if percent else number
        if limit < smallest if sense == "<=" else limit > largest:
            share = f" ({100 * smallest / largest:.3g} % of the largest)" if percent else ""
            raise ConstraintError(
                f"no architecture satisfies {text!r}: {quantity} reaches from {number_text(smallest)}"
                f"{share} to {number_text(largest)} in this space; choose a bound within"
            )
        return cls(quantity, sense, limit)

    def holds(self, cost: float) -> bool:
        """Return whether a cost lies within the bound."""
        return cost <= self.limit if self.sense == "<=" else cost >= self.limit


class Constraints:
    """Several constraints that must all hold, checked from the cost tables alone.

    Attributes:
        texts: constraints as they were written.
        bounds: bounds that the texts say, one for each.
        tables: cost tables of all quantities, also those without a bound.

    Raises:
        ConstraintError: see `Constraint.parse`.
    """

    def __init__(
        self,
        texts: Iterable[str] = (),
        tables: Mapping[str, CostTable] | None = None,
        space: SearchSpace | None = None,
    ) -> None:
        self.texts = tuple(texts)
        self.tables = dict(tables or {})
        if self.texts and space is None:
            raise ConstraintError("constraints are bounds within a space; give it as space=...")
        self.bounds = tuple(
            Constraint.parse(text, self.tables, space) for text in self.texts if space is not None
        )

    def hold(self, architecture: Architecture) -> bool:
        """Return whether the architecture satisfies all constraints."""
        return all(c.holds(self.tables[c.quantity].cost(architecture)) for c in self.bounds)

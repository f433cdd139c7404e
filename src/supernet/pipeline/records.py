"""What steps hand to each other: selected architectures, trained weights, costs that were used."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Mapping
from typing import Any

from supernet.cost import CostTable
from supernet.space import Architecture

__all__ = ["Noted", "Selected", "Trained"]


@dataclasses.dataclass(frozen=True)
class Selected:
    """An architecture that is retrained.

    Attributes:
        key: of the architecture.
        role: "top" (one of the best under the shared weights), "probe" (spread over the ranking, to
            measure what it is worth) or "random" (the baseline).
        architecture: its answers.
        supernet: its scores under the shared weights.
        costs: by quantity.
    """

    key: str
    role: str
    architecture: Architecture
    supernet: Mapping[str, float | None]
    costs: Mapping[str, float]

    def to_json(self) -> dict[str, Any]:
        """Return plain data for `metrics.json`."""
        return {
            "key": self.key,
            "role": self.role,
            "architecture": dict(self.architecture),
            "supernet": dict(self.supernet),
            **self.costs,
        }

    @classmethod
    def from_json(cls, row: Mapping[str, Any]) -> Selected:
        """Return what `to_json` wrote."""
        known = ("key", "role", "architecture", "supernet")
        costs = {name: value for name, value in row.items() if name not in known}
        return cls(
            row["key"], row["role"], Architecture(row["architecture"]), row["supernet"], costs
        )


@dataclasses.dataclass(frozen=True)
class Trained:
    """The trained supernet as its checkpoint has it.

    Attributes:
        weights: parameters and buffers.
        learned: the strategy's state.
        hash: of both.
    """

    weights: Mapping[str, Any]
    learned: Mapping[str, Any]
    hash: str


class Noted(Mapping[str, CostTable]):
    """Cost tables, and which of them were looked up."""

    def __init__(self, tables: Mapping[str, CostTable]) -> None:
        self._tables = tables
        self.used: dict[str, str] = {}

    def __getitem__(self, quantity: str) -> CostTable:
        table = self._tables[quantity]
        self.used[quantity] = table.digest
        return table

    def __iter__(self) -> Iterator[str]:
        return iter(self._tables)

    def __len__(self) -> int:
        return len(self._tables)

    def __contains__(self, quantity: object) -> bool:
        return quantity in self._tables

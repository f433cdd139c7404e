"""The expected cost of an architecture whose options are drawn independently, as a tensor."""

from __future__ import annotations

from collections.abc import Mapping

import torch

from supernet.cost.table import CostTable
from supernet.space import Path, SearchSpace

__all__ = ["ExpectedCost"]


class ExpectedCost:
    """`E[cost] = Σ amount · P(it counts)`, differentiable in the probabilities of the options.

    An amount counts if every option of one of its paths is chosen. Options of different decisions are
    independent, so a path has the product of its options' probabilities, and several paths the
    probability that not all of them fail, as if they were independent too (exact for one path, or
    for paths without a common decision).

    Args:
        table: the amounts.
        space: the decisions.
    """

    def __init__(self, table: CostTable, space: SearchSpace) -> None:
        self.quantity = table.quantity
        self._position = {
            (decision.label, option): index
            for decision in space.decisions
            for index, option in enumerate(decision.options)
        }
        self._base = 0.0
        self._single = {d.label: [0.0] * len(d.options) for d in space.decisions}
        self._joint: list[tuple[tuple[Path, ...], float]] = []
        for entry in table.entries:
            paths = tuple(entry.paths)
            if () in paths:
                self._base += entry.amount
            elif len(paths) == 1 and len(paths[0]) == 1:
                label, option = paths[0][0]
                self._single[label][self._position[label, option]] += entry.amount
            else:
                self._joint.append((paths, entry.amount))

    def __call__(self, probabilities: Mapping[str, torch.Tensor]) -> torch.Tensor:
        """Return the expected cost, a scalar.

        Args:
            probabilities: of the options of every decision, `[options]`.
        """
        total = torch.as_tensor(self._base, dtype=next(iter(probabilities.values())).dtype)
        for label, amounts in self._single.items():
            p = probabilities[label]
            total = total.to(p) + (torch.tensor(amounts).to(p) * p).sum()
        for paths, amount in self._joint:
            fails = torch.ones_like(total)
            for path in paths:
                holds = torch.ones_like(total)
                for atom in path:
                    holds = holds * probabilities[atom[0]][self._position[atom]]
                fails = fails * (1 - holds)
            total = total + amount * (1 - fails)
        return total

"""The expected cost of an architecture whose options are drawn independently, as a tensor."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping

import torch

from supernet.cost.table import CostTable
from supernet.space import OneOf, Option, Path, SearchSpace

__all__ = ["ExpectedCost"]

Probabilities = Mapping[str, torch.Tensor]
"""By decision, of each of its options, `[options]`."""


class ExpectedCost:
    """`E[cost] = Σ amount · P(it counts)`, differentiable in the probabilities of the options.

    An amount counts if every option of one of its paths is chosen. Decisions are independent, a decision
    with one answer takes one of its options, and of several each is in or out for itself. So a path has
    the product of its options' probabilities. The probability that one of several paths holds is found
    by cases of a decision they have in common. It is exact, but for decisions that choose several and
    must choose at least, or at most, so many.

    Args:
        table: cost table whose expectation is taken.
        space: space of the decisions.
    """

    def __init__(self, table: CostTable, space: SearchSpace) -> None:
        self.quantity = table.quantity
        self._one = {d.label for d in space.decisions if isinstance(d, OneOf)}
        self._position = {
            (decision.label, option): index
            for decision in space.decisions
            for index, option in enumerate(decision.options)
        }
        self._sent: dict[tuple[str, torch.dtype, torch.device], torch.Tensor] = {}
        self._base = 0.0
        self._single = {d.label: [0.0] * len(d.options) for d in space.decisions}
        self._joint: list[tuple[frozenset[Path], float]] = []
        for entry in table.entries:
            # of an option that the space has lost, as a part of a split supernet has, nothing counts
            paths = [p for p in entry.paths if all(atom in self._position for atom in p)]
            if not paths:
                continue
            if () in paths:
                self._base += entry.amount
            elif len(paths) == 1 and len(paths[0]) == 1:
                label, option = paths[0][0]
                self._single[label][self._position[label, option]] += entry.amount
            else:
                self._joint.append((frozenset(paths), entry.amount))

    def __call__(self, probabilities: Probabilities) -> torch.Tensor:
        """Return the expected cost, a scalar.

        Args:
            probabilities: probabilities of the options, a vector `[options]` for every decision.
        """
        total = torch.zeros_like(next(iter(probabilities.values()))[0]) + self._base
        for label in self._single:
            p = probabilities[label]
            total = total + (self._amounts(label, p) * p).sum()
        for paths, amount in self._joint:
            total = total + amount * self._any(paths, probabilities)
        return total

    def _amounts(self, label: str, like: torch.Tensor) -> torch.Tensor:
        """Return the amounts of a decision's options; sent to the device once, not in every step."""
        key = (label, like.dtype, like.device)
        if key not in self._sent:
            self._sent[key] = torch.tensor(
                self._single[label], dtype=like.dtype, device=like.device
            )
        return self._sent[key]

    def _any(self, paths: frozenset[Path], given: Probabilities) -> torch.Tensor:
        """Return the probability that one of the paths holds."""
        fails = torch.ones_like(next(iter(given.values()))[0])
        # Paths that share no decision hold independently: 1 - (1 - P(first)) · (1 - P(second)).
        for group in _connected(paths):
            fails = fails * (1 - self._any_connected(group, given))
        return 1 - fails

    def _any_connected(self, paths: frozenset[Path], given: Probabilities) -> torch.Tensor:
        """Return the same of paths that have decisions in common."""
        one = torch.ones_like(next(iter(given.values()))[0])
        if () in paths:
            return one
        if len(paths) == 1:
            (path,) = paths
            for label, option in path:
                one = one * given[label][self._position[label, option]]
            return one
        # "(a=x, b=3) or (a=y, b=5)" by the cases of a: P(x) · P(b=3) + P(y) · P(b=5), and where a is
        # neither, no path is left to hold.
        uses = Counter(label for path in paths for label, _ in path)
        label = max(sorted(uses), key=lambda name: uses[name])
        found = {
            option: None
            for path in sorted(paths, key=repr)
            for name, option in path
            if name == label
        }
        options = list(found) if label in self._one else list(found)[:1]
        total, rest = torch.zeros_like(one), one
        for option in options:
            p = given[label][self._position[label, option]]
            total = total + p * self._any(self._chosen(paths, label, option), given)
            rest = rest - p
        left = frozenset(
            path for path in paths if not any((label, option) in path for option in options)
        )
        return total + rest * self._any(left, given)

    def _chosen(self, paths: Iterable[Path], label: str, option: Option) -> frozenset[Path]:
        """Return what is left of the paths to hold, where an option is chosen."""
        excludes = label in self._one
        return frozenset(
            tuple(atom for atom in path if atom != (label, option))
            for path in paths
            if not (excludes and any(a == label and o != option for a, o in path))
        )


def _connected(paths: Iterable[Path]) -> list[frozenset[Path]]:
    """Return the paths in groups that have no decision in common."""
    groups: list[tuple[set[str], set[Path]]] = []
    for path in sorted(paths, key=repr):
        labels, members = {label for label, _ in path}, {path}
        apart = []
        for group in groups:
            if group[0] & labels:
                labels |= group[0]
                members |= group[1]
            else:
                apart.append(group)
        groups = [*apart, (labels, members)]
    return [frozenset(members) for _, members in groups]

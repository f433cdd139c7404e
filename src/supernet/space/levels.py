"""Exact counting in spaces whose decisions depend on each other.

Decisions are walked in order. Of all earlier answers only the *atoms* (label, option) that a later
condition mentions matter, so they are the state; whoever needs the number of completions (size,
uniform sampling, enumeration) or their smallest cost works backwards over the states, which stay few
because an atom is forgotten after its last mention.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import TypeVar

from supernet.space.decision import Decision, Option, subset_count, subset_unrank

__all__ = ["Atom", "Levels", "Path"]

Atom = tuple[str, Option]
"""(label, option): the option is chosen."""

Path = tuple[Atom, ...]
"""Atoms that must all hold; the empty path always holds."""

State = frozenset[Atom]

T = TypeVar("T")


@dataclass(frozen=True)
class Step:
    """A group of answers that lead to the same next state.

    The answers choose exactly `marked` of the options that later conditions mention, and `low` to
    `high` of the `free` ones that none mentions.
    """

    marked: tuple[int, ...]
    free: tuple[int, ...]
    low: int
    high: int
    state: State

    @property
    def ways(self) -> int:
        return subset_count(len(self.free), self.low, self.high)

    def count(self, sign: int) -> int:
        """Return how many free options the smallest (sign 1) or largest (sign -1) answer takes."""
        return max(self.low, 0) if sign > 0 else min(self.high, len(self.free))

    def unrank(self, index: int) -> tuple[int, ...]:
        return tuple(sorted(self.marked + subset_unrank(self.free, self.low, self.high, index)))


class Levels:
    """The decisions as levels of a decision diagram, with the reachable states of each.

    Args:
        decisions: in an order in which conditions only mention earlier decisions.
        conditions: per label the paths of which one must hold for the decision to exist.
        watched: further paths whose atoms a `fold` wants to see: until the last decision of the
            path is answered, they are part of `Step.state`.
    """

    def __init__(
        self,
        decisions: Sequence[Decision],
        conditions: Mapping[str, tuple[Path, ...]],
        watched: Iterable[Path] = (),
    ) -> None:
        self.decisions = decisions
        self._paths = [conditions[decision.label] for decision in decisions]
        position = {decision.label: i for i, decision in enumerate(decisions)}
        last: dict[Atom, int] = {}
        for i, paths in enumerate(self._paths):
            last.update({atom: i for path in paths for atom in path})
        for path in watched:
            end = max((position[label] for label, _ in path), default=-1)
            last.update({atom: max(end + 1, last.get(atom, -1)) for atom in path})
        self._keep = [
            frozenset(atom for atom, until in last.items() if until > i)
            for i in range(len(decisions))
        ]
        self._steps: list[dict[State, tuple[Step, ...]]] = []
        states: set[State] = {frozenset()}
        for i in range(len(decisions)):
            self._steps.append({state: self._leave(i, state) for state in states})
            states = {step.state for steps in self._steps[-1].values() for step in steps}
        self._final = states
        self._counts = self.fold(
            1, lambda _, __, completions: sum(step.ways * count for step, count in completions)
        )

    @property
    def size(self) -> int:
        """The number of architectures."""
        return self._counts[0][frozenset()]

    def exists(self, level: int, state: State) -> bool:
        """Return whether the decision of this level can be asked in this state."""
        return any(state.issuperset(path) for path in self._paths[level])

    def fold(
        self, end: T, merge: Callable[[int, State, list[tuple[Step, T]]], T]
    ) -> list[dict[State, T]]:
        """Work backwards: per level and state, merge what its steps lead to.

        Returns:
            One mapping per level, and a last one that holds `end`.
        """
        results: list[dict[State, T]] = [dict.fromkeys(self._final, end)]
        for level in reversed(range(len(self.decisions))):
            after = results[-1]
            results.append(
                {
                    state: merge(level, state, [(step, after[step.state]) for step in steps])
                    for state, steps in self._steps[level].items()
                }
            )
        return results[::-1]

    def unrank(self, index: int) -> dict[str, tuple[int, ...]]:
        """Return the chosen option indices, per label, of architecture number `index`."""
        chosen: dict[str, tuple[int, ...]] = {}
        state: State = frozenset()
        for level, decision in enumerate(self.decisions):
            for step in self._steps[level][state]:
                each = self._counts[level + 1][step.state]
                if index < step.ways * each:
                    break
                index -= step.ways * each
            if self.exists(level, state):
                which, index = divmod(index, each)
                chosen[decision.label] = step.unrank(which)
            state = step.state
        return chosen

    def _leave(self, level: int, state: State) -> tuple[Step, ...]:
        decision, keep = self.decisions[level], self._keep[level]
        kept = state & keep
        if not self.exists(level, state):
            return (Step((), (), 0, 0, kept),)
        atoms = [(decision.label, option) for option in decision.options]
        marked = [i for i, atom in enumerate(atoms) if atom in keep]
        free = tuple(i for i, atom in enumerate(atoms) if atom not in keep)
        steps = [
            Step(
                picked,
                free,
                decision.low - size,
                decision.high - size,
                kept | {atoms[i] for i in picked},
            )
            for size in range(min(decision.high, len(marked)) + 1)
            for picked in combinations(marked, size)
        ]
        return tuple(step for step in steps if step.ways)

"""Exact counting in spaces whose decisions depend on each other.

Decisions are walked in order. Of all earlier answers only those matter that decide about an *event*
still to come: that a later decision exists, or that a cost which depends on several decisions counts.
The state after a level therefore holds the events that happened already and, for those that still
may, the chosen *atoms* (label, option). Whoever needs the number of completions (size, uniform
sampling, enumeration) or their smallest cost works backwards over the states, which stay few because
an event is forgotten after its last use.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import TypeVar

from supernet.space.decision import Decision, Option, subset_count, subset_unrank

__all__ = ["Atom", "Event", "Levels", "Path", "State", "Step"]

Atom = tuple[str, Option]
"""(label, option): the option is chosen."""

Path = tuple[Atom, ...]
"""Atoms that must all hold; the empty path always holds."""

Event = str | int
"""A label: the decision exists. A number: one of these watched paths holds."""

State = frozenset[Atom | Event]

T = TypeVar("T")


@dataclass(frozen=True)
class Step:
    """A group of answers that lead to the same next state.

    The answers choose exactly `marked` of the options that matter later, and `low` to `high` of the
    `free` ones, which do not.
    """

    marked: tuple[int, ...]
    free: tuple[int, ...]
    low: int
    high: int
    state: State

    @property
    def ways(self) -> int:
        """How many answers the group has."""
        return subset_count(len(self.free), self.low, self.high)

    def count(self, sign: int) -> int:
        """Return how many free options the smallest (sign 1) or largest (sign -1) answer takes."""
        return max(self.low, 0) if sign > 0 else min(self.high, len(self.free))

    def unrank(self, index: int) -> tuple[int, ...]:
        """Return the chosen options of answer number `index` of 0..ways-1."""
        return tuple(sorted(self.marked + subset_unrank(self.free, self.low, self.high, index)))


class Levels:
    """The decisions as levels of a decision diagram, with the reachable states of each.

    Args:
        decisions: in an order in which conditions only mention earlier decisions.
        conditions: per label the paths of which one must hold for the decision to exist.
        watched: per number further paths that a `fold` wants to see: the number enters `Step.state`
            as soon as one of its paths holds, and stays until all of them are decided.
    """

    def __init__(
        self,
        decisions: Sequence[Decision],
        conditions: Mapping[str, Iterable[Path]],
        watched: Mapping[int, Iterable[Path]] | None = None,
    ) -> None:
        self.decisions = decisions
        self._position = {decision.label: i for i, decision in enumerate(decisions)}
        events = dict[Event, Iterable[Path]](conditions.items())
        events.update((watched or {}).items())
        self._paths = {event: tuple(paths) for event, paths in events.items() if () not in paths}
        self._open: list[list[Event]] = [[] for _ in decisions]
        for event in self._paths:
            for level in self._span(event):
                self._open[level].append(event)
        self._steps: list[dict[State, tuple[Step, ...]]] = []
        states: set[State] = {frozenset()}
        for level in range(len(decisions)):
            self._steps.append({state: self._leave(level, state) for state in states})
            states = {step.state for steps in self._steps[-1].values() for step in steps}
        self._final = states
        self._counts = self.fold(
            1, lambda _, __, completions: sum(step.ways * count for step, count in completions)
        )

        # Per level and state: how many architectures each step leads to.
        self._ways = [
            {
                state: [(step.ways * self._counts[level + 1][step.state], step) for step in steps]
                for state, steps in by_state.items()
            }
            for level, by_state in enumerate(self._steps)
        ]

    @property
    def size(self) -> int:
        """The number of architectures."""
        return self._counts[0][frozenset()]

    def exists(self, level: int, state: State) -> bool:
        """Return whether the decision of this level can be asked in this state."""
        label = self.decisions[level].label
        return label not in self._paths or label in state

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
            for leads, step in self._ways[level][state]:  # noqa: B007
                if index < leads:
                    break
                index -= leads
            if self.exists(level, state):
                which, index = divmod(index, self._counts[level + 1][step.state])
                chosen[decision.label] = step.unrank(which)
            state = step.state
        return chosen

    def _span(self, event: Event) -> range:
        """Return the levels after which the event is of interest: from its first atom to its use."""
        decided = [self._position[label] for path in self._paths[event] for label, _ in path]
        end = self._position[event] if isinstance(event, str) else max(decided) + 1
        return range(min(decided), end)

    def _leave(self, level: int, state: State) -> tuple[Step, ...]:
        decision = self.decisions[level]
        if not self.exists(level, state):
            return (Step((), (), 0, 0, self._after(level, state)),)
        atoms = [(decision.label, option) for option in decision.options]
        matters = {
            atom
            for event in self._open[level]
            for path in self._alive(event, level - 1, state)
            for atom in path
        }
        marked = [i for i, atom in enumerate(atoms) if atom in matters]
        free = tuple(i for i, atom in enumerate(atoms) if atom not in matters)
        steps = [
            Step(
                picked,
                free,
                decision.low - size,
                decision.high - size,
                self._after(level, state | {atoms[i] for i in picked}),
            )
            for size in range(min(decision.high, len(marked)) + 1)
            for picked in combinations(marked, size)
        ]
        return tuple(step for step in steps if step.ways)

    def _after(self, level: int, known: State) -> State:
        """Return what of `known` matters after a level."""
        state: set[Atom | Event] = set()
        for event in self._open[level]:
            if event in known or any(known.issuperset(path) for path in self._paths[event]):
                state.add(event)
            for path in self._alive(event, level, known):
                state.update(known.intersection(path))
        return frozenset(state)

    def _alive(self, event: Event, level: int, known: State) -> Iterator[Path]:
        """Yield the paths that decide whether the event happens: all atoms up to a level hold."""
        if event not in known:
            for path in self._paths[event]:
                decided = {atom for atom in path if self._position[atom[0]] <= level}
                if known.issuperset(decided):
                    yield path

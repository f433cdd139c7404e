"""Exact counting in spaces whose decisions depend on each other.

Decisions are walked in order. Of all earlier answers only those matter that decide about an *event*
still to come: that a later decision exists, or that a cost which depends on several decisions counts.
The state after a level therefore holds the events that happened already and, for those that still
may, the chosen *atoms* (label, option). Whoever needs the number of completions (size, uniform
sampling, enumeration) or their smallest cost works backwards over the states, which stay few because
an event is forgotten after its last use. Where very many events are open at once and each depends on
other decisions, as products of widths that are all concatenated, there are too many states.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import TypeVar

from supernet.space.decision import Decision, Option, subset_count, subset_unrank

__all__ = ["Atom", "Event", "Levels", "Path", "State", "Step", "TooManyStates"]

MANY = 200_000
"""Paths that the states of one level may keep open, each counted once for every state."""

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


class TooManyStates(Exception):
    """A diagram was given up since it grows beyond all bounds."""


@dataclass(frozen=True, eq=False)
class _Watch:
    """A path to an event, with the atoms that each level decides."""

    event: Event
    path: Path
    last: int
    at: Mapping[int, frozenset[Atom]]

    @classmethod
    def of(cls, event: Event, path: Path, position: Mapping[str, int]) -> _Watch:
        """Sort the atoms of a path by the levels at which they are decided."""
        at = defaultdict[int, set[Atom]](set)
        for atom in path:
            at[position[atom[0]]].add(atom)
        return cls(event, path, max(at), {level: frozenset(atoms) for level, atoms in at.items()})


class Levels:
    """The decisions as levels of a decision diagram, with the reachable states of each.

    Args:
        decisions: decisions in an order in which conditions only mention earlier ones.
        conditions: paths of which one must hold for the decision to exist, by the decision's label.
        watched: further paths that a `fold` wants to see, by number: the number enters `Step.state`
            as soon as one of its paths holds, and stays until all of them are decided.
        most: largest number of paths and events in the states of one level, see `MANY`; None for
            any number.

    Raises:
        TooManyStates: they hold more.
    """

    def __init__(
        self,
        decisions: Sequence[Decision],
        conditions: Mapping[str, Iterable[Path]],
        watched: Mapping[int, Iterable[Path]] | None = None,
        most: int | None = None,
    ) -> None:
        self.decisions = decisions
        self._position = {decision.label: i for i, decision in enumerate(decisions)}
        events = dict[Event, Iterable[Path]](conditions.items())
        events.update((watched or {}).items())
        self._paths = {event: tuple(paths) for event, paths in events.items() if () not in paths}
        self._starting: list[list[_Watch]] = [[] for _ in decisions]
        self._ending: dict[Event, int] = {}
        for event, paths in self._paths.items():
            watches = [_Watch.of(event, path, self._position) for path in paths]
            last = max(watch.last for watch in watches)
            self._ending[event] = self._position[event] if isinstance(event, str) else last + 1
            for watch in watches:
                self._starting[min(watch.at)].append(watch)
        self._steps: list[dict[State, tuple[Step, ...]]] = []
        # Decision a is conv, pool or skip; b is 3, 5 or 7 and exists if a is conv, so "b" is an event.
        #
        #   level 0, a:  state {}     2 ways (pool, skip; both free)  to {}
        #                             1 way  (conv, which is marked)  to {"b"}
        #   level 1, b:  state {}     1 way  (not asked)              to {}
        #                state {"b"}  3 ways (all free)               to {}
        #
        # Backwards, {} after the last level has 1 completion, {} and {"b"} before b have 1 and 3, and
        # {} at the start has 2 · 1 + 1 · 3 = 5: the size of the space.
        states = {frozenset[Atom | Event](): tuple[_Watch, ...]()}
        for level in range(len(decisions)):
            reached = _Reached(most)
            self._steps.append(
                {
                    state: tuple(self._leave(level, state, going, reached))
                    for state, going in states.items()
                }
            )
            states = reached.going
        self._final = set(states)
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
            # In the example of `__init__`, index 3 of 0..4: the 2 of the first step are passed over, and
            # index 1 is left of the 3 behind conv, which is (conv, 5).
            for leads, step in self._ways[level][state]:  # noqa: B007
                if index < leads:
                    break
                index -= leads
            if self.exists(level, state):
                which, index = divmod(index, self._counts[level + 1][step.state])
                chosen[decision.label] = step.unrank(which)
            state = step.state
        return chosen

    def _leave(
        self, level: int, state: State, going: tuple[_Watch, ...], reached: _Reached
    ) -> Iterator[Step]:
        """Yield the steps from a state, and note the states that they lead to.

        Args:
            level: number of the decision that is answered.
            state: part of the earlier answers that matters.
            going: the paths that have begun and may still hold, of events that have not happened.
            reached: the states after this level.
        """
        # The event 0 happens if a is conv and c is se; b lies between. The atom (a, conv) is held from
        # a to c, since it matters there, and then forgotten: {} to {(a, conv)} to {(a, conv)} to {0}.
        # Here `asked` are the paths with an atom of this decision, `aside` those that wait for a later
        # one. Of the asked, `holding` goes on after these answers, and what ends here has happened.
        decision, exists = self.decisions[level], self.exists(level, state)
        asked = [watch for watch in self._starting[level] if watch.event not in state]
        asked += [watch for watch in going if level in watch.at]
        aside = [watch for watch in going if level not in watch.at]
        atoms = [(decision.label, option) for option in decision.options] if exists else []
        matters = {atom for watch in asked for atom in watch.at[level]}
        marked = [i for i, atom in enumerate(atoms) if atom in matters]
        free = tuple(i for i, atom in enumerate(atoms) if atom not in matters)
        low, high = (decision.low, decision.high) if exists else (0, 0)
        kept = {e for e in state if not isinstance(e, tuple) and level < self._ending[e]}
        held = {atom for watch in aside for atom in state.intersection(watch.path)}
        for size in range(min(high, len(marked)) + 1):
            for picked in combinations(marked, size):
                chosen = state.union(atoms[i] for i in picked)
                holding = [watch for watch in asked if watch.at[level] <= chosen]
                new = {watch.event for watch in holding if watch.last == level}
                on = [watch for watch in holding if watch.event not in new]
                waiting, waited = aside, held
                if new and any(watch.event in new for watch in aside):
                    waiting = [watch for watch in aside if watch.event not in new]
                    waited = {atom for watch in waiting for atom in state.intersection(watch.path)}
                used = {atom for watch in on for atom in chosen.intersection(watch.path)}
                step = Step(
                    picked, free, low - size, high - size, frozenset(kept | new | waited | used)
                )
                if step.ways:
                    reached.add(step.state, (*waiting, *on))
                    yield step


class _Reached:
    """The states after a level, each with the paths that go on from it."""

    def __init__(self, most: int | None) -> None:
        self.going: dict[State, tuple[_Watch, ...]] = {}
        self._most = most
        self._size = 0

    def add(self, state: State, going: tuple[_Watch, ...]) -> None:
        """Note a state.

        Raises:
            TooManyStates: all together hold too much.
        """
        if state not in self.going:
            self.going[state] = going
            self._size += 1 + len(going)
            if self._most is not None and self._size > self._most:
                raise TooManyStates

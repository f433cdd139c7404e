"""The search space: all decisions of a model and when each of them exists."""

from __future__ import annotations

import random as pythons
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from random import Random
from typing import Literal, cast

from supernet.errors import SpaceError
from supernet.reading import shown
from supernet.space.architecture import Architecture
from supernet.space.decision import Decision, Option, Value
from supernet.space.levels import MANY, Atom, Levels, Path
from supernet.space.numbers import size_text
from supernet.space.roles import PUBLISHED, Role
from supernet.suggestions import did_you_mean

__all__ = ["Sampling", "SearchSpace"]

Sampling = Literal["decisions", "architectures", "networks"]
"""What draws are uniform over, see `SearchSpace.sample`."""

_PYTHONS = cast(Random, pythons)
"""Python's own stream, whose functions are those of a `Random`."""

_TRIES = 100
"""Draws of architectures after which the representative of the last one is taken."""
"""What random draws are uniform over: the answers of each decision by itself, or all architectures."""


class SearchSpace:
    """All decisions of a model: size, samples, enumeration, neighbours, mutation, crossover.

    Args:
        decisions: decisions of the space, each label once.
        conditions: paths to decisions inside options, by label: a decision exists if for one of its
            paths every (label, option) is chosen. A label without conditions always exists.
        canonical: maps an architecture to the representative of all that are the same network
            (for instance by sorting interchangeable parts); identity if none is given.
        roles: roles of options whose names do not say them, by atom, see `role`.

    Raises:
        SpaceError: there are no decisions, a label is used twice, a condition mentions an unknown
            label or option, or decisions depend on each other in a circle.
    """

    def __init__(
        self,
        decisions: Iterable[Decision],
        conditions: Mapping[str, Sequence[Path]] | None = None,
        canonical: Callable[[Architecture], Architecture] | None = None,
        roles: Mapping[Atom, Role] | None = None,
    ) -> None:
        given = tuple(decisions) if isinstance(decisions, Iterable) else (decisions,)
        if wrong := [one for one in given if not isinstance(one, Decision)]:
            raise SpaceError(f"a space is made of decisions, not of {shown(wrong[0])}")
        self._conditions = _checked_conditions(given, conditions or {})
        self.decisions = _parents_first(given, self._conditions)
        self._by_label = {decision.label: decision for decision in self.decisions}
        self.labels = frozenset(self._by_label)
        self._canonical = canonical
        self._roles = {**(roles or {})}
        self._levels = Levels(self.decisions, self._conditions)
        self.size = self._levels.size

    def __repr__(self) -> str:
        return f"SearchSpace({len(self.decisions)} decisions, size {size_text(self.size)})"

    def __getitem__(self, index: int) -> Architecture:
        """Return architecture number `index` of 0..size-1 in a fixed order.

        Raises:
            IndexError: the index is outside 0..size-1.
        """
        if not 0 <= index < self.size:
            raise IndexError(
                f"the space has architectures 0..{size_text(self.size - 1)}, not {size_text(index)}"
            )
        return Architecture(
            {
                label: self._by_label[label].value(chosen)
                for label, chosen in self._levels.unrank(index).items()
            }
        )

    def __iter__(self) -> Iterator[Architecture]:
        """Yield every architecture once."""
        index = 0
        while index < self.size:
            yield self[index]
            index += 1

    def decision(self, label: str) -> Decision:
        """Return the decision with this label.

        Raises:
            SpaceError: there is none.
        """
        try:
            return self._by_label[label]
        except KeyError:
            raise SpaceError(
                f"no decision {label!r}; the space has {list(self._by_label)}"
                f"{did_you_mean(label, self._by_label)}"
            ) from None

    def conditions(self, label: str) -> tuple[Path, ...]:
        """Return the paths of which one must hold for this decision to exist."""
        return self._conditions[self.decision(label).label]

    def levels(
        self, watched: Mapping[int, Iterable[Path]], first: Sequence[Decision] = ()
    ) -> Levels:
        """Return the decision diagram of the space whose states also know which of `watched` hold.

        Args:
            watched: paths, by number.
            first: further decisions that are answered before all others.

        Raises:
            TooManyStates: it has too many states for that.
        """
        return Levels((*first, *self.decisions), self._conditions, watched, MANY)

    def role(self, label: str, option: Option) -> Role | None:
        """Return whether an option is no connection or passes its input on; None for all others.

        Its module says so, or its name is one of those of published spaces, see `PUBLISHED`.
        """
        return self._roles.get((label, option), PUBLISHED.get(option))

    def connecting(self, decision: Decision) -> list[int]:
        """Return the indices of the options of a decision that are more than no connection."""
        options = enumerate(decision.options)
        return [i for i, option in options if self.role(decision.label, option) != "none"]

    @property
    def has_canonical(self) -> bool:
        """Whether it is known which architectures are the same network."""
        return self._canonical is not None

    def sample(self, random: Random | None = None, by: Sampling = "architectures") -> Architecture:
        """Return an architecture drawn at random.

        Args:
            random: draws it; None for Python's own stream, which `random.seed` seeds.
            by: "architectures", uniformly from all `size` of them, so that an option with more
                architectures below it is drawn more often; or "decisions", each that exists answered
                by itself, parents first, uniformly among its answers. Where no decision lies in an
                option, both are the same distribution. Or "networks", uniformly from the canonical
                forms of all different networks, the same as "architectures" where the space does not
                know which are the same. They are drawn by rejection; where none of a hundred draws is
                a canonical form, the last draw's is taken.
        """
        if random is None:
            random = _PYTHONS
        if by == "decisions":
            return self.build(lambda decision: decision.sample(random))
        drawn = self[random.randrange(self.size)]
        if by == "networks":
            for _ in range(_TRIES):
                if self.canonical(drawn) == drawn:
                    break
                drawn = self[random.randrange(self.size)]
            drawn = self.canonical(drawn)
        return drawn

    def within(self, options: Mapping[str, Sequence[Option]]) -> SearchSpace:
        """Return the space of the architectures that choose among some of the options only.

        Decisions that lie in closed options only are left out. Which architectures are the same network
        is not known of it.

        Args:
            options: open options of each decision, by label; a decision that is not named keeps all
                of its own.

        Raises:
            SpaceError: a decision is unknown, or has fewer options left than must be chosen.
        """
        wanted = {self.decision(label).label: tuple(kept) for label, kept in options.items()}
        decisions, conditions = dict[str, Decision](), dict[str, list[Path]]()
        for decision in self.decisions:
            label, kept = decision.label, wanted.get(decision.label, decision.options)
            paths = [
                path
                for path in self._conditions[label]
                if all(one in decisions and o in decisions[one].options for one, o in path)
            ]
            if paths:
                left = tuple(option for option in decision.options if option in kept)
                high = min(decision.high, len(left))
                decisions[label] = replace(decision, options=left, high=high)
                conditions[label] = paths
        return SearchSpace(decisions.values(), conditions, roles=self._roles)

    def build(self, answer: Callable[[Decision], Value]) -> Architecture:
        """Ask `answer` for every decision that exists, parents first, and return the architecture."""
        values: dict[str, Value] = {}
        for decision in self.decisions:
            if self._exists(decision, values):
                values[decision.label] = answer(decision)
        return Architecture(values)

    def validate(self, architecture: Mapping[str, Value]) -> None:
        """Check that an architecture answers exactly the decisions that exist.

        Raises:
            SpaceError: an answer is missing, impossible, or given to a decision that is unknown or
                does not exist in this architecture.
        """
        for label, value in architecture.items():
            self.decision(label).indices(value)
        for decision in self.decisions:
            exists = self._exists(decision, architecture)
            if exists and decision.label not in architecture:
                raise SpaceError(
                    f"decision {decision.label!r} has no answer; possible: {decision.describe()}"
                )
            if not exists and decision.label in architecture:
                raise SpaceError(
                    f"decision {decision.label!r} does not exist in this architecture, since none of "
                    f"the options it lies in is chosen: {self._conditions[decision.label]}"
                )

    def __contains__(self, architecture: object) -> bool:
        if not isinstance(architecture, Mapping):
            return False
        try:
            self.validate(architecture)
        except SpaceError:
            return False
        return True

    def canonical(self, architecture: Architecture) -> Architecture:
        """Return the representative of all architectures that are the same network."""
        return self._canonical(architecture) if self._canonical else architecture

    def neighbours(self, architecture: Architecture) -> list[Architecture]:
        """Return all architectures that differ in one answer by one step.

        A decision that comes into existence by the step takes its first value.
        """
        found: dict[Architecture, None] = {}
        for label, here in architecture.items():
            for value in self.decision(label).neighbours(here):
                changed = {**architecture, label: value}
                found[self.build(lambda d, c=changed: c.get(d.label, next(d.values())))] = None  # type: ignore[misc]
        return list(found)

    def mutate(
        self, architecture: Architecture, probability: float, random: Random, same: bool = False
    ) -> Architecture:
        """Redraw each answer with this probability, uniformly among the other ones.

        Args:
            architecture: architecture that is changed; it stays as it is.
            probability: probability of each answer to be redrawn.
            random: random generator of the draws.
            same: whether an answer that is redrawn may be the same again.
        """

        def answer(decision: Decision) -> Value:
            here = architecture.get(decision.label)
            if here is None or (decision.size > 1 and random.random() < probability):
                value = decision.sample(random)
                while value == here and not same:
                    value = decision.sample(random)
                return value
            return here

        return self.build(answer)

    def crossover(self, first: Architecture, second: Architecture, random: Random) -> Architecture:
        """Take each answer from one of two parents by a fair coin.

        A decision that only one parent has is taken from it; one that neither has is drawn.
        """

        def answer(decision: Decision) -> Value:
            parents = [parent for parent in (first, second) if decision.label in parent]
            if not parents:
                return decision.sample(random)
            return parents[random.randrange(len(parents))][decision.label]

        return self.build(answer)

    def _exists(self, decision: Decision, values: Mapping[str, Value]) -> bool:
        paths = self._conditions[decision.label]
        return paths == ((),) or any(
            all(_chooses(values.get(label), option) for label, option in path) for path in paths
        )


def _chooses(value: Value | None, option: object) -> bool:
    return option in value if isinstance(value, tuple) else option == value


def _checked_conditions(
    decisions: Sequence[Decision], conditions: Mapping[str, Sequence[Path]]
) -> dict[str, tuple[Path, ...]]:
    labels = [decision.label for decision in decisions]
    if not labels:
        raise SpaceError("the model has no decisions; add at least one Choice or InputChoice to it")
    if len(set(labels)) < len(labels):
        raise SpaceError(f"labels must differ, but these are given: {labels}")
    options = {decision.label: decision.options for decision in decisions}
    for label, paths in conditions.items():
        for parent, option in [*[(label, None)], *[atom for path in paths for atom in path]]:
            if parent not in options:
                raise SpaceError(f"a condition mentions {parent!r}, which is none of {labels}")
            if option is not None and option not in options[parent]:
                raise SpaceError(
                    f"a condition mentions option {option!r} of {parent!r}, which has {options[parent]}"
                )
    distinct = {label: tuple(dict.fromkeys(conditions.get(label) or [()])) for label in labels}
    return {label: ((),) if () in paths else paths for label, paths in distinct.items()}


def _parents_first(
    decisions: Sequence[Decision], conditions: Mapping[str, tuple[Path, ...]]
) -> tuple[Decision, ...]:
    """Order the decisions so that conditions mention earlier ones only, else as given."""
    waiting, placed = list(decisions), dict[str, Decision]()
    while waiting:
        ready = next(
            (
                decision
                for decision in waiting
                if all(label in placed for path in conditions[decision.label] for label, _ in path)
            ),
            None,
        )
        if ready is None:
            raise SpaceError(
                f"decisions lie in each other in a circle: {[decision.label for decision in waiting]}; "
                "a label cannot lie inside its own options"
            )
        placed[ready.label] = ready
        waiting.remove(ready)
    return tuple(placed.values())

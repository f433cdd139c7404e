"""Decisions: one open question each, with a label, its options and how many of them are chosen.

A decision with n options and bounds low..high is answered by a subset of its options with low to
high members. *One of* is the case low = high = 1, *some of* the general one, and *ordered* is a *one
of* whose options are numbers, so that neighbouring values are neighbours in the space.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import combinations
from random import Random

from supernet.errors import SpaceError
from supernet.reading import shown

__all__ = [
    "Decision",
    "OneOf",
    "Option",
    "Ordered",
    "SomeOf",
    "Value",
    "is_option",
    "subset_count",
    "subset_unrank",
]

Option = str | int | float
"""The name of an option, or the number it stands for."""

Value = Option | tuple[Option, ...]
"""An answer: an option (*one of*, *ordered*) or a tuple of options in the decision's order."""


def is_option(value: object) -> bool:
    """Return whether this can be an option: a text or a finite number."""
    if isinstance(value, float):
        return math.isfinite(value)
    return isinstance(value, str | int) and not isinstance(value, bool)


def subset_count(n: int, low: int, high: int) -> int:
    """Return how many subsets of n things have low to high members."""
    return sum(math.comb(n, k) for k in range(max(low, 0), min(high, n) + 1))


def subset_unrank(items: Sequence[int], low: int, high: int, index: int) -> tuple[int, ...]:
    """Return the subset number `index`, ordered by size and then lexicographically.

    Of 0, 1, 2 with one or two members: 0, 1, 2, 01, 02, 12; number 4 is (0, 2).

    Raises:
        IndexError: there are not so many subsets.
    """
    for size in range(max(low, 0), min(high, len(items)) + 1):
        count = math.comb(len(items), size)
        if index < count:
            break
        index -= count
    else:
        raise IndexError("subset index out of range")
    chosen: list[int] = []
    for position, item in enumerate(items):
        if len(chosen) == size:
            break
        with_item = math.comb(len(items) - position - 1, size - len(chosen) - 1)
        if index < with_item:
            chosen.append(item)
        else:
            index -= with_item
    return tuple(chosen)


@dataclass(frozen=True)
class Decision:
    """What the three kinds of decision share; use `OneOf`, `SomeOf` or `Ordered`.

    Raises:
        SpaceError: there are no options, one is neither a text nor a finite number, two are equal, or
            the bounds do not fit their number.
    """

    label: str
    options: tuple[Option, ...]
    low: int = 1
    high: int = 1

    def __post_init__(self) -> None:
        given: object = self.options
        if not isinstance(given, Iterable):
            raise SpaceError(
                f"decision {shown(self.label)} has options {shown(given)}, but options are a list"
            )
        object.__setattr__(self, "options", tuple(self.options))
        if not isinstance(self.low, int) or not isinstance(self.high, int):
            raise SpaceError(
                f"decision {shown(self.label)} chooses a whole number of options, not from "
                f"{shown(self.low)} to {shown(self.high)}"
            )
        if not self.options:
            raise SpaceError(f"decision {self.label!r} has no options; give at least one")
        if not all(map(is_option, self.options)):
            raise SpaceError(
                f"decision {self.label!r} has options {list(self.options)}, but options are texts or "
                "finite numbers"
            )
        if len(set(self.options)) < len(self.options):
            raise SpaceError(f"decision {self.label!r} has equal options: {list(self.options)}")
        if not 0 <= self.low <= self.high <= len(self.options) or self.high == 0:
            raise SpaceError(
                f"decision {self.label!r}: {self.low} to {self.high} of {len(self.options)} options "
                f"cannot be chosen; the bounds must satisfy 0 <= low <= high <= {len(self.options)} "
                "and high >= 1"
            )

    @property
    def size(self) -> int:
        """How many answers there are."""
        return subset_count(len(self.options), self.low, self.high)

    def value(self, chosen: Sequence[int]) -> Value:
        """Return the answer that chooses the options with these indices."""
        return tuple(self.options[i] for i in sorted(chosen))

    def indices(self, value: Value) -> tuple[int, ...]:
        """Return the indices of the options that an answer chooses.

        Raises:
            SpaceError: the value is not an answer to this decision.
        """
        named = value if isinstance(value, tuple) else (value,)
        if self._well_formed(value) and all(option in self.options for option in named):
            chosen = tuple(self.options.index(option) for option in named)
            if list(chosen) == sorted(set(chosen)) and self.low <= len(chosen) <= self.high:
                return chosen
        raise SpaceError(
            f"decision {self.label!r} cannot be {value!r}; possible: {self.describe()}"
        )

    def describe(self) -> str:
        """Return the possible answers in words."""
        return f"{self.low} to {self.high} of {list(self.options)}, in this order, as a tuple"

    def values(self) -> Iterator[Value]:
        """Yield every answer once."""
        for size in range(self.low, self.high + 1):
            for chosen in combinations(range(len(self.options)), size):
                yield self.value(chosen)

    def sample(self, random: Random) -> Value:
        """Return an answer drawn uniformly."""
        return self.value(self._unrank(random.randrange(self.size)))

    def neighbours(self, value: Value) -> list[Value]:
        """Return the answers one step away: one option more, one less, or one exchanged."""
        here = set(self.indices(value))
        others = [i for i in range(len(self.options)) if i not in here]
        steps = [here | {i} for i in others] if len(here) < self.high else []
        steps += [here - {i} for i in here] if len(here) > self.low else []
        steps += [(here - {i}) | {j} for i in here for j in others]
        return [self.value(sorted(step)) for step in steps]

    def _unrank(self, index: int) -> tuple[int, ...]:
        return subset_unrank(range(len(self.options)), self.low, self.high, index)

    def _well_formed(self, value: Value) -> bool:
        return isinstance(value, tuple)


@dataclass(frozen=True)
class SomeOf(Decision):
    """Choose `low` to `high` of the options; the answer is a tuple in the options' order."""


@dataclass(frozen=True)
class OneOf(Decision):
    """Choose exactly one option; the answer is the option itself."""

    def __post_init__(self) -> None:
        super().__post_init__()
        if (self.low, self.high) != (1, 1):
            raise SpaceError(f"decision {self.label!r} chooses one option; use SomeOf for several")

    def value(self, chosen: Sequence[int]) -> Value:
        """Return the answer that chooses the option with this index."""
        (index,) = chosen
        return self.options[index]

    def describe(self) -> str:
        """Return the possible answers in words."""
        return f"one of {list(self.options)}"

    def _well_formed(self, value: Value) -> bool:
        return not isinstance(value, tuple)


@dataclass(frozen=True)
class Ordered(OneOf):
    """Choose one of increasing numbers (a width, a kernel size, a depth)."""

    def __post_init__(self) -> None:
        super().__post_init__()
        numbers = [option for option in self.options if not isinstance(option, str)]
        if len(numbers) < len(self.options) or numbers != sorted(numbers):
            raise SpaceError(
                f"decision {self.label!r} is ordered, but its values are not increasing numbers: "
                f"{list(self.options)}"
            )

    def neighbours(self, value: Value) -> list[Value]:
        """Return the next smaller and the next larger value, where they exist."""
        (here,) = self.indices(value)
        return [self.options[i] for i in (here - 1, here + 1) if 0 <= i < len(self.options)]

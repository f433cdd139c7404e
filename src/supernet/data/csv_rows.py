"""Files of rows and columns: CSV, with commas or another sign between cells."""

from __future__ import annotations

import contextlib
import csv
import io
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from supernet.data.encoding import encoding_of
from supernet.data.files import open_regular
from supernet.errors import DataError

__all__ = ["CSV_SUFFIXES", "Rows", "column_names", "csv_rows", "listed"]

CSV_SUFFIXES = (".csv", ".tsv")
"""How the names of files of rows end."""

_DELIMITERS = {".csv": ",;\t|", ".tsv": "\t"}
"""What may stand between cells; where several may, what makes the most cells of the first line."""

_BEGINNING = 2**16
"""Bytes of a file that are looked at for the names of its columns."""


@dataclass(frozen=True)
class Rows:
    """The rows of a file.

    Attributes:
        columns: names of the columns; those without a name are empty, all others differ.
        rows: cells of each row, as many as columns.
        lines: number of the line that each row ends in.
        delimiter: sign between cells.
    """

    columns: list[str]
    rows: list[list[str]]
    lines: list[int]
    delimiter: str


def csv_rows(file: Path, content: str) -> Rows:
    """Return the rows of a file, whose first line names the columns; empty lines are left out.

    Args:
        file: path of the file, for messages and for its ending.
        content: text of the file.

    Raises:
        DataError: it is no CSV, two columns have one name, or a row has another number of cells.
    """
    delimiter = _delimiter(file, content)
    columns, rows, lines = list[str](), list[list[str]](), list[int]()
    for line, row in _cells(file, content, delimiter):
        if not row:
            continue
        place = f"{file}, line {line}"
        if not columns:
            columns = [name.strip() for name in row]
            named = [name for name in columns if name]
            if len(set(named)) < len(named):
                raise DataError(
                    f"{place}: there are two columns of one name in {listed(columns)}; rename one."
                )
            continue
        if len(row) != len(columns):
            raise DataError(
                f"{place}: there are {len(row)} cells, but {len(columns)} columns; put quotes "
                f"around cells that contain {delimiter!r}."
            )
        rows.append(row)
        lines.append(line)
    return Rows(columns, rows, lines, delimiter)


def column_names(file: Path) -> list[str]:
    """Return the names of the columns of a file, of which only the beginning is read.

    Raises:
        DataError: the file cannot be read.
    """
    with open_regular(file) as opened:
        content = opened.read(_BEGINNING)
    text = content.decode(encoding_of(content), errors="replace").removeprefix("\ufeff")
    return [name.strip() for name in _first_line(text, _delimiter(file, text))]


def listed(names: Iterable[str]) -> str:
    """Return the first of some names, each in quotes."""
    names = list(names)
    return ", ".join([*map(repr, names[:10]), *["..."] * (len(names) > 10)])


def _delimiter(file: Path, content: str) -> str:
    """Return the sign between cells; of those that make equally many the first."""
    signs = _DELIMITERS.get(file.suffix.lower(), ",")
    beginning = content[:_BEGINNING]
    return max(signs, key=lambda sign: len(_first_line(beginning, sign)))


def _first_line(content: str, delimiter: str) -> list[str]:
    """Return the cells of the first line that has some, as far as it can be read."""
    reader = csv.reader(io.StringIO(content, newline=""), delimiter=delimiter)
    with contextlib.suppress(csv.Error):
        return next((row for row in reader if row), [])
    return []


def _cells(file: Path, content: str, delimiter: str) -> list[tuple[int, list[str]]]:
    """Return the cells of each row, of any length, and the line that it ends in."""
    reader = csv.reader(io.StringIO(content, newline=""), delimiter=delimiter, strict=True)
    with _long_cells(len(content)):
        try:
            return [(reader.line_num, row) for row in reader]
        except csv.Error as error:
            raise DataError(
                f"{file}, line {reader.line_num}: this is no CSV ({error}); check the quotes, or write "
                "JSON lines."
            ) from error


@contextlib.contextmanager
def _long_cells(most: int) -> Iterator[None]:
    """Let cells have so many characters; the module's limit, of 131,072, is one for the process."""
    before = csv.field_size_limit()
    csv.field_size_limit(max(before, most + 1))
    try:
        yield
    finally:
        csv.field_size_limit(before)

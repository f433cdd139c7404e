"""Texts with labels in a file of the user: CSV or JSON lines."""

from __future__ import annotations

import codecs
import contextlib
import csv
import io
import json
import os
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

import torch

from supernet.data.augment import Augment
from supernet.data.base import DataSource, Examples, Raw
from supernet.data.files import read_data
from supernet.data.text_tokens import Vocabulary, check_sizes, split_words
from supernet.errors import ConfigError, DataError
from supernet.suggestions import did_you_mean

__all__ = ["SUFFIXES", "Text", "check_encoding", "decoded"]

_DELIMITERS = {".csv": ",", ".tsv": "\t"}
_LINES = (".jsonl", ".ndjson", ".json")
SUFFIXES = (*_DELIMITERS, *_LINES)
"""How the names of files of texts end."""

_MARKS = {
    codecs.BOM_UTF32_LE: "utf-32",  # which begins as UTF-16 does
    codecs.BOM_UTF32_BE: "utf-32",
    codecs.BOM_UTF16_LE: "utf-16",
    codecs.BOM_UTF16_BE: "utf-16",
}
"""Encodings by the mark that a file begins with; Excel writes "Unicode text" so."""

Pairs = list[tuple[str, str]]
"""Texts and their labels."""


class Text(DataSource):
    """Texts and labels of a CSV file (`.csv`, `.tsv`) or a file of JSON lines (`.jsonl`).

    The first line of a CSV file names the columns; each line of the other is an object. Words are
    what stands between spaces, without regard to case; other signs are words of their own. The
    vocabulary is that of `file`, never that of `test`. Without `test` a share of `file` is divided
    off for the test, and words of these texts (not their labels) are part of the vocabulary.

    Classes are numbered in the order of their names, or in that of numbers where all are whole numbers.

    Args:
        file: texts to train and to select with.
        test: file of the official test split, if there is one.
        text: column, or key, of the texts.
        label: column, or key, of their labels.
        length: tokens that each text is cut off at or padded to.
        vocabulary: the most words, the most frequent ones; others are unknown.
        least: number of times that a word must occur, or it is unknown. With 1 a small set may have
            no unknown word, so that a network never learns what to make of one.
        encoding: encoding of the files, such as "utf-8".
        name: name of the data set; by default that of the file.

    Raises:
        ConfigError: a number is too small, the encoding is unknown, or two names are the same that must
            differ.
    """

    def __init__(
        self,
        file: str,
        test: str | None = None,
        text: str = "text",
        label: str = "label",
        length: int = 64,
        vocabulary: int = 10_000,
        least: int = 2,
        encoding: str = "utf-8",
        name: str | None = None,
    ) -> None:
        check_sizes(length, vocabulary, least)
        check_encoding(encoding)
        if text == label:
            raise ConfigError(f"text and label are both {text!r}; they are different columns.")
        self.file = Path(file)
        self.test = None if test is None else Path(test)
        if test is not None and os.path.abspath(test) == os.path.abspath(file):
            raise ConfigError(
                f"test is {file} too; give other texts, or leave it out to have some divided off."
            )
        self.text = text
        self.label = label
        self.length = length
        self.vocabulary = vocabulary
        self.least = least
        self.encoding = encoding
        self.name = name or self.file.stem

    def load(self) -> Raw:
        """Return tokens, int64 [n, length]: 0 is padding, 1 an unknown word.

        Raises:
            DataError: a file is missing, empty or damaged, lacks a column or a label, has one class
                only or no words, or the test file has a class that the other lacks.
        """
        pairs = self._read(self.file)
        classes = _ordered({label for _, label in pairs})
        if len(classes) < 2:
            raise DataError(
                f"{self.file}: all texts have the label {classes[0]!r}; a classifier needs two or more."
            )
        vocabulary = self._vocabulary([text for text, _ in pairs], classes)
        train = _examples(pairs, vocabulary)
        notes = self._cut_off(pairs)
        if self.test is None:
            return Raw(self.name, train, None, Augment(), notes=notes)
        pairs = self._read(self.test)
        if unknown := {label for _, label in pairs} - set(classes):
            raise DataError(
                f"{self.test} has the label(s) {_listed(_ordered(unknown))}, which {self.file} does not "
                f"have; it has {_listed(classes)}."
            )
        return Raw(self.name, train, _examples(pairs, vocabulary), Augment(), notes=notes)

    def _cut_off(self, pairs: Pairs) -> tuple[str, ...]:
        """Say how many texts are longer than they may be."""
        count = sum(len(split_words(text)) > self.length for text, _ in pairs)
        if not count:
            return ()
        return (
            f"{count:,} of {len(pairs):,} texts have more than {self.length} words and are cut off; "
            "a larger data.length keeps them whole",
        )

    def _vocabulary(self, texts: list[str], classes: tuple[str, ...]) -> Vocabulary:
        if not any(text.strip() for text in texts):
            raise DataError(
                f"{self.file}: all texts are empty; check that {self.text!r} is what holds them."
            )
        found = Vocabulary.of(texts, self.vocabulary, self.length, self.least, classes)
        if len(found.words) == 2:
            raise DataError(
                f"{self.file}: no word occurs {self.least} times; give more texts or a smaller `least`."
            )
        return found

    def _read(self, file: Path) -> Pairs:
        """Return the texts and labels of a file."""
        kind = file.suffix.lower()
        if kind not in SUFFIXES:
            raise DataError(f"{file} ends in {file.suffix!r}; possible are {', '.join(SUFFIXES)}.")
        content = decoded(file, self.encoding)
        if kind in _LINES:
            rows = _json_rows(file, content)
        else:
            rows = _csv_rows(file, content, _DELIMITERS[kind])
        pairs = [(self._text(row, place), self._label(row, place)) for place, row in rows]
        if not pairs:
            raise DataError(
                f"{file} is empty: it holds no text; give a file with texts and labels."
            )
        return pairs

    def _text(self, row: Mapping[str, Any], place: str) -> str:
        text = self._cell(row, place, self.text)
        if not isinstance(text, str):
            raise DataError(
                f"{place}: {self.text!r} is {_short(text)}, not a text; correct this line."
            )
        return text

    def _label(self, row: Mapping[str, Any], place: str) -> str:
        label = self._cell(row, place, self.label)
        if not isinstance(label, str | int) or not str(label).strip():
            raise DataError(
                f"{place}: {self.label!r} is {_short(label)}, not a label; give each text one (a word "
                "or a whole number) or remove the line."
            )
        return str(label).strip()

    def _cell(self, row: Mapping[str, Any], place: str, column: str) -> Any:
        if column not in row:
            raise DataError(
                f"{place}: there is no {column!r}, only "
                f"{_listed(row) or 'nothing'}{did_you_mean(column, row)}; name "
                "the columns that hold texts and labels with `text` and `label`."
            )
        return row[column]


def _examples(pairs: Pairs, vocabulary: Vocabulary) -> Examples:
    numbers = {label: number for number, label in enumerate(vocabulary.classes)}
    targets = torch.tensor([numbers[label] for _, label in pairs])
    tokens = vocabulary.tokens([text for text, _ in pairs])
    return Examples(tokens, targets, vocabulary.classes, vocabulary.words)


def _ordered(labels: set[str]) -> tuple[str, ...]:
    """Return labels in the order of the numbers that they are, or else in that of the alphabet."""
    try:
        return tuple(sorted(labels, key=lambda label: (int(label), label)))
    except ValueError:
        return tuple(sorted(labels))


def check_encoding(encoding: str) -> None:
    """Check that there is such an encoding.

    Raises:
        ConfigError: it is unknown.
    """
    try:
        "".encode(encoding)
    except (LookupError, ValueError) as error:
        raise ConfigError(
            f"the encoding {encoding!r} is unknown; give for instance utf-8 or latin-1."
        ) from error


def decoded(file: Path, encoding: str) -> str:
    """Return the content of a file, without a byte order mark.

    The mark says which encoding it is, unless another one than UTF-8 is given.

    Raises:
        DataError: it cannot be read, or is not of that encoding.
    """
    content = read_data(file)
    if codecs.lookup(encoding).name == "utf-8":  # a byte order mark knows better
        encoding = next(
            (name for mark, name in _MARKS.items() if content.startswith(mark)), encoding
        )
    try:
        text = content.decode(encoding)
        text.encode()  # which halves of surrogate pairs cannot
    except UnicodeError as error:
        line = content.count(b"\n", 0, getattr(error, "start", 0)) + 1
        raise DataError(
            f"{file}, line {line}: the bytes are no {encoding} "
            f"({getattr(error, 'reason', error)}); give the file's `encoding`, for instance latin-1."
        ) from error
    if "\0" in text:
        line = text.count("\n", 0, text.index("\0")) + 1
        raise DataError(
            f"{file}, line {line}: there is a character NUL, which no text has; if this is UTF-16, give "
            "the `encoding` utf-16-le (or utf-16-be), else correct the line."
        )
    return text.removeprefix("\ufeff")


def _csv_rows(file: Path, content: str, delimiter: str) -> Iterator[tuple[str, Mapping[str, Any]]]:
    """Yield each row by column, and where it ends."""
    columns: list[str] | None = None
    for line, row in _cells(file, content, delimiter):
        place = f"{file}, line {line}"
        if not row:
            continue
        if columns is None:
            columns = [name.strip() for name in row]
            if len(set(columns)) < len(columns):
                raise DataError(
                    f"{place}: there are two columns of one name in {_listed(columns)}; rename one."
                )
            continue
        if len(row) != len(columns):
            raise DataError(
                f"{place}: there are {len(row)} cells, but {len(columns)} columns; put quotes "
                f"around cells that contain {delimiter!r}."
            )
        yield place, dict(zip(columns, row, strict=True))


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


def _json_rows(file: Path, content: str) -> Iterator[tuple[str, Mapping[str, Any]]]:
    """Yield the object of each line, and where it is."""
    for number, line in enumerate(content.split("\n"), 1):
        if not line.strip():
            continue
        place = f"{file}, line {number}"
        try:
            row = json.loads(line)
        except (ValueError, RecursionError) as error:
            raise DataError(
                f"{place}: this is no JSON ({error}); each line is an object of its own."
            ) from error
        if not isinstance(row, dict):
            raise DataError(f"{place}: {_short(row)} is no object; write {{...}} on each line.")
        yield place, row


def _listed(names: Iterable[str]) -> str:
    """Return the first of some names, each in quotes."""
    names = list(names)
    return ", ".join([*map(repr, names[:10]), *["..."] * (len(names) > 10)])


def _short(value: object) -> str:
    text = repr(value)
    return text if len(text) <= 40 else f"{text[:40]}..."

"""Texts with labels in a file of the user: CSV or JSON lines."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import torch

from supernet.data.augment import Augment
from supernet.data.base import DataSource, Examples, Raw
from supernet.data.csv_rows import CSV_SUFFIXES, csv_rows, listed
from supernet.data.encoding import check_encoding, decoded
from supernet.data.labels import ordered
from supernet.data.text_tokens import Vocabulary, check_sizes, split_words
from supernet.errors import ConfigError, DataError
from supernet.suggestions import did_you_mean

__all__ = ["SUFFIXES", "Text"]

_LINES = (".jsonl", ".ndjson", ".json")
SUFFIXES = (*CSV_SUFFIXES, *_LINES)
"""How the names of files of texts end."""

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
        classes = ordered({label for _, label in pairs})
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
                f"{self.test} has the label(s) {listed(ordered(unknown))}, which {self.file} does not "
                f"have; it has {listed(classes)}."
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
        rows = _json_rows(file, content) if kind in _LINES else _csv_rows(file, content)
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
                f"{listed(row) or 'nothing'}{did_you_mean(column, row)}; name "
                "the columns that hold texts and labels with `text` and `label`."
            )
        return row[column]


def _examples(pairs: Pairs, vocabulary: Vocabulary) -> Examples:
    numbers = {label: number for number, label in enumerate(vocabulary.classes)}
    targets = torch.tensor([numbers[label] for _, label in pairs])
    tokens = vocabulary.tokens([text for text, _ in pairs])
    return Examples(tokens, targets, vocabulary.classes, vocabulary.words)


def _csv_rows(file: Path, content: str) -> Iterator[tuple[str, Mapping[str, Any]]]:
    """Yield each row by column, and where it ends."""
    found = csv_rows(file, content)
    for line, row in zip(found.lines, found.rows, strict=True):
        yield f"{file}, line {line}", dict(zip(found.columns, row, strict=True))


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


def _short(value: object) -> str:
    text = repr(value)
    return text if len(text) <= 40 else f"{text[:40]}..."

"""Tables: a CSV file or a data frame, with a column that the others are to predict."""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from supernet.data.augment import Augment
from supernet.data.base import DataSource, Examples, Raw, naming
from supernet.data.csv_rows import listed
from supernet.data.encoding import check_encoding
from supernet.data.several import Values
from supernet.data.split_names import SPLITS, split_of
from supernet.data.table_columns import Frame, read_frame
from supernet.data.table_encoding import TableEncoding
from supernet.data.table_targets import Predict, Targets
from supernet.errors import ConfigError, DataError
from supernet.suggestions import did_you_mean

__all__ = ["Table"]

_TARGETS = ("target", "label", "class", "y")
"""What the column of targets is called, unless it is said."""


class Table(DataSource):
    """Rows of a CSV file, or of a data frame of pandas or polars, of which one column is predicted.

    Columns of numbers are standardised, by the mean and the deviation of the training split. A missing
    number is the mean, and a feature says that it is missing; what is missing is an empty cell, or one
    of NA, N/A, NaN, null, none, ? and -. Of columns of texts each category is a feature, 0 or 1; a
    missing one, or one that only other rows than those to train with have, is none of them. Columns
    with nothing in them, or without a name, are left out.

    Targets that are texts are classes, and so are at most 20 different whole numbers; others are
    numbers, float32 [n, 1]. Classes are in the order of their names, or in that of numbers where all are
    whole numbers.

    A file has a first line with the names of columns; between cells stands a comma, a semicolon, a tab
    or a bar. Where it is no comma, numbers may have a decimal comma.

    Args:
        file: path of a file; in Python also a data frame.
        target: column to be predicted; by default the one called target, label, class or y.
        test: rows of the official test split, if there are some, a file or a data frame; by default a
            share of the rows is kept for the test (`split.test_fraction`).
        split: column that says of each row what it is for, "train", "test", or "val" to select with.
        ignore: column, or list of columns, that are not looked at, such as numbers of rows.
        categorical: columns whose numbers are names of categories, such as postcodes.
        embed: whether a model takes `numbers` [n, columns] and `categories`, int64 [n, columns], by
            these names, to embed categories: they are numbered through all columns, from 0, which is
            unknown, to below `vocabulary`, which its constructor is given.
        predict: whether targets are classes or numbers; by default as above.
        encoding: encoding of the files, such as "utf-8".
        name: name of the data set; by default that of the file.

    Raises:
        ConfigError: the encoding is unknown, or options contradict each other.
    """

    def __init__(
        self,
        file: Any,
        target: str | None = None,
        test: Any = None,
        split: str | None = None,
        ignore: str | Sequence[str] = (),
        categorical: str | Sequence[str] = (),
        embed: bool = False,
        predict: Predict | None = None,
        encoding: str = "utf-8",
        name: str | None = None,
    ) -> None:
        check_encoding(encoding)
        if test is not None and split is not None:
            raise ConfigError(
                f"test and split ({split!r}) both say which rows are for the test; give one of them."
            )
        paths = [one for one in (file, test) if isinstance(one, str | Path)]
        if len({os.path.abspath(one) for one in paths}) < len(paths):
            raise ConfigError(
                f"test is {file} too; give other rows, or leave it out to have some divided off."
            )
        self.file = file
        self.target = target
        self.test = test
        self.split = split
        self.ignore = (ignore,) if isinstance(ignore, str) else tuple(ignore)
        self.categorical = (categorical,) if isinstance(categorical, str) else tuple(categorical)
        self.embed = embed
        self.predict = predict
        self.encoding = encoding
        self.name = name or (Path(file).stem if isinstance(file, str | Path) else "table")

    def load(self) -> Raw:
        """Return the rows.

        Raises:
            DataError: a file is missing, empty or damaged, a column is missing, or a cell cannot be
                used; the message names its line.
        """
        frames = self._frames()
        target = self._target(list(frames["train"].columns))
        targets = Targets.of(frames["train"], target, self.predict)
        encoding = self._encoding(frames["train"], target)
        examples = {
            purpose: self._examples(frame, encoding, targets) for purpose, frame in frames.items()
        }
        return Raw(
            self.name,
            examples["train"],
            examples.get("test"),
            Augment(),
            examples.get("search"),
            tuple(self._notes(frames, targets, encoding)),
            encoding=dataclasses.replace(encoding, classes=targets.classes),
        )

    def inputs(self, rows: Any) -> Values:
        """Return the inputs of further rows, as `load` makes them, for `model.pt2` of a run.

        Without the rows to train with, `TableEncoding` of a run's `encoding.json` does.

        Args:
            rows: file or data frame; a column of targets is not needed.

        Raises:
            DataError: see `load`.
        """
        train = self._frames()["train"]
        encoding = self._encoding(train, self._target(list(train.columns)))
        return encoding.inputs(rows, self.encoding)

    def _frames(self) -> dict[str, Frame]:
        """Return the rows by what they are for."""
        whole = read_frame(self.file, self.encoding, self._check)
        if self.test is not None:
            test = read_frame(self.test, self.encoding, self._check_target)
            return {"train": whole, "test": test}
        return {"train": whole} if self.split is None else dict(_divided(whole, self.split))

    def _check(self, table: str, columns: list[str]) -> None:
        """Check that a table has all columns that options name."""
        self._check_target(table, columns)
        lists = {"ignore": self.ignore, "categorical": self.categorical}
        pairs = [(option, one) for option, names in lists.items() for one in names]
        for option, name in (*pairs, *([("split", self.split)] if self.split else [])):
            _check_column(table, columns, option, name)
            if name == self._target(columns):
                raise ConfigError(f"{option} names {name!r}, which is the target; name another.")

    def _check_target(self, table: str, columns: list[str]) -> None:
        _check_column(table, columns, "target", self._target(columns, table))

    def _target(self, columns: Sequence[str], table: str = "the table") -> str:
        if self.target is not None:
            return self.target
        found = [name for name in columns if name.casefold() in _TARGETS]
        if len(found) != 1:
            raise DataError(
                f"{table} has {'several columns' if found else 'no column'} called "
                f"{', '.join(found or _TARGETS)}; say which one is to be predicted, as --data.target "
                f"NAME, in Python Table(..., target=NAME); it has {listed(columns)}."
            )
        return found[0]

    def _encoding(self, frame: Frame, target: str) -> TableEncoding:
        apart = {target, self.split, *self.ignore}
        columns = {name: one for name, one in frame.columns.items() if name not in apart}
        inputs = dataclasses.replace(frame, columns=columns)
        if not columns:
            raise DataError(f"{frame.name} has no column besides the target {target!r}; add some.")
        return TableEncoding.of(inputs, self.categorical, self.embed)

    def _examples(self, frame: Frame, encoding: TableEncoding, targets: Targets) -> Examples:
        with naming(self.name):
            return Examples(
                encoding.of_frame(frame),
                targets.of_rows(frame),
                targets.classes,
                encoding.words,
                encoding.scaled,
            )

    def _notes(
        self, frames: dict[str, Frame], targets: Targets, encoding: TableEncoding
    ) -> Iterator[str]:
        """Say what became of the columns."""
        if targets.note:
            yield targets.note
        train = frames["train"]
        if encoding.gaps:
            yield (
                f"values are missing in {listed(encoding.gaps)}; they are the mean there, and a feature "
                "says so"
            )
        empty = [name for name, column in train.columns.items() if not column.filled.any()]
        nameless = [f"{train.nameless} without a name"] * bool(train.nameless)
        empty = [f"{listed(empty)} (empty)"] if empty else []
        if nameless or empty:
            yield f"columns are left out: {', '.join([*nameless, *empty])}"
        for purpose, frame in frames.items():
            if purpose == "train":
                continue
            for name, count, one in encoding.unknown(frame):
                yield (
                    f"in {count:,} of {len(frame):,} {purpose} rows {name!r} is a category that no row "
                    f"to train with has, such as {one!r}; it counts as none"
                )
            further = [name for name in frame.columns if name not in train.columns]
            if further:
                yield f"columns that only {purpose} rows have are not used: {listed(further)}"


def _check_column(table: str, columns: list[str], option: str, name: str) -> None:
    if name not in columns:
        raise DataError(
            f"{table} has no column {name!r} for {option}{did_you_mean(name, columns)}; it has "
            f"{listed(columns)}."
        )


def _divided(frame: Frame, column: str) -> Iterator[tuple[str, Frame]]:
    """Yield the rows of each split, as a column says."""
    texts = frame.columns[column].texts
    purposes = [split_of(text) for text in texts]
    if None in purposes:
        row = purposes.index(None)
        raise DataError(
            f"{frame.place(row)}: {column!r} is {texts[row]!r}; it says what a row is for: train, "
            "test, or val to select with."
        )
    if "train" not in purposes:
        raise DataError(f"{frame.name}: no row is for training by {column!r}; let some be 'train'.")
    for purpose in SPLITS:
        if rows := [row for row, one in enumerate(purposes) if one == purpose]:
            yield purpose, frame.rows(np.array(rows))

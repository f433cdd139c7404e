"""The targets of a table: classes, or numbers to be predicted."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
import torch
from torch import Tensor

from supernet.data.csv_rows import listed
from supernet.data.labels import ordered
from supernet.data.table_columns import Column, Frame
from supernet.errors import DataError

__all__ = ["Predict", "Targets"]

Predict = Literal["classes", "numbers"]
"""What targets are."""

_MOST = 20
"""Different whole numbers that are taken as classes, at most."""


@dataclass(frozen=True)
class Targets:
    """What the targets of a table are.

    Attributes:
        column: name of their column.
        classes: names of the classes, in their order; empty if targets are numbers.
        note: sentence on how that was decided, if it might have been otherwise.
    """

    column: str
    classes: tuple[str, ...]
    note: str | None = None

    @classmethod
    def of(cls, frame: Frame, name: str, predict: Predict | None) -> Targets:
        """Return what the targets are: texts are classes, and so are a few whole numbers.

        Args:
            frame: rows to train with.
            name: column of the targets.
            predict: kind of the targets, if that is said.

        Raises:
            DataError: a row has none, they are texts where numbers were to be predicted, or of one class
                only.
        """
        column = frame.columns[name]
        _check_there(frame, column)
        different = ordered(column.texts)
        if predict is None and column.odd is not None:
            raise DataError(
                f"{frame.place(column.odd)}: the target {name!r} is {column.texts[column.odd]!r}, but "
                "most are numbers; correct it, or take all as classes (--data.predict classes)."
            )
        few = column.is_whole and len(different) <= _MOST
        decided = predict or ("classes" if few or not column.is_numeric else "numbers")
        if len(different) < 2:
            raise DataError(
                f"{frame.name}: all rows have the target {different[0]!r}; two or more are needed."
            )
        note = None
        if predict is None and few:
            note = (
                f"the target {name!r} has {len(different)} different whole numbers, taken as classes; "
                "data.predict numbers predicts numbers"
            )
        elif predict is None and decided == "numbers":
            note = (
                f"the target {name!r} is a number to be predicted, for which the task is regression; "
                "data.predict classes takes it as the name of a class"
            )
        return cls(name, different if decided == "classes" else (), note)

    def of_rows(self, frame: Frame) -> Tensor:
        """Return the targets of rows: class numbers int64 [n], or floats [n, 1].

        Raises:
            DataError: one is missing, no number, or a class that the rows to train with lack.
        """
        column = frame.columns[self.column]
        _check_there(frame, column)
        if self.classes:
            numbers = {name: number for number, name in enumerate(self.classes)}
            if unknown := ordered(text for text in column.texts if text not in numbers):
                raise DataError(
                    f"{frame.name}: the target {self.column!r} has the class(es) {listed(unknown)}, "
                    f"which the rows to train with do not have; they have {listed(self.classes)}."
                )
            return torch.tensor([numbers[text] for text in column.texts])
        wrong = np.isnan(column.numbers)
        if wrong.any():
            row = int(wrong.argmax())
            raise DataError(
                f"{frame.place(row)}: the target {self.column!r} is {column.texts[row]!r}, no number; "
                "correct it."
            )
        return torch.from_numpy(column.numbers.astype(np.float32)).unsqueeze(1)


def _check_there(frame: Frame, column: Column) -> None:
    """Check that each row has a target; of texts, each is one."""
    there = np.array([bool(text) for text in column.texts])
    if column.is_numeric:
        there = column.filled
    if not there.all():
        raise DataError(
            f"{frame.place(int(there.argmin()))}: the target {column.name!r} is missing, as in "
            f"{int((~there).sum()):,} row(s); give each row one, or remove these rows."
        )

"""How the rows of a table become inputs, by what the rows to train with hold."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from supernet.data.several import Several
from supernet.data.table_columns import Column, Frame
from supernet.errors import DataError

__all__ = ["UNKNOWN", "Encoding"]

UNKNOWN = "<unknown>"
"""What category 0 stands for, where a model embeds them: it is missing, or was not trained with."""

_MOST = 256
"""Categories of a column that become a feature each, at most."""


@dataclass(frozen=True)
class Encoding:
    """What becomes of each column.

    Attributes:
        numbers: columns of numbers.
        gaps: columns among them in which values are missing.
        categories: categories of each other column, in the order of the alphabet.
        embed: whether inputs are {"numbers", "categories"}, rather than one tensor.
    """

    numbers: tuple[str, ...]
    gaps: tuple[str, ...]
    categories: dict[str, tuple[str, ...]]
    embed: bool = False

    @classmethod
    def of(cls, frame: Frame, categorical: Collection[str], embed: bool) -> Encoding:
        """Return the encoding of the columns of a table.

        Args:
            frame: rows to train with, without targets.
            categorical: columns whose numbers are names of categories.
            embed: whether a model embeds categories, see `Encoding`.

        Raises:
            DataError: a column has a text among numbers, or too many categories, or no column has
                anything.
        """
        numbers, categories = list[Column](), dict[str, tuple[str, ...]]()
        for name, column in frame.columns.items():
            if not column.filled.any():
                continue
            if name not in categorical:
                _check_odd(frame, column)
                if column.is_numeric:
                    numbers.append(column)
                    continue
            categories[name] = tuple(sorted(set(_categories(column)) - {""}))
            if len(categories[name]) > _MOST and not embed:
                raise DataError(
                    f"{frame.name}: the column {name!r} has {len(categories[name]):,} different texts, "
                    f"of which each would be a feature, more than {_MOST}; leave it out (--data.ignore "
                    f"'[{name}]'), or use a model that embeds categories (--data.embed true)."
                )
        if not numbers and not categories:
            raise DataError(
                f"{frame.name} has no column with anything in it besides the target; give columns that "
                "it may depend on."
            )
        gaps = tuple(column.name for column in numbers if not column.filled.all())
        return cls(tuple(column.name for column in numbers), gaps, categories, embed)

    @property
    def scaled(self) -> int:
        """Number of features that are to be standardised, which come first."""
        return len(self.numbers)

    @property
    def words(self) -> tuple[str, ...]:
        """What each number of a category stands for, where a model embeds them."""
        if not self.embed or not self.categories:
            return ()
        pairs = [f"{name}={one}" for name, found in self.categories.items() for one in found]
        return (UNKNOWN, *pairs)

    def inputs(self, frame: Frame) -> Tensor | Several:
        """Return the inputs of rows.

        Returns:
            Floats [n, features]: numbers, NaN where one is missing; for each column with gaps whether it
            is, 0 or 1; and for each category whether it is the row's. With `embed` the categories are
            int64 [n, columns] instead, numbered through all columns from 1.

        Raises:
            DataError: a column is missing, or has a text where there were numbers.
        """
        for name in (*self.numbers, *self.categories):
            if name not in frame.columns:
                raise DataError(
                    f"{frame.name} has no column {name!r}, which the rows to train with have; add it."
                )
        floats = [self._number(frame, name) for name in self.numbers]
        floats += [(~frame.columns[name].filled).astype(np.float32) for name in self.gaps]
        codes, start = list[np.ndarray](), 0
        for name, known in self.categories.items():
            numbers = {one: number for number, one in enumerate(known)}
            found = np.array([numbers.get(one, -1) for one in _categories(frame.columns[name])])
            if not self.embed:
                floats += [(found == number).astype(np.float32) for number in range(len(known))]
            codes.append(np.where(found < 0, 0, found + 1 + start))
            start += len(known)
        inputs = torch.from_numpy(np.stack(floats, 1)) if floats else torch.empty(0)
        if not self.embed:
            return inputs
        parts = {"numbers": inputs} if floats else {}
        if codes:
            parts["categories"] = torch.from_numpy(np.stack(codes, 1))
        return Several(parts)

    def unknown(self, frame: Frame) -> Iterator[tuple[str, int, str]]:
        """Yield each column with categories that are unknown, in how many rows, and one of them."""
        for name, known in self.categories.items():
            column = frame.columns[name]
            strange = [one for one in _categories(column) if one and one not in known]
            if strange:
                yield name, len(strange), strange[0]

    def _number(self, frame: Frame, name: str) -> np.ndarray:
        column = frame.columns[name]
        texts = column.filled & np.isnan(column.numbers)
        if texts.any():
            row = int(texts.argmax())
            raise DataError(
                f"{frame.place(row)}: {name!r} is {column.texts[row]!r}, but a number in the rows to "
                "train with; correct it, or leave it empty."
            )
        return column.numbers.astype(np.float32)


def _categories(column: Column) -> list[str]:
    """Return the category of each row, empty where none is there."""
    return [text if there else "" for text, there in zip(column.texts, column.filled, strict=True)]


def _check_odd(frame: Frame, column: Column) -> None:
    row = column.odd
    if row is not None:
        raise DataError(
            f"{frame.place(row)}: {column.name!r} is {column.texts[row]!r}, but most of the column are "
            "numbers; correct it, leave it empty if the number is missing, or say that all are names "
            f"of categories (--data.categorical '[{column.name}]')."
        )

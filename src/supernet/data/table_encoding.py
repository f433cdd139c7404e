"""How the rows of a table become inputs, by what the rows to train with hold."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from supernet.data.several import Several, Values
from supernet.data.table_columns import Column, Frame, read_frame
from supernet.errors import DamagedFileError, DataError
from supernet.files import read_json, write_json
from supernet.strict_json import seal, unseal
from supernet.typed import typed

__all__ = ["UNKNOWN", "TableEncoding"]

UNKNOWN = "<unknown>"
"""What category 0 stands for, where a model embeds them: it is missing, or was not trained with."""

_MOST = 256
"""Categories of a column that become a feature each, at most."""


@dataclass(frozen=True)
class TableEncoding:
    """What becomes of each column.

    A run folder has it as `encoding.json`: rows of a table are made into what `model.pt2` takes by
    `TableEncoding.read(path).inputs(rows)`.

    Attributes:
        numbers: columns of numbers.
        gaps: columns among them in which values are missing.
        categories: categories of each other column, in the order of the alphabet.
        embed: whether inputs are {"numbers", "categories"}, rather than one tensor.
        classes: names, in the order of a model's outputs; empty where numbers are predicted.
    """

    numbers: tuple[str, ...]
    gaps: tuple[str, ...]
    categories: dict[str, tuple[str, ...]]
    embed: bool = False
    classes: tuple[str, ...] = ()

    @classmethod
    def of(cls, frame: Frame, categorical: Collection[str], embed: bool) -> TableEncoding:
        """Return the encoding of the columns of a table.

        Args:
            frame: rows to train with, without targets.
            categorical: columns whose numbers are names of categories.
            embed: whether a model embeds categories, see `TableEncoding`.

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

    def write(self, path: str | Path) -> None:
        """Write the encoding as JSON, with a digest.

        Raises:
            StorageError: the file cannot be written.
        """
        write_json(Path(path), seal(asdict(self)))

    @classmethod
    def read(cls, path: str | Path) -> TableEncoding:
        """Return what `write` wrote; it is data alone, nothing of it is run.

        Raises:
            DataError: the file is missing, is no encoding, or was changed since it was written.
        """
        remedy = "take the encoding.json of a run folder"
        try:
            found = typed(unseal(read_json(Path(path), dict[str, Any])), cls)
        except OSError as error:
            raise DataError(f"{path} cannot be read: {error.strerror}; check the path.") from error
        except (DamagedFileError, ValueError) as error:
            reason = error.__cause__ or error
            raise DataError(f"{path} is no encoding of a table ({reason}); {remedy}.") from error
        both = [*found.numbers, *found.categories]
        if not both or len(set(both)) < len(both) or not set(found.gaps) <= set(found.numbers):
            raise DataError(
                f"{path} is no encoding of a table: it has no columns, or columns with two meanings; "
                f"{remedy}."
            )
        return found

    def inputs(self, rows: Any, encoding: str = "utf-8") -> Values:
        """Return the inputs of further rows, for `model.pt2` of a run.

        Args:
            rows: path of a file whose first line names the columns, or a data frame; other columns than
                those that were trained with are not looked at.
            encoding: encoding of the file.

        Returns:
            Floats [n, features]; or with `embed` a dictionary of `numbers` and `categories`.

        Raises:
            DataError: a file cannot be read, a column is missing, or has a text where there were
                numbers.
        """
        found = self.of_frame(read_frame(rows, encoding))
        return found if isinstance(found, Tensor) else found.fetch()

    def of_frame(self, frame: Frame) -> Tensor | Several:
        """Return the inputs of the rows of a frame.

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

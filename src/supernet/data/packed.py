"""Several tensors of one example as the bytes of one, so that one reading delivers them all."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import accumulate
from typing import Any, TypeVar

import torch
from torch import Tensor

from supernet.errors import DataError

__all__ = ["Column", "Layout"]

T = TypeVar("T")


@dataclass(frozen=True)
class Column:
    """Where one of several tensors lies in packed examples.

    Args:
        start: number of its first byte.
        shape: shape of the input in one example, `[...]`.
        dtype: type of the input.
    """

    start: int
    shape: tuple[int, ...]
    dtype: torch.dtype

    @property
    def stop(self) -> int:
        """The number of the byte after its last one."""
        return self.start + math.prod(self.shape) * self.dtype.itemsize

    def of(self, rows: Tensor) -> Tensor:
        """Return the tensor of examples `[n, ...]` that are packed, uint8 `[n, bytes]`; a copy."""
        own = rows[:, self.start : self.stop].clone(memory_format=torch.contiguous_format)
        return own.view(self.dtype).view(len(rows), *self.shape)


@dataclass(frozen=True)
class Layout:
    """How the inputs of one example are packed; all of a data set alike.

    Attributes:
        names: names of the inputs; None if they are given by position.
        columns: where each of them lies.
    """

    names: tuple[str, ...] | None
    columns: tuple[Column, ...]

    @classmethod
    def of(cls, inputs: Any) -> Layout:
        """Return the layout of examples like this one, a tuple, or a dictionary by names."""
        names = tuple(inputs) if isinstance(inputs, dict) else None
        tensors: list[Tensor] = list(inputs.values() if isinstance(inputs, dict) else inputs)
        sizes = (one.numel() * one.dtype.itemsize for one in tensors)
        starts = accumulate(sizes, initial=0)
        pairs = zip(starts, tensors, strict=False)
        return cls(names, tuple(Column(k, tuple(one.shape), one.dtype) for k, one in pairs))

    def like(self, values: Iterable[T]) -> tuple[T, ...] | dict[str, T]:
        """Return values in the place of the inputs: a tuple, or a dictionary of their names."""
        return tuple(values) if self.names is None else dict(zip(self.names, values, strict=True))

    def sorted(self, inputs: object, name: str) -> list[Tensor]:
        """Return the inputs of an example, called `name` in messages, in their order.

        Raises:
            DataError: there are others than those of the first example, or in other shapes or types,
                or a number is not finite.
        """
        given: dict[Any, Tensor] = dict(enumerate(inputs if isinstance(inputs, tuple) else ()))
        given |= inputs if isinstance(inputs, dict) else {}
        names: Sequence[Any] = self.names or range(len(self.columns))
        if given.keys() != set(names):
            raise DataError(
                f"{name} has the inputs {_listed(given)}, but the first example has {_listed(names)}; "
                "give all the same"
            )
        for key, column in zip(names, self.columns, strict=True):
            one = given[key]
            if (tuple(one.shape), one.dtype) != (column.shape, column.dtype):
                raise DataError(
                    f"the input {key!r} of {name} is {one.dtype} {list(one.shape)}, but of the first "
                    f"example {column.dtype} {list(column.shape)}; all need one shape and type: let "
                    "the transform of the data set give it"
                )
            if one.is_floating_point() and not one.isfinite().all():
                raise DataError(
                    f"the input {key!r} of {name} holds values that are infinite or not a number; "
                    "remove them"
                )
        return [given[key] for key in names]

    def packed(self, inputs: object, name: str) -> Tensor:
        """Return the inputs of an example, called `name` in messages, as bytes, uint8 `[bytes]`.

        Raises:
            DataError: see `sorted`.
        """
        tensors = self.sorted(inputs, name)
        return torch.cat([one.contiguous().reshape(-1).view(torch.uint8) for one in tensors])

    def unpacked(self, row: Tensor) -> tuple[Tensor, ...] | dict[str, Tensor]:
        """Return the inputs of one example, uint8 `[bytes]`."""
        return self.like(column.of(row[None])[0] for column in self.columns)


def _listed(names: Iterable[object]) -> str:
    return ", ".join(map(repr, names)) or "(none)"

"""Evaluation batches by number, kept as inputs of the network or made when they are asked for."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, overload

from supernet.data import Examples, Normalise
from supernet.data.loader import Parts
from supernet.data.several import batch_of, in_memory, nbytes
from supernet.task import Batch

__all__ = ["Batches", "InputsOf"]

IN_MEMORY = 2**28
"""Bytes of stored inputs that are read once and kept as they are; more are read whenever needed."""


class Batches(Sequence[Batch]):
    """The parts that `supernet.data.chunks` yields, in any order and any number of times.

    Args:
        examples: examples to evaluate on.
        batch_size: the most images in one part; the parts are nearly equal.
        normalise: normalisation, from stored examples to inputs.
        keep: whether the inputs stay in memory, `nbytes` of them, instead of being made every time.
            Stored inputs of up to 256 MiB are read once either way.
    """

    def __init__(
        self, examples: Examples, batch_size: int, normalise: Normalise, keep: bool = False
    ) -> None:
        parts = math.ceil(len(examples) / batch_size)
        few = nbytes(examples.inputs, as_read=True) <= IN_MEMORY
        self._inputs = Parts(in_memory(examples.inputs) if few else examples.inputs, parts)
        self._targets = examples.targets.tensor_split(parts)
        self._normalise = normalise
        self.nbytes = nbytes(examples.inputs)
        """Bytes that all inputs take as float32, or tokens as int64."""
        self._kept = [self.make(number) for number in range(len(self))] if keep else []

    def __len__(self) -> int:
        return len(self._inputs)

    @overload
    def __getitem__(self, number: int) -> Batch: ...
    @overload
    def __getitem__(self, number: slice) -> Sequence[Batch]: ...
    def __getitem__(self, number: int | slice) -> Batch | Sequence[Batch]:
        if isinstance(number, slice):
            return [self[one] for one in range(*number.indices(len(self)))]
        return self._kept[number] if self._kept else self.make(number)

    def size(self, number: int) -> int:
        """Return the number of images in a part."""
        return self._inputs.size(number)

    def make(self, number: int) -> Batch:
        """Return a part whose inputs nobody else has, also where others are kept."""
        return batch_of(self._normalise(self._inputs[number]), self._targets[number])


class InputsOf(Sequence[Sequence[Any]]):
    """The inputs of batches, without their targets."""

    def __init__(self, batches: Batches) -> None:
        self._batches = batches

    def __len__(self) -> int:
        return len(self._batches)

    @overload
    def __getitem__(self, number: int) -> Sequence[Any]: ...
    @overload
    def __getitem__(self, number: slice) -> Sequence[Sequence[Any]]: ...
    def __getitem__(self, number: int | slice) -> Sequence[Any] | Sequence[Sequence[Any]]:
        if isinstance(number, slice):
            return [self[one] for one in range(*number.indices(len(self)))]
        return self._batches[number][:-1]

    def size(self, number: int) -> int:
        """Return the number of images in a part."""
        return self._batches.size(number)

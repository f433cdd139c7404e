"""Inputs that are several: what a model takes by position or by name, each a tensor or stored."""

from __future__ import annotations

import functools
import keyword
import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, TypeVar

import torch
from torch import Tensor

from supernet.data.stored import EVALUATION, PART, Ahead, Key, Stored
from supernet.errors import DataError

__all__ = [
    "Held",
    "Several",
    "Values",
    "batch_of",
    "in_memory",
    "is_stored",
    "labels_of",
    "like",
    "nbytes",
    "parts_of",
]

T = TypeVar("T")

Values = Tensor | tuple[Tensor, ...] | dict[str, Tensor]
"""Inputs in memory: one tensor `[n, ...]`, or several by position or by name."""

_RESERVED = ("routing", "self")
"""What a supernet's own arguments are called."""


class Several:
    """Several inputs of equally many examples; in `Examples`, they stand for a tensor.

    Each is what a single input may be, uint8 images `[n, channels, height, width]` or floats
    `[n, ...]`, or int64 tokens or categories `[n, ...]`, or a bool mask `[n, ...]`, which stay as they
    are.

    Args:
        given: tensors `[n, ...]`, or `Stored` inputs: by position, a sequence, or by the name of the
            model's argument, a mapping.

    Attributes:
        names: names of the inputs; None if they are given by position.
        parts: the inputs, in their order.

    Raises:
        DataError: there is none, their numbers of examples differ, a name is none of an argument, or
            one is of a type that cannot be an input.
    """

    def __init__(self, given: Mapping[str, Tensor | Stored] | Sequence[Tensor | Stored]) -> None:
        self.names = _names(given) if isinstance(given, Mapping) else None
        self.parts = tuple(given.values() if isinstance(given, Mapping) else given)
        if not self.parts:
            raise DataError(
                "Inputs are several, but there is none; give a tensor for each input of the model."
            )
        for label, part in zip(self.labels, self.parts, strict=True):
            _check(label, part)
        if len({len(part) for part in self.parts}) > 1:
            raise DataError(
                f"Inputs must have the same first dimension, the number of examples, but are {self}."
            )

    def __len__(self) -> int:
        return len(self.parts[0])

    def __str__(self) -> str:
        pairs = zip(self.labels, self.parts, strict=True)
        return ", ".join(f"{label} {part.dtype} {list(part.shape)}" for label, part in pairs)

    @property
    def labels(self) -> tuple[str, ...]:
        """What each input is called in messages: its name, or its position."""
        return self.names or tuple(f"input {number}" for number in range(len(self.parts)))

    @property
    def device(self) -> torch.device:
        """Device that the inputs are on, or are delivered on."""
        return self.parts[0].device

    @property
    def image(self) -> int | None:
        """The number of the only input that is uint8 images; None if none or several are."""
        images = [n for n, part in enumerate(self.parts) if part.dtype == torch.uint8]
        return images[0] if len(images) == 1 else None

    @property
    def ahead(self) -> int:
        """Number of batches that are to be asked for ahead."""
        return max(part.ahead if isinstance(part, Stored) else 0 for part in self.parts)

    def like(self, tensors: Iterable[Tensor]) -> Values:
        """Return tensors in the place of these inputs: a tuple, or a dictionary of the names."""
        return like(self.names, tensors)

    def mapped(self, function: Callable[[Any], Tensor | Stored]) -> Several:
        """Return what a function makes of each input in its place."""
        return self._with([function(part) for part in self.parts])

    def select(self, indices: Tensor) -> Several:
        """Return some of the examples, in the order of `indices` (int64, [m])."""

        def chosen(part: Tensor | Stored) -> Tensor | Stored:
            if isinstance(part, Stored):
                return part.select(indices)
            return part.index_select(0, indices.to(part.device))

        return self.mapped(chosen)

    def to(self, device: str | torch.device) -> Several:
        """Return the same inputs, on `device`."""
        return self.mapped(lambda part: part.to(device))

    def tensor_split(self, count: int) -> tuple[Several, ...]:
        """Return so many nearly equal parts, as `Tensor.tensor_split` does; nothing is read."""
        split = [part.tensor_split(count) for part in self.parts]
        return tuple(self._with(each) for each in zip(*split, strict=True))

    def ask(self, key: Key = EVALUATION) -> Callable[[], Values]:
        """Have all that is stored read, and return what waits for it, and returns all inputs.

        What one reading delivers several inputs of is read once.
        """
        asked: list[tuple[Stored, Callable[[], Tensor]]] = []
        waiting: list[Callable[[], Tensor]] = []
        for part in self.parts:
            if isinstance(part, Tensor):
                waiting.append(_here(part))
                continue
            wait = next((known for one, known in asked if one.is_read_with(part)), None)
            if wait is None:
                wait = functools.cache(part.ask_rows(key))
                asked.append((part, wait))
            waiting.append(functools.partial(part.delivered, wait))
        return lambda: self.like(wait() for wait in waiting)

    def fetch(self, key: Key = EVALUATION) -> Values:
        """Return all inputs in memory; of what is stored, more than a few are read in parts.

        Args:
            key: seed and purpose that random draws of the data depend on, besides the example.

        Raises:
            ReadingError: an input cannot be read, or has another shape or type; the message names it.
        """
        parts = self.tensor_split(math.ceil(len(self) / PART)) if is_stored(self) else (self,)
        ahead = Ahead(lambda number: parts[number] if number < len(parts) else None, lambda _: key)
        found = [tuple(_tensors(ahead[number])) for number in range(len(parts))]
        if len(found) == 1:
            return self.like(found[0])
        return self.like(torch.cat(each) for each in zip(*found, strict=True))

    def _with(self, parts: Sequence[Tensor | Stored]) -> Several:
        return Several(like(self.names, parts))


Held = Tensor | Stored | Several
"""Inputs of examples: in memory, or read when a batch needs them."""


def like(names: Sequence[str] | None, values: Iterable[T]) -> tuple[T, ...] | dict[str, T]:
    """Return values as a tuple, or where there are names, as a dictionary."""
    return tuple(values) if names is None else dict(zip(names, values, strict=True))


def parts_of(inputs: Held) -> tuple[Tensor | Stored, ...]:
    """Return the inputs one by one."""
    return inputs.parts if isinstance(inputs, Several) else (inputs,)


def labels_of(inputs: Held) -> tuple[str, ...]:
    """Return what the inputs are called in messages, one by one."""
    if isinstance(inputs, Several):
        return tuple(f"{label!r} inputs" for label in inputs.labels)
    return ("inputs",)


def is_stored(inputs: Held) -> bool:
    """Return whether anything is read when a batch needs it."""
    return any(isinstance(part, Stored) for part in parts_of(inputs))


def in_memory(inputs: Held) -> Tensor | Several:
    """Return the same inputs, read if they are stored.

    Raises:
        ReadingError: one cannot be read.
    """
    if isinstance(inputs, Tensor):
        return inputs
    found = inputs.fetch()
    return found if isinstance(found, Tensor) else Several(found)


def nbytes(inputs: Held, as_read: bool = False) -> int:
    """Return the bytes that inputs take as a model takes them, or as they are read.

    As a model takes them numbers are float32, tokens int64 and masks bool.
    """
    total = 0
    for part in parts_of(inputs):
        kept = as_read or part.dtype in (torch.int64, torch.bool)
        total += math.prod(part.shape) * (part.dtype.itemsize if kept else 4)
    return total


def batch_of(inputs: Values, targets: Tensor) -> tuple[Any, ...]:
    """Return a batch: `(inputs, targets)`, or `(first, second, ..., targets)` of several by position."""
    return (*inputs, targets) if isinstance(inputs, tuple) else (inputs, targets)


def _here(tensor: Tensor) -> Callable[[], Tensor]:
    return lambda: tensor


def _tensors(values: Values) -> Iterable[Tensor]:
    if isinstance(values, Tensor):
        return (values,)
    return values.values() if isinstance(values, dict) else values


def _names(given: Mapping[str, Any]) -> tuple[str, ...]:
    for name in given:
        if (
            not isinstance(name, str)
            or not name.isidentifier()
            or keyword.iskeyword(name)
            or name in _RESERVED
        ):
            raise DataError(
                f"Inputs by name have the names of arguments of the model's forward, but one is {name!r}"
                f"; give it a name such as 'tokens', other than {' and '.join(_RESERVED)}."
            )
    return tuple(given)


def _check(label: str, part: object) -> None:
    """Check one of several inputs.

    Raises:
        DataError: it is nothing that an input can be.
    """
    if not isinstance(part, Tensor | Stored):
        raise DataError(
            f"The input {label!r} is a {type(part).__name__}, not a tensor [n, ...]; several inputs are "
            "a tuple or a dictionary of tensors, and none holds others."
        )
    if not part.ndim:
        raise DataError(f"The input {label!r} is one number; give a tensor [n, ...].")
    kept = (torch.uint8, torch.int64, torch.bool)
    if part.dtype not in kept and not part.is_floating_point():
        raise DataError(
            f"The input {label!r} is {part.dtype}; possible are uint8 images, floats, int64 tokens or "
            "categories, and bool masks. Convert it with `.long()` or `.float()`."
        )
    if part.dtype == torch.uint8 and part.ndim != 4:
        raise DataError(
            f"The input {label!r} is uint8 {list(part.shape)}, but uint8 inputs are images [n, "
            "channels, height, width]. Add a channel with `.unsqueeze(1)`, or convert what is no image "
            "with `.float()` or `.long()`."
        )

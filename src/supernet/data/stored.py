"""Inputs that stay where they are until a batch needs them: files, or data sets that make them anew.

Targets are small and always in memory, so examples are divided, counted and drawn by their numbers, and
no input is read for it. What is read is a function of (number, key): the same in this process and in
any number of worker processes, today and after a restart.
"""

from __future__ import annotations

import contextlib
import hashlib
import math
import random
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Sequence
from typing import Generic, Protocol, TypeVar

import numpy as np
import torch
from torch import Tensor

from supernet.data.packed import Column
from supernet.data.workers import Pool
from supernet.errors import DataError, ReadingError
from supernet.random import derive_seed
from supernet.user_code import calling

__all__ = [
    "EVALUATION",
    "PART",
    "Ahead",
    "Items",
    "Key",
    "Stored",
    "random_state_kept",
    "read",
    "spread",
]

Key = tuple[int | str, ...]
"""What the random draws of a reading depend on besides the number of the example: seed, purpose, ..."""

EVALUATION: Key = (0, "evaluation")
"""The key of all that is no training: an example is the same each time it is scored."""

PART = 64
"""Inputs that one process reads at a time, where all are wanted."""

_LOOKED_AT = 64
"""Inputs that are read to know data again, evenly spread."""


class Items(ABC):
    """What reads single inputs, by their number; a source of data has one for each of its kinds.

    Worker processes hold copies, so `read` depends on nothing that changes. It may draw from the global
    random state of torch (on the CPU), NumPy and Python, which is seeded before each input.

    Attributes:
        shape: shape of one input, `[...]`.
        dtype: type of the inputs, uint8 or a floating type.
    """

    shape: tuple[int, ...]
    dtype: torch.dtype

    @abstractmethod
    def __len__(self) -> int:
        """Return the number of inputs."""

    @abstractmethod
    def read(self, number: int) -> Tensor:
        """Return one input of this shape and type, on the CPU.

        Raises:
            DataError: it cannot be read; the message names it.
        """

    @abstractmethod
    def name(self, number: int) -> str:
        """Return what an input is called in messages: a path, or a data set with an index."""

    @property
    def listing(self) -> bytes:
        """What is known of all inputs without reading them, such as names and sizes of files."""
        return b""


class Stored:
    """Inputs `[n, ...]` that are read when they are asked for; in `Examples`, they stand for a tensor.

    Args:
        items: reader of single inputs.
        numbers: numbers of the inputs there, in their order, int64 `[n]`; by default all.
        device: device that batches are needed on.
        pool: processes that read; None to read in this one.
        column: number of this among several inputs, where the reader delivers them packed.

    Attributes:
        shape: shape that all inputs would have as one tensor, `[n, ...]`.
        dtype: type of the inputs.
        device: device that batches are delivered on.
    """

    def __init__(
        self,
        items: Items,
        numbers: Tensor | None = None,
        device: str | torch.device = "cpu",
        pool: Pool | None = None,
        column: Column | None = None,
    ) -> None:
        self.items = items
        self.numbers = torch.arange(len(items)) if numbers is None else numbers
        self.device = torch.device(device)
        self.pool = pool
        self.column = column
        self.shape = torch.Size((len(self.numbers), *(column or items).shape))
        self.dtype = (column or items).dtype

    def __len__(self) -> int:
        return len(self.numbers)

    @property
    def ndim(self) -> int:
        """Axes that all inputs would have as one tensor."""
        return len(self.shape)

    def numel(self) -> int:
        """Return how many values all inputs have."""
        return math.prod(self.shape)

    def is_floating_point(self) -> bool:
        """Return whether inputs are of a floating type."""
        return self.dtype.is_floating_point

    def select(self, indices: Tensor) -> Stored:
        """Return some of these inputs, in the order of `indices` (int64, [m]); nothing is read."""
        return self._with(self.numbers[indices.cpu()])

    def tensor_split(self, parts: int) -> tuple[Stored, ...]:
        """Return so many nearly equal parts, as `Tensor.tensor_split` does; nothing is read."""
        return tuple(self._with(one) for one in self.numbers.tensor_split(parts))

    def to(self, device: str | torch.device) -> Stored:
        """Return the same inputs, whose batches are delivered on `device`."""
        return Stored(self.items, self.numbers, device, self.pool, self.column)

    def read_by(self, pool: Pool | None) -> Stored:
        """Return the same inputs, read by these processes; by None, in this one."""
        return Stored(self.items, self.numbers, self.device, pool, self.column)

    @property
    def ahead(self) -> int:
        """Number of batches that are to be asked for ahead."""
        return self.pool.ahead if self.pool else 0

    def is_read_with(self, other: Stored) -> bool:
        """Return whether one reading delivers these inputs and others, as packed rows."""
        same = self.items is other.items and self.pool is other.pool
        return same and torch.equal(self.numbers, other.numbers)

    def ask(self, key: Key = EVALUATION) -> Callable[[], Tensor]:
        """Have all these inputs read, and return what waits for them, and returns what `fetch` does."""
        wait = self.ask_rows(key)
        return lambda: self.delivered(wait)

    def ask_rows(self, key: Key) -> Callable[[], Tensor]:
        """Have them read, and return what waits for what the reader delivers, perhaps packed."""
        numbers = self.numbers.tolist()
        if self.pool is None:
            return lambda: read(self.items, numbers, key)
        return self.pool.ask(numbers, key)

    def delivered(self, wait: Callable[[], Tensor]) -> Tensor:
        """Return these inputs of what the reader delivered, on the device."""
        inputs = wait() if self.column is None else self.column.of(wait())
        if self.device.type != "cuda":
            return inputs.to(self.device)
        return inputs.pin_memory().to(self.device, non_blocking=True)

    def fetch(self, key: Key = EVALUATION) -> Tensor:
        """Return all these inputs, `[n, ...]`, on the device; more than a few are read in parts.

        Args:
            key: seed and purpose that random draws of the data depend on, besides the input.

        Raises:
            ReadingError: an input cannot be read, or has another shape or type; the message names it.
        """
        parts = self.tensor_split(max(1, math.ceil(len(self) / PART)))
        if len(parts) == 1:
            return self.ask(key)()
        ahead = Ahead(lambda number: parts[number] if number < len(parts) else None, lambda _: key)
        inputs = torch.empty(self.shape, dtype=self.dtype, device=self.device)
        for number, rows in enumerate(inputs.tensor_split(len(parts))):
            rows.copy_(ahead[number])
        return inputs

    @property
    def identity(self) -> str:
        """A hash by which the inputs are known again: of their number, order and listing, and of a few.

        Inputs that are not among these few, and that the listing does not tell apart, may change.
        """
        items = self.items
        hasher = hashlib.blake2b(digest_size=16)
        hasher.update(f"{self.dtype} {tuple(self.shape)} {len(items)};".encode())
        hasher.update(items.listing)
        hasher.update(self.numbers.numpy().tobytes())
        looked_at = self.select(spread(len(self), _LOOKED_AT)).to("cpu")
        hasher.update(looked_at.fetch().reshape(-1).view(torch.uint8).numpy().data)
        return hasher.hexdigest()

    def _with(self, numbers: Tensor) -> Stored:
        return Stored(self.items, numbers, self.device, self.pool, self.column)


T = TypeVar("T", covariant=True)


class Readable(Protocol[T]):
    """What can be read: `Stored` inputs, or several."""

    @property
    def ahead(self) -> int:
        """Number of batches that are to be asked for ahead."""

    def ask(self, key: Key) -> Callable[[], T]:
        """Have it read, and return what waits for it."""


class Ahead(Generic[T]):
    """Stored inputs by the number of their batch, of which the next ones are read while one is used.

    Batches in turn are waited for least; any other order gives the same, only later. At most as many as
    the pool says (`Pool.ahead`) are in memory at a time, besides the one that is returned.

    Args:
        part: function that returns the inputs of a batch, or None where there is none.
        key: function that returns the key of a batch.
    """

    def __init__(
        self,
        part: Callable[[int], Readable[T] | None],
        key: Callable[[int], Key] = lambda _: EVALUATION,
    ) -> None:
        self._part = part
        self._key = key
        self._coming: dict[int, Callable[[], T]] = {}

    def __getitem__(self, number: int) -> T:
        """Return the inputs of a batch, `[batch, ...]` each.

        Raises:
            ReadingError: one of them cannot be read.
        """
        part = self._part(number)
        assert part is not None  # only for what is to come
        wait = self._coming.pop(number, None) or part.ask(self._key(number))
        wanted = range(number + 1, number + 1 + part.ahead)
        self._coming = {other: self._coming[other] for other in self._coming if other in wanted}
        for other in wanted:
            if other not in self._coming and (following := self._part(other)) is not None:
                self._coming[other] = following.ask(self._key(other))
        return wait()


def read(items: Items, numbers: Sequence[int], key: Key) -> Tensor:
    """Return inputs in one tensor, `[numbers, ...]`; random state is as it was afterwards.

    Raises:
        ReadingError: one of them cannot be read, or has another shape or type; the message names it.
    """
    batch = torch.empty((len(numbers), *items.shape), dtype=items.dtype)
    with random_state_kept():
        for row, number in zip(batch, numbers, strict=True):
            _seed(derive_seed(*_of_seed(key), number))
            row.copy_(_checked(items, number))
    return batch


def spread(count: int, most: int) -> Tensor:
    """Return indices of at most so many of `count` examples, evenly spread, int64."""
    taken = min(count, most)
    return torch.arange(taken) * (count - 1) // max(1, taken - 1)


def _checked(items: Items, number: int) -> Tensor:
    try:
        with calling(lambda: items.name(number), ReadingError, always=True):
            found = items.read(number)
    except DataError as error:
        raise ReadingError(str(error)) from error
    if tuple(found.shape) != items.shape or found.dtype != items.dtype:
        raise ReadingError(
            f"{items.name(number)} is {found.dtype} {list(found.shape)}, but the first example is "
            f"{items.dtype} {list(items.shape)}; all need one shape and type: let the transform of the "
            "data set give it"
        )
    if found.is_floating_point() and not found.isfinite().all():
        raise ReadingError(
            f"{items.name(number)} holds values that are infinite or not a number; remove them"
        )
    return found


def _of_seed(key: Key) -> tuple[int, *tuple[int | str, ...]]:
    seed, *purpose = key
    return (int(seed), *purpose)


@contextlib.contextmanager
def random_state_kept() -> Iterator[None]:
    """Put the global random states of torch (on the CPU), NumPy and Python back after the block."""
    states = torch.get_rng_state(), random.getstate(), np.random.get_state()  # noqa: NPY002
    try:
        yield
    finally:
        torch.set_rng_state(states[0])
        random.setstate(states[1])
        np.random.set_state(states[2])  # noqa: NPY002


def _seed(seed: int) -> None:
    """Seed what transforms draw from; accelerators, whose state is the model's, are left alone."""
    torch.default_generator.manual_seed(seed)
    random.seed(seed)
    np.random.seed(seed % 2**32)  # noqa: NPY002

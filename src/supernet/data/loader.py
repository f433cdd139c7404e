"""Batches as functions of (seed, step), on the device of the examples."""

from __future__ import annotations

import math
from collections.abc import Iterator

import torch
from torch import Tensor

from supernet.data.augment import Augment
from supernet.data.base import Examples
from supernet.data.normalise import Normalise
from supernet.data.stored import Ahead, Key, Stored
from supernet.errors import ConfigError
from supernet.random import generator
from supernet.ranks import own_part, rank

__all__ = ["Loader", "Parts", "chunks"]


class Loader:
    """Random batches for training: each epoch in a new order, its last partial batch left out.

    Nothing needs to be saved to resume: `batch(step)` is the same after any other calls.

    Args:
        examples: examples on the device where the batches are needed; nothing is moved per step but
            stored inputs, which are read ahead.
        batch_size: images per step; at most all examples.
        seed: seed of the run.
        augment: random changes, if any.
        purpose: tells loaders of one run apart, so that they draw different numbers.
        normalise: normalisation of the inputs, by default measured on `examples`; give that of the
            training split for any other.

    Raises:
        ConfigError: the batch size is not positive.
    """

    def __init__(
        self,
        examples: Examples,
        batch_size: int,
        seed: int,
        augment: Augment | None = None,
        purpose: str = "order",
        *,
        normalise: Normalise | None = None,
    ) -> None:
        _check_batch_size(batch_size)
        self.images_per_step = min(batch_size, len(examples))
        self.batches_per_epoch = len(examples) // self.images_per_step
        self._examples = examples
        self._seed = seed
        self._augment = augment
        self._purpose = purpose
        self._normalise = normalise or Normalise.of(examples)
        self._orders: dict[int, Tensor] = {}
        # Images in memory are changed as a whole batch, so that ranks change them as one process does;
        # of what is read, each rank reads its own part only.
        self._whole = augment is not None and isinstance(examples.inputs, Tensor)
        draws: tuple[str | int, ...] = (purpose, "augment")
        self._drawn_for = draws if self._whole or not rank() else (*draws, rank())
        self._stored = Ahead(self._part, self._key) if isinstance(examples.inputs, Stored) else None

    def batch(self, step: int) -> tuple[Tensor, Tensor]:
        """Return the batch of a step, counted from 0 over all epochs.

        Returns:
            Inputs, float32 [batch, ...] (tokens int64 [batch, length]), and targets [batch, ...].

        Raises:
            ConfigError: `step` is negative.
            ReadingError: a stored input cannot be read.
        """
        if step < 0:
            raise ConfigError(f"step is {step}; steps are counted from 0.")
        indices = self._indices(step)
        inputs = self._normalise(self._inputs(step, indices))
        if self._augment is not None:
            random = generator(self._seed, *self._drawn_for, step, device=inputs.device)
            inputs = self._augment(inputs, random)
        own = own_part(len(indices)) if self._whole else slice(None)
        inputs, indices = inputs[own], indices[own]
        return inputs, self._examples.targets.index_select(0, indices)

    def _inputs(self, step: int, indices: Tensor) -> Tensor:
        stored = self._examples.inputs
        if isinstance(stored, Tensor):
            return stored.index_select(0, indices)
        assert self._stored is not None
        return self._stored[step]

    def _part(self, step: int) -> Stored:
        assert isinstance(self._examples.inputs, Stored)
        return self._examples.inputs.select(self._indices(step))

    def _key(self, step: int) -> Key:
        """Return what random transforms of the data depend on, besides the example."""
        return (self._seed, self._purpose, "example", step // self.batches_per_epoch)

    def _indices(self, step: int) -> Tensor:
        epoch, position = divmod(step, self.batches_per_epoch)
        start = position * self.images_per_step
        batch = self._permutation(epoch)[start : start + self.images_per_step]
        return batch if self._whole else batch[own_part(len(batch))]

    def _permutation(self, epoch: int) -> Tensor:
        if epoch not in self._orders:
            random = generator(self._seed, self._purpose, "epoch", epoch)
            # Drawn on the CPU, so that every device sees the same order.
            order = torch.randperm(len(self._examples), generator=random)
            if len(self._orders) > 1:  # two, since what is read ahead may be of the next epoch
                del self._orders[next(iter(self._orders))]
            self._orders[epoch] = order.to(self._examples.targets.device)
        return self._orders[epoch]


class Parts:
    """All inputs in their order, in nearly equal parts by number; the next are read ahead.

    Args:
        inputs: inputs, in memory or stored.
        count: number of parts.
    """

    def __init__(self, inputs: Tensor | Stored, count: int) -> None:
        self._tensors = inputs.tensor_split(count) if isinstance(inputs, Tensor) else ()
        self._stored = inputs.tensor_split(count) if isinstance(inputs, Stored) else ()
        self._ahead = Ahead(lambda number: self._stored[number] if number < count else None)

    def __len__(self) -> int:
        return len(self._tensors or self._stored)

    def __getitem__(self, number: int) -> Tensor:
        if not 0 <= number < len(self):
            raise IndexError(number)
        return self._ahead[number] if self._stored else self._tensors[number]

    def size(self, number: int) -> int:
        """Return the number of inputs in a part."""
        return len((self._tensors or self._stored)[number])


def chunks(
    examples: Examples, batch_size: int, normalise: Normalise
) -> Iterator[tuple[Tensor, Tensor]]:
    """Yield all examples in their order, for evaluation: normalised inputs [batch, ...] and targets.

    The parts are nearly equal instead of full ones and a small rest: batch statistics of a few
    images would be no estimate.

    Args:
        examples: examples to evaluate on.
        batch_size: the most images in one part.
        normalise: measured on the training split.

    Raises:
        ConfigError: the batch size is not positive.
    """
    _check_batch_size(batch_size)
    parts = math.ceil(len(examples) / batch_size)
    inputs, targets = Parts(examples.inputs, parts), examples.targets.tensor_split(parts)
    return ((normalise(inputs[number]), labels) for number, labels in enumerate(targets))


def _check_batch_size(batch_size: int) -> None:
    if batch_size < 1:
        raise ConfigError(f"batch_size is {batch_size}; give a number of images, 1 or more.")

"""Batches as functions of (seed, step), on the device of the examples."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import torch
from torch import Tensor

from supernet.data.augment import Augment
from supernet.data.base import Examples
from supernet.data.mixing import Mixing
from supernet.data.normalise import Normalise
from supernet.data.several import Held, Several, Values, batch_of, is_stored
from supernet.data.stored import Ahead, Key, Stored
from supernet.errors import ConfigError, DataError
from supernet.modules.nested import mapped
from supernet.random import generator, stream
from supernet.ranks import own_part, rank, ranks

__all__ = ["Loader", "Parts", "augmented", "chunks", "whole_batch"]


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
        mixing: mixing of examples with each other, the same whatever the number of ranks.

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
        mixing: Mixing | None = None,
    ) -> None:
        _check_batch_size(batch_size)
        self.images_per_step = min(batch_size, len(examples))
        self.batches_per_epoch = len(examples) // self.images_per_step
        self._examples = examples
        self._seed = seed
        self._augment = augment
        self._purpose = purpose
        self._normalise = normalise or Normalise.of(examples)
        self._mixing = mixing
        self._orders: dict[int, Tensor] = {}
        # Each rank has its own part only. What may change images in any way is given a whole batch, so
        # that ranks change them as one process does, unless images had to be read for it.
        anyhow = augment is not None and type(augment).__call__ is not Augment.__call__
        self._whole = anyhow and not is_stored(examples.inputs)
        draws: tuple[str | int, ...] = (purpose, "augment")
        apart = anyhow and not self._whole and rank()
        self._drawn_for = (*draws, rank()) if apart else draws
        self._ahead: Ahead[Values] = Ahead(self._part, self._key)

    def batch(self, step: int) -> tuple[Any, ...]:
        """Return the batch of a step, counted from 0 over all epochs.

        Returns:
            Inputs, float32 [batch, ...] (tokens int64 [batch, length]), and targets [batch, ...]; see
            `batch_of` for several inputs.

        Raises:
            ConfigError: `step` is negative.
            ReadingError: a stored input cannot be read.
        """
        if step < 0:
            raise ConfigError(f"step is {step}; steps are counted from 0.")
        indices = self._indices(step)
        inputs = self._normalise(self._inputs(step, indices))
        if self._augment is not None:
            device = self._examples.targets.device
            random = generator(self._seed, *self._drawn_for, step, device=device)
            change = partial(self._change, self._augment, random)
            inputs = augmented(self._augment, inputs, change, self._examples.inputs)
        targets = self._examples.targets.index_select(0, indices)
        if self._mixing:
            draws = stream(self._seed, self._purpose, "mix", step)
            classes = len(self._examples.classes)
            inputs, targets = self._mixing(inputs, targets, classes, draws)
        own = own_part(self.images_per_step)
        own = own if self._whole else slice(0, own.stop - own.start)
        return batch_of(mapped(lambda part: part[own], inputs), targets[own])

    def _change(self, augment: Augment, random: torch.Generator, images: Tensor) -> Tensor:
        if type(augment).__call__ is not Augment.__call__:
            return augment(images, random)
        return augment.of_part(images, random, self.images_per_step, self._places)

    def _inputs(self, step: int, indices: Tensor) -> Values:
        held = self._examples.inputs
        return held.index_select(0, indices) if isinstance(held, Tensor) else self._ahead[step]

    def _part(self, step: int) -> Stored | Several:
        assert not isinstance(self._examples.inputs, Tensor)
        return self._examples.inputs.select(self._indices(step))

    def _key(self, step: int) -> Key:
        """Return what random transforms of the data depend on, besides the example."""
        return (self._seed, self._purpose, "example", step // self.batches_per_epoch)

    def _indices(self, step: int) -> Tensor:
        epoch, position = divmod(step, self.batches_per_epoch)
        start = position * self.images_per_step
        batch = self._permutation(epoch)[start : start + self.images_per_step]
        return batch[self._places]

    @property
    def _places(self) -> slice | Tensor:
        """Where in a batch the examples are that this rank makes, its own ones first."""
        own = own_part(self.images_per_step)
        if self._whole:
            return slice(None)
        if not self._mixing or ranks() == 1:
            return own
        # Counted from the other end, as mixed examples are, what is made is its own mirror image again:
        # of 8 examples and 4 ranks the second makes 2, 3 and 4, 5, of which 2 is mixed with 5.
        every = torch.arange(self.images_per_step)
        return torch.cat([every[own], every.flip(0)[own].flip(0)])

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

    def __init__(self, inputs: Held, count: int) -> None:
        parts = inputs.tensor_split(count)
        self._tensors = tuple(part for part in parts if isinstance(part, Tensor))
        self._others = tuple(part for part in parts if not isinstance(part, Tensor))
        self._ahead: Ahead[Values] = Ahead(
            lambda number: self._others[number] if number < count else None
        )

    def __len__(self) -> int:
        return len(self._tensors or self._others)

    def __getitem__(self, number: int) -> Values:
        if not 0 <= number < len(self):
            raise IndexError(number)
        return self._tensors[number] if self._tensors else self._ahead[number]

    def size(self, number: int) -> int:
        """Return the number of examples in a part."""
        return len((self._tensors or self._others)[number])


def augmented(
    augment: Augment, inputs: Values, change: Callable[[Tensor], Tensor], held: Held
) -> Values:
    """Return normalised inputs with random changes; of several the only images are changed.

    Args:
        augment: random changes of images.
        inputs: inputs of a batch, `[batch, ...]` each.
        change: function that changes images by them, `[batch, channels, height, width]`.
        held: inputs that the batch is of.

    Raises:
        DataError: there are several inputs and none, or more than one, is uint8 images.
    """
    if isinstance(inputs, Tensor):
        return change(inputs)
    assert isinstance(held, Several)
    if augment == Augment():
        return inputs
    if held.image is None:
        raise DataError(
            f"The augmentation {augment} changes images, but of the inputs ({held}) not exactly one is "
            "uint8 images; leave it out (flip=False, crop=0, cutout=0), or change examples in the "
            "transforms of a data set that is read with stream=True."
        )
    tensors = list(inputs.values() if isinstance(inputs, dict) else inputs)
    tensors[held.image] = change(tensors[held.image])
    return held.like(tensors)


def whole_batch(examples: Examples, normalise: Normalise) -> tuple[Any, ...]:
    """Return a few examples as one batch, normalised, see `batch_of`.

    Raises:
        ReadingError: a stored input cannot be read.
    """
    return batch_of(normalise(examples.tensor()), examples.targets)


def chunks(examples: Examples, batch_size: int, normalise: Normalise) -> Iterator[tuple[Any, ...]]:
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
    return (batch_of(normalise(inputs[number]), labels) for number, labels in enumerate(targets))


def _check_batch_size(batch_size: int) -> None:
    if batch_size < 1:
        raise ConfigError(f"batch_size is {batch_size}; give a number of images, 1 or more.")

"""Batches as functions of (seed, step), on the device that the examples are on."""

from __future__ import annotations

import math
from collections.abc import Iterator

import torch
from torch import Tensor

from supernet.data.augment import Augment
from supernet.data.base import Examples
from supernet.data.normalise import Normalise
from supernet.errors import ConfigError
from supernet.random import generator

__all__ = ["Loader", "chunks"]


class Loader:
    """Random batches for training: each epoch in a new order, its last partial batch left out.

    Nothing needs to be saved to resume: `batch(step)` is the same after any other calls.

    Args:
        examples: examples on the device where the batches are needed; nothing is moved per step.
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
        self._epoch = -1
        self._order = torch.empty(0)

    def batch(self, step: int) -> tuple[Tensor, Tensor]:
        """Return the batch of a step, counted from 0 over all epochs.

        Returns:
            Inputs, float32 [batch, ...] (tokens int64 [batch, length]), and targets [batch, ...].

        Raises:
            ConfigError: `step` is negative.
        """
        if step < 0:
            raise ConfigError(f"step is {step}; steps are counted from 0.")
        epoch, position = divmod(step, self.batches_per_epoch)
        start = position * self.images_per_step
        indices = self._permutation(epoch)[start : start + self.images_per_step]
        inputs = self._normalise(self._examples.inputs.index_select(0, indices))
        if self._augment is not None:
            random = generator(self._seed, self._purpose, "augment", step, device=inputs.device)
            inputs = self._augment(inputs, random)
        return inputs, self._examples.targets.index_select(0, indices)

    def _permutation(self, epoch: int) -> Tensor:
        if epoch != self._epoch:
            random = generator(self._seed, self._purpose, "epoch", epoch)
            # Drawn on the CPU, so that every device sees the same order.
            order = torch.randperm(len(self._examples), generator=random)
            self._order = order.to(self._examples.inputs.device)
            self._epoch = epoch
        return self._order


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
    pairs = zip(
        examples.inputs.tensor_split(parts), examples.targets.tensor_split(parts), strict=True
    )
    return ((normalise(part), labels) for part, labels in pairs)


def _check_batch_size(batch_size: int) -> None:
    if batch_size < 1:
        raise ConfigError(f"batch_size is {batch_size}; give a number of images, 1 or more.")

"""From stored inputs to what a network sees."""

from __future__ import annotations

import functools
import math
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import chain
from typing import overload

import torch
from torch import Tensor, nn

from supernet.data.base import Examples
from supernet.data.several import Several, Values, like
from supernet.data.stored import Ahead, Stored, spread
from supernet.errors import DataError

__all__ = ["Normalise", "Preprocess", "PreprocessSeveral", "preprocess"]

AS_THEY_ARE = (torch.int64, torch.bool)
"""Types of what has no scale: tokens, categories and masks."""

_VALUES_PER_CHUNK = 2**22  # 32 MiB as int64

_MEASURED = 2048
"""Stored images that are measured, evenly spread over the split."""


@dataclass(frozen=True)
class Normalise:
    """Inputs as float32, each channel with mean 0 and standard deviation 1 on the training split.

    Tokens and categories (int64) and masks (bool) are left as they are. Of several inputs each is
    normalised for itself. Of features, [batch, features], each is a channel.

    Args:
        mean: mean of each channel, on the scale where 255 is 1; empty to leave the values as they
            are.
        std: standard deviation per channel, on the same scale.
        channels_last: put images into the memory format that convolutions are fastest in.
        parts: normalisation of each of several inputs, in their order; `mean` and `std` are then those
            of all of them, one after the other, and tell what was measured.
        names: names of several inputs; empty if they are given by position.
        missing: whether NaN stands for a value that is missing; it becomes 0, the mean.
    """

    mean: tuple[float, ...] = ()
    std: tuple[float, ...] = ()
    channels_last: bool = False
    parts: tuple[Normalise, ...] = ()
    names: tuple[str, ...] = ()
    missing: bool = False

    @classmethod
    def of(cls, examples: Examples, channels_last: bool = False) -> Normalise:
        """Measure uint8 images, and features that are to be standardised.

        Other floats are taken as normalised already, and tokens have no scale.

        Use the training split, and the result for all splits. Sums of integers are exact, so the
        result depends neither on the order of the examples nor on the device. Of stored images, 2,048
        are measured, evenly spread, or all if there are fewer.
        """
        if not isinstance(examples.inputs, Several):
            return cls._measured(examples.inputs, channels_last, examples.scaled)
        parts = tuple(
            cls._measured(part, channels_last, examples.scaled * part.is_floating_point())
            for part in examples.inputs.parts
        )
        mean = tuple(chain.from_iterable(part.mean for part in parts))
        std = tuple(chain.from_iterable(part.std for part in parts))
        return cls(mean, std, channels_last, parts, examples.inputs.names or ())

    @classmethod
    def _measured(cls, inputs: Tensor | Stored, channels_last: bool, scaled: int) -> Normalise:
        if scaled and isinstance(inputs, Tensor):
            mean, std = _of_features(inputs, scaled)
            return cls(mean, std, missing=True)
        if inputs.dtype != torch.uint8:
            return cls(channels_last=channels_last)
        count, sums, squares = _moments(_chunks(inputs), inputs.shape[1])
        mean = tuple(total / count / 255 for total in sums)
        std = tuple(
            # A constant channel has nothing to scale.
            math.sqrt(count * square - total**2) / count / 255 or 1.0
            for total, square in zip(sums, squares, strict=True)
        )
        return cls(mean, std, channels_last)

    @overload
    def __call__(self, inputs: Tensor) -> Tensor: ...
    @overload
    def __call__(self, inputs: Values) -> Values: ...
    def __call__(self, inputs: Values) -> Values:
        """Return float32 of the same shape, uint8 inputs first scaled to 0..1; tokens and masks stay.

        Args:
            inputs: [batch, channels, ...]; or several, in a tuple, or a dictionary by their names.

        Raises:
            DataError: the number of channels, or the number or names of inputs, are others than those
                of the examples measured.
        """
        if isinstance(inputs, Tensor):
            return self._one(inputs)
        given = inputs if isinstance(inputs, dict) else dict(enumerate(inputs))
        known = dict(zip(self.names or range(len(self.parts)), self.parts, strict=True))
        if self.parts and known.keys() != given.keys():
            raise DataError(
                f"The inputs are {', '.join(map(repr, given))}, but those measured were "
                f"{', '.join(map(repr, known))}; measure them with Normalise.of(their training split)."
            )
        found = [known.get(name, self)._one(tensor) for name, tensor in given.items()]
        return like(tuple(inputs) if isinstance(inputs, dict) else None, found)

    def _one(self, inputs: Tensor) -> Tensor:
        if self.mean and (inputs.ndim < 2 or inputs.shape[1] != len(self.mean)):
            raise DataError(
                f"Inputs {list(inputs.shape)} were to be normalised for {len(self.mean)} "
                "channel(s); measure them with Normalise.of(their training split)."
            )
        if inputs.dtype in AS_THEY_ARE:
            return inputs
        outputs = inputs.float()
        if self.mean or inputs.dtype == torch.uint8:
            unit = 255.0 if inputs.dtype == torch.uint8 else 1.0
            mean, std = self.mean or (0.0,), self.std or (1.0,)
            scale, shift = _constants(mean, std, unit, inputs.ndim, inputs.device)
            outputs = torch.addcmul(shift, outputs, scale)
        if self.missing:
            outputs = outputs.masked_fill(outputs.isnan(), 0.0)
        if self.channels_last and outputs.ndim == 4:
            outputs = outputs.contiguous(memory_format=torch.channels_last)
        return outputs


class Preprocess(nn.Module):
    """The same as a module, to be exported together with a model: stored examples in, inputs out."""

    def __init__(self, normalise: Normalise, example: Tensor) -> None:
        super().__init__()
        integers = example.dtype == torch.uint8
        self.tokens = example.dtype in AS_THEY_ARE
        self.missing = normalise.missing
        self.scale: Tensor | None
        self.shift: Tensor | None
        if normalise.mean or integers:
            mean, std = normalise.mean or (0.0,), normalise.std or (1.0,)
            unit, device = 255.0 if integers else 1.0, torch.device("cpu")
            scale, shift = _constants(mean, std, unit, example.ndim, device)
            self.register_buffer("scale", scale.clone())
            self.register_buffer("shift", shift.clone())
        else:
            self.scale = self.shift = None

    def forward(self, inputs: Tensor) -> Tensor:
        """Return normalised inputs of the same shape."""
        if self.tokens:
            return inputs
        if self.scale is None or self.shift is None:
            return inputs.float()
        outputs = torch.addcmul(self.shift, inputs.float(), self.scale)
        return outputs.masked_fill(outputs.isnan(), 0.0) if self.missing else outputs


class PreprocessSeveral(nn.Module):
    """The same of several inputs, as `Normalise` normalises them.

    Args:
        normalise: normalisation of several inputs.
        examples: stored examples, in a tuple, or a dictionary by their names.
    """

    def __init__(
        self, normalise: Normalise, examples: tuple[Tensor, ...] | dict[str, Tensor]
    ) -> None:
        super().__init__()
        tensors = examples.values() if isinstance(examples, dict) else examples
        pairs = zip(normalise.parts, tensors, strict=True)
        self.parts = nn.ModuleList(Preprocess(one, tensor) for one, tensor in pairs)

    def forward(self, *inputs: Tensor) -> tuple[Tensor, ...]:
        """Return the normalised inputs, in their order."""
        return tuple(part(tensor) for part, tensor in zip(self.parts, inputs, strict=True))


def preprocess(normalise: Normalise, stored: Values) -> Preprocess | PreprocessSeveral:
    """Return the module that normalises examples like these stored ones."""
    if isinstance(stored, Tensor):
        return Preprocess(normalise, stored)
    return PreprocessSeveral(normalise, stored)


def _chunks(images: Tensor | Stored) -> Iterator[Tensor]:
    """Yield the images to be measured, a few at a time."""
    size = max(1, _VALUES_PER_CHUNK // math.prod(images.shape[1:]))
    if isinstance(images, Tensor):
        yield from torch.split(images, size)
        return
    images = images.select(spread(len(images), _MEASURED))
    parts = images.tensor_split(math.ceil(len(images) / size))
    ahead = Ahead(lambda number: parts[number] if number < len(parts) else None)
    yield from (ahead[number] for number in range(len(parts)))


def _moments(chunks: Iterable[Tensor], channels: int) -> tuple[int, list[int], list[int]]:
    """Return values per channel, and per channel their sum and the sum of their squares."""
    count, totals = 0, torch.zeros(2, channels, dtype=torch.int64)
    for chunk in chunks:
        values = chunk.long()
        totals = totals.to(chunk.device)
        totals += torch.stack([values.sum((0, 2, 3)), values.square().sum((0, 2, 3))])
        count += chunk.numel() // channels
    sums, squares = totals.tolist()
    return count, sums, squares


def _of_features(inputs: Tensor, scaled: int) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """Return mean and standard deviation of the first features, without NaN; of others 0 and 1.

    The mean of nothing is 0, and the deviation of what is constant 1.
    """
    values = inputs[:, :scaled].cpu().double()
    known = ~values.isnan()
    count = known.sum(0).clamp(min=1)
    mean = values.nansum(0) / count
    std = ((values - mean).square().nansum(0) / count).sqrt()
    infinity = torch.full_like(values, math.inf)
    least, most = (torch.where(known, values, sign * infinity) for sign in (1, -1))
    std[least.amin(0) >= most.amax(0)] = 1.0
    rest = inputs.shape[1] - scaled
    return (*mean.tolist(), *[0.0] * rest), (*std.tolist(), *[1.0] * rest)


@functools.lru_cache(maxsize=32)
def _constants(
    mean: tuple[float, ...], std: tuple[float, ...], unit: float, ndim: int, device: torch.device
) -> tuple[Tensor, Tensor]:
    """Return scale and shift, [1, channels, 1, ...]; kept, as sending them waits for the device."""
    shape = (1, len(mean), *[1] * (ndim - 2))
    # Kept beyond an inference_mode block, they must also be usable outside.
    with torch.inference_mode(False):
        centre = torch.tensor(mean, dtype=torch.float64)
        spread = torch.tensor(std, dtype=torch.float64)
        scale, shift = 1 / (unit * spread), -centre / spread
        return (
            scale.float().view(shape).to(device),
            shift.float().view(shape).to(device),
        )

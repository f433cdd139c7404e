"""Random flips, shifts and cutout of a batch of images, on the device the images are on.

Shapes: images are `[b, c, h, w]`: batch, channels, height, width. What is drawn is one number for each
image, `[b]`.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional

from supernet.errors import ConfigError, DataError

__all__ = ["Augment"]

Draw = Callable[[int], Tensor]
"""Returns one integer in [0, high) per image, `[batch]`."""


@dataclass(frozen=True)
class Augment:
    """Augmentation of normalised images; every image draws for itself.

    Images are padded with zeros *after* normalisation, so the padding (and a cutout) has the colour
    of the training mean. No step waits for the device or loops over images.

    Args:
        flip: mirror an image left to right with probability 1/2.
        crop: shift an image by up to this many pixels in each direction, zeros moving in.
        cutout: side of a square set to zero, in pixels; its centre is uniform over the image and
            what lies outside is clipped (DeVries & Taylor, 2017).

    Raises:
        ConfigError: `crop` or `cutout` is negative.
    """

    flip: bool = False
    crop: int = 0
    cutout: int = 0

    def __post_init__(self) -> None:
        for name in ("crop", "cutout"):
            if getattr(self, name) < 0:
                raise ConfigError(
                    f"augment.{name} is {getattr(self, name)}; give a number of pixels, 0 for none."
                )

    def __call__(self, images: Tensor, generator: torch.Generator) -> Tensor:
        """Return augmented copies; the memory format stays.

        Args:
            images: float, [batch, channels, height, width], normalised.
            generator: random numbers, on the device of the images.

        Raises:
            DataError: the inputs are not images, or too small to be shifted by `crop`.
        """
        return self.of_part(images, generator, len(images), slice(None))

    def of_part(
        self, images: Tensor, generator: torch.Generator, count: int, own: slice | Tensor
    ) -> Tensor:
        """Return what a part of a batch would be if all of it were augmented.

        Args:
            images: images of the part, see `__call__`.
            generator: random numbers for all of the batch.
            count: number of images in the whole batch.
            own: places of the part in the batch, a slice or int64 `[part]`.

        Raises:
            DataError: see `__call__`.
        """
        if self == Augment():
            return images
        self._check(images)
        memory_format = _memory_format(images)

        def draw(high: int) -> Tensor:
            device = images.device
            return torch.randint(high, (count,), generator=generator, device=device)[own]

        if self.flip:
            images = _flip(images, draw)
        if self.crop:
            images = _shift(images, self.crop, draw)
        if self.cutout:
            images = _cut_out(images, self.cutout, draw)
        return images.contiguous(memory_format=memory_format)

    def _check(self, images: Tensor) -> None:
        if images.ndim != 4:
            raise DataError(
                f"Augmentation needs images [batch, channels, height, width], but the inputs are "
                f"{list(images.shape)}; use Augment() (flip=False, crop=0, cutout=0) for this data."
            )
        side = min(images.shape[2:])
        if self.crop >= side:
            raise DataError(
                f"augment.crop is {self.crop}, but the images are only {side} pixels wide or high "
                f"and could be shifted out of sight; use at most {side - 1}."
            )


def _memory_format(images: Tensor) -> torch.memory_format:
    # A tensor of one channel counts as both; the plain format is then as good.
    plain = images.is_contiguous() or not images.is_contiguous(memory_format=torch.channels_last)
    return torch.contiguous_format if plain else torch.channels_last


def _flip(images: Tensor, draw: Draw) -> Tensor:
    mirrored = draw(2).bool().view(-1, 1, 1, 1)
    return torch.where(mirrored, images.flip(3), images)


def _shift(images: Tensor, pixels: int, draw: Draw) -> Tensor:
    height, width = images.shape[2:]
    padded = functional.pad(images, (pixels, pixels, pixels, pixels))
    # Every window of the padded images as a view, [b, c, top, left, h, w]; one is copied per image.
    windows = padded.unfold(2, height, 1).unfold(3, width, 1)
    top = draw(2 * pixels + 1)
    left = draw(2 * pixels + 1)
    return windows[torch.arange(len(images), device=images.device), :, top, left]


def _cut_out(images: Tensor, side: int, draw: Draw) -> Tensor:
    height, width = images.shape[2:]
    rows = _inside(height, side, draw(height))
    columns = _inside(width, side, draw(width))
    return images.masked_fill(rows.view(-1, 1, height, 1) & columns.view(-1, 1, 1, width), 0.0)


def _inside(length: int, side: int, centre: Tensor) -> Tensor:
    """Return which of `length` positions are in the interval around a centre, [batch, length]."""
    distance = torch.arange(length, device=centre.device) - (centre.unsqueeze(1) - side // 2)
    return (distance >= 0) & (distance < side)

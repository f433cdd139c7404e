"""Images in folders, one for each class."""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import torch
from torch import Tensor

from supernet.data.augment import Augment
from supernet.data.base import DataSource, Examples, Raw
from supernet.data.files import last_part
from supernet.data.folder_listing import list_images
from supernet.data.image_files import ImageFiles, open_image
from supernet.data.images import stack
from supernet.data.stored import Stored
from supernet.errors import ConfigError

__all__ = ["ImageFolder"]

_FILES_PER_TASK = 256  # one task per image would spend its time in the queue
_SMALL = 64 * 64  # pixels; measured: one thread is faster up to here, more threads beyond

_LARGEST = 2**32
"""Bytes that images may take in memory before they are read as they are needed."""


class ImageFolder(DataSource):
    """Images of all formats that Pillow reads, in a folder for each class.

    These folders lie in one called `train`, and perhaps others called `val`, to select with, and
    `test` (or `training`, `valid`, `validation`, `dev`, `testing`; in any case); or directly in the
    folder that is given, and then a share of each class is kept for the test
    (`split.test_fraction`).

    Images may lie in folders within that of their class. What is hidden, no image, or lies elsewhere is
    left out, and so are classes without images; it is said. Of a file of several images the first is
    used. The images are grey if all of them are, else all are red-green-blue. They are turned
    upright as their EXIF data say, and what is transparent is as if it were not.

    Args:
        folder: the folder that contains `train`, or folders of classes.
        size: height and width in pixels to which images are scaled, the longer side cropped in the
            middle; by default they stay as they are and must be of one size.
        name: name of the data set; by default that of the folder.
        stream: whether images are decoded when a batch needs them, instead of all at first; by default
            where all of them would take more than 4 GiB of memory.

    Raises:
        ConfigError: `size` is not positive.
    """

    def __init__(
        self,
        folder: str,
        size: int | None = None,
        name: str | None = None,
        stream: bool | None = None,
    ) -> None:
        if size is not None and size < 1:
            raise ConfigError(
                f"size is {size}; give pixels, for instance size=32, or leave it out."
            )
        self.folder = Path(folder)
        self.size = size
        self.name = name or last_part(self.folder)
        self.stream = stream

    def load(self) -> Raw:
        """Return inputs [n, 1 or 3, height, width] uint8, ordered by class and file name.

        Raises:
            DataError: a folder is missing or has no images, an image is damaged, sizes differ, or
                the classes of two splits do.
        """
        listing = list_images(self.folder)
        files = listing.files
        items = ImageFiles(self.folder, files, self.size)
        inputs = Stored(items) if self._is_streamed(items) else self._inputs(items, files)
        parts: dict[str, Examples] = {}
        start = 0
        for split in listing.splits:
            counts = torch.tensor(listing.counts(split))
            targets = torch.repeat_interleave(torch.arange(len(counts)), counts)
            own = slice(start, start := start + len(targets))
            parts[split] = Examples(_part(inputs, own), targets, listing.classes)
        return Raw(
            self.name,
            parts["train"],
            parts.get("test"),
            Augment(flip=True, crop=_crop(min(inputs.shape[2:]))),
            parts.get("search"),
            tuple(listing.notes(self.folder)),
        )

    def _is_streamed(self, items: ImageFiles) -> bool:
        if self.stream is not None:
            return self.stream
        return math.prod(items.shape) * len(items) > _LARGEST

    def _inputs(self, items: ImageFiles, files: Sequence[Path]) -> Tensor:
        """Return all images, of the splits together, so that they agree on the size and on colour."""
        channels = items.shape[0]
        images = [image.expand(channels, -1, -1) for image in _decode(files, self.size)]
        side = min(images[0].shape[1:])
        remedy = f"Give `size`, for instance size={side}, to scale all images to {side}x{side}."
        return stack(images, lambda number: str(files[number]), remedy)


def _part(inputs: Tensor | Stored, own: slice) -> Tensor | Stored:
    if isinstance(inputs, Tensor):
        return inputs[own]
    return inputs.select(torch.arange(own.start, own.stop))


def _crop(side: int) -> int:
    """Return by how many pixels images are shifted: an eighth, at least one where there are two."""
    return min(max(1, side // 8), side - 1)


def _decode(files: Sequence[Path], size: int | None) -> list[Tensor]:
    """Return the images in the order of `files`."""

    def decode(start: int) -> list[Tensor]:
        return [open_image(path, size) for path in files[start : start + _FILES_PER_TASK]]

    # Pillow decodes without the interpreter lock, but for small images threads mostly wait for it.
    small = open_image(files[0], None)[0].numel() <= _SMALL
    with ThreadPoolExecutor(max_workers=1 if small else None) as pool:
        parts = pool.map(decode, range(0, len(files), _FILES_PER_TASK))
        return list(itertools.chain.from_iterable(parts))

"""Images in folders: `train/<class>/*.png` and, if there is an official test split, `test/...`."""

from __future__ import annotations

import functools
import itertools
import os
from collections.abc import Collection, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import torch
from torch import Tensor

from supernet.data.augment import Augment
from supernet.data.base import DataSource, Examples, Raw
from supernet.data.files import files_in, folders_in, last_part, reading
from supernet.data.image_files import ImageFiles, open_image
from supernet.data.images import stack
from supernet.data.stored import Stored
from supernet.errors import ConfigError, DataError

__all__ = ["ImageFolder"]

_FILES_PER_TASK = 256  # one task per image would spend its time in the queue
_SMALL = 64 * 64  # pixels; measured: one thread is faster up to here, more threads beyond

_LARGEST = 2**32
"""Bytes that images may take in memory, all in colour, before they are read as they are needed."""

_OTHERS = {"BUFR", "EPS", "GRIB", "HDF5", "MPEG", "WMF"}
"""Formats that Pillow knows but reads with other programmes only."""

Listing = dict[str, list[Path]]


class ImageFolder(DataSource):
    """Images of all formats that Pillow reads, one folder per class, below `train` and perhaps `test`.

    Images may lie in folders within that of their class. Names that begin with a dot are ignored; what
    else is no image, or lies elsewhere, is left out, and said. Of a file of several images the first is
    used. The images are grey if all of them are, else all are red-green-blue. They are turned
    upright as their EXIF data say, and what is transparent is as if it were not.

    Args:
        folder: the folder that contains `train`.
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
                the classes of `train` and `test` do.
        """
        train = _listing(self.folder, "train")
        has_test = os.path.isdir(self.folder / "test")
        test = _listing(self.folder, "test") if has_test else {}
        if has_test and list(train) != list(test):
            raise DataError(
                f"{self.folder}: train has the classes {', '.join(train)}, test has "
                f"{', '.join(test)}; both need one folder for each class."
            )
        files, count = [*_files(train), *_files(test)], len(_files(train))
        inputs: Tensor | Stored
        if self._is_streamed(files):
            inputs = Stored(ImageFiles(self.folder, files, self.size))
        else:
            inputs = self._inputs(files)
        numbers = torch.arange(len(files))
        return Raw(
            self.name,
            _examples(inputs, numbers[:count], train),
            _examples(inputs, numbers[count:], test) if has_test else None,
            Augment(flip=True, crop=_crop(min(inputs.shape[2:]))),
            notes=_left_out(self.folder, set(files)),
        )

    def _is_streamed(self, files: Sequence[Path]) -> bool:
        if self.stream is not None:
            return self.stream
        height, width = open_image(files[0], self.size).shape[1:]
        return 3 * height * width * len(files) > _LARGEST

    def _inputs(self, files: Sequence[Path]) -> Tensor:
        # Train and test together, so that both agree on the size and on colour.
        images = _decode(files, self.size)
        if any(len(image) == 3 for image in images):
            images = [image.expand(3, -1, -1) for image in images]
        side = min(images[0].shape[1:])
        remedy = f"Give `size`, for instance size={side}, to scale all images to {side}x{side}."
        return stack(images, lambda number: str(files[number]), remedy)


def _crop(side: int) -> int:
    """Return by how many pixels images are shifted: an eighth, at least one where there are two."""
    return min(max(1, side // 8), side - 1)


def _listing(folder: Path, split: str) -> Listing:
    """Return the image files of each class, both in sorted order."""
    with reading(folder, "check the path"):
        names = folders_in(folder) if folder.is_dir() else []
    if split not in names:
        found = ", ".join(names)
        raise DataError(
            f"{folder} has no folder {split!r} (found: {found or 'nothing'}); put the images in "
            f"{folder / split}/<class>/."
        )
    classes = folders_in(folder / split)
    if not classes:
        raise DataError(f"{folder / split} has no folders; it needs one for each class.")
    return {name: _images(folder / split / name) for name in classes}


def _images(folder: Path) -> list[Path]:
    files = [file for file in files_in(folder) if file.suffix.lower() in _suffixes()]
    if not files:
        raise DataError(
            f"{folder} has no images (.jpg, .png, .webp, or another format that Pillow reads); add "
            "some or remove this class."
        )
    return files


@functools.cache
def _suffixes() -> frozenset[str]:
    """Return the ends of names of images that Pillow reads."""
    from PIL import Image

    known = Image.registered_extensions().items()
    return frozenset(end for end, kind in known if kind in Image.OPEN and kind not in _OTHERS)


def _left_out(folder: Path, used: Collection[Path]) -> tuple[str, ...]:
    """Say what lies in the folder and is not used."""
    others = [path for path in files_in(folder) if path not in used]
    if not others:
        return ()
    count = f"{len(others):,} file{'s' * (len(others) > 1)}"
    return (
        f"{count} left out, for instance {others[0].relative_to(folder)}: only images in "
        "train/<class> and test/<class> are used",
    )


def _files(listing: Listing) -> list[Path]:
    return list(itertools.chain.from_iterable(listing.values()))


def _examples(inputs: Tensor | Stored, numbers: Tensor, listing: Listing) -> Examples:
    counts = torch.tensor([len(files) for files in listing.values()])
    targets = torch.repeat_interleave(torch.arange(len(counts)), counts)
    part = (
        inputs.select(numbers)
        if isinstance(inputs, Stored)
        else inputs[numbers[0] : numbers[-1] + 1]
    )
    return Examples(part, targets, tuple(listing))


def _decode(files: Sequence[Path], size: int | None) -> list[Tensor]:
    """Return the images in the order of `files`."""

    def decode(start: int) -> list[Tensor]:
        return [open_image(path, size) for path in files[start : start + _FILES_PER_TASK]]

    # Pillow decodes without the interpreter lock, but for small images threads mostly wait for it.
    small = open_image(files[0], None)[0].numel() <= _SMALL
    with ThreadPoolExecutor(max_workers=1 if small else None) as pool:
        parts = pool.map(decode, range(0, len(files), _FILES_PER_TASK))
        return list(itertools.chain.from_iterable(parts))

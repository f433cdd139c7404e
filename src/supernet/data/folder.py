"""Images in folders: `train/<class>/*.png` and, if there is an official test split, `test/...`."""

from __future__ import annotations

import functools
import itertools
import math
import os
from collections.abc import Collection, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO

import torch
from torch import Tensor

from supernet.data.augment import Augment
from supernet.data.base import DataSource, Examples, Raw
from supernet.data.files import files_in, folders_in, last_part, open_regular, reading
from supernet.data.images import from_pil, stack
from supernet.errors import ConfigError, DataError

if TYPE_CHECKING:
    from PIL import Image

__all__ = ["ImageFolder"]

_FILES_PER_TASK = 256  # one task per image would spend its time in the queue
_SMALL = 64 * 64  # pixels; measured: one thread is faster up to here, more threads beyond

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

    Raises:
        ConfigError: `size` is not positive.
    """

    def __init__(self, folder: str, size: int | None = None, name: str | None = None) -> None:
        if size is not None and size < 1:
            raise ConfigError(
                f"size is {size}; give pixels, for instance size=32, or leave it out."
            )
        self.folder = Path(folder)
        self.size = size
        self.name = name or last_part(self.folder)

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
        inputs = self._inputs([*_files(train), *_files(test)])
        count = len(_files(train))
        return Raw(
            self.name,
            _examples(inputs[:count], train),
            _examples(inputs[count:], test) if has_test else None,
            Augment(flip=True, crop=_crop(min(inputs.shape[2:]))),
            notes=_left_out(self.folder, {*_files(train), *_files(test)}),
        )

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


def _examples(inputs: Tensor, listing: Listing) -> Examples:
    counts = torch.tensor([len(files) for files in listing.values()])
    targets = torch.repeat_interleave(torch.arange(len(counts)), counts)
    return Examples(inputs, targets, tuple(listing))


def _decode(files: Sequence[Path], size: int | None) -> list[Tensor]:
    """Return the images in the order of `files`."""

    def decode(start: int) -> list[Tensor]:
        return [_open(path, size) for path in files[start : start + _FILES_PER_TASK]]

    # Pillow decodes without the interpreter lock, but for small images threads mostly wait for it.
    small = _open(files[0], None)[0].numel() <= _SMALL
    with ThreadPoolExecutor(max_workers=1 if small else None) as pool:
        parts = pool.map(decode, range(0, len(files), _FILES_PER_TASK))
        return list(itertools.chain.from_iterable(parts))


def _open(path: Path, size: int | None) -> Tensor:
    with open_regular(path) as file:
        return _pixels(path, file, size)


def _pixels(path: Path, file: BinaryIO, size: int | None) -> Tensor:
    from PIL import Image, ImageOps, UnidentifiedImageError

    remedy = "Get the file again, save it as PNG, or remove it."
    try:
        with Image.open(file) as image:
            _check_size(path, image.size)
            upright = _upright(image)
            return from_pil(upright if size is None else ImageOps.fit(upright, (size, size)))
    except (Image.DecompressionBombError, Image.DecompressionBombWarning) as error:
        raise DataError(f"{path} is too large: {error} Scale it down, or remove it.") from error
    except UnidentifiedImageError as error:
        raise DataError(f"{path} cannot be used as an image: it is none. {remedy}") from error
    except DataError as error:
        if str(path) in str(error):
            raise
        raise DataError(f"{path} cannot be used as an image: {error}.") from error
    except Exception as error:  # a damaged file makes Pillow raise almost anything
        raise DataError(f"{path} cannot be used as an image: {error}. {remedy}") from error


def _check_size(path: Path, size: tuple[int, int]) -> None:
    """Refuse what Pillow takes for a bomb: few bytes that become very many pixels."""
    from PIL import Image

    if Image.MAX_IMAGE_PIXELS is not None and math.prod(size) > Image.MAX_IMAGE_PIXELS:
        raise DataError(
            f"{path} has {size[0]:,}x{size[1]:,} pixels, more than the {Image.MAX_IMAGE_PIXELS:,} up to "
            "which images are read. Scale it down, or remove it."
        )


def _upright(image: Image.Image) -> Image.Image:
    """Return an image as viewers show it: turned as its EXIF data say, if that can be read."""
    from PIL import ExifTags, ImageOps

    try:
        turned = image.getexif().get(ExifTags.Base.Orientation, 1) != 1
        return ImageOps.exif_transpose(image) if turned else image
    except Exception:  # damaged EXIF data are like none
        return image

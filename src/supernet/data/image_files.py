"""Image files, decoded one at a time."""

from __future__ import annotations

import contextlib
import math
import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO

import numpy as np
import torch
from torch import Tensor

from supernet.data.files import open_regular
from supernet.data.images import check_depth, from_pil, is_grey
from supernet.data.stored import Items
from supernet.errors import DataError

if TYPE_CHECKING:
    from PIL import Image

__all__ = ["ImageFiles", "open_image"]


class ImageFiles(Items):
    """Images that are decoded when they are needed, grey if all of them are, else red-green-blue.

    Of each file the header is read now, which takes about a minute for a million files.

    Args:
        folder: folder that contains all files.
        files: the files, in their order.
        size: height and width that they are scaled to, see `open_image`; None if they are of one size.

    Raises:
        DataError: a file is no image, or sizes differ; the message names it.
    """

    dtype = torch.uint8

    def __init__(self, folder: Path, files: Sequence[Path], size: int | None) -> None:
        self._folder = folder
        # One array: objects for a million names would be copied into each process that reads.
        self._names = np.array([os.fsencode(file.relative_to(folder)) for file in files])
        self._bytes = np.zeros(len(files), np.int64)
        self._size = size
        shape = open_image(files[0], size).shape
        grey, first = True, None
        for number, file in enumerate(files):
            pixels, one_grey, self._bytes[number] = _header(file)
            first, grey = first or pixels, grey and one_grey
            if size is None and sorted(pixels) != sorted(first):
                raise DataError(
                    f"Examples differ: {files[0]} is {first[0]}x{first[1]} pixels, {file} is "
                    f"{pixels[0]}x{pixels[1]} pixels. Give `size`, for instance size={min(first)}, to "
                    f"scale all images to {min(first)}x{min(first)}."
                )
        self.shape = (1 if grey else 3, *shape[1:])

    def __len__(self) -> int:
        return len(self._names)

    def read(self, number: int) -> Tensor:
        """Return the pixels of an image, uint8 [channels, height, width].

        Raises:
            DataError: the file is missing, or no image any more.
        """
        image = open_image(self._path(number), self._size)
        return image.expand(self.shape[0], -1, -1) if len(image) == 1 else image

    def name(self, number: int) -> str:
        """Return the path of an image."""
        return str(self._path(number))

    @property
    def listing(self) -> bytes:
        """Names and sizes of all files."""
        return self._names.tobytes() + self._bytes.tobytes()

    def _path(self, number: int) -> Path:
        return self._folder / os.fsdecode(self._names[number])


def open_image(path: Path, size: int | None) -> Tensor:
    """Return the pixels of a file, uint8 [1 or 3, height, width], upright.

    Args:
        path: a file of any format that Pillow reads.
        size: height and width that it is scaled to, the longer side cropped; None leaves it as it is.

    Raises:
        DataError: it is no image, a damaged one, or too large.
    """
    with open_regular(path) as file:
        return _pixels(path, file, size)


def _pixels(path: Path, file: BinaryIO, size: int | None) -> Tensor:
    from PIL import ImageOps

    with _image(path, file) as image:
        upright = _upright(image)
        return from_pil(upright if size is None else ImageOps.fit(upright, (size, size)))


@contextlib.contextmanager
def _image(path: Path, file: BinaryIO) -> Iterator[Image.Image]:
    """Open an image, of which pixels are read within the block.

    Raises:
        DataError: it cannot be used.
    """
    from PIL import Image, UnidentifiedImageError

    remedy = "Get the file again, save it as PNG, or remove it."
    try:
        with Image.open(file) as image:
            _check_size(path, image.size)
            yield image
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


def _header(path: Path) -> tuple[tuple[int, int], bool, int]:
    """Return width and height in pixels, whether an image is grey, and the bytes of its file.

    Raises:
        DataError: it cannot be used, as far as its first bytes tell.
    """
    with open_regular(path) as file, _image(path, file) as image:
        check_depth(image)
        return image.size, is_grey(image), os.fstat(file.fileno()).st_size


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

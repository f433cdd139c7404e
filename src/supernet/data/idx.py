"""MNIST, Fashion-MNIST and their relatives in the IDX format (LeCun, yann.lecun.com/exdb/mnist).

A file is a header of big-endian 32-bit numbers (a magic number that gives the type and the number
of dimensions, then the size of each dimension) followed by the values, row by row.
"""

from __future__ import annotations

import gzip
import math
import os
import struct
from pathlib import Path
from typing import BinaryIO

import numpy as np
import torch
from torch import Tensor

from supernet.data.augment import Augment
from supernet.data.base import DataSource, Examples, Raw, make_examples
from supernet.data.files import last_part, open_regular, reading
from supernet.errors import DataError

__all__ = ["Idx"]

_UNSIGNED_BYTE = 0x08

_GZIP = b"\x1f\x8b"

_MOST = 1032
"""By what a file of gzip grows at most when it is unpacked (zlib.net/zlib_tech.html)."""


class Idx(DataSource):
    """IDX files `train-images-idx3-ubyte`, `train-labels-idx1-ubyte`, `t10k-...`, or `.gz` of them.

    A dot may stand before `idx`, as some programmes unpack them: `train-images.idx3-ubyte`.

    Args:
        folder: folder that the files are in.
        name: name of the data set; by default that of the folder.
        flip: mirror images at random; right for clothes, wrong for digits.
    """

    def __init__(self, folder: str, name: str | None = None, flip: bool = False) -> None:
        self.folder = Path(folder)
        self.name = name or last_part(self.folder)
        self.flip = flip

    def load(self) -> Raw:
        """Return inputs [n, 1, height, width] uint8; without `t10k-` files there is no test split.

        Raises:
            DataError: a file is missing, damaged or disagrees with its partner.
        """
        train = self._read("train", None)
        test = None
        if any(_find(self.folder, name) for name in _names("t10k")):
            test = self._read("t10k", train.classes)
        return Raw(self.name, train, test, Augment(flip=self.flip, crop=2))

    def _read(self, split: str, classes: tuple[str, ...] | None) -> Examples:
        images_path, labels_path = (_need(self.folder, name) for name in _names(split))
        images = _parse(images_path, dimensions=3)
        labels = _parse(labels_path, dimensions=1)
        if len(images) != len(labels):
            raise DataError(
                f"{images_path} holds {len(images)} images, but {labels_path} {len(labels)} "
                "labels; take both files from the same data set."
            )
        return make_examples(str(labels_path), images.unsqueeze(1), labels.long(), classes)


def _names(split: str) -> tuple[str, str]:
    return f"{split}-images-idx3-ubyte", f"{split}-labels-idx1-ubyte"


def _find(folder: Path, name: str) -> Path | None:
    dotted = name.replace("-idx", ".idx")
    paths = [folder / f"{one}{end}" for one in (name, dotted) for end in ("", ".gz")]
    return next((path for path in paths if os.path.lexists(path)), None)


def _need(folder: Path, name: str) -> Path:
    path = _find(folder, name)
    if path is None:
        with reading(folder, "check the path"):
            others = sorted(other.name for other in folder.iterdir() if "idx" in other.name)
        found = f" (there are {', '.join(others[:8])})" if others else ""
        raise DataError(
            f"{folder} has neither {name} nor {name}.gz{found}; a data set in IDX format needs "
            "images and labels of `train`, and for an official test split both of `t10k`. Rename what "
            "has another name."
        )
    return path


def _parse(path: Path, dimensions: int) -> Tensor:
    """Return the unsigned bytes of an IDX file of this many dimensions."""
    with open_regular(path) as file:
        begins = file.read(2)  # browsers unpack files and leave the name as it was
        packed = begins == _GZIP or (path.suffix == ".gz" and begins != b"\0\0")
        size = os.fstat(file.fileno()).st_size * (_MOST if packed else 1)
        file.seek(0)
        if packed:
            with gzip.open(file) as inner:
                return _values(path, inner, dimensions, size)
        return _values(path, file, dimensions, size)


def _values(path: Path, file: gzip.GzipFile | BinaryIO, dimensions: int, size: int) -> Tensor:
    """Return the values in an open file, of which no more is read than its header announces.

    Args:
        path: path of the file, for messages.
        file: open file, at its beginning.
        dimensions: number of dimensions that there must be.
        size: bytes that the file cannot have more than.
    """
    start = 4 * (1 + dimensions)
    header = file.read(start)
    if len(header) < start:
        raise DataError(f"{path} ends within its header; get this file again.")
    magic, *shape = struct.unpack(f">{1 + dimensions}I", header)
    expected = (_UNSIGNED_BYTE << 8) + dimensions
    if magic != expected:
        raise DataError(
            f"{path} begins with {magic:#010x} instead of {expected:#010x}; it is no IDX file of "
            f"unsigned bytes in {dimensions} dimension(s). Check that it has the right name."
        )
    values = math.prod(shape)
    announced = f"{path} announces {values} values ({'x'.join(map(str, shape))}), but holds"
    if start + values > size:
        raise DataError(f"{announced} {max(0, size - start)} at most; get this file again.")
    content = file.read(values)
    if len(content) != values:
        raise DataError(f"{announced} {len(content)}; get this file again.")
    if file.read(1):
        raise DataError(f"{announced} {values + 1} or more; get this file again.")
    # Copied, because torch wants memory that it may write to.
    return torch.from_numpy(np.frombuffer(content, np.uint8).reshape(shape).copy())

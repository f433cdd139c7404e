"""MNIST, Fashion-MNIST and their relatives in the IDX format (LeCun, yann.lecun.com/exdb/mnist).

A file is a header of big-endian 32-bit numbers (a magic number that gives the type and the number
of dimensions, then the size of each dimension) followed by the values, row by row.
"""

from __future__ import annotations

import gzip
import math
import zlib
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from supernet.data.augment import Augment
from supernet.data.base import DataSource, Examples, Raw, make_examples
from supernet.errors import DataError

__all__ = ["Idx"]

_UNSIGNED_BYTE = 0x08


class Idx(DataSource):
    """IDX files `train-images-idx3-ubyte`, `train-labels-idx1-ubyte`, `t10k-...`, or `.gz` of them.

    Args:
        folder: where the files are.
        name: what to call the set; the name of the folder by default.
        flip: mirror images at random; right for clothes, wrong for digits.
    """

    def __init__(self, folder: str, name: str | None = None, flip: bool = False) -> None:
        self.folder = Path(folder)
        self.name = name or self.folder.resolve().name
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
    paths = (folder / name, folder / f"{name}.gz")
    return next((path for path in paths if path.is_file()), None)


def _need(folder: Path, name: str) -> Path:
    path = _find(folder, name)
    if path is None:
        raise DataError(
            f"{folder} has neither {name} nor {name}.gz; a data set in IDX format needs "
            "images and labels of `train`, and for an official test split both of `t10k`."
        )
    return path


def _content(path: Path) -> bytes:
    try:
        return gzip.decompress(path.read_bytes()) if path.suffix == ".gz" else path.read_bytes()
    except (OSError, EOFError, zlib.error) as error:  # gzip.BadGzipFile is an OSError
        raise DataError(f"{path} cannot be read ({error}); get this file again.") from error


def _parse(path: Path, dimensions: int) -> Tensor:
    """Return the unsigned bytes of an IDX file of this many dimensions."""
    content = _content(path)
    start = 4 * (1 + dimensions)
    if len(content) < start:
        raise DataError(f"{path} ends within its header; get this file again.")
    magic, *shape = (int(number) for number in np.frombuffer(content[:start], ">u4"))
    expected = (_UNSIGNED_BYTE << 8) + dimensions
    if magic != expected:
        raise DataError(
            f"{path} begins with {magic:#010x} instead of {expected:#010x}; it is no IDX file of "
            f"unsigned bytes in {dimensions} dimension(s). Check that it has the right name."
        )
    values = math.prod(shape)
    if len(content) != start + values:
        raise DataError(
            f"{path} announces {values} values ({'x'.join(map(str, shape))}), but holds "
            f"{len(content) - start}; get this file again."
        )
    # Copied, because torch wants memory that it may write to.
    return torch.from_numpy(np.frombuffer(content, np.uint8, offset=start).reshape(shape).copy())

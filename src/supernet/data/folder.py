"""Images in folders: `train/<class>/*.png` and, if there is an official test split, `test/...`."""

from __future__ import annotations

import functools
import itertools
from collections.abc import Collection, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import torch
from torch import Tensor

from supernet.data.augment import Augment
from supernet.data.base import DataSource, Examples, Raw
from supernet.data.images import from_pil, stack
from supernet.errors import ConfigError, DataError

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
    used. The images are grey if all of them are, else all are red-green-blue.

    Args:
        folder: the folder that contains `train`.
        size: height and width in pixels to which images are scaled, the longer side cropped in the
            middle; by default they stay as they are and must be of one size.
        name: what to call the set; the name of the folder by default.

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
        self.name = name or self.folder.resolve().name

    def load(self) -> Raw:
        """Return inputs [n, 1 or 3, height, width] uint8, ordered by class and file name.

        Raises:
            DataError: a folder is missing or has no images, an image is damaged, sizes differ, or
                the classes of `train` and `test` do.
        """
        train = _listing(self.folder, "train")
        has_test = (self.folder / "test").is_dir()
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
    if not (folder / split).is_dir():
        found = ", ".join(_visible(folder)) if folder.is_dir() else "nothing"
        raise DataError(
            f"{folder} has no folder {split!r} (found: {found or 'nothing'}); put the images in "
            f"{folder / split}/<class>/."
        )
    classes = [name for name in _visible(folder / split) if (folder / split / name).is_dir()]
    if not classes:
        raise DataError(f"{folder / split} has no folders; it needs one for each class.")
    return {name: _images(folder / split / name) for name in classes}


def _images(folder: Path) -> list[Path]:
    files = [file for file in _files_in(folder) if file.suffix.lower() in _suffixes()]
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


def _files_in(folder: Path) -> list[Path]:
    """Return all files in a folder and those within it, sorted, but for what begins with a dot."""
    return sorted(
        path
        for path in folder.rglob("*")
        if path.is_file() and not any(p.startswith(".") for p in path.relative_to(folder).parts)
    )


def _left_out(folder: Path, used: Collection[Path]) -> tuple[str, ...]:
    """Say what lies in the folder and is not used."""
    others = [path for path in _files_in(folder) if path not in used]
    if not others:
        return ()
    count = f"{len(others):,} file{'s' * (len(others) > 1)}"
    return (
        f"{count} left out, for instance {others[0].relative_to(folder)}: only images in "
        "train/<class> and test/<class> are used",
    )


def _visible(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir() if not path.name.startswith("."))


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
    from PIL import Image, ImageOps

    try:
        with Image.open(path) as image:
            return from_pil(image if size is None else ImageOps.fit(image, (size, size)))
    except Exception as error:  # a damaged file makes Pillow raise almost anything
        raise DataError(f"{path} cannot be used as an image: {error}.") from error

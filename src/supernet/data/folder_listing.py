"""Which images of a folder are of which split and class."""

from __future__ import annotations

import functools
import itertools
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from supernet.data.files import files_in, folders_in, reading, walk
from supernet.data.split_names import SPLITS, split_of
from supernet.errors import DataError

__all__ = ["Listing", "is_image", "list_images"]

_OTHERS = {"BUFR", "EPS", "GRIB", "HDF5", "MPEG", "WMF"}
"""Formats that Pillow knows but reads with other programmes only."""

Classes = dict[str, list[Path]]
"""Images of each class, both sorted."""


@dataclass
class Listing:
    """The images of a folder.

    Attributes:
        splits: images by class, of "train", and of "search" and "test" where there are folders for them;
            all with the same classes.
        empty: folders of classes without images.
        own: whether the folder has one for each split, rather than one for each class.
    """

    splits: dict[str, Classes]
    empty: list[Path] = field(default_factory=list)
    own: bool = True

    @property
    def classes(self) -> tuple[str, ...]:
        """The names of the classes."""
        return tuple(self.splits["train"])

    @property
    def files(self) -> list[Path]:
        """All images, split by split and class by class."""
        return [file for split in self.splits.values() for file in _all(split)]

    def counts(self, split: str) -> list[int]:
        """Return how many images of each class a split has."""
        return [len(files) for files in self.splits[split].values()]

    def notes(self, folder: Path) -> Iterator[str]:
        """Say where the test split comes from, if it has no folder, and what is left out."""
        if "test" not in self.splits:
            found = "there is no folder test" if self.own else "its folders are the classes"
            yield f"{found}, so a part of each class, split.test_fraction, is kept for the test"
        used = set(self.files)
        found_files, hidden = walk(folder)
        others = [path for path in found_files if path not in used]
        what = (
            (others, "file", "no image in the folder of a class"),
            (hidden, "hidden file", "or one of the system's"),
            (self.empty, "class", "without images"),
        )
        left = [_several(paths, kind, why, folder) for paths, kind, why in what if paths]
        if left:
            yield f"left out: {'; '.join(left)}"


def _several(paths: Sequence[Path], kind: str, why: str, folder: Path) -> str:
    ending = ("es" if kind.endswith("s") else "s") * (len(paths) > 1)
    return f"{len(paths):,} {kind}{ending} ({why}; for instance {paths[0].relative_to(folder)})"


def list_images(folder: Path) -> Listing:
    """Return the images below a folder: `train/<class>/...`, `test/<class>/...`, or `<class>/...`.

    A folder is that of a split if it is called so and has folders itself; otherwise it is a class.

    Raises:
        DataError: there is no such folder, or it has no images of classes; the folder of a split is
            there but none to train with, or its classes are others.
    """
    with reading(folder, "check the path"):
        if not folder.is_dir():
            raise DataError(f"{folder} is no folder; check the path.")
        names = folders_in(folder)
    own = _of_splits(folder, names)
    if own and "train" not in own:
        raise DataError(
            f"{folder} has a folder {next(iter(own.values()))!r}, but no folder 'train' that has one "
            f"for each class (found: {', '.join(names)}); add it."
        )
    empty: list[Path] = []
    if not own:
        return Listing({"train": _classes(folder, names, empty)}, empty, own=False)
    splits = {
        purpose: _classes(folder / name, folders_in(folder / name), empty)
        for purpose, name in own.items()
    }
    for purpose in splits:
        _check_same(folder, own, splits, purpose)
    return Listing(splits, empty)


def _of_splits(folder: Path, names: Sequence[str]) -> dict[str, str]:
    """Return the name of the folder of each split that has one."""
    found: dict[str, str] = {}
    for purpose in SPLITS:
        own = [name for name in names if split_of(name) == purpose and folders_in(folder / name)]
        if len(own) > 1:
            raise DataError(
                f"{folder} has the folders {' and '.join(own)}, which are one split by their names; put "
                "them together, or rename one."
            )
        found |= dict.fromkeys([purpose] * len(own), own[0] if own else "")
    return found


def _classes(root: Path, names: Sequence[str], empty: list[Path]) -> Classes:
    """Return the images of each class that has some; folders without any are added to `empty`."""
    found = {name: _images(root / name) for name in names}
    empty += [root / name for name, files in found.items() if not files]
    classes = {name: files for name, files in found.items() if files}
    if not classes:
        here = sum(map(is_image, files_in(root)))
        lying = f"; {here:,} lie in it without a class" if here else ""
        raise DataError(
            f"{root} has no images in folders, one for each class (found: "
            f"{', '.join(names) or 'nothing'}{lying}); put files that Pillow reads, such as .jpg, .png "
            f"or .webp, into {root}/<class>/."
        )
    if len(classes) == 1:
        (name,) = classes
        inner = folders_in(root / name)
        within = f"; if the classes are {', '.join(inner[:4])}, give {root / name}" if inner else ""
        raise DataError(
            f"{root} has images of one class only, {name}{within}; a classifier needs two or more."
        )
    return classes


def _check_same(
    folder: Path, own: Mapping[str, str], splits: Mapping[str, Classes], purpose: str
) -> None:
    train, other = splits["train"], splits[purpose]
    lists = {own["train"]: set(train) - set(other), own[purpose]: set(other) - set(train)}
    apart = [f"only {name} has {', '.join(sorted(some))}" for name, some in lists.items() if some]
    if apart:
        raise DataError(
            f"{folder}: {own['train']} and {own[purpose]} have different classes: {'; '.join(apart)}. "
            "Both need images of each class; add some, or remove the class."
        )


def is_image(file: Path) -> bool:
    """Return whether the name of a file ends as that of an image does that Pillow reads."""
    return file.suffix.lower() in _suffixes()


def _images(folder: Path) -> list[Path]:
    return list(filter(is_image, files_in(folder)))


@functools.cache
def _suffixes() -> frozenset[str]:
    """Return the ends of names of images that Pillow reads."""
    from PIL import Image

    known = Image.registered_extensions().items()
    return frozenset(end for end, kind in known if kind in Image.OPEN and kind not in _OTHERS)


def _all(classes: Classes) -> list[Path]:
    return list(itertools.chain.from_iterable(classes.values()))

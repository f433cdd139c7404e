"""From what a user calls "the data" to a source."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeGuard

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from supernet.data.base import DataSource
from supernet.data.characters import Characters, Prose
from supernet.data.csv_rows import CSV_SUFFIXES, column_names
from supernet.data.data_loaders import DataLoaders
from supernet.data.digits import Digits
from supernet.data.files import folders_in, is_hidden, reading
from supernet.data.folder import ImageFolder
from supernet.data.folder_listing import is_image
from supernet.data.huggingface import HuggingFace, is_huggingface
from supernet.data.idx import Idx
from supernet.data.split_names import split_of
from supernet.data.table import Table
from supernet.data.table_columns import is_frame
from supernet.data.tensors import Datasets, Tensors
from supernet.data.text import SUFFIXES, Text
from supernet.data.text_docstrings import Docstrings
from supernet.errors import DataError

__all__ = ["SOURCES", "as_source", "hidden_by", "is_path", "source_at"]

SOURCES: dict[str, str] = {
    "digits": "supernet.data.Digits",
    "idx": "supernet.data.Idx",
    "folder": "supernet.data.ImageFolder",
    "dataset": "supernet.data.NamedDataset",
    "huggingface": "supernet.data.HuggingFace",
    "table": "supernet.data.Table",
    "text": "supernet.data.Text",
    "docstrings": "supernet.data.Docstrings",
    "characters": "supernet.data.Characters",
    "prose": "supernet.data.Prose",
}
"""Short name of each source that a configuration can name, with its import path."""

_READY: dict[str, Callable[[], DataSource]] = {
    "digits": Digits,
    "docstrings": Docstrings,
    "prose": Prose,
}
"""What needs no path."""

_AT_PATHS: dict[str, tuple[Callable[..., DataSource], str]] = {
    "idx": (Idx, "folder"),
    "folder": (ImageFolder, "folder"),
    "huggingface": (HuggingFace, "folder"),
    "text": (Text, "file"),
    "characters": (Characters, "file"),
    "table": (Table, "file"),
}
"""What a path may stand for, and the argument that takes it."""

_TEXT = ".txt"
_FILES = (_TEXT, *SUFFIXES)
"""How the names of files end that are data."""

_OF_HUGGINGFACE = ("dataset_dict.json", "state.json")
"""Files that `save_to_disk` of the package `datasets` writes."""

_POSSIBLE = (
    'Possible are "digits", "docstrings", "prose", a folder of images (<class>/*.png, or '
    "train/<class>/*.png), a folder of IDX files (train-images-idx3-ubyte, ...), a table (.csv, .tsv, "
    "or a data frame), a file of texts and labels (.jsonl, or .csv with the columns text and label), "
    "text to be continued (a .txt file, or a folder of them), a torch Dataset of (image, label) or a "
    "DataLoader of one, a Dataset or DatasetDict of Hugging Face, a pair of tensors or arrays (inputs, "
    "targets), where several inputs are a tuple or a dictionary, or a DataSource."
)


def as_source(data: object) -> DataSource:
    """Return the source that `data` stands for.

    Args:
        data: a source, a data set, a DataLoader, a pair of tensors or arrays, whose inputs may be
            several in a tuple or a dictionary, a data frame, a folder, a file, or one of "digits",
            "docstrings" and "prose".

    Raises:
        DataError: it is nothing of that; the message lists what is possible.
    """
    if isinstance(data, DataSource):
        return data
    if isinstance(data, Dataset):
        return Datasets(data)
    if isinstance(data, DataLoader):
        return DataLoaders(data)
    if is_huggingface(data):
        return HuggingFace(data)
    if _pair(data) and _arrays(data[0]) and _targets(data[1]):
        return Tensors((_tensors(data[0]), data[1]))
    if is_frame(data):
        return Table(data)
    if isinstance(data, str) and data in _READY:
        return _READY[data]()
    if isinstance(data, str | Path):
        name, arguments = source_at(data)
        return _AT_PATHS[name][0](**arguments)
    if _pair(data) and is_frame(data[0]):
        raise DataError(
            "Of a data frame the targets are a column: give one frame with both, as "
            "Table(frame, target=NAME)."
        )
    raise DataError(f"A {type(data).__name__} cannot be used as data. {_POSSIBLE}")


def is_path(text: str) -> bool:
    """Return whether a text is the path of data: there is something, or it is written as one."""
    return (
        bool({"/", os.sep} & set(text))
        or text.startswith("~")
        or Path(text).suffix.lower() in _FILES
        or os.path.lexists(text)
    )


def source_at(path: str | Path) -> tuple[str, dict[str, str]]:
    """Return the short name of the source that a path stands for, and its arguments.

    A folder is known by what it holds, a file by its ending, and a table with the columns "text" and
    "label" is a file of texts.

    Raises:
        DataError: there is nothing, or nothing that could be data.
    """
    found = Path(os.path.expanduser(path))
    with reading(found, "check the path"):
        name = _folder(found) if found.is_dir() else _file(found)
    return name, {_AT_PATHS[name][1]: str(found)}


def hidden_by(source: DataSource) -> str | None:
    """Return what to say where a short name stands for a source, and for something that lies here.

    Only short names that need no path are meant without one.
    """
    name = next((name for name, kind in _READY.items() if kind is type(source)), None)
    if name is None or not os.path.lexists(name):
        return None
    return f"this is the ready data set; {name} in the working directory is given as ./{name}"


def _pair(data: object) -> TypeGuard[Sequence[object]]:
    return isinstance(data, list | tuple) and len(data) == 2


def _arrays(inputs: object) -> bool:
    """Return whether these are inputs: a tensor or an array, or several."""
    if isinstance(inputs, list | tuple):
        return any(isinstance(one, Tensor | np.ndarray) for one in inputs)
    return isinstance(inputs, Tensor | np.ndarray | Mapping)


def _targets(targets: object) -> TypeGuard[Tensor]:
    """Return whether these are targets: a tensor or an array, or a list of numbers or texts."""
    if isinstance(targets, list | tuple):
        return bool(targets) and all(isinstance(one, str | int | float) for one in targets)
    return isinstance(targets, Tensor | np.ndarray) or hasattr(targets, "to_numpy")


def _tensors(inputs: Any) -> Any:
    """Return inputs with tensors in the place of arrays."""
    if isinstance(inputs, Mapping):
        return {name: _tensors(one) for name, one in inputs.items()}
    if isinstance(inputs, list | tuple):
        return tuple(map(_tensors, inputs))
    return torch.as_tensor(inputs) if isinstance(inputs, np.ndarray) else inputs


def _file(file: Path) -> str:
    """Return the short name of the source of a file."""
    suffix = file.suffix.lower()
    if suffix not in _FILES and not os.path.lexists(file):
        raise DataError(f"{file} is not a folder or file, seen from {Path.cwd()}; check the path.")
    if suffix not in _FILES:
        raise DataError(
            f"{file} ends in {suffix!r}, which is no file of data that can be read. Unpack archives; "
            "load arrays (.npz, .npy, .pt) in Python, and give supernet.run(model, (inputs, targets)); "
            "write other tables (.parquet, .xlsx) as .csv."
        )
    if suffix in CSV_SUFFIXES:
        return "text" if {"text", "label"} <= set(column_names(file)) else "table"
    return "characters" if suffix == _TEXT else "text"


def _folder(folder: Path) -> str:
    """Return the short name of the source of a folder."""
    if any(folder.glob("*[-.]idx[13]-ubyte*")):
        return "idx"
    if any((folder / name).exists() for name in _OF_HUGGINGFACE):
        return "huggingface"
    if _holds(folder, is_image):
        return "folder"
    if _holds(folder, lambda file: file.suffix.lower() == _TEXT):
        return "characters"
    if any(map(split_of, folders_in(folder))):
        return "folder"  # which says what is missing
    tables = [file for file in sorted(folder.iterdir()) if file.suffix.lower() in SUFFIXES]
    instead = f"; give a file in it, such as {tables[0]}" if tables else ""
    raise DataError(
        f"{folder} holds no images, no texts (.txt) and no IDX files{instead}. {_POSSIBLE}"
    )


def _holds(folder: Path, wanted: Callable[[Path], bool]) -> bool:
    """Return whether a folder, or one within it, has such a file; it is looked for the first only."""
    return any(
        wanted(file)
        for file in folder.rglob("*")
        if not any(map(is_hidden, file.relative_to(folder).parts))
    )

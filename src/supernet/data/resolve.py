"""From what a user calls "the data" to a source."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, TypeGuard

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from supernet.data.base import DataSource
from supernet.data.characters import Characters, Prose
from supernet.data.data_loaders import DataLoaders
from supernet.data.digits import Digits
from supernet.data.files import reading
from supernet.data.folder import ImageFolder
from supernet.data.huggingface import HuggingFace, is_huggingface
from supernet.data.idx import Idx
from supernet.data.tensors import Datasets, Tensors
from supernet.data.text import SUFFIXES, Text
from supernet.data.text_docstrings import Docstrings
from supernet.errors import DataError

__all__ = ["SOURCES", "as_source"]

SOURCES: dict[str, str] = {
    "digits": "supernet.data.Digits",
    "idx": "supernet.data.Idx",
    "folder": "supernet.data.ImageFolder",
    "dataset": "supernet.data.NamedDataset",
    "huggingface": "supernet.data.HuggingFace",
    "text": "supernet.data.Text",
    "docstrings": "supernet.data.Docstrings",
    "characters": "supernet.data.Characters",
    "prose": "supernet.data.Prose",
}
"""Short name of each source that a configuration can name, with its import path."""

_READY: dict[str, type[Digits | Docstrings | Prose]] = {
    "digits": Digits,
    "docstrings": Docstrings,
    "prose": Prose,
}
"""What needs no path."""

_POSSIBLE = (
    'Possible are "digits", "docstrings", "prose", a folder of images (train/<class>/*.png), a folder '
    "of IDX files (train-images-idx3-ubyte, ...), a file of texts and labels (.csv, .tsv, .jsonl), text "
    "to be continued (a .txt file, or a folder of them), a torch Dataset of (image, label) or a "
    "DataLoader of one, a Dataset or DatasetDict of Hugging Face, a pair of tensors or arrays (inputs, "
    "targets), where several inputs are a tuple or a dictionary, or a DataSource."
)


def as_source(data: object) -> DataSource:
    """Return the source that `data` stands for.

    Args:
        data: a source, a data set, a DataLoader, a pair of tensors or arrays, whose inputs may be
            several in a tuple or a dictionary, a folder, a file of texts, or one of "digits",
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
    if _pair(data) and isinstance(data[1], Tensor | np.ndarray) and _arrays(data[0]):
        return Tensors((_tensors(data[0]), torch.as_tensor(data[1])))
    if isinstance(data, str) and data in _READY:
        return _READY[data]()
    if isinstance(data, str | Path):
        path = Path(os.path.expanduser(data))
        if path.suffix.lower() == ".txt":
            return Characters(str(path))
        return Text(str(path)) if path.suffix.lower() in SUFFIXES else _folder(path)
    raise DataError(f"A {type(data).__name__} cannot be used as data. {_POSSIBLE}")


def _pair(data: object) -> TypeGuard[Sequence[object]]:
    return isinstance(data, list | tuple) and len(data) == 2


def _arrays(inputs: object) -> bool:
    """Return whether these are inputs: a tensor or an array, or several."""
    if isinstance(inputs, list | tuple):
        return any(isinstance(one, Tensor | np.ndarray) for one in inputs)
    return isinstance(inputs, Tensor | np.ndarray | Mapping)


def _tensors(inputs: Any) -> Any:
    """Return inputs with tensors in the place of arrays."""
    if isinstance(inputs, Mapping):
        return {name: _tensors(one) for name, one in inputs.items()}
    if isinstance(inputs, list | tuple):
        return tuple(map(_tensors, inputs))
    return torch.as_tensor(inputs) if isinstance(inputs, np.ndarray) else inputs


def _folder(folder: Path) -> DataSource:
    with reading(folder, "check the path"):
        return _source_in(folder)


def _source_in(folder: Path) -> DataSource:
    if not folder.is_dir():
        raise DataError(f"{folder} is not a folder. {_POSSIBLE}")
    if any(folder.glob("*[-.]idx[13]-ubyte*")):
        return Idx(str(folder))
    if (folder / "train").is_dir():
        return ImageFolder(str(folder))
    if any(folder.rglob("*.txt")):
        return Characters(str(folder))
    raise DataError(
        f"{folder} holds no texts (.txt) and neither IDX files nor a folder train. {_POSSIBLE}"
    )

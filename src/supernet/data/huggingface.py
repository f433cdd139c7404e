"""Data sets of Hugging Face, as the package `datasets` holds them on disk."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch.utils.data import Dataset

from supernet.data.augment import Augment
from supernet.data.base import DataSource, Raw
from supernet.data.files import last_part
from supernet.data.tensors import Datasets
from supernet.errors import DataError
from supernet.user_code import calling

__all__ = ["HuggingFace", "is_huggingface"]

_SEARCH = ("validation", "valid", "val", "dev")
"""What the split to select with may be called."""


class HuggingFace(DataSource):
    """A data set of Hugging Face whose images, or other inputs, are read when they are needed.

    It needs the package `datasets` (`pip install "supernet[huggingface]"`). Nothing is downloaded:
    download with `datasets.load_dataset`, then give the data set from Python, or store it with
    `save_to_disk(folder)` and name the folder.

    Of a `DatasetDict`, "train" is used to train, "validation" to select with, "test" for the test;
    without one of the last two, part of "train" is.

    Without a column of images all columns but that of the labels are inputs, such as `input_ids` and
    `attention_mask`, which the model takes by their names.

    Args:
        folder: the folder that `save_to_disk` wrote; in Python also a `Dataset` or `DatasetDict` itself.
        image: column of the images; by default the only one that holds images, or "image".
        label: column of the labels, class numbers or floats.
        name: name of the data set; by default that of the folder.
        augment: random changes while training; none by default.
        inputs: columns of several inputs, which the model takes by these names: numbers, lists of
            numbers or images.
    """

    def __init__(
        self,
        folder: Any,
        image: str | None = None,
        label: str = "label",
        name: str | None = None,
        augment: Augment | None = None,
        inputs: Sequence[str] | None = None,
    ) -> None:
        self.folder = folder
        self.image = image
        self.label = label
        self.name = name or (
            last_part(Path(folder)) if isinstance(folder, str | Path) else "huggingface"
        )
        self.augment = augment
        self.inputs = inputs

    def load(self) -> Raw:
        """Return the examples, as stored inputs.

        Raises:
            DataError: the package is missing, the folder holds no data set, or a column is missing; or
                see `Datasets.load`.
        """
        given = self.folder
        data = _from_disk(given) if isinstance(given, str | Path) else given
        splits = data if isinstance(data, Mapping) else {"train": data}
        if "train" not in splits:
            raise DataError(
                f"{self.name} has the splits {', '.join(splits)} but no split 'train'; give a "
                "DatasetDict with one, or one Dataset"
            )
        search = next((name for name in _SEARCH if name in splits), None)
        train = self._columns(splits["train"])
        return Datasets(
            train,
            self._columns(splits["test"]) if "test" in splits else None,
            self.name,
            self.augment,
            self._columns(splits[search]) if search else None,
            stream=True,
        ).load()

    def _columns(self, data: Any) -> _Columns:
        names: Sequence[str] = getattr(data, "column_names", None) or []
        features: Mapping[str, Any] = getattr(data, "features", None) or {}
        images = [name for name in names if type(features.get(name)).__name__ == "Image"]
        image = self.image or (images[0] if len(images) == 1 else "image")
        several = self.inputs
        if several is None and not self.image and not images and image not in names:
            several = [name for name in names if name != self.label]
        wanted = {image: "image"} if not several else dict.fromkeys(several, "input")
        for column, option in (*wanted.items(), (self.label, "label")):
            if column not in names:
                raise DataError(
                    f"{self.name} has no column {column!r}; it has {', '.join(names) or 'none'}. Name "
                    f"that of the {option}s with {option}{'s' * (option == 'input')}=..."
                )
        texts = [name for name in wanted if getattr(features.get(name), "dtype", "") == "string"]
        if texts:
            raise DataError(
                f"{self.name} has texts in the column(s) {', '.join(texts)}, which models cannot take; "
                "turn them into numbers with a tokenizer, and name the inputs with inputs=[...]"
            )
        return _Columns(data, tuple(several) if several else image, self.label)


class _Columns(Dataset[tuple[Any, Any]]):
    """The pairs of an image, or of several inputs by name, and a label, from columns."""

    def __init__(self, data: Any, inputs: str | tuple[str, ...], label: str) -> None:
        self._data = data
        self._inputs = inputs
        self._label = label
        self.classes = getattr(data.features[label], "names", None)

    @property
    def targets(self) -> Tensor:
        """The labels, read without any image, and without transforms."""
        column = self._data.with_format("numpy", columns=[self._label])
        return torch.as_tensor(column[:][self._label])

    def __len__(self) -> int:
        return len(self._data)

    def __getitem__(self, index: int) -> tuple[Any, Any]:
        row = self._data[index]
        if isinstance(self._inputs, str):
            return row[self._inputs], row[self._label]
        return {name: row[name] for name in self._inputs}, row[self._label]


def is_huggingface(data: object) -> bool:
    """Return whether this is a `Dataset` or `DatasetDict` of the package `datasets`."""
    kinds = {(kind.__module__.partition(".")[0], kind.__name__) for kind in type(data).__mro__}
    return bool(kinds & {("datasets", "Dataset"), ("datasets", "DatasetDict")})


def _from_disk(folder: str | Path) -> Any:
    try:
        import datasets
    except ImportError as error:
        raise DataError(
            f"{folder} is read with the package datasets, which is not installed; install it: "
            'pip install "supernet[huggingface]"'
        ) from error
    with calling(f"{folder} as a data set that save_to_disk wrote", DataError, always=True):
        return datasets.load_from_disk(str(folder))

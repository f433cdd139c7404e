"""A torch data set that a configuration names by its import path."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from torch.utils.data import Dataset

from supernet.data.augment import Augment
from supernet.data.base import DataSource, Raw
from supernet.data.pairs import LABEL
from supernet.data.tensors import Datasets
from supernet.errors import DataError
from supernet.imports import resolve

__all__ = ["NamedDataset"]


class NamedDataset(DataSource):
    """Torch data sets of (image, label) pairs, named by import path; see `Datasets`.

    Args:
        train: import path of a class or function that gives the data set to train and select with.
        arguments: arguments that it is called with.
        test: import path for the official test split; without one, part of `train` is kept for it.
            Only its arguments may differ: then `test` and `train` are equal.
        test_arguments: arguments that `test` is called with; by default `arguments`.
        name: name of the data set; by default that of the class.
        augment: random changes while training; none by default.
        stream: whether examples are read when they are needed, instead of all at first.
        label: name of the label in examples that are dictionaries.
    """

    def __init__(
        self,
        train: str,
        arguments: dict[str, Any] | None = None,
        test: str | None = None,
        test_arguments: dict[str, Any] | None = None,
        name: str | None = None,
        augment: Augment | None = None,
        stream: bool = False,
        label: str = LABEL,
    ) -> None:
        self.train = train
        self.arguments = arguments or {}
        self.test = test
        self.test_arguments = self.arguments if test_arguments is None else test_arguments
        self.name = name
        self.augment = augment
        self.stream = stream
        self.label = label

    def load(self) -> Raw:
        """Return the data sets.

        Raises:
            DataError: a path cannot be imported or called so, or names what makes no data set, or see
                `Datasets.load`.
        """
        train = _made(self.train, self.arguments)
        test = None if self.test is None else _made(self.test, self.test_arguments)
        return Datasets(
            train, test, self.name, self.augment, stream=self.stream, label=self.label
        ).load()


def _made(path: str, arguments: Mapping[str, Any]) -> Dataset[Any]:
    try:
        dataset = resolve(path, Dataset)(**arguments)
    except Exception as error:  # a user's data set may raise anything
        raise DataError(
            f"the data set {path!r} cannot be made with {dict(arguments)}: {error}"
        ) from error
    if not isinstance(dataset, Dataset):
        raise DataError(f"{path} gave a {type(dataset).__name__}, which is no torch Dataset")
    return dataset

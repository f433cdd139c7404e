"""Data that is ready as loaders of PyTorch."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from typing import Any

from torch.utils.data import DataLoader, RandomSampler, SequentialSampler, default_collate

from supernet.data.augment import Augment
from supernet.data.base import DataSource, Raw
from supernet.data.pairs import LABEL
from supernet.data.tensors import Datasets

__all__ = ["DataLoaders"]


class DataLoaders(DataSource):
    """The data sets of loaders, read as these do but in batches and an order of a run's own.

    Of a loader are used its data set (see `Datasets`, with `stream`), its `num_workers`, and its
    `collate_fn`, which is called with one example at a time, so it cannot mix examples. Not used are
    its batch size, its order, and what it calls in workers.

    Args:
        train: loader to train with, and to select with unless there is one for it.
        test: loader of the official test split, if there is one.
        search: loader to select with; by default part of `train` is.
        name: name of the data set; by default that of the class of the data set of `train`.
        augment: random changes while training; none by default.
        label: name of the label in examples that are dictionaries.
    """

    def __init__(
        self,
        train: DataLoader[Any],
        test: DataLoader[Any] | None = None,
        search: DataLoader[Any] | None = None,
        name: str | None = None,
        augment: Augment | None = None,
        label: str = LABEL,
    ) -> None:
        self.train = train
        self.test = test
        self.search = search
        self.name = name
        self.augment = augment
        self.label = label

    def load(self) -> Raw:
        """Return the examples, as stored inputs.

        Raises:
            DataError: see `Datasets.load`.
        """
        collate = self.train.collate_fn
        raw = Datasets(
            self.train.dataset,
            None if self.test is None else self.test.dataset,
            self.name,
            self.augment,
            None if self.search is None else self.search.dataset,
            stream=True,
            collate=None if collate is default_collate else collate,
            workers=self.train.num_workers,
            label=self.label,
        ).load()
        return dataclasses.replace(raw, notes=(*raw.notes, *_unused(self.train)))


def _unused(loader: DataLoader[Any]) -> Iterator[str]:
    """Say what of a loader would change what is trained, and is not used."""
    sampler = type(loader.sampler)
    if sampler not in (RandomSampler, SequentialSampler) and sampler.__name__[0] != "_":
        yield (
            f"the {sampler.__name__} of the DataLoader is not used: an epoch has each example at most "
            "once, in a new order"
        )
    if loader.worker_init_fn is not None:
        yield "the worker_init_fn of the DataLoader is not used"

"""Data that is already in Python: tensors, or any data set of (image, label) pairs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor
from torch.utils.data import Dataset, IterableDataset

from supernet.data.augment import Augment
from supernet.data.base import DataSource, Examples, Raw, make_examples, naming
from supernet.data.images import has_channels_last, stack
from supernet.data.labels import LabelNames, as_targets
from supernet.data.packed import Layout
from supernet.data.pairs import LABEL, Collate, Pairs, pairs_of
from supernet.data.several import Held, Several, labels_of, parts_of
from supernet.data.spooled import spooled
from supernet.data.stored import Stored
from supernet.errors import ConfigError, DataError

__all__ = ["Datasets", "Tensors"]


GivenPair = tuple[Tensor | Sequence[Tensor] | Mapping[str, Tensor], Tensor | Sequence[str | float]]
"""Inputs, one or several, and targets."""


class Tensors(DataSource):
    """Tensors of inputs and targets, as `Examples` describes them.

    Several inputs are a tuple of tensors, which the model takes in this order, or a dictionary of
    tensors by the names of its arguments, see `Several`. Targets may be a list or an array, too; texts
    are the names of classes, which are numbered in their order.

    Args:
        train: inputs and targets to train and to select with.
        test: inputs and targets of the official test split, if there is one.
        name: name of the data set.
        augment: random changes while training; none by default.
    """

    def __init__(
        self,
        train: GivenPair,
        test: GivenPair | None = None,
        name: str = "tensors",
        augment: Augment | None = None,
    ) -> None:
        self.train = train
        self.test = test
        self.name = name
        self.augment = augment or Augment()

    def load(self) -> Raw:
        """Return the tensors; integer targets and texts become int64 classes.

        Raises:
            DataError: something else than tensors, lengths or types that do not fit, numbers that
                are not finite.
        """
        names = LabelNames()
        pairs = {self.name: _given(self.train, self.name, names)}
        if self.test is not None:
            pairs[f"{self.name} (test)"] = _given(self.test, self.name, names)
        found = _examples(pairs, names, None)
        test = found[1] if len(found) > 1 else None
        return Raw(self.name, found[0], test, self.augment, notes=_notes(found[0].inputs))


class Datasets(DataSource):
    """Data sets of (image, label) pairs, for instance of torchvision.

    An image is a tensor [channels, height, width] (uint8 or float; floats of any shape), a uint8
    array [height, width, channels], or a Pillow image.

    Of several inputs an example is ((first, second), label), or ({"name": first, ...}, label), or a
    dictionary {"name": first, ..., "label": label} with the label among them. Each is what an image may
    be, or int64 tokens, a bool mask, a number, or a list of numbers.

    By default a data set is read once, into memory: random transforms of its own would be frozen.
    With `stream`, each example is read whenever a batch needs it, by processes of their own. Its
    transforms then draw anew in each epoch, and always the same for the same seed, epoch and example:
    torch's, NumPy's and Python's global random states are seeded before each reading. Where examples
    are scored, they are the same each time; give data sets without random transforms as `search` and
    `test` to score images as they are.

    An `IterableDataset` is gone through once, in its order, up to its `__len__`: into memory, or with
    `stream` into a temporary file. Its random transforms are frozen either way.

    Args:
        train: data set to train with, and to select with unless there is one for it.
        test: data set of the official test split, if there is one.
        name: name of the data set; by default that of the class of `train`.
        augment: random changes while training; none by default.
        search: data set to select with; by default part of `train` is.
        stream: whether examples are read when they are needed, instead of all at first.
        collate: function that makes a batch of a list of examples (`collate_fn` of a `DataLoader`); it
            is called with one example at a time, and only with `stream`.
        workers: processes that read, unless a run is told another number.
        label: name of the label in examples that are dictionaries.

    Raises:
        ConfigError: `collate` is given without `stream`.
    """

    def __init__(
        self,
        train: Dataset[Any],
        test: Dataset[Any] | None = None,
        name: str | None = None,
        augment: Augment | None = None,
        search: Dataset[Any] | None = None,
        stream: bool = False,
        collate: Collate | None = None,
        workers: int = 2,
        label: str = LABEL,
    ) -> None:
        if collate is not None and not stream:
            raise ConfigError("collate is used with stream=True only; give both, or none of them")
        self.train = train
        self.test = test
        self.name = name or type(train).__name__
        self.augment = augment or Augment()
        self.search = search
        self.stream = stream
        self.collate = collate
        self.workers = workers
        self.label = label

    @property
    def _names(self) -> tuple[str, str]:
        """What the data sets for the test and to select with are called in messages."""
        return f"{self.name} (test)", f"{self.name} (search)"

    def load(self) -> Raw:
        """Return the data sets; class names are those of `train.classes` if it has any.

        Raises:
            DataError: a data set has no length, an example is no pair of image and label, or two
                examples differ in shape; with `stream`, those that are looked at.
        """
        further = zip(self._names, (self.test, self.search), strict=True)
        datasets = {self.name: self.train}
        datasets |= {name: dataset for name, dataset in further if dataset is not None}
        names = LabelNames()
        pairs, notes = (
            self._streamed(datasets, names) if self.stream else self._in_memory(datasets, names)
        )
        known = getattr(self.train, "classes", None)
        classes = tuple(map(str, known)) if isinstance(known, list | tuple) else None
        examples = dict(zip(datasets, _examples(pairs, names, classes), strict=True))
        train, test, search = (examples.get(name) for name in (self.name, *self._names))
        assert train is not None
        return Raw(self.name, train, test, self.augment, search, notes, self.workers)

    def _in_memory(
        self, datasets: dict[str, Dataset[Any]], names: LabelNames
    ) -> tuple[dict[str, tuple[Held, Tensor]], tuple[str, ...]]:
        pairs = {name: _read(one, name, self.label, names) for name, one in datasets.items()}
        return pairs, _notes(pairs[self.name][0])

    def _streamed(
        self, datasets: dict[str, Dataset[Any]], names: LabelNames
    ) -> tuple[dict[str, tuple[Held, Tensor]], tuple[str, ...]]:
        """Return inputs and targets by name, and what is to be said of how targets were found."""
        indexed = {
            name: spooled(dataset, name, self.label, names)
            if isinstance(dataset, IterableDataset)
            else dataset
            for name, dataset in datasets.items()
        }
        items = Pairs(indexed, self.collate, self.label, names)
        notes = tuple(
            f"every example of {name} was read once for its label; a list `targets` of the data set "
            "would save it"
            for name in items.read_for_labels
        )
        return {name: (items.inputs(name), items.targets[name]) for name in indexed}, notes


def _given(pair: object, name: str, names: LabelNames) -> tuple[Held, Tensor]:
    """Return inputs and targets that were given as tensors.

    Raises:
        DataError: they are something else.
    """
    both = tuple(pair) if isinstance(pair, list | tuple) and len(pair) == 2 else ()
    with naming(name):
        targets = as_targets(both[1], names) if both else None
    if targets is not None:
        if isinstance(both[0], Tensor):
            return both[0], targets
        if isinstance(both[0], list | tuple | Mapping):
            with naming(name):
                return Several(both[0]), targets
    raise DataError(
        f"{name}: data is a pair of tensors (inputs, targets), not a {type(pair).__name__}; "
        "convert arrays with torch.as_tensor. Several inputs are a tuple of tensors, or a dictionary of "
        "them by name."
    )


def _examples(
    pairs: Mapping[str, tuple[Held, Tensor]], names: LabelNames, known: tuple[str, ...] | None
) -> list[Examples]:
    """Return the examples of data sets, of which the first is there to train with.

    Args:
        pairs: inputs and targets by the name of each data set in messages.
        names: numbers of labels that are texts.
        known: names of the classes, if they are known.
    """
    first, *_ = pairs
    classes = names.classes(pairs[first][1], known)
    found = list[Examples]()
    for name, (inputs, targets) in pairs.items():
        targets = names.renumbered(targets, classes, name)
        found.append(_checked((inputs, targets), first, classes))
        classes = found[0].classes
    return found


def _notes(inputs: Held) -> tuple[str, ...]:
    """Say that images are floats on the scale of bytes, which are used as they are."""
    for part in parts_of(inputs):
        if not isinstance(part, Tensor) or part.ndim != 4 or not part.is_floating_point():
            continue
        least, most = (float(one) for one in part.aminmax())
        if part.shape[1] in (1, 3, 4) and least >= 0 and 2 < most <= 255:
            return (
                f"images are floats from {least:g} to {most:g}, which are used as they are; as "
                "uint8 they would be normalised, and /255 brings them to 0-1",
            )
    return ()


def _checked(pair: tuple[Held, Tensor], name: str, classes: tuple[str, ...] | None) -> Examples:
    inputs, targets = pair
    for part, which in zip(parts_of(inputs), labels_of(inputs), strict=True):
        if isinstance(part, Tensor) and part.is_floating_point() and not part.isfinite().all():
            raise DataError(f"{name}: some {which} are infinite or not a number; remove them.")
        _check_channels(part, name, which)
    if not targets.is_floating_point():
        targets = targets.long()
    elif not targets.isfinite().all():
        raise DataError(f"{name}: some targets are infinite or not a number; remove them.")
    return make_examples(name, inputs, targets, classes)


def _check_channels(inputs: Tensor | Stored, name: str, which: str) -> None:
    """Refuse images whose channels are last.

    Raises:
        DataError: they are.
    """
    if has_channels_last(inputs.shape[1:], inputs.dtype):
        raise DataError(
            f"{name}: {which} {list(inputs.shape)} look like images [n, height, width, channels], but "
            "channels come before height and width; give torch.as_tensor(inputs).permute(0, 3, 1, 2). "
            f"If these are {inputs.shape[1]} channels, return Examples from a DataSource of your own"
        )


def _read(dataset: Dataset[Any], name: str, label: str, names: LabelNames) -> tuple[Held, Tensor]:
    """Return the inputs and targets of all examples."""
    pairs = list(pairs_of(dataset, name, label, names))
    remedy = "Let the transform of the data set give all examples the same shape and type."
    targets = stack([pair[1] for pair in pairs], lambda number: f"label {number}", remedy)
    given = [pair[0] for pair in pairs]
    alone = [one for one in given if isinstance(one, Tensor)]
    if len(alone) == len(given):
        return stack(alone, lambda number: f"{name}[{number}]", remedy), targets
    if alone:
        raise DataError(
            f"{name} has examples of one input, and others of several; give all one kind"
        )
    with naming(name):
        layout = Layout.of(given[0])
        rows = [layout.sorted(one, f"{name}[{number}]") for number, one in enumerate(given)]
        return Several(layout.like(map(torch.stack, zip(*rows, strict=True)))), targets

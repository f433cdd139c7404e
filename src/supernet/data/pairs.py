"""Data sets of (input, label) pairs, read one example at a time."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import accumulate, islice
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import Dataset, IterableDataset, Subset, TensorDataset

from supernet.data.images import from_array, from_pil, has_channels_last
from supernet.data.labels import LabelNames, as_targets
from supernet.data.packed import Layout
from supernet.data.several import Several, Values
from supernet.data.stored import EVALUATION, Items, Stored, random_state_kept, read, spread
from supernet.errors import DataError
from supernet.modules.nested import leaves
from supernet.user_code import calling

__all__ = ["LABEL", "Collate", "Pair", "Pairs", "length_of", "pairs_of", "stacked"]

Pair = tuple[Values, Tensor]
"""The input of an example, or its inputs, and its label."""

LABEL = "label"
"""What the label is called in examples that are dictionaries, unless told otherwise."""

Collate = Callable[[list[Any]], Any]
"""Makes a batch of a list of examples, as the `collate_fn` of a `DataLoader` does."""

_CHECKED = 64
"""Examples, evenly spread, whose labels must be those that a data set lists."""


class Pairs(Items):
    """The inputs of data sets, one after the other, each made anew whenever it is needed.

    Several inputs of an example are read at once, and delivered packed, see `packed.py`.

    Labels are known before. Those that a data set lists as `targets` or `labels` are taken from there
    (through `Subset`s, and from `TensorDataset`s, too); otherwise each example is read once.

    Args:
        datasets: map-style data sets by their names in messages.
        collate: function that makes a batch of one example, instead of the example as it is.
        label: name of the label in examples that are dictionaries.
        names: numbers of labels that are texts; by default new ones.

    Attributes:
        targets: labels of each data set, `[n, ...]`, by its name.
        read_for_labels: names of the data sets of which every example was read for its label.

    Raises:
        DataError: an example is no pair, or is another one each time though random state is seeded.
    """

    def __init__(
        self,
        datasets: dict[str, Dataset[Any]],
        collate: Collate | None = None,
        label: str = LABEL,
        names: LabelNames | None = None,
    ) -> None:
        self._label_names = names or LabelNames()
        self._names = tuple(datasets)
        self._datasets = tuple(datasets.values())
        self._collate = collate
        self._label = label
        lengths = [length_of(dataset, name) for name, dataset in datasets.items()]
        self._starts = (0, *accumulate(lengths))
        self.read_for_labels = list[str]()
        with random_state_kept():
            first = self._pair(0)[0]
            self.targets = {name: self._labels(number) for number, name in enumerate(self._names)}
        self._layout = None if isinstance(first, Tensor) else Layout.of(first)
        row = first if isinstance(first, Tensor) else self._packed(first, self.name(0))
        self.shape, self.dtype = tuple(row.shape), row.dtype
        self._check_repeatable()

    def __len__(self) -> int:
        return self._starts[-1]

    def inputs(self, name: str) -> Stored | Several:
        """Return the inputs of a data set."""
        number = self._names.index(name)
        numbers = torch.arange(self._starts[number], self._starts[number + 1])
        if self._layout is None:
            return Stored(self, numbers)
        columns = [Stored(self, numbers, column=column) for column in self._layout.columns]
        return Several(self._layout.like(columns))

    def read(self, number: int) -> Tensor:
        """Return an input, or several packed.

        Raises:
            DataError: it cannot be made, or its label is another one than before.
        """
        found, label = self._pair(number)
        place, index = self._place(number)
        known = self.targets[self._names[place]][index]
        if not torch.equal(label.to(known.dtype), known):
            now, before = (self._label_names.shown(one) for one in (label, known))
            raise DataError(
                f"{self.name(number)} has the label {now!r}, but had {before!r} before; a data "
                "set gives each index the same label at every call, and lists labels, if it does "
                "(targets, labels), in the order of its examples"
            )
        return self._packed(found, self.name(number))

    def _packed(self, found: Values, name: str) -> Tensor:
        if self._layout is not None:
            return self._layout.packed(found, name)
        if not isinstance(found, Tensor):
            raise DataError(
                f"{name} has several inputs, but {self.name(0)} has one; give all one kind"
            )
        return found

    def name(self, number: int) -> str:
        """Return the name of the data set, with the index of the example there."""
        place, index = self._place(number)
        return f"{self._names[place]}[{index}]"

    def _place(self, number: int) -> tuple[int, int]:
        place = bisect_right(self._starts, number) - 1
        return place, number - self._starts[place]

    def _pair(self, number: int) -> Pair:
        place, index = self._place(number)
        name = self.name(number)
        with calling(name, DataError, always=True):
            example = self._datasets[place][index]
            if self._collate is not None:
                example = _single(self._collate([example]), name)
        return pair_of(example, name, self._label, self._label_names)

    def _check_repeatable(self) -> None:
        if not torch.equal(read(self, [0], EVALUATION), read(self, [0], EVALUATION)):
            raise DataError(
                f"{self.name(0)} is another input each time, though the random states of torch, NumPy "
                "and Python are seeded before, so a run could not be repeated; let its transforms draw "
                "from torch.rand, numpy.random or random, not from a generator of their own"
            )

    def _labels(self, place: int) -> Tensor:
        start, stop = self._starts[place : place + 2]
        listed = _listed(self._datasets[place], stop - start, self._label_names)
        numbers = range(start, stop)
        if listed is not None:
            looked_at = spread(stop - start, _CHECKED).tolist()
            labels = [self._pair(numbers[index])[1] for index in looked_at]
            if _same(labels, [listed[index] for index in looked_at]):
                return listed.to(labels[0].dtype)
        self.read_for_labels.append(self._names[place])
        return stacked([self._pair(number)[1] for number in numbers], self._names[place])


def length_of(dataset: object, name: str) -> int:
    """Return the number of examples.

    Raises:
        DataError: there is none, or nothing can be read by an index.
    """
    if not hasattr(dataset, "__len__") or not hasattr(dataset, "__getitem__"):
        raise DataError(f"{name} has no length and no items; give a map-style data set.")
    with calling(f"the length of {name}", DataError, always=True):
        count = len(dataset)
    if count < 1:
        raise DataError(
            f"{name}: There are no examples; check where the data comes from and what filters it."
        )
    return count


def pairs_of(
    dataset: Dataset[Any], name: str, label: str = LABEL, names: LabelNames | None = None
) -> Iterator[Pair]:
    """Yield all examples of a data set, in its order.

    Of one that can only be gone through (`IterableDataset`), as many as its `__len__` says.

    Raises:
        DataError: it has no length, or too few examples, or one is no pair; the message names it.
    """
    names = names or LabelNames()
    if not isinstance(dataset, IterableDataset):
        for number in range(length_of(dataset, name)):
            with calling(f"{name}[{number}]", DataError):
                example = dataset[number]
            yield pair_of(example, f"{name}[{number}]", label, names)
        return
    try:
        count = len(dataset)  # type: ignore[arg-type]  # PyTorch's class has none, others do
    except TypeError as error:
        raise DataError(
            f"{name} is gone through from its beginning and does not say where it ends; give it a "
            "__len__: so many of its examples are used"
        ) from error
    number = 0
    with calling(lambda: f"{name}, example {number}", DataError, always=True):
        for number, example in enumerate(islice(iter(dataset), count)):
            yield pair_of(example, f"{name}, example {number}", label, names)
    if number + 1 < count:
        raise DataError(
            f"{name} ended after {number + 1} examples, but its length is {count}; mend its __len__"
        )


def pair_of(
    example: object, name: str, label: str = LABEL, names: LabelNames | None = None
) -> Pair:
    """Return an example as tensors.

    Args:
        example: pair of an input and a label, where the input may be a tuple or a dictionary of several;
            or a dictionary that holds the label too.
        name: name of the example in messages.
        label: name of the label in a dictionary.
        names: numbers of labels that are texts; by default new ones.

    Raises:
        DataError: it is nothing of that.
    """
    if isinstance(example, Mapping):
        if label not in example or len(example) < 2:
            raise DataError(
                f"{name} is a {type(example).__name__}, not a pair (image, label), and holds "
                f"{', '.join(map(str, example)) or 'nothing'}; a dictionary holds inputs by their "
                f"names, and the label as {label!r}, unless Datasets(..., label=...) names another"
            )
        example = ({key: one for key, one in example.items() if key != label}, example[label])
    if not isinstance(example, list | tuple) or len(example) != 2:
        several = isinstance(example, list | tuple) and len(example) > 2
        raise DataError(
            f"{name} is a {type(example).__name__}, not a pair (image, label)"
            f"{'; of several inputs make a pair ((first, second), label)' if several else ''}."
        )
    try:
        return _inputs(example[0]), (names or LabelNames()).tensor(example[1])
    except (DataError, TypeError, ValueError, RuntimeError) as error:
        raise DataError(
            f"{name} cannot be used: {error}. An example is a pair (image, label): a tensor, uint8 "
            "array or Pillow image, and a number or the name of a class."
        ) from error


def _inputs(given: object) -> Values:
    """Return the input of an example, or its inputs."""
    if isinstance(given, Mapping):
        return {name: _part(one) for name, one in given.items()}
    if isinstance(given, list | tuple) and not all(isinstance(one, int | float) for one in given):
        return tuple(map(_part, given))
    return _input(given)


def _part(given: object) -> Tensor:
    """Return one of several inputs, which may also be a number, or a list of numbers."""
    if isinstance(given, Mapping):
        raise DataError("one of several inputs is a dictionary; none holds others")
    if isinstance(given, bool | int | float | list | tuple | np.number | np.bool_):
        return torch.as_tensor(given)
    return _input(given)


def _input(image: object) -> Tensor:
    from PIL import Image

    if isinstance(image, Image.Image):
        return from_pil(image)
    if isinstance(image, np.ndarray) and image.dtype == np.uint8:
        return from_array(image.copy())
    if isinstance(image, Tensor | np.ndarray):
        found = torch.as_tensor(image)
        if has_channels_last(found.shape, found.dtype):
            raise DataError(
                f"the image {list(found.shape)} looks like [height, width, channels], but channels come "
                "before height and width; give torch.as_tensor(image).permute(2, 0, 1)"
            )
        return found
    raise DataError(f"the image is a {type(image).__name__}")


def _single(batch: object, name: str) -> Any:
    """Return the one example of a batch that was made of one."""
    pair = isinstance(batch, list | tuple) and len(batch) == 2
    found = list(leaves(batch)) if pair or isinstance(batch, Mapping) else []
    if not found or not all(
        isinstance(one, Tensor) and one.ndim and len(one) == 1 for one in found
    ):
        parts = len(batch) if isinstance(batch, list | tuple) else 0
        raise DataError(
            f"{name}: of a list of one example, collate_fn must make a pair of tensors (inputs, labels) "
            f"with one row each, not a {type(batch).__name__} of {parts or 'no'} parts; inputs may be "
            "a tuple or a dictionary of them"
        )
    return _first(batch)


def _first(rows: Any) -> Any:
    """Return the first rows of the tensors of a batch, in a tuple or dictionary as they were."""
    if isinstance(rows, Mapping):
        return {name: _first(one) for name, one in rows.items()}
    return tuple(map(_first, rows)) if isinstance(rows, list | tuple) else rows[0]


def _listed(dataset: Any, count: int, names: LabelNames) -> Tensor | None:
    """Return the labels that a data set lists, if it does, `[count, ...]`."""
    if isinstance(dataset, Subset):
        whole = _listed(dataset.dataset, len(dataset.dataset), names)  # type: ignore[arg-type]  # as above
        return None if whole is None else whole[torch.as_tensor(dataset.indices)]
    if isinstance(dataset, TensorDataset):
        return dataset.tensors[-1]
    for name in ("targets", "labels"):
        try:
            found = as_targets(getattr(dataset, name), names)
        except Exception:  # it may be anything of this name
            continue
        if found is not None and found.ndim and len(found) == count:
            return found
    return None


def _same(labels: Sequence[Tensor], listed: Sequence[Tensor]) -> bool:
    pairs = zip(labels, listed, strict=True)
    return all(
        label.shape == other.shape and bool((label == other).all()) for label, other in pairs
    )


def stacked(labels: Sequence[Tensor], name: str) -> Tensor:
    """Return labels in one tensor.

    Raises:
        DataError: they differ in shape or type.
    """
    for number, label in enumerate(labels):
        if label.shape != labels[0].shape or label.dtype != labels[0].dtype:
            raise DataError(
                f"Labels differ: of {name}[0] it is {labels[0].dtype} {list(labels[0].shape)}, of "
                f"{name}[{number}] is {label.dtype} {list(label.shape)}; give all one shape and type"
            )
    return torch.stack(list(labels))

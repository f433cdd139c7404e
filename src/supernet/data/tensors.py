"""Data that is already in Python: tensors, or any data set of (image, label) pairs."""

from __future__ import annotations

from typing import Any, cast

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import Dataset

from supernet.data.augment import Augment
from supernet.data.base import DataSource, Examples, Raw, make_examples
from supernet.data.images import from_array, from_pil, stack
from supernet.errors import DataError
from supernet.user_code import calling

__all__ = ["Datasets", "Tensors"]

Pair = tuple[Tensor, Tensor]


class Tensors(DataSource):
    """Tensors of inputs and targets, as `Examples` describes them.

    Args:
        train: inputs and targets to train and to select with.
        test: inputs and targets of the official test split, if there is one.
        name: name of the data set.
        augment: random changes while training; none by default.
    """

    def __init__(
        self,
        train: Pair,
        test: Pair | None = None,
        name: str = "tensors",
        augment: Augment | None = None,
    ) -> None:
        self.train = train
        self.test = test
        self.name = name
        self.augment = augment or Augment()

    def load(self) -> Raw:
        """Return the tensors; integer targets become int64 classes.

        Raises:
            DataError: something else than tensors, lengths or types that do not fit, numbers that
                are not finite.
        """
        train = _examples(self.train, self.name, None)
        test = None if self.test is None else _examples(self.test, self.name, train.classes)
        return Raw(self.name, train, test, self.augment)


class Datasets(DataSource):
    """Map-style data sets of (image, label) pairs, for instance of torchvision; read once.

    An image is a tensor [channels, height, width] (uint8 or float; floats of any shape), a uint8
    array [height, width, channels], or a Pillow image. Random transforms of the data set would be
    frozen by reading it once: leave them out and give `augment`.

    Args:
        train: data set to train and to select with.
        test: data set of the official test split, if there is one.
        name: name of the data set; by default that of the class of `train`.
        augment: random changes while training; none by default.
    """

    def __init__(
        self,
        train: Dataset[Any],
        test: Dataset[Any] | None = None,
        name: str | None = None,
        augment: Augment | None = None,
    ) -> None:
        self.train = train
        self.test = test
        self.name = name or type(train).__name__
        self.augment = augment or Augment()

    def load(self) -> Raw:
        """Return the data sets in memory; class names are those of `train.classes` if it has any.

        Raises:
            DataError: a data set has no length, an example is no pair of image and label, or two
                examples differ in shape.
        """
        names = getattr(self.train, "classes", None)
        classes = tuple(map(str, names)) if isinstance(names, list | tuple) else None
        train = _examples(_read(self.train, self.name), self.name, classes)
        test = None
        if self.test is not None:
            test = _examples(_read(self.test, f"{self.name} (test)"), self.name, train.classes)
        return Raw(self.name, train, test, self.augment)


def _examples(pair: object, name: str, classes: tuple[str, ...] | None) -> Examples:
    if not isinstance(pair, list | tuple) or list(map(torch.is_tensor, pair)) != [True, True]:
        raise DataError(
            f"{name}: data is a pair of tensors (inputs, targets), not a {type(pair).__name__}; "
            "convert arrays with torch.as_tensor."
        )
    inputs, targets = cast(Pair, tuple(pair))
    if not targets.is_floating_point():
        targets = targets.long()
    for part, values in (("inputs", inputs), ("targets", targets)):
        if values.is_floating_point() and not values.isfinite().all():
            raise DataError(f"{name}: some {part} are infinite or not a number; remove them.")
    _check_channels(inputs, name)
    return make_examples(name, inputs, targets, classes)


def _check_channels(inputs: Tensor, name: str) -> None:
    """Refuse images whose channels are last; of floats only where nothing else is likely.

    Raises:
        DataError: they are.
    """
    if inputs.ndim != 4:
        return
    _, first, second, last = inputs.shape
    pixels = inputs.dtype == torch.uint8 or last > 1 or first == second
    if first > 4 and second > 4 and last in (1, 3, 4) and pixels:
        raise DataError(
            f"{name}: inputs {list(inputs.shape)} look like images [n, height, width, channels], but "
            "channels come before height and width; give inputs.permute(0, 3, 1, 2). If these are "
            f"{first} channels, return Examples from a DataSource of your own"
        )


def _read(dataset: Dataset[Any], name: str) -> Pair:
    """Return the inputs and targets of all examples."""
    if not hasattr(dataset, "__len__") or not hasattr(dataset, "__getitem__"):
        raise DataError(f"{name} has no length and no items; give a map-style data set.")
    with calling(f"the length of {name}", DataError, always=True):
        count = len(dataset)
    number, pairs = 0, []
    with calling(lambda: f"{name}[{number}]", DataError):
        for number in range(count):
            pairs.append(_pair(dataset[number], f"{name}[{number}]"))
    remedy = "Let the transform of the data set give all examples the same shape and type."
    inputs = stack([pair[0] for pair in pairs], lambda number: f"{name}[{number}]", remedy)
    targets = stack([pair[1] for pair in pairs], lambda number: f"label {number}", remedy)
    return inputs, targets


def _pair(example: object, name: str) -> Pair:
    if not isinstance(example, list | tuple) or len(example) != 2:
        raise DataError(f"{name} is a {type(example).__name__}, not a pair (image, label).")
    try:
        return _input(example[0]), torch.as_tensor(example[1])
    except (DataError, TypeError, ValueError, RuntimeError) as error:
        raise DataError(
            f"{name} cannot be used: {error}. An example is a pair (image, label): a tensor, uint8 "
            "array or Pillow image, and a number."
        ) from error


def _input(image: object) -> Tensor:
    from PIL import Image

    if isinstance(image, Image.Image):
        return from_pil(image)
    if isinstance(image, np.ndarray) and image.dtype == np.uint8:
        return from_array(image.copy())
    if isinstance(image, Tensor | np.ndarray):
        return torch.as_tensor(image)
    raise DataError(f"the image is a {type(image).__name__}")

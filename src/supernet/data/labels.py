"""Names of classes as class numbers."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np
import torch
from torch import Tensor

from supernet.errors import DataError

__all__ = ["LabelNames", "as_targets", "ordered"]


def ordered(labels: Iterable[str]) -> tuple[str, ...]:
    """Return different labels in the order of the numbers that they are, or else of the alphabet."""
    different = set(labels)
    try:
        return tuple(sorted(different, key=lambda label: (int(label), label)))
    except ValueError:
        return tuple(sorted(different))


class LabelNames:
    """The numbers of labels that are texts: at first in the order in which they come.

    All labels of a data set are texts, or none is.
    """

    def __init__(self) -> None:
        self._numbers: dict[str, int] = {}
        self._kind: str | None = None

    def tensor(self, label: object) -> Tensor:
        """Return a label as a tensor, a text as its number.

        Raises:
            DataError: it is a text where others are none, or the other way round.
            TypeError, ValueError, RuntimeError: it is nothing that can be a label.
        """
        kind = "text" if isinstance(label, str) else "number"
        if self._kind not in (None, kind):
            raise DataError(f"the label {label!r} is a {kind}, but labels before are {self._kind}s")
        self._kind = kind
        if isinstance(label, str):
            return torch.tensor(self._numbers.setdefault(label, len(self._numbers)))
        return torch.as_tensor(label)

    def given(self, label: Tensor) -> Tensor | str:
        """Return a label as it was given."""
        return label if self._kind != "text" else list(self._numbers)[int(label)]

    def shown(self, label: Tensor) -> object:
        """Return a label for a message."""
        found = self.given(label)
        return found if isinstance(found, str) else found.tolist()

    def classes(self, train: Tensor, known: Sequence[str] | None) -> tuple[str, ...] | None:
        """Return the names of the classes, if labels are texts; else what is known of them.

        Args:
            train: labels to train with, as they were numbered, int64 [n].
            known: names that the data set lists in the order of its own; not used where they lack one.
        """
        if self._kind != "text":
            return None if known is None else tuple(known)
        names = list(self._numbers)
        found = {names[number] for number in set(train.tolist())}
        return tuple(known) if known is not None and found <= set(known) else ordered(found)

    def renumbered(self, targets: Tensor, classes: Sequence[str] | None, name: str) -> Tensor:
        """Return targets as numbers of these classes; those that are no texts as they are.

        Raises:
            DataError: a label is none of the classes.
        """
        if self._kind != "text" or classes is None:
            return targets
        numbers = {one: number for number, one in enumerate(classes)}
        places = torch.tensor([numbers.get(one, -1) for one in self._numbers])
        found = places[targets]
        if (found < 0).any():
            unknown = self.shown(targets[found < 0][0])
            raise DataError(
                f"{name} has the label {unknown!r}, which no example to train with has; those have "
                f"{', '.join(classes)}"
            )
        return found


def as_targets(given: object, names: LabelNames) -> Tensor | None:
    """Return targets that are a tensor, an array, or a list of numbers or texts; None if they are not.

    Raises:
        DataError: some are texts, and others are not.
    """
    if hasattr(given, "to_numpy"):  # a column of a data frame
        given = given.to_numpy()
    if isinstance(given, np.ndarray) and given.dtype.kind not in "biuf":
        given = given.tolist()
    if isinstance(given, list | tuple) and any(isinstance(one, str) for one in given):
        return torch.stack([names.tensor(one) for one in given])
    try:
        return torch.as_tensor(given)
    except (TypeError, ValueError, RuntimeError):
        return None

"""What every data set is once loaded: inputs, in memory or read when needed, and targets."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from supernet.data.augment import Augment
from supernet.data.stored import Items, Stored, read
from supernet.data.workers import Pool
from supernet.errors import DataError

__all__ = ["DataSource", "Examples", "Raw", "make_examples"]


@dataclass(frozen=True, eq=False)
class Examples:
    """Inputs with their targets.

    Args:
        inputs: uint8 images [n, channels, height, width], int64 tokens [n, length] that number
            `words`, or float tensors [n, ...]; in memory, or images and floats as `Stored` inputs, which
            are read when a batch needs them.
        targets: int64 class numbers [n], or floats [n, ...] for regression.
        classes: names of the classes, one for each class number; empty for regression.
        words: word or character that each token stands for; empty unless inputs are tokens.

    Raises:
        DataError: there are no examples, or inputs, targets, classes and words do not fit together.
    """

    inputs: Tensor | Stored
    targets: Tensor
    classes: tuple[str, ...] = ()
    words: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        self._check_lengths()
        self._check_types()
        if self.classes:
            self._check_classes()

    def __len__(self) -> int:
        return len(self.inputs)

    def select(self, indices: Tensor) -> Examples:
        """Return some of these examples, in the order of `indices` (int64, [m]).

        Those in memory are copied; stored inputs stay where they are.
        """
        indices = indices.to(self.inputs.device)
        targets = self.targets.index_select(0, indices)
        if isinstance(self.inputs, Stored):
            return Examples(self.inputs.select(indices), targets, self.classes, self.words)
        return Examples(self.inputs.index_select(0, indices), targets, self.classes, self.words)

    def tensor(self) -> Tensor:
        """Return the inputs as one tensor in memory, [n, ...], read if they are stored.

        Raises:
            ReadingError: one cannot be read.
        """
        return self.inputs.fetch() if isinstance(self.inputs, Stored) else self.inputs

    def to(self, device: str | torch.device) -> Examples:
        """Return the examples on `device`."""
        return Examples(self.inputs.to(device), self.targets.to(device), self.classes, self.words)

    def _check_lengths(self) -> None:
        if not self.inputs.ndim or not self.targets.ndim or len(self.inputs) != len(self.targets):
            raise DataError(
                f"Inputs {list(self.inputs.shape)} and targets {list(self.targets.shape)} must "
                "have the same first dimension: the number of examples."
            )
        if not self.inputs.numel():
            raise DataError(
                f"There are no examples (inputs are {list(self.inputs.shape)}); "
                "check where the data comes from and what filters it."
            )

    def _check_types(self) -> None:
        if self.words or self.inputs.dtype == torch.int64:
            self._check_tokens()
        elif self.inputs.dtype != torch.uint8 and not self.inputs.is_floating_point():
            raise DataError(
                f"Inputs are {self.inputs.dtype}; possible are uint8 images and floats. "
                "Convert them with `.float()`."
            )
        if self.inputs.dtype == torch.uint8 and self.inputs.ndim != 4:
            raise DataError(
                f"uint8 inputs are images [n, channels, height, width], but these are "
                f"{list(self.inputs.shape)}. Add a channel with `.unsqueeze(1)`, or convert inputs "
                "that are not images with `.float()`."
            )
        if self.targets.dtype != torch.int64 and not self.targets.is_floating_point():
            raise DataError(
                f"Targets are {self.targets.dtype}; possible are int64 class numbers and floats. "
                "Convert them with `.long()`."
            )

    def _check_tokens(self) -> None:
        if not self.words or isinstance(self.inputs, Stored):
            raise DataError(
                "Inputs are torch.int64; possible are uint8 images, floats, and tokens of a text, which "
                "need their `words` (see supernet.data.Text). Convert numbers with `.float()`."
            )
        low, high = int(self.inputs.min()), int(self.inputs.max())
        token = self.inputs.dtype == torch.int64 and self.inputs.ndim == 2
        if not token or low < 0 or high >= len(self.words):
            raise DataError(
                f"Inputs {self.inputs.dtype} {list(self.inputs.shape)} from {low} to {high} are no "
                f"tokens int64 [n, length] of {len(self.words)} words, which are numbered 0 to "
                f"{len(self.words) - 1}."
            )

    def _check_classes(self) -> None:
        low, high = int(self.targets.min()), int(self.targets.max())
        if self.targets.is_floating_point() or low < 0 or high >= len(self.classes):
            raise DataError(
                f"Targets are {self.targets.dtype} from {low} to {high}, but {len(self.classes)} "
                f"classes are numbered 0 to {len(self.classes) - 1}; renumber the targets."
            )


@dataclass(frozen=True, eq=False)
class Raw:
    """A data set as its source delivers it, before it is split.

    Args:
        name: name of the data set in tables and reports.
        train: examples to train with, and to select with unless there are others for it.
        test: the official test split, or None if the set has none.
        augment: the augmentation that suits this set.
        search: examples to select with, where random ones of `train` would not do.
        notes: sentences on what was found where the data came from and is not used, to be said.
        workers: number of processes that stored inputs are read by, unless a run is told another.

    Raises:
        DataError: the test or search examples differ in kind from the training examples.
    """

    name: str
    train: Examples
    test: Examples | None
    augment: Augment
    search: Examples | None = None
    notes: tuple[str, ...] = ()
    workers: int = 2

    def __post_init__(self) -> None:
        for purpose, examples in (("test", self.test), ("search", self.search)):
            if examples is not None:
                self._check(purpose, examples)

    def read_by(self, workers: int | None = None) -> Raw:
        """Return the same data, whose stored inputs are read by so many processes.

        Args:
            workers: number of processes for all that is read from one source, which are started when the
                first batch is needed; 0 reads in this one; None is what the source says.
        """
        workers = self.workers if workers is None else workers
        pools: dict[Items, Pool] = {}

        def by_processes(examples: Examples) -> Examples:
            if not isinstance(inputs := examples.inputs, Stored):
                return examples
            pool = (
                pools.setdefault(inputs.items, Pool(read, inputs.items, workers))
                if workers
                else None
            )
            return replace(examples, inputs=inputs.read_by(pool))

        test = None if self.test is None else by_processes(self.test)
        search = None if self.search is None else by_processes(self.search)
        return replace(self, train=by_processes(self.train), test=test, search=search)

    def _check(self, purpose: str, examples: Examples) -> None:
        if _kind(self.train) != _kind(examples):
            raise DataError(
                f"{self.name}: training examples are {_kind(self.train)}, {purpose} examples "
                f"{_kind(examples)}; both need the same shape, types and classes."
            )
        if self.train.words != examples.words:
            raise DataError(
                f"{self.name}: the tokens of the {purpose} examples stand for other words than those "
                "of the training examples; make both with one vocabulary."
            )


class DataSource(ABC):
    """Where a data set comes from; the constructor takes the options, `load` does the work."""

    @abstractmethod
    def load(self) -> Raw:
        """Return the data set, the same at every call: in memory, or as `Stored` inputs.

        Raises:
            DataError: the data is missing, damaged or contradicts itself.
        """


def make_examples(
    name: str,
    inputs: Tensor | Stored,
    targets: Tensor,
    classes: tuple[str, ...] | None = None,
) -> Examples:
    """Return examples; classes without names (None) are called "0", "1", ...

    Raises:
        DataError: the parts do not fit together; the message begins with `name`.
    """
    try:
        return Examples(inputs, targets, _numbers(targets) if classes is None else classes)
    except DataError as error:
        raise DataError(f"{name}: {error}") from error


def _numbers(targets: Tensor) -> tuple[str, ...]:
    if targets.dtype != torch.int64 or targets.ndim != 1 or not len(targets):
        return ()
    low, high = int(targets.min()), int(targets.max())
    if low < 0 or high >= len(targets):
        raise DataError(
            f"Class numbers go from {low} to {high} in {len(targets)} examples; number the classes "
            "0, 1, 2, ... without gaps, or give floats for regression."
        )
    return tuple(str(number) for number in range(high + 1))


def _kind(examples: Examples) -> str:
    inputs, targets = examples.inputs, examples.targets
    return (
        f"{inputs.dtype} {list(inputs.shape[1:])} with {targets.dtype} targets "
        f"{list(targets.shape[1:])} and classes {', '.join(examples.classes) or '(none)'}"
    )

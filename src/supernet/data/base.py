"""What every data set is once loaded: inputs, in memory or read when needed, and targets."""

from __future__ import annotations

import contextlib
from abc import ABC, abstractmethod
from collections.abc import Iterator
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from supernet.data.augment import Augment
from supernet.data.several import Held, Several, Values, parts_of
from supernet.data.stored import Items, Stored, read
from supernet.data.table_encoding import TableEncoding
from supernet.data.workers import Pool
from supernet.errors import DataError

__all__ = ["DataSource", "Examples", "Raw", "make_examples", "naming"]


@dataclass(frozen=True, eq=False)
class Examples:
    """Inputs with their targets.

    Args:
        inputs: uint8 images [n, channels, height, width], int64 tokens [n, length] that number
            `words`, or float tensors [n, ...]; in memory, or images and floats as `Stored` inputs, which
            are read when a batch needs them; or `Several` of them.
        targets: int64 class numbers [n], or floats [n, ...] for regression.
        classes: names of the classes, one for each class number; empty for regression.
        words: word, character or category that each token stands for; empty unless inputs are tokens,
            in one tensor, or one of several inputs is int64.
        scaled: number of features that are to be standardised, by the mean and deviation of the training
            split, and where NaN stands for a value that is missing: the first ones of the floats
            [n, features] that are the inputs, or one of several.

    Raises:
        DataError: there are no examples, or inputs, targets, classes and words do not fit together.
    """

    inputs: Held
    targets: Tensor
    classes: tuple[str, ...] = ()
    words: tuple[str, ...] = ()
    scaled: int = 0

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
        if isinstance(self.inputs, Tensor):
            inputs: Held = self.inputs.index_select(0, indices)
        else:
            inputs = self.inputs.select(indices)
        return replace(self, inputs=inputs, targets=targets)

    def tensor(self) -> Values:
        """Return the inputs in memory, read if they are stored.

        Returns:
            One tensor, [n, ...]; of several a tuple, or a dictionary by their names.

        Raises:
            ReadingError: one cannot be read.
        """
        return self.inputs if isinstance(self.inputs, Tensor) else self.inputs.fetch()

    def to(self, device: str | torch.device) -> Examples:
        """Return the examples on `device`."""
        return replace(self, inputs=self.inputs.to(device), targets=self.targets.to(device))

    def _check_lengths(self) -> None:
        parts = parts_of(self.inputs)
        alone = all(part.ndim for part in parts) and self.targets.ndim
        if not alone or len(self.inputs) != len(self.targets):
            raise DataError(
                f"Inputs {_shapes(self.inputs)} and targets {list(self.targets.shape)} must "
                "have the same first dimension: the number of examples."
            )
        if not all(part.numel() for part in parts):
            raise DataError(
                f"There are no examples (inputs are {_shapes(self.inputs)}); "
                "check where the data comes from and what filters it."
            )

    def _check_types(self) -> None:
        if not isinstance(self.inputs, Several):
            self._check_inputs(self.inputs)
        elif self.words:
            tokens = [part for part in self.inputs.parts if part.dtype == torch.int64]
            if len(tokens) != 1:
                raise DataError(
                    f"Words are those of the only int64 input, but {len(tokens)} of several inputs are; "
                    "leave them out."
                )
            self._check_tokens(tokens[0])
        if self.scaled:
            self._check_scaled()
        if self.targets.dtype != torch.int64 and not self.targets.is_floating_point():
            raise DataError(
                f"Targets are {self.targets.dtype}; possible are int64 class numbers and floats. "
                "Convert them with `.long()`."
            )

    def _check_inputs(self, inputs: Tensor | Stored) -> None:
        if self.words or inputs.dtype == torch.int64:
            self._check_tokens(inputs)
        elif inputs.dtype != torch.uint8 and not inputs.is_floating_point():
            raise DataError(
                f"Inputs are {inputs.dtype}; possible are uint8 images and floats. "
                "Convert them with `.float()`."
            )
        if inputs.dtype == torch.uint8 and inputs.ndim != 4:
            raise DataError(
                f"uint8 inputs are images [n, channels, height, width], but these are "
                f"{list(inputs.shape)}. Add a channel with `.unsqueeze(1)`, or convert inputs "
                "that are not images with `.float()`."
            )

    def _check_tokens(self, inputs: Tensor | Stored) -> None:
        if not self.words or isinstance(inputs, Stored):
            raise DataError(
                "Inputs are torch.int64; possible are uint8 images, floats, and tokens of a text, which "
                "need their `words` (see supernet.data.Text). Convert numbers with `.float()`, or give "
                "tokens of your own by the name of the model's argument, such as {'tokens': inputs}."
            )
        low, high = int(inputs.min()), int(inputs.max())
        token = inputs.dtype == torch.int64 and inputs.ndim == 2
        if not token or low < 0 or high >= len(self.words):
            raise DataError(
                f"Inputs {inputs.dtype} {list(inputs.shape)} from {low} to {high} are no "
                f"tokens int64 [n, length] of {len(self.words)} words, which are numbered 0 to "
                f"{len(self.words) - 1}."
            )

    def _check_scaled(self) -> None:
        tables = [part for part in parts_of(self.inputs) if part.is_floating_point()]
        shapes = [list(part.shape) for part in tables]
        if len(tables) != 1 or len(shapes[0]) != 2 or not 0 < self.scaled <= shapes[0][1]:
            raise DataError(
                f"{self.scaled} features are to be standardised, which needs one input of floats "
                f"[n, features] with as many, but those of floats are {shapes}; give scaled=0."
            )
        if isinstance(tables[0], Stored):
            raise DataError("Only features in memory are standardised; give scaled=0.")

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
        encoding: how rows of a table became inputs, which further rows are made into inputs by; kept in
            the run folder.

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
    encoding: TableEncoding | None = None

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

        def by_pool(part: Tensor | Stored) -> Tensor | Stored:
            if isinstance(part, Tensor) or not workers:
                return part if isinstance(part, Tensor) else part.read_by(None)
            return part.read_by(pools.setdefault(part.items, Pool(read, part.items, workers)))

        def by_processes(examples: Examples) -> Examples:
            inputs = examples.inputs
            if isinstance(inputs, Several):
                return replace(examples, inputs=inputs.mapped(by_pool))
            return replace(examples, inputs=by_pool(inputs))

        test = None if self.test is None else by_processes(self.test)
        search = None if self.search is None else by_processes(self.search)
        return replace(self, train=by_processes(self.train), test=test, search=search)

    def _check(self, purpose: str, examples: Examples) -> None:
        if _kind(self.train) != _kind(examples):
            raise DataError(
                f"{self.name}: training examples are {_kind(self.train)}, {purpose} examples "
                f"{_kind(examples)}; both need the same shape, types and classes."
            )
        if self.train.scaled != examples.scaled:
            raise DataError(
                f"{self.name}: {self.train.scaled} features of the training examples are to be "
                f"standardised, but {examples.scaled} of the {purpose} examples; give both the same."
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
    inputs: Held,
    targets: Tensor,
    classes: tuple[str, ...] | None = None,
) -> Examples:
    """Return examples; classes without names (None) are called "0", "1", ...

    Raises:
        DataError: the parts do not fit together; the message begins with `name`.
    """
    with naming(name):
        return Examples(inputs, targets, _numbers(targets) if classes is None else classes)


@contextlib.contextmanager
def naming(name: str) -> Iterator[None]:
    """Let the messages of a `DataError` within the block begin with a name."""
    try:
        yield
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


def _shapes(inputs: Held) -> str:
    """Return the shape of inputs; of several that of each, by its name."""
    return f"({inputs})" if isinstance(inputs, Several) else str(list(inputs.shape))


def _kind(examples: Examples) -> str:
    inputs, targets = examples.inputs, examples.targets
    labels = [f"{label} " for label in inputs.labels] if isinstance(inputs, Several) else [""]
    kinds = ", ".join(
        f"{label}{part.dtype} {list(part.shape[1:])}"
        for label, part in zip(labels, parts_of(inputs), strict=True)
    )
    return (
        f"{kinds} with {targets.dtype} targets "
        f"{list(targets.shape[1:])} and classes {', '.join(examples.classes) or '(none)'}"
    )

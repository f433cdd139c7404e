"""Three disjoint splits: to train with, to select with, and one to read once."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import NoReturn

import torch
from torch import Tensor

from supernet.data.augment import Augment
from supernet.data.base import Examples, Raw
from supernet.data.several import Several, parts_of
from supernet.data.stored import Stored
from supernet.data.table_encoding import TableEncoding
from supernet.errors import ConfigError, DataError
from supernet.random import generator

__all__ = ["FRACTION", "Sealed", "Splits", "split_data"]

FRACTION = 0.2
"""The part of examples that is for the search, and that is for the test, unless told otherwise."""


class Sealed:
    """The test split, closed until the architecture is chosen, and open once."""

    def __init__(self, examples: Examples) -> None:
        self._length = len(examples)
        self._examples: Examples | None = examples
        self._opened_for = ""

    def __len__(self) -> int:
        return self._length

    @cached_property
    def identity(self) -> str:
        """A hash of the examples, by which they are known again without being opened.

        Of stored inputs not all are read, see `Stored.identity`.

        Raises:
            DataError: they were opened before.
        """
        if self._examples is None:
            raise DataError("The test split was opened; take its identity before.")
        hasher = hashlib.blake2b(repr(self._examples.classes).encode(), digest_size=16)
        inputs = self._examples.inputs
        if isinstance(inputs, Several):
            hasher.update(repr(inputs.labels).encode())
        for part in (*parts_of(inputs), self._examples.targets):
            if isinstance(part, Stored):
                hasher.update(part.identity.encode())
                continue
            hasher.update(f"{part.dtype} {tuple(part.shape)};".encode())
            hasher.update(part.cpu().contiguous().reshape(-1).view(torch.uint8).numpy().data)
        return hasher.hexdigest()

    def __reduce__(self) -> NoReturn:
        raise DataError("The test split is read once and cannot be copied; load the data again.")

    def open(self, architecture_key: str) -> Examples:
        """Return the test examples.

        Args:
            architecture_key: the architecture that was chosen, and is about to be tested.

        Raises:
            DataError: no architecture is chosen, or the split was opened before.
        """
        if not architecture_key:
            raise DataError("The test split opens for a chosen architecture; give its key.")
        if self._examples is None:
            raise DataError(
                f"The test split is read once, and was read for {self._opened_for}; choose with "
                f"the search split, then test only what was chosen (not {architecture_key} too)."
            )
        examples, self._examples, self._opened_for = self._examples, None, architecture_key
        return examples


@dataclass(frozen=True, eq=False)
class Splits:
    """A data set ready for a run.

    Args:
        name: name of the data set in tables and reports.
        train: examples that weights are learned from.
        search: examples that architectures are learned from or ranked with.
        test: examples that the chosen architecture is tested with, once.
        augment: the augmentation that suits this set.
        notes: sentences on what was found where the data came from and is not used, see `Raw`.
        encoding: how rows of a table became inputs, see `Raw`.
    """

    name: str
    train: Examples
    search: Examples
    test: Sealed
    augment: Augment
    notes: tuple[str, ...] = ()
    encoding: TableEncoding | None = None


def split_data(
    raw: Raw,
    seed: int,
    search_fraction: float = FRACTION,
    test_fraction: float = FRACTION,
    limit: int | None = None,
) -> Splits:
    """Return shuffled splits, the same for the same seed; each class keeps its share in each.

    The test split depends on `seed` and `test_fraction` alone. Splits of regression targets (or of
    anything else than one class number per example) are simply random.

    Args:
        raw: data set to split.
        seed: seed of the run.
        search_fraction: part of all that is not test, in (0, 1); unused if the data set has examples of
            its own to select with.
        test_fraction: part of all examples, in (0, 1); unused if there is an official test split.
        limit: use at most this many examples in `train` and `search` together.

    Raises:
        ConfigError: a fraction or the limit is out of range.
        DataError: there is one class only, or too few examples of a class for every split.
    """
    _check_options(search_fraction, test_fraction, limit)
    notes = (*raw.notes, *_unused(raw, search_fraction, test_fraction))
    rest = raw.train
    if raw.test is None:
        test, rest = _divide(raw.name, rest, "test", round(test_fraction * len(rest)), seed)
    else:
        test = _shuffle(raw.test, "test", seed)
    if raw.search is not None:
        train, search = _limited(raw.name, rest, raw.search, limit, seed)
        return Splits(raw.name, train, search, Sealed(test), raw.augment, notes, raw.encoding)
    if limit is not None and limit < len(rest):
        rest, _ = _divide(raw.name, rest, "limit", limit, seed)
    search, train = _divide(raw.name, rest, "search", round(search_fraction * len(rest)), seed)
    return Splits(raw.name, train, search, Sealed(test), raw.augment, notes, raw.encoding)


def _unused(raw: Raw, search_fraction: float, test_fraction: float) -> Iterator[str]:
    """Say which fractions were given though the data set has examples of its own."""
    for name, given, own in (
        ("search", search_fraction, raw.search),
        ("test", test_fraction, raw.test),
    ):
        if own is not None and given != FRACTION:
            yield f"split.{name}_fraction {given} is not used: the data set has examples for it"


def _check_options(search_fraction: float, test_fraction: float, limit: int | None) -> None:
    fractions = {"search_fraction": search_fraction, "test_fraction": test_fraction}
    for name, fraction in fractions.items():
        if not 0 < fraction < 1:
            raise ConfigError(f"{name} is {fraction}; give a part between 0 and 1, such as 0.2.")
    if limit is not None and limit < 1:
        raise ConfigError(f"limit is {limit}; give a number of examples, or leave it out for all.")


def _limited(
    name: str, train: Examples, search: Examples, limit: int | None, seed: int
) -> tuple[Examples, Examples]:
    """Return both shuffled, and of both the same share if all would be more than the limit."""
    total = len(train) + len(search)
    limit = total if limit is None else min(limit, total)
    count = max(1, limit * len(search) // total)
    if limit == count:
        raise DataError(f"{name}: a limit of {limit} leaves no examples to train; raise it.")
    return (
        _shuffle(train, "train", seed, limit - count),
        _shuffle(search, "search", seed, count),
    )


def _shuffle(examples: Examples, purpose: str, seed: int, count: int | None = None) -> Examples:
    order = torch.randperm(len(examples), generator=generator(seed, "split", purpose))
    return examples.select(order[:count])


def _divide(
    name: str, examples: Examples, purpose: str, count: int, seed: int
) -> tuple[Examples, Examples]:
    """Return `count` random examples, and all others; both shuffled."""
    if not 0 < count < len(examples):
        raise DataError(
            f"{name}: {count} of {len(examples)} examples are for {purpose}, which leaves a split "
            "empty; use more examples or other fractions."
        )
    order = torch.randperm(len(examples), generator=generator(seed, "split", purpose))
    strata = _strata(examples)[order]
    counts = torch.bincount(strata, minlength=len(examples.classes))
    quota = _quota(counts, count)
    if _is_classified(examples):
        _check_classes(name, examples, purpose, counts, quota)
    taken = _rank_in_class(strata) < quota[strata]
    return examples.select(order[taken]), examples.select(order[~taken])


def _is_classified(examples: Examples) -> bool:
    return examples.targets.dtype == torch.int64 and examples.targets.ndim == 1


def _strata(examples: Examples) -> Tensor:
    """Return the class of each example, [n]; one for all if targets are not classes."""
    if _is_classified(examples):
        return examples.targets.cpu()
    return torch.zeros(len(examples), dtype=torch.int64)


def _quota(counts: Tensor, total: int) -> Tensor:
    """Return how many of each class to take, [classes]: largest remainders, exactly `total`.

    Hamilton's method in integers: every class is less than 1 from its exact share.
    """
    # Classes of 5, 3 and 2 examples, 4 to take: exact shares are 2, 1.2 and 0.8, so 2, 1 and 0 are
    # taken, and the one that is missing is of the third class, whose remainder is the largest.
    shares = counts * total
    quota = shares // counts.sum()
    remainders = shares % counts.sum()
    missing = total - int(quota.sum())
    quota[torch.argsort(remainders, descending=True, stable=True)[:missing]] += 1
    return quota


def _rank_in_class(strata: Tensor) -> Tensor:
    """Return how many earlier examples are of the same class, [n]."""
    order = torch.argsort(strata, stable=True)
    counts = torch.bincount(strata)
    starts = counts.cumsum(0) - counts
    ranks = torch.empty_like(strata)
    ranks[order] = torch.arange(len(strata)) - starts[strata[order]]
    return ranks


def _check_classes(
    name: str, examples: Examples, purpose: str, counts: Tensor, quota: Tensor
) -> None:
    """Raise unless each class is in both parts."""
    names = examples.classes or tuple(str(number) for number in range(len(counts)))
    if len(names) < 2:
        raise DataError(f"{name} has the class {names[0]} only; a classifier needs two or more.")
    scarce = quota == 0
    if purpose != "limit":  # what is over the limit is not used, so no class needs to be there
        scarce |= quota == counts
    if scarce.any():
        listed = [f"{names[k]} ({int(counts[k])})" for k in scarce.nonzero().flatten().tolist()]
        raise DataError(
            f"{name}: too few examples to have each of {len(names)} classes in every split: "
            f"{int(quota.sum())} of {len(examples)} are for {purpose}, not enough of class "
            f"{', '.join(listed[:5])}. Add examples of such classes or remove them, raise the "
            "limit or change the fractions."
        )

"""Kendall's τ-b of two sides in many resamples at once, with ties, in n log n steps for each.

Shapes: n items have values `[n]`, and are drawn so many times in each resample: counts are
`[resamples, n]`. With S = Σ c_i c_j sign(x_i - x_j) sign(y_i - y_j) over all pairs of items, and X and Y
the same sums of sign² of one side, τ-b = S / sqrt(X Y).

Items are put into the order of x, so that S is a matter of y alone: pairs in order, less those out of
order. Which are depends on the values only, so it is worked out once for all resamples, while merging
(Knight, "A Computer Method for Calculating Kendall's Tau with Ungrouped Data", JASA 1966): runs of up to
`RUN` items by a matrix of signs, and two neighbouring runs by prefix sums of the counts of the one, in
the order of y, which are looked up at each item of the other.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

__all__ = ["PairCounts", "Strata"]

RUN = 256
"""Items whose pairs are counted by a matrix: below, multiplying is faster than merging."""

Array = NDArray[np.float64]
Indices = NDArray[np.intp]


@dataclass(frozen=True)
class Strata:
    """The strata that items were drawn from, as many from each, where all are equally large.

    Of n_h items of a stratum, n_h (n_h - 1) of the n_h² pairs with repetition are pairs of two, so a
    sample has fewer pairs within strata than there are among all; each counts n_h / (n_h - 1) times
    (Horvitz and Thompson, "A Generalization of Sampling Without Replacement", JASA 1952).

    Attributes:
        of: number of the stratum of each item, `[n]`.
        more: how many times more each pair within a stratum counts, by its number, 1 / (n_h - 1).
    """

    of: Indices
    more: Mapping[int, float]

    @classmethod
    def sampled(cls, of: Sequence[int]) -> Strata:
        """Return the strata of items, of which it is said which stratum each was drawn from."""
        numbers, sizes = np.unique(np.asarray(of, dtype=np.intp), return_counts=True)
        sized = zip(numbers.tolist(), sizes.tolist(), strict=True)
        return cls(np.asarray(of, np.intp), {h: 1 / (n - 1) for h, n in sized if n > 1})

    def among(self, items: Indices) -> Strata:
        """Return the strata of some of the items, whose pairs count as they do among all."""
        return Strata(self.of[items], self.more)


class PairCounts:
    """Counts the pairs of items that two sides order alike.

    Counts, and sums of them up to n, are whole numbers, which single precision holds up to 2^24.

    Args:
        x: values of one side, `[n]`.
        y: values of the other side, `[n]`.
        strata: strata that the items were drawn from, whose own pairs count more.
    """

    def __init__(self, x: Array, y: Array, strata: Strata | None = None) -> None:
        self._within = [
            (more, items, PairCounts(x[items], y[items]))
            for number, more in (strata.more if strata is not None else {}).items()
            if len(items := np.flatnonzero(strata.of == number)) > 1  # type: ignore[union-attr]
        ]
        one, other = _ranks(x), _ranks(y)
        self._order = np.lexsort((other, one))  # ties of x by y: those pairs are taken off again
        self._x_groups = _Groups(one)
        self._y_groups = _Groups(other)
        self._both_groups = _Groups(one * (other.max(initial=0) + 1) + other)
        ordered = other[self._order]
        self._signs = [
            np.triu(np.sign(np.subtract.outer(run, run)).T).astype(np.float32)
            for run in (ordered[start : start + RUN] for start in range(0, len(ordered), RUN))
        ]
        self._merges = list(_merges(ordered))

    def taus(self, drawn: NDArray[np.floating]) -> Array:
        """Return τ-b in each resample, `[resamples]`; NaN where one side is constant."""
        agreed, x, y = self.sums(drawn)
        size = np.sqrt(x * y)
        found: Array = np.divide(agreed, size, out=np.full(len(drawn), np.nan), where=size > 0)
        return found

    def sums(self, drawn: NDArray[np.floating]) -> tuple[Array, Array, Array]:
        """Return S, X and Y in each resample, `[resamples]` each, every pair counted once."""
        counts = drawn.astype(np.float32, copy=False)
        whole = counts.sum(1, dtype=np.float64) ** 2
        same = np.einsum("rn,rn->r", counts, counts).astype(np.float64)
        groups = (self._x_groups, self._y_groups, self._both_groups)
        x, y, both = (same + one.pairs(counts) for one in groups)
        sums = self._in_order(counts) - (x - both) / 2, (whole - x) / 2, (whole - y) / 2
        for more, items, pairs in self._within:
            for total, part in zip(sums, pairs.sums(counts[:, items]), strict=True):
                total += more * part
        return sums

    def _in_order(self, counts: NDArray[np.float32]) -> Array:
        """Return the pairs that are in order, less those out of order; ties of x count as in order."""
        ordered = np.take(counts, self._order, axis=1)
        found = np.zeros(len(counts))
        for number, signs in enumerate(self._signs):
            run = ordered[:, number * RUN : number * RUN + len(signs)]
            found += ((run @ signs) * run).sum(1, dtype=np.float64)
        for merge in self._merges:
            found += merge.in_order(ordered)
        return found


@dataclass(frozen=True)
class _Merge:
    """All pairs of two neighbouring runs.

    Attributes:
        left: items of the left run in the order of y, `[l]`.
        right: where the right run is.
        below: for each item of the right run, how many of the left run are below it in y, `[r]`.
        upto: the same, of those that are not above it; None where none is equal.
    """

    left: Indices
    right: slice
    below: Indices
    upto: Indices | None

    def in_order(self, ordered: NDArray[np.float32]) -> Array:
        """Return how many pairs are in order less those out of order in each resample, `[resamples]`."""
        # y = (2, 5 | 3, 5): one of the left run is below 3 and none equal, so 1 + 1 - 2 = 0: one pair is
        # in order, one is not; for the second 5 it is 1 + 2 - 2 = 1: one pair is in order.
        before = np.zeros((len(ordered), len(self.left) + 1), np.float32)
        np.cumsum(np.take(ordered, self.left, axis=1), axis=1, out=before[:, 1:])
        looked_up = np.take(before, self.below, axis=1)
        looked_up += looked_up if self.upto is None else np.take(before, self.upto, axis=1)
        looked_up -= before[:, -1:]
        looked_up *= ordered[:, self.right]
        found: Array = looked_up.sum(1, dtype=np.float64)
        return found


class _Groups:
    """Items with equal values; those that are alone are left out.

    Args:
        values: whole numbers, `[n]`.
    """

    def __init__(self, values: NDArray[np.int64]) -> None:
        _, group, sizes = np.unique(values, return_inverse=True, return_counts=True)
        tied = np.flatnonzero(sizes[group] > 1)
        self._items = tied[np.argsort(values[tied], kind="stable")]
        self._ends = np.cumsum(sizes[sizes > 1])

    def pairs(self, counts: NDArray[np.float32]) -> Array:
        """Return how often two different items of a group are drawn, `[resamples]`; each pair twice."""
        if not len(self._items):
            return np.zeros(len(counts))
        drawn = np.take(counts, self._items, axis=1)
        before = np.cumsum(drawn, axis=1)[:, self._ends - 1].astype(np.float64)
        many = np.diff(before, axis=1, prepend=0.0)
        found: Array = np.einsum("rg,rg->r", many, many) - np.einsum("rn,rn->r", drawn, drawn)
        return found


def _merges(y: NDArray[np.int64]) -> Iterator[_Merge]:
    """Yield the merges of all runs, from the shortest on."""
    length, n = RUN, len(y)
    while length < n:
        for start in range(0, n - length, 2 * length):
            middle, end = start + length, min(start + 2 * length, n)
            left = start + np.argsort(y[start:middle], kind="stable")
            below = np.searchsorted(y[left], y[middle:end], "left")
            upto = np.searchsorted(y[left], y[middle:end], "right")
            equal = np.array_equal(below, upto)
            yield _Merge(left, slice(middle, end), below, None if equal else upto)
        length *= 2


def _ranks(values: Array) -> NDArray[np.int64]:
    """Return whole numbers that differ as the values do, infinite ones too."""
    return np.unique(values, return_inverse=True)[1].astype(np.int64)

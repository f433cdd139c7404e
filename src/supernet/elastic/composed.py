"""Sizes that are made of others, and which positions of a largest tensor belong to them.

Where tensors are concatenated, or several numbers share one axis (heads and the size of a head), the
positions are what they are: `JoinedSize` and `ProductSize` say so, once, for slicing, for putting
channels in another order, and for the shape of what is derived.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Hashable, Iterable
from itertools import accumulate

import torch

from supernet.elastic.size import Dimension, Order, Size, as_size

__all__ = ["CentreSize", "JoinedSize", "ProductSize", "ScaledSize", "multiplied"]


class CentreSize(Size):
    """A size whose positions are those in the middle: of a kernel.

    Args:
        size: size whose positions are in the middle.
    """

    def __init__(self, size: Size) -> None:
        self._size = size

    @property
    def now(self) -> int:
        """The number."""
        return self._size.now

    @property
    def largest(self) -> int:
        """The largest number."""
        return self._size.largest

    @property
    def dimensions(self) -> tuple[Dimension, ...]:
        """What it depends on."""
        return self._size.dimensions

    @property
    def terms(self) -> tuple[Size, ...]:
        """None: its positions have an order that means something."""
        return ()

    @property
    def span(self) -> tuple[int, int]:
        """Where the middle starts, and its length."""
        now = self.now
        return (self.largest - now) // 2, now

    def used(self) -> torch.Tensor:
        """Return the positions that are used under the gates, `[now]`."""
        return torch.arange(self.now) + (self.largest - self.now) // 2


class _Made(Size):
    """A size made of others; the used positions may lie apart, and are found once per architecture."""

    def __init__(self, *sizes: Size | int) -> None:
        self._sizes = tuple(as_size(size) for size in sizes)
        self._terms = tuple(term for size in self._sizes for term in size.terms)
        self._found: tuple[object, torch.Tensor] | None = None

    @property
    def dimensions(self) -> tuple[Dimension, ...]:
        """Those of all."""
        return tuple(dict.fromkeys(d for size in self._sizes for d in size.dimensions))

    @property
    def key(self) -> Hashable:
        """Its kind and the keys of what it is made of."""
        return (type(self).__name__, *(size.key for size in self._sizes))

    @property
    def terms(self) -> tuple[Size, ...]:
        """The sizes that it is made of."""
        return self._terms

    @property
    def span(self) -> tuple[int, int] | None:
        """Where the used positions start, and their number; None if they lie apart."""
        whole = all(term.now == term.largest for term in self._terms)
        return (0, self.now) if whole or self._leading() else None

    def apart(self, device: torch.device) -> torch.Tensor:
        """Return the used positions on a device; they are found once for each change of numbers."""
        key = (tuple(term.now for term in self._terms), device)
        if self._found is None or self._found[0] != key:
            with torch.inference_mode(False):  # it is kept, and perhaps used in training
                self._found = key, self.used().to(device)
        return self._found[1]

    def _leading(self) -> bool:
        """Return whether the used positions are the first ones."""
        return False


class ProductSize(_Made):
    """Numbers on one axis, the first outermost: heads and the size of a head, channels and pixels."""

    @property
    def now(self) -> int:
        """The product of what they are now."""
        return math.prod(size.now for size in self._sizes)

    @property
    def largest(self) -> int:
        """The product of the largest."""
        return math.prod(size.largest for size in self._sizes)

    @property
    def monomials(self) -> tuple[tuple[int, tuple[Size, ...]], ...]:
        """The number as a sum of products of a constant and sizes that are not made of others."""
        return multiplied(size.monomials for size in self._sizes)

    def used(self) -> torch.Tensor:
        """Return the used positions: those of the first, and of each of them those of the second...

        Of 2 of 4 heads, and 2 of the 3 numbers of each, [0, 1, 3, 4] of 12.
        """
        found = self._all()
        for axis, size in enumerate(self._sizes):
            found = found.index_select(axis, size.used())
        return found.flatten()

    def order(self, orders: Order) -> torch.Tensor:
        """Return which old position comes to each new one, `[largest]`."""
        found = self._all()
        for axis, size in enumerate(self._sizes):
            found = found.index_select(axis, size.order(orders))
        return found.flatten()

    def positions(self, key: Hashable) -> torch.Tensor:
        """Return the position within the size of this key that each position lies in, -1 if in none."""
        shape = [size.largest for size in self._sizes]
        found = torch.full(shape, -1)
        for axis, size in enumerate(self._sizes):
            along = [1] * len(shape)
            along[axis] = -1
            found = torch.maximum(found, size.positions(key).view(along))
        return found.flatten()

    def _all(self) -> torch.Tensor:
        return torch.arange(self.largest).view([size.largest for size in self._sizes])

    def _leading(self) -> bool:
        first, *others = self._sizes
        whole = all(size.now == size.largest for size in others)
        return whole and (not isinstance(first, _Made) or first._leading())


class JoinedSize(_Made):
    """Numbers one after the other on one axis: the channels of tensors that are concatenated."""

    @property
    def now(self) -> int:
        """The sum of what they are now."""
        return sum(size.now for size in self._sizes)

    @property
    def largest(self) -> int:
        """The sum of the largest."""
        return sum(size.largest for size in self._sizes)

    @property
    def monomials(self) -> tuple[tuple[int, tuple[Size, ...]], ...]:
        """The number as a sum of products of a constant and sizes that are not made of others."""
        return tuple(term for size in self._sizes for term in size.monomials)

    def used(self) -> torch.Tensor:
        """Return the used positions of each, one after the other.

        Of 2 of 4 channels, and 3 of the 6 that are concatenated behind them, [0, 1, 4, 5, 6] of 10.
        """
        return self._each(lambda size: size.used())

    def order(self, orders: Order) -> torch.Tensor:
        """Return which old position comes to each new one, `[largest]`."""
        return self._each(lambda size: size.order(orders))

    def positions(self, key: Hashable) -> torch.Tensor:
        """Return the position within the size of this key that each position lies in, -1 if in none."""
        return torch.cat([size.positions(key) for size in self._sizes])

    def _each(self, of: Callable[[Size], torch.Tensor]) -> torch.Tensor:
        starts = accumulate((size.largest for size in self._sizes), initial=0)
        return torch.cat(
            [of(size) + start for size, start in zip(self._sizes, starts, strict=False)]
        )


class ScaledSize(Size):
    """A size times another number, rounded to a multiple: an expansion, heads times their size.

    Args:
        size: one factor.
        factor: the other factor; a `Dimension` may hold fractions.
        multiple: the result is rounded to the nearest multiple of it, half up, and is at least that.
    """

    def __init__(self, size: Size | int, factor: Dimension | float, multiple: int = 1) -> None:
        self._size = as_size(size)
        self._factor = factor
        self._multiple = multiple

    @property
    def now(self) -> int:
        """The product under the gates that are set."""
        factor = self._factor.value if isinstance(self._factor, Dimension) else self._factor
        return self._rounded(self._size.now * factor)

    @property
    def largest(self) -> int:
        """The product of the largest."""
        factor = self._factor.values[-1] if isinstance(self._factor, Dimension) else self._factor
        return self._rounded(self._size.largest * factor)

    @property
    def dimensions(self) -> tuple[Dimension, ...]:
        """Those of both factors."""
        other = (self._factor,) if isinstance(self._factor, Dimension) else ()
        return (*self._size.dimensions, *other)

    @property
    def key(self) -> Hashable:
        """Both factors; a number that is not open is the same wherever it stands."""
        factor = self._factor.key if isinstance(self._factor, Dimension) else self._factor
        size = self._size.key if self._size.dimensions else self._size.largest
        return ("ScaledSize", size, factor, self._multiple)

    def _rounded(self, number: float) -> int:
        return max(self._multiple, math.floor(number / self._multiple + 0.5) * self._multiple)


def multiplied(
    numbers: Iterable[tuple[tuple[int, tuple[Size, ...]], ...]],
) -> tuple[tuple[int, tuple[Size, ...]], ...]:
    """Return the product of sums as one sum; equal products of sizes are put together."""
    # A number is a sum of (constant, sizes), for instance w + 8 as ((1, (w,)), (8, ())). Times 3 · v,
    # which is ((3, (v,)),), it is ((3, (w, v)), (24, (v,))), that is 3 · w · v + 24 · v.
    numbers = list(numbers)
    # By where a size comes first: the same in every process, unlike its place in memory.
    rank: dict[int, int] = {}
    for size in (size for number in numbers for _, sizes in number for size in sizes):
        rank.setdefault(id(size), len(rank))
    total: dict[tuple[Size, ...], int] = {(): 1}
    for number in numbers:
        product: dict[tuple[Size, ...], int] = {}
        for sizes, constant in total.items():
            for factor, more in number:
                key = tuple(sorted((*sizes, *more), key=lambda size: rank[id(size)]))
                product[key] = product.get(key, 0) + constant * factor
        total = product
    return tuple((constant, sizes) for sizes, constant in total.items())

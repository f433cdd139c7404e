"""Numbers that are open: how wide, which kernel, how many heads.

A `Dimension` holds an ordered decision and no computation. Layers whose shape depends on it read it;
wherever the same dimension is used, the same number holds. Without a route it has its largest value, so
a model with dimensions is an ordinary one of the largest size.

A `Size` is a number that depends on some, and says which part of a largest tensor belongs to it: of `n`
out of `N` by default the first n of N positions. `supernet.elastic.composed` has those that are made of
others.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Hashable, Mapping, Sequence

import torch
from torch import nn

from supernet.choice.choice import ChoiceModule
from supernet.space import Decision, Ordered

__all__ = ["Dimension", "FixedSize", "Order", "Size", "as_size"]

Order = Mapping[Hashable, torch.Tensor]
"""A permutation of the positions of some sizes, by their `key`."""


class Size(ABC):
    """A number that a layer's shape depends on."""

    ordered: bool = False
    """Whether its positions have an order that means something, so that they are not sorted."""

    @property
    @abstractmethod
    def now(self) -> int:
        """The number under the gates that are set."""

    @property
    @abstractmethod
    def largest(self) -> int:
        """The largest number it can be."""

    @property
    @abstractmethod
    def dimensions(self) -> tuple[Dimension, ...]:
        """What it depends on."""

    @property
    def key(self) -> Hashable:
        """What tells sizes apart whose positions are others; equal keys are put in order alike."""
        return self

    @property
    def terms(self) -> tuple[Size, ...]:
        """The sizes that it is made of, itself if of none."""
        return (self,)

    @property
    def monomials(self) -> tuple[tuple[int, tuple[Size, ...]], ...]:
        """The number as a sum of products of a constant and sizes that are not made of others."""
        return ((1, (self,)),) if self.dimensions else ((self.largest, ()),)

    @property
    def span(self) -> tuple[int, int] | None:
        """Where the used positions start, and their number; None if they lie apart."""
        return 0, self.now

    def take(self, tensor: torch.Tensor, axis: int) -> torch.Tensor:
        """Return the part of a largest tensor, along the axis, that is used under the gates."""
        span = self.span
        if span is None:
            return tensor.index_select(axis, self.apart(tensor.device))
        start, length = span
        return tensor if length == self.largest else tensor.narrow(axis, start, length)

    def apart(self, device: torch.device) -> torch.Tensor:
        """Return the used positions on a device, where they lie apart."""
        return self.used().to(device)

    def used(self) -> torch.Tensor:
        """Return the positions that are used under the gates, `[now]`."""
        return torch.arange(self.now)

    def order(self, orders: Order) -> torch.Tensor:
        """Return which old position comes to each new one, `[largest]`."""
        return orders.get(self.key, torch.arange(self.largest))

    def positions(self, key: Hashable) -> torch.Tensor:
        """Return the position within the size of this key that each position lies in, -1 if in none."""
        if key == self.key:
            return torch.arange(self.largest)
        return torch.full((self.largest,), -1)


class FixedSize(Size):
    """A number that is not open."""

    dimensions = ()

    def __init__(self, number: int) -> None:
        self._number = number

    @property
    def now(self) -> int:
        """The number."""
        return self._number

    @property
    def largest(self) -> int:
        """The number."""
        return self._number


class Dimension(ChoiceModule, Size):
    """An ordered decision between numbers.

    Args:
        label: label of the decision; dimensions with one label are answered alike.
        values: numbers that may be chosen, increasing.
        ordered: whether the positions that it counts are not to be sorted, see `Size`.
        place: name of what it counts; dimensions with one label that count the same are put in order
            alike, which those without a name do.

    Raises:
        SpaceError: there are none, or they do not increase.
    """

    def __init__(
        self,
        label: str,
        values: Sequence[int | float],
        ordered: bool = False,
        place: str | None = None,
    ) -> None:
        Ordered(label, tuple(values))
        super().__init__({value: nn.Identity() for value in values}, label=label)
        self.values: tuple[int | float, ...] = tuple(values)
        self.ordered = ordered
        self.place = place or label

    silent = True

    def decision(self, label: str) -> Decision:
        """Return the ordered decision."""
        return Ordered(label, self.names)

    @property
    def weighed(self) -> bool:
        """Whether the gate weighs numbers, so that masks stand for them: `supernet.elastic.masks`."""
        return self.gate is not None and self.gate.weights is not None

    @property
    def value(self) -> int | float:
        """The number that the gate has chosen; of several that run, and without a gate, the largest."""
        if self.gate is None or not self.gate.options:
            return self.values[-1]
        return self.values[max(self.gate.options)]

    @property
    def now(self) -> int:
        """The chosen number."""
        return int(self.value)

    @property
    def largest(self) -> int:
        """The largest number."""
        return int(self.values[-1])

    @property
    def dimensions(self) -> tuple[Dimension, ...]:
        """Itself."""
        return (self,)

    @property
    def key(self) -> Hashable:
        """What it counts."""
        return self.place

    def keep(self, index: int, module: nn.Module) -> Dimension:
        """Return a dimension with one number left."""
        kept = super().keep(index, module)
        kept.values = (self.values[index],)
        kept.names = kept.values
        return kept

    def derive(self, chosen: Sequence[int], modules: Sequence[nn.Module]) -> nn.Module:
        """Return nothing that computes: layers that read the dimension have taken its number over."""
        return nn.Identity()


def as_size(size: Size | int) -> Size:
    """Return a size for a number."""
    return size if isinstance(size, Size) else FixedSize(size)

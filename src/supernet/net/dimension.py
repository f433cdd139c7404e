"""Numbers that are open: how wide, which kernel, how many heads, how deep.

A `Dimension` holds an ordered decision and no computation. Layers whose shape depends on it read it, in
`supernet.elastic`; wherever the same dimension is used, the same number holds. Without a route it has
its largest value, so a model with dimensions is an ordinary one of the largest size.
"""

from __future__ import annotations

import math
from collections.abc import Hashable, Iterator, Sequence
from itertools import product
from typing import Any, Protocol, cast, runtime_checkable

from torch import nn

from supernet.errors import SpaceError
from supernet.net.choice import Choice, ChoiceModule
from supernet.net.plain import Skip
from supernet.net.routing import Gate
from supernet.net.size import Size, as_size
from supernet.space import Decision, Ordered, Path

__all__ = [
    "Depth",
    "Dimension",
    "OpenLayer",
    "Scaled",
    "depth",
    "sizes_of",
]


class Dimension(ChoiceModule, Size):
    """An ordered decision between numbers.

    Args:
        label: of the decision; dimensions with one label are answered alike.
        values: increasing numbers.
        ordered: whether the positions that it counts are not to be sorted, see `Size`.

    Raises:
        SpaceError: there are none, or they do not increase.
    """

    def __init__(self, label: str, values: Sequence[int | float], ordered: bool = False) -> None:
        Ordered(label, tuple(values))
        super().__init__({value: nn.Identity() for value in values}, label=label)
        self.values: tuple[int | float, ...] = tuple(values)
        self.ordered = ordered

    silent = True

    def decision(self, label: str) -> Decision:
        """Return the ordered decision."""
        return Ordered(label, self.names)

    @property
    def weighed(self) -> bool:
        """Whether the gate weighs numbers, so that masks stand for them, see `supernet.net.masks`."""
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
        """The label."""
        return self.label

    def keep(self, index: int, module: nn.Module) -> Dimension:
        """Return a dimension with one number left."""
        kept = super().keep(index, module)
        kept.values = (self.values[index],)
        kept.names = kept.values
        return kept

    def derive(self, chosen: Sequence[int], modules: Sequence[nn.Module]) -> nn.Module:
        """Return nothing that computes: layers that read the dimension have taken its number over."""
        return nn.Identity()


class Scaled(Size):
    """A size times another number, rounded to a multiple: an expansion, heads times their size.

    Args:
        size: one factor.
        factor: the other; a `Dimension` may hold fractions.
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
        return ("Scaled", size, factor, self._multiple)

    def _rounded(self, number: float) -> int:
        return max(self._multiple, math.floor(number / self._multiple + 0.5) * self._multiple)


class Depth(Choice):
    """A block that is there from some depth on: one place in a sequence of elastic depth.

    Args:
        block: the block.
        place: its place in the sequence.
        values: depths.
        label: of the decision.
        skip: what stands for the block where it is left out; it returns its first input if not given.
    """

    def __init__(
        self,
        block: nn.Module,
        place: int,
        values: Sequence[int],
        label: str,
        skip: nn.Module | None = None,
    ) -> None:
        options = {n: block if n > place else skip or Skip() for n in values}
        super().__init__(options, label=label)

    def decision(self, label: str) -> Decision:
        """Return the ordered decision between depths."""
        return Ordered(label, self.names)


def depth(blocks: Sequence[nn.Module], values: Sequence[int], label: str) -> nn.Sequential:
    """Return the blocks in a row, of which only the first few run, as many as the decision says.

    A block's own decisions exist only where it runs. All blocks after the smallest depth must return
    what has the shape of their input.

    Args:
        blocks: as many as the largest depth.
        values: increasing depths, at least 0.
        label: of the decision.

    Raises:
        SpaceError: the depths do not increase, or there are not as many blocks as the largest.
    """
    decision = Ordered(label, tuple(values))
    if not all(isinstance(value, int) and value >= 0 for value in values):
        raise SpaceError(f"depths are whole numbers from 0, not {list(values)}")
    if decision.options[-1] != len(blocks):
        raise SpaceError(
            f"the depth {label!r} is at most {decision.options[-1]}, but there are {len(blocks)} blocks"
        )
    least = values[0]
    optional = [Depth(block, place, values, label) for place, block in enumerate(blocks)][least:]
    return nn.Sequential(*blocks[:least], *optional)


@runtime_checkable
class OpenLayer(Protocol):
    """A `Part` whose shape depends on dimensions."""

    @property
    def dimensions(self) -> list[Dimension]:
        """What its shape depends on, each once."""

    def plain(self) -> nn.Module:
        """Return an ordinary layer of the size that the gates say, with copies of the used weights."""

    def entering(self, *inputs: Any) -> tuple[Any, ...]:
        """Return what of the largest inputs enters under the gates that are set."""


def sizes_of(module: nn.Module) -> Iterator[tuple[Path, nn.Module]]:
    """Yield for all answers to the dimensions of a layer the atoms and the ordinary layer.

    The gates are set until the next is asked for.
    """
    layer = cast(OpenLayer, module)
    before = [dimension.gate for dimension in layer.dimensions]
    try:
        for chosen in product(*(range(len(d.names)) for d in layer.dimensions)):
            for dimension, index in zip(layer.dimensions, chosen, strict=True):
                dimension.set_gate(Gate((index,)))
            atoms = [
                (str(d.label), d.names[i]) for d, i in zip(layer.dimensions, chosen, strict=True)
            ]
            yield tuple(atoms), layer.plain()
    finally:
        for dimension, gate in zip(layer.dimensions, before, strict=True):
            dimension.set_gate(gate)

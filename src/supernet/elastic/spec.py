"""What of a module is open: the sizes of its axes, and the numbers that follow them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from torch import nn

from supernet.elastic.open_layer import OpenLayer
from supernet.elastic.size import Dimension, Size
from supernet.errors import SpaceError
from supernet.modules.batches import Inputs

__all__ = [
    "ElasticSpec",
    "Groups",
    "Number",
    "SizeTuple",
    "dimensions_of",
    "elastic_spec",
    "make_elastic",
]


class Number(Protocol):
    """A number of a module, or a tuple of some; no closure, so that a copied module has its own."""

    @property
    def now(self) -> Any:
        """What it is under the gates that are set."""


@dataclass(frozen=True)
class SizeTuple:
    """Several sizes as a tuple."""

    sizes: tuple[Size, ...]

    @property
    def now(self) -> tuple[int, ...]:
        """The numbers."""
        return tuple(size.now for size in self.sizes)


@dataclass(frozen=True)
class Groups:
    """How many groups of channels there are; a group keeps its size whatever the width.

    Attributes:
        entering: number of channels of the input.
        leaving: number of channels of the output.
        count: number of groups at the largest width.
    """

    entering: Size
    leaving: Size
    count: int

    @property
    def now(self) -> int:
        """Their number.

        Raises:
            SpaceError: the channels are not whole groups.
        """
        size, rows = self.entering.largest // self.count, self.leaving.largest // self.count
        entering, leaving = self.entering.now, self.leaving.now
        groups = entering // size
        if (groups * size, groups * rows) != (entering, leaving):
            raise SpaceError(
                f"groups of {size} channels that enter and {rows} that leave do not divide {entering} "
                f"and {leaving} channels; offer widths that are multiples"
            )
        return groups


class ElasticSpec:
    """What of a module is open.

    Args:
        shapes: sizes of the axes of each parameter and buffer, by its name; None for an axis that
            is not open.
        numbers: attributes that follow sizes.
        sizes: further sizes that the numbers are computed from.
        ordered: whether the module computes something else when its channels are in another order,
            as with groups of them.
        products: multiply-adds of the module's own code for one example, for each call in a forward
            pass as products of numbers; None where they are counted when it runs.
        example: inputs of the model that the products are for.
        multiplied: axes along which a parameter multiplies what comes in and sums it up, by the
            name of the parameter, as a linear layer's weight does along its second; None where the
            module's class says.
    """

    def __init__(
        self,
        shapes: Mapping[str, tuple[Size | None, ...]],
        numbers: Mapping[str, Number],
        sizes: tuple[Size, ...] = (),
        ordered: bool = False,
        products: Sequence[Sequence[tuple[Size | int, ...]]] | None = None,
        example: Inputs | None = None,
        multiplied: Mapping[str, frozenset[int]] | None = None,
    ) -> None:
        self.shapes = dict(shapes)
        self.numbers = dict(numbers)
        self.ordered = ordered
        self.products = products
        self.example = example
        self.multiplied = multiplied
        self.doubt = ""
        """Of a converted model, why its multiply-adds may not be the products."""
        read = [size for shape in shapes.values() for size in shape if size is not None]
        read += [number for number in numbers.values() if isinstance(number, Size)]
        read += [size for number in numbers.values() for size in getattr(number, "sizes", ())]
        factors = (size for call in products or () for product in call for size in product)
        read += [size for size in factors if isinstance(size, Size)]
        found = {id(d): d for size in (*read, *sizes) for d in size.dimensions}
        self.dimensions: list[Dimension] = list(found.values())

    def now(self) -> dict[str, Any]:
        """Return the numbers under the gates that are set."""
        return {name: number.now for name, number in self.numbers.items()}


def elastic_spec(module: nn.Module) -> ElasticSpec | None:
    """Return what of a module is open, if anything is."""
    return module.__dict__.get("_opened")


def make_elastic(module: nn.Module, what: ElasticSpec) -> None:
    """Let parameters, buffers and numbers of a module follow sizes from now on."""
    module.__dict__["_opened"] = what
    for name in what.numbers:
        module.__dict__.pop(name, None)


def dimensions_of(module: nn.Module) -> list[Dimension]:
    """Return what a module's parameters and numbers depend on, each once; nothing of most."""
    if isinstance(module, OpenLayer):
        return module.dimensions
    found = elastic_spec(module)
    return [] if found is None else found.dimensions

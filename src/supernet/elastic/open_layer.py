"""Layers whose shape depends on dimensions, and the ordinary layer of each of their sizes."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import product
from typing import Any, Protocol, cast, runtime_checkable

from torch import nn

from supernet.choice.routing import Gate
from supernet.elastic.size import Dimension
from supernet.space import Path

__all__ = ["OpenLayer", "sizes_of"]


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

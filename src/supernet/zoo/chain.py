"""What spaces whose layers follow one after another have in common."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from itertools import groupby, pairwise

from supernet.space import Architecture, Diagram, Edge, Node

__all__ = ["chain", "identities_last", "strides_by_layer"]


def strides_by_layer(depths: Sequence[int], strides: Sequence[int]) -> Iterator[tuple[int, int]]:
    """Yield (stage, stride) of each layer: the first of a stage has the stage's stride, others 1."""
    for stage, (depth, stride) in enumerate(zip(depths, strides, strict=True)):
        for position in range(depth):
            yield stage, 1 if position else stride


def identities_last(
    architecture: Architecture, movable: Sequence[bool], identity: str = "identity"
) -> Architecture:
    """Move identities behind the layers that they can swap places with.

    Args:
        architecture: answers under the labels "layer0", "layer1", ...
        movable: for each layer, whether its input and output have the same shape and its identity
            is a real one. Movable layers in a row are interchangeable.
        identity: the name of the option that does nothing.
    """
    answers: list[object] = []
    for free, run in groupby(range(len(movable)), movable.__getitem__):
        options = [architecture[f"layer{i}"] for i in run]
        answers += sorted(options, key=lambda option: option == identity) if free else options
    return Architecture({f"layer{i}": answer for i, answer in enumerate(answers)})


def chain(title: str, layers: Mapping[str, str]) -> Diagram:
    """Return the drawing of layers, labels by name, between an input and an output."""
    nodes = (
        Node("input", "image", "input"),
        *(Node(name, label, "operation") for name, label in layers.items()),
        Node("output", "classes", "output"),
    )
    return Diagram(title, nodes, tuple(Edge(a.id, b.id) for a, b in pairwise(nodes)))

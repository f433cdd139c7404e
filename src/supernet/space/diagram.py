"""A drawing's content, without its layout: nodes and the edges between them."""

from __future__ import annotations

from collections import Counter
from dataclasses import asdict, dataclass
from typing import Any, Literal, get_args

from supernet.errors import SpaceError
from supernet.typed import MisfitError, typed

__all__ = ["Diagram", "Edge", "Kind", "Node"]

Kind = Literal["input", "operation", "sum", "output"]


@dataclass(frozen=True)
class Node:
    """A box: `id` names it for edges, `label` is what a reader sees."""

    id: str
    label: str
    kind: Kind

    def __post_init__(self) -> None:
        if self.kind not in get_args(Kind):
            kinds = ", ".join(get_args(Kind))
            raise SpaceError(f"Node {self.id!r} is of kind {self.kind!r}; use one of {kinds}.")


@dataclass(frozen=True)
class Edge:
    """Data that flows from the node `source` to the node `target` (their ids)."""

    source: str
    target: str


@dataclass(frozen=True)
class Diagram:
    """A titled directed graph.

    Raises:
        SpaceError: two nodes share an id, or an edge names a node that is not there.
    """

    title: str
    nodes: tuple[Node, ...]
    edges: tuple[Edge, ...]

    def __post_init__(self) -> None:
        counts = Counter(node.id for node in self.nodes)
        if repeated := [name for name, count in counts.items() if count > 1]:
            raise SpaceError(
                f"Diagram {self.title!r} has several nodes with the id {repeated[0]!r}."
            )
        for edge in self.edges:
            for end in (edge.source, edge.target):
                if end not in counts:
                    raise SpaceError(
                        f"Diagram {self.title!r} has an edge {edge.source!r} -> {edge.target!r}, "
                        f"but no node {end!r}; its nodes are {', '.join(counts) or 'none'}."
                    )

    def to_json(self) -> dict[str, Any]:
        """Return plain dictionaries and lists; `from_json` reads them back."""
        return {
            "title": self.title,
            "nodes": [asdict(node) for node in self.nodes],
            "edges": [asdict(edge) for edge in self.edges],
        }

    @classmethod
    def from_json(cls, content: dict[str, Any]) -> Diagram:
        """Read what `to_json` returned.

        Raises:
            SpaceError: the content is no diagram or contradicts itself.
        """
        try:
            return typed(content, cls)
        except MisfitError as error:
            raise SpaceError(f"This is no diagram: {error}.") from error

"""Cells of the DARTS space as lists of edges: the order of nodes, and the published notation."""

from __future__ import annotations

import ast
from typing import cast

from supernet.errors import SpaceError

__all__ = ["KINDS", "NONE", "Cells", "read_genotype", "sorted_cells", "write_genotype"]

KINDS = ("normal", "reduce")

NONE = "none"

Edges = list[tuple[int, str]]
"""Of a node: the states that it reads (0 and 1 are the cells before, 2 the first node), and how."""

Cells = dict[str, list[Edges]]
"""By kind, the nodes of the cell."""

PUBLISHED = {
    NONE: "none",
    "max3": "max_pool_3x3",
    "avg3": "avg_pool_3x3",
    "skip": "skip_connect",
    "sep3": "sep_conv_3x3",
    "sep5": "sep_conv_5x5",
    "dil3": "dil_conv_3x3",
    "dil5": "dil_conv_5x5",
}
"""The operations' published names."""


def sorted_cells(cells: Cells) -> Cells:
    """Return the cells with their nodes in the first order, and `none` from the first free states."""
    return {
        kind: [_filled(node) for node in _first_order(_without_none(cell), ())]
        for kind, cell in cells.items()
    }


def _without_none(cell: list[Edges]) -> list[Edges]:
    return [[edge for edge in node if edge[1] != NONE] for node in cell]


def _first_order(nodes: list[Edges], placed: tuple[int, ...]) -> list[Edges]:
    """Return the first sequence of renumbered nodes; `placed` lists those that are in it, in order.

    The next node is one with the smallest edges; where several are equal, which of them comes first
    decides how later nodes read, so all are tried.
    """
    state = {0: 0, 1: 1, **{old + 2: new + 2 for new, old in enumerate(placed)}}
    ready = {
        i: sorted((state[source], name) for source, name in node)
        for i, node in enumerate(nodes)
        if i not in placed and all(source in state for source, _ in node)
    }
    if not ready:
        return []
    smallest = min(ready.values())
    return min(
        [smallest, *_first_order(nodes, (*placed, i))]
        for i, node in ready.items()
        if node == smallest
    )


def _filled(node: Edges) -> Edges:
    """Return two edges: those of the node and `none` from the first other states."""
    used = {source for source, _ in node}
    free = [(source, NONE) for source in range(3) if source not in used]
    return sorted([*node, *free[: 2 - len(node)]])


def write_genotype(cells: Cells) -> str:
    """Return `Genotype(normal=[...], normal_concat=range(2, 6), reduce=[...], ...)`.

    Raises:
        SpaceError: an operation has no published name.
    """
    parts = []
    for kind, cell in cells.items():
        unknown = {name for node in cell for _, name in node} - PUBLISHED.keys()
        if unknown:
            raise SpaceError(
                f"{', '.join(sorted(unknown))} has no published name; known: {', '.join(PUBLISHED)}"
            )
        pairs = [(PUBLISHED[name], state) for node in cell for state, name in node]
        parts.append(f"{kind}={pairs}, {kind}_concat=range(2, {len(cell) + 2})")
    return f"Genotype({', '.join(parts)})"


def read_genotype(text: str) -> Cells:
    """Return the cells that `Genotype(...)` describes.

    Raises:
        SpaceError: it has another form, an unknown operation, or does not lie in the space: a node
            has two edges from one state, or a cell does not concatenate all its nodes.
    """
    try:
        call = ast.parse(text.strip(), mode="eval").body
        given = {str(keyword.arg): _value(keyword.value) for keyword in call.keywords}  # type: ignore[attr-defined]
        cells = {kind: _nodes(given[kind]) for kind in KINDS}
        concatenated = [given[f"{kind}_concat"] for kind in KINDS]
    except (AttributeError, SyntaxError, KeyError, TypeError, ValueError) as error:
        raise SpaceError(
            f"{text!r} is no genotype; write Genotype(normal=[('sep_conv_3x3', 0), ...], "
            "normal_concat=range(2, 6), reduce=[...], reduce_concat=range(2, 6)) with operations of "
            f"{', '.join(PUBLISHED.values())}, two for each node"
        ) from error
    everything = list(range(2, len(cells["normal"]) + 2))
    if concatenated != [everything, everything]:
        raise SpaceError(
            f"both cells must concatenate all of their equally many nodes, {everything}, not "
            f"{concatenated[0]} and {concatenated[1]}"
        )
    for kind, cell in cells.items():
        for number, node in enumerate(cell):
            states = sorted(state for state, _ in node)
            if len(set(states)) < 2 or not 0 <= states[0] < states[1] < number + 2:
                raise SpaceError(
                    f"node {number} of the {kind} cell reads the states {states}, but must read two "
                    f"different ones of 0 to {number + 1}"
                )
    return cells


def _value(node: ast.expr) -> list[object]:
    """Return a list that is written out or as a range."""
    if isinstance(node, ast.Call):
        return list(range(*(ast.literal_eval(argument) for argument in node.args)))
    return list(ast.literal_eval(node))


def _nodes(pairs: list[object]) -> list[Edges]:
    """Return the edges of each node, of a list of (published name, state).

    Raises:
        ValueError: they are not pairs of known operations and states, an even number of them.
    """
    names = {published: name for name, published in PUBLISHED.items()}
    edges: Edges = []
    for pair in pairs:
        name, state = cast(tuple[str, int], pair)
        if name not in names or not isinstance(state, int):
            raise ValueError(pair)
        edges.append((state, names[name]))
    if not edges or len(edges) % 2:
        raise ValueError(pairs)
    return [sorted(edges[i : i + 2]) for i in range(0, len(edges), 2)]

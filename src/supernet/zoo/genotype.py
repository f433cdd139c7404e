"""Cells of the DARTS space as lists of edges: the order of nodes, drawings, and the published notations.

There are three notations. DARTS lists pairs (operation, state), two for each node. SNAS lists pairs too,
as many for each node as there are states before it. FairDARTS, where nodes have from no to two edges,
lists (operation, node, state).
"""

from __future__ import annotations

import ast
from collections.abc import Sequence
from typing import Any, cast

from supernet.errors import SpaceError
from supernet.space import Architecture, Diagram, Edge, Node

__all__ = [
    "KINDS",
    "NONE",
    "Cells",
    "architecture_of",
    "cells_of",
    "drawing",
    "read_genotype",
    "sorted_cells",
    "write_genotype",
]

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


def cells_of(architecture: Architecture) -> Cells:
    """Return the edges (state, operation) of all nodes, by kind of cell."""
    nodes = sum(label.endswith(".edges") for label in architecture) // len(KINDS)
    return {
        kind: [
            [
                (int(state), str(architecture[f"{kind}.node{node}.from{state}"]))
                for state in cast(tuple[str, ...], architecture[f"{kind}.node{node}.edges"])
            ]
            for node in range(nodes)
        ]
        for kind in KINDS
    }


def architecture_of(cells: Cells) -> Architecture:
    """Return the architecture with these cells."""
    answers: dict[str, str | tuple[str, ...]] = {}
    for kind, cell in cells.items():
        for number, node in enumerate(cell):
            answers[f"{kind}.node{number}.edges"] = tuple(str(state) for state, _ in sorted(node))
            for state, name in node:
                answers[f"{kind}.node{number}.from{state}"] = name
    return Architecture(answers)


def drawing(cells: Cells) -> Diagram:
    """Return the drawing of both cells, without their `none`."""
    nodes: list[Node] = []
    edges: list[Edge] = []
    for kind, cell in cells.items():
        nodes += [Node(f"{kind}.0", f"{kind}: cell k-2", "input")]
        nodes += [Node(f"{kind}.1", f"{kind}: cell k-1", "input")]
        for number, node in enumerate(_without_none(cell)):
            target = f"{kind}.{number + 2}"
            nodes.append(Node(target, f"node {number}" if node else f"node {number}: zeros", "sum"))
            for state, name in node:
                operation = f"{target}<-{state}"
                nodes.append(Node(operation, name, "operation"))
                edges += [Edge(f"{kind}.{state}", operation), Edge(operation, target)]
            edges.append(Edge(target, f"{kind}.output"))
        nodes.append(Node(f"{kind}.output", "concatenate", "output"))
    return Diagram("The normal and the reduction cell", tuple(nodes), tuple(edges))


def sorted_cells(cells: Cells, least: Sequence[int] | None = None) -> Cells:
    """Return the cells with their nodes in the first order, and `none` from the first free states.

    Args:
        cells: nodes of which may change places.
        least: number of edges that each node must have, which `none` fills up; None for those that
            it has.
    """
    return {
        kind: [
            _filled(node, number, 0 if least is None else least[number])
            for number, node in enumerate(_first_order(_without_none(cell), ()))
        ]
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


def _filled(node: Edges, number: int, least: int) -> Edges:
    """Return the edges of the node, and as many `none` from the first other states as it needs."""
    used = {source for source, _ in node}
    free = [(source, NONE) for source in range(number + 2) if source not in used]
    return sorted([*node, *free[: max(least - len(node), 0)]])


def write_genotype(cells: Cells) -> str:
    """Return `Genotype(normal=[...], normal_concat=range(2, 6), reduce=[...], ...)`.

    Pairs (operation, state) where every node of a cell has two edges, or one from every state before
    it; elsewhere (operation, node, state).

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
        counts = [len(node) for node in cell]
        pairs = counts in ([2] * len(cell), [number + 2 for number in range(len(cell))])
        entries = [
            (PUBLISHED[name], state) if pairs else (PUBLISHED[name], number + 2, state)
            for number, node in enumerate(cell)
            for state, name in node
        ]
        parts.append(f"{kind}={entries}, {kind}_concat=range(2, {len(cell) + 2})")
    return f"Genotype({', '.join(parts)})"


def read_genotype(text: str) -> Cells:
    """Return the cells that `Genotype(...)` describes, in one of the three notations.

    Raises:
        SpaceError: it has another form, an unknown operation, or does not lie in the space: a node
            has two edges from one state, or a cell does not concatenate all its nodes.
    """
    try:
        call = ast.parse(text.strip(), mode="eval").body
        given = {str(keyword.arg): _value(keyword.value) for keyword in call.keywords}  # type: ignore[attr-defined]
        concatenated = [given[f"{kind}_concat"] for kind in KINDS]
        everything = list(range(2, len(concatenated[0]) + 2))
        joined = concatenated == [everything, everything]
        cells = {kind: _nodes(given[kind], len(everything)) for kind in KINDS if joined}
    except (AttributeError, SyntaxError, KeyError, TypeError, ValueError) as error:
        raise SpaceError(
            f"{text!r} is no genotype; write Genotype(normal=[('sep_conv_3x3', 0), ...], "
            "normal_concat=range(2, 6), reduce=[...], reduce_concat=range(2, 6)) with operations of "
            f"{', '.join(PUBLISHED.values())}, two for each node, one for each state before each node, "
            "or any number of ('sep_conv_3x3', 2, 0) with the node (the first is 2) in the middle"
        ) from error
    if not joined:
        raise SpaceError(
            f"both cells must concatenate all of their equally many nodes, {everything}, not "
            f"{concatenated[0]} and {concatenated[1]}"
        )
    for kind, cell in cells.items():
        for number, node in enumerate(cell):
            states = [state for state, _ in node]
            if len(set(states)) < len(states) or not set(states) <= set(range(number + 2)):
                raise SpaceError(
                    f"node {number} of the {kind} cell reads the states {states}, but must read "
                    f"different ones of 0 to {number + 1}"
                )
    return cells


def _value(node: ast.expr) -> list[object]:
    """Return a list that is written out or as a range."""
    if isinstance(node, ast.Call):
        return list(range(*(ast.literal_eval(argument) for argument in node.args)))
    return list(ast.literal_eval(node))


def _nodes(entries: list[object], count: int) -> list[Edges]:
    """Return the edges of each node, of a list of (published name, state) or (name, node, state).

    Args:
        entries: edges of all nodes, in their order where they do not say which node they enter.
        count: number of nodes.

    Raises:
        ValueError: they are none of known operations, nodes and states, or not as many as must be.
    """
    names = {published: name for name, published in PUBLISHED.items()}
    tuples = [cast(tuple[Any, ...], entry) for entry in entries]
    if all(len(entry) == 3 for entry in tuples):
        nodes = [node - 2 for _, node, _ in tuples]
    elif len(entries) == 2 * count:
        nodes = [number for number in range(count) for _ in range(2)]
    else:
        nodes = [number for number in range(count) for _ in range(number + 2)]
    cell: list[Edges] = [[] for _ in range(count)]
    for number, (name, *_, state) in zip(nodes, tuples, strict=True):
        if name not in names or not isinstance(state, int) or number not in range(count):
            raise ValueError((name, state))
        cell[number].append((state, names[name]))
    return [sorted(node) for node in cell]

"""Which cells of NAS-Bench-201 are the same network.

A cell is given by its six operations in the order of `EDGES`. "Same" is a matter of the rule, so a count
of different cells must name its rule:

| rule | different among 15,625 |
|---|---|
| `unique_string(cell, "ignore")` | 15,625 |
| `unique_string(cell, "skip")` | 12,751 |
| `unique_string(cell, "zero")`, the number that papers quote | 6,466 |
| `graph(cell)` | 5,425 |

The strings are those of the benchmark's own routine (Dong and Yang, "NAS-Bench-201", ICLR 2020). They
write every node as the sum of what enters it. They keep dead terms and sort nested sums in part only, so
equal cells have different strings; and they cannot tell an operation whose output is used twice from two
such operations with weights of their own, so different cells have equal strings. `graph` has neither
fault. It still counts average pooling used twice as different from two poolings, and does not use that
pooling is linear.

All rules but the first take `skip_connect` for its input. "zero" and `graph` also take an operation on
zeros for zeros. A convolution with batch norm does so if batch norm normalises by the batch (or by
statistics of these zeros) and has learned no offset; otherwise it yields a constant, and the equality is
that of the definition, not of the numbers.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from functools import cache
from itertools import groupby, permutations, product
from typing import Literal

from supernet.errors import SpaceError

__all__ = ["EDGES", "OPERATIONS", "Cell", "Graph", "graph", "representative", "unique_string"]

EDGES = ((1, 0), (2, 0), (2, 1), (3, 0), (3, 1), (3, 2))
"""(node, the node it reads), in the published order; node 0 is the input, node 3 the output."""

OPERATIONS = ("none", "skip_connect", "nor_conv_1x1", "nor_conv_3x3", "avg_pool_3x3")
"""Their published names."""

NONE, SKIP = OPERATIONS[:2]

Cell = tuple[str, ...]
"""The operations of the six edges."""

Graph = tuple[tuple[tuple[str, tuple[int, ...]], ...], tuple[int, ...]]
"""Operations, each with what it adds up, and what the output adds up: indices; -1 is the input."""

INPUT = -1


def unique_string(cell: Sequence[str], rule: Literal["ignore", "skip", "zero"]) -> str:
    """Return the benchmark's string of a cell: equal strings, equal cells under this rule.

    Args:
        cell: the operations of the six edges.
        rule: "ignore" treats all operations alike, "skip" replaces skips by their input, "zero"
            besides writes `#` for `none` and for what reads a node that is exactly `#`.

    Raises:
        SpaceError: the rule is another one.
    """
    if rule not in ("ignore", "skip", "zero"):
        raise SpaceError(f"the rule is 'ignore', 'skip' or 'zero', not {rule!r}")
    nodes = ["0"]
    for node in (1, 2, 3):
        terms = []
        for operation, source in _incoming(cell, node):
            if rule == "zero" and (operation == NONE or nodes[source] == "#"):
                terms.append("#")
            elif rule != "ignore" and operation == SKIP:
                terms.append(nodes[source])
            else:
                terms.append(f"({nodes[source]})@{operation}")
        nodes.append("+".join(sorted(terms)))
    return nodes[3]


def graph(cell: Sequence[str]) -> Graph:
    """Return the live operations and their sums: equal graphs, equal cells.

    Sums are flat lists of operations, with repetitions. Operations are numbered by what they compute
    when the graph is unrolled into a tree; among those that compute the same, the numbering is taken
    that gives the smallest result.
    """
    operations, output = _operations(cell)
    texts = {INPUT: ""}
    for i in _live(operations, output):
        name, inputs = operations[i]
        texts[i] = f"{name}({','.join(sorted(texts[j] for j in inputs))})"
    live = sorted(texts.keys() - {INPUT}, key=lambda i: (texts[i], i))
    twins = [permutations(group) for _, group in groupby(live, key=texts.__getitem__)]
    return min(
        _numbered(operations, output, [i for g in order for i in g]) for order in product(*twins)
    )


def representative(cell: Sequence[str]) -> Cell:
    """Return the cell that stands for all with the same graph: the first of those with most `none`."""
    return _representatives()[graph(cell)]


@cache
def _representatives() -> dict[Graph, Cell]:
    found: dict[Graph, Cell] = {}
    for cell in sorted(product(OPERATIONS, repeat=len(EDGES)), key=lambda c: -c.count(NONE)):
        found.setdefault(graph(cell), cell)
    return found


def _incoming(cell: Sequence[str], node: int) -> list[tuple[str, int]]:
    return [(name, source) for name, (to, source) in zip(cell, EDGES, strict=True) if to == node]


Operations = list[tuple[str, tuple[int, ...]]]


def _operations(cell: Sequence[str]) -> tuple[Operations, list[int]]:
    """Return the operations on anything but zeros, earlier ones first, and what the output adds up."""
    operations: Operations = []
    sums = [[INPUT]]
    for node in (1, 2, 3):
        terms: list[int] = []
        for name, source in _incoming(cell, node):
            if name == SKIP:
                terms += sums[source]
            elif name != NONE and sums[source]:
                terms.append(len(operations))
                operations.append((name, tuple(sums[source])))
        sums.append(terms)
    return operations, sums[3]


def _live(operations: Operations, output: Iterable[int]) -> list[int]:
    """Return the operations that the output depends on, earlier ones first."""
    found: set[int] = set()
    waiting = list(output)
    while waiting:
        i = waiting.pop()
        if i != INPUT and i not in found:
            found.add(i)
            waiting += operations[i][1]
    return sorted(found)


def _numbered(operations: Operations, output: Sequence[int], order: Sequence[int]) -> Graph:
    new = {INPUT: INPUT, **{old: i for i, old in enumerate(order)}}
    renamed = ((operations[i][0], tuple(sorted(new[j] for j in operations[i][1]))) for i in order)
    return tuple(renamed), tuple(sorted(new[j] for j in output))

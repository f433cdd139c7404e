"""Draw a `Diagram` as SVG: layers from top to bottom, edges that avoid the boxes.

The layout follows Sugiyama, Tagawa, Toda (1981): longest-path layers, barycentre ordering, then
coordinates by least squares. All edges of one source that skip layers share one lane, a trunk
from which they branch off, so that a dense cell stays readable.
"""

from __future__ import annotations

import unicodedata
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from graphlib import CycleError, TopologicalSorter
from html import escape
from itertools import accumulate, pairwise

from supernet.errors import SpaceError
from supernet.space.diagram import Diagram, Edge, Node

__all__ = ["svg"]

# Sizes in user units of the viewBox.
_BOX = 32.0
_GAP_DOWN = 44.0
_GAP_RIGHT = 22.0
_LANE = 6.0
_MARGIN = 12.0
_LONGEST_LABEL = 40
_SWEEPS = 200

# A node or its trunk at a lower layer: the box itself where the layer is the node's own.
_Item = tuple[str, int]

_STYLE = """
.sn-diagram{--ink:#1f2933;--line:#8592a3;--input:#e8edf3;--input-line:#9fb0c3;
--operation:#dfe9fb;--operation-line:#6f94d8;--sum:#fff;--sum-line:#b4bdc9;
--output:#dff1e7;--output-line:#62ab86;font:13px system-ui,sans-serif}
@media(prefers-color-scheme:dark){.sn-diagram{--ink:#e4e8ee;--line:#78869a;--input:#2a323d;
--input-line:#5c6b7e;--operation:#22345a;--operation-line:#5f86cf;--sum:#191d24;
--sum-line:#566172;--output:#1d3a2d;--output-line:#4f9673}}
.sn-diagram text{fill:var(--ink);text-anchor:middle;dominant-baseline:central}
.sn-diagram .edge{fill:none;stroke:var(--line);stroke-width:1.4}
.sn-diagram .head{fill:var(--line)}
.sn-diagram g:hover>.edge{stroke:var(--operation-line);stroke-width:2.6}
.sn-diagram g:hover>.head{fill:var(--operation-line)}
.sn-diagram rect{stroke-width:1.2}
"""
_STYLE += "".join(
    f".sn-diagram .{kind}{{fill:var(--{kind});stroke:var(--{kind}-line)}}\n"
    for kind in ("input", "operation", "sum", "output")
)


def svg(diagram: Diagram) -> str:
    """Return an SVG element that scales down to its container and follows dark or light mode.

    Raises:
        SpaceError: the edges form a cycle.
    """
    layout = _Layout.of(diagram)
    width, height = layout.size()
    title = escape(_printable(diagram.title))
    parts = [layout.draw_edge(edge, port) for edge, port in layout.ports()]
    parts += [layout.draw_node(node) for node in diagram.nodes]
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" class="sn-diagram" role="img" '
        f'aria-label="{title}" viewBox="0 0 {width:.0f} {height:.0f}" '
        f'style="width:100%;max-width:{width:.0f}px;height:auto">'
        f"<style>{_STYLE}</style>{''.join(parts)}</svg>"
    )


@dataclass
class _Layout:
    """Where everything is: the layer of a node and the horizontal centre of each item."""

    diagram: Diagram
    layers: dict[str, int]
    x: dict[_Item, float]

    @classmethod
    def of(cls, diagram: Diagram) -> _Layout:
        layers = _layers(diagram)
        links = _links(diagram, layers)
        widths = {(node.id, layers[node.id]): _width(node) for node in diagram.nodes}
        rows = _ordered(_rows(widths, links), links)
        return cls(diagram, layers, _coordinates(rows, links, widths))

    def size(self) -> tuple[float, float]:
        right = max((self.x[self._item(n)] + _width(n) / 2 for n in self.diagram.nodes), default=0)
        right = max([right, *(x + _LANE for x in self.x.values())])
        depth = max(self.layers.values(), default=0)
        return right + _MARGIN, 2 * _MARGIN + _BOX + depth * (_BOX + _GAP_DOWN)

    def ports(self) -> Iterable[tuple[Edge, float]]:
        """Yield each edge with the x where it enters its target: side by side, none crossing."""
        arriving = defaultdict(list)
        for edge in self.diagram.edges:
            arriving[edge.target].append(edge)
        for node in self.diagram.nodes:
            edges = sorted(arriving[node.id], key=lambda e: self.x[e.source, self._before(e)])
            step = min(14.0, (_width(node) - 24) / max(1, len(edges) - 1))
            for index, edge in enumerate(edges):
                yield edge, self.x[self._item(node)] + (index - (len(edges) - 1) / 2) * step

    def draw_edge(self, edge: Edge, port: float) -> str:
        first, last = self.layers[edge.source], self._before(edge)
        x = self.x[edge.source, first]
        path = f"M{x:.1f} {_top(first) + _BOX:.1f}"
        for layer in range(first + 1, last + 1):
            lane = self.x[edge.source, layer]
            path, x = path + _bend(x, lane, layer) + f"V{_top(layer) + _BOX:.1f}", lane
        path += _bend(x, port, last + 1)
        tip = _top(last + 1)
        names = {node.id: node.label for node in self.diagram.nodes}
        label = escape(_printable(f"{names[edge.source]} → {names[edge.target]}"))
        return (
            f'<g><title>{label}</title><path class="edge" d="{path}"/>'
            f'<path class="head" d="M{port - 4:.1f} {tip - 8:.1f}h8l-4 8z"/></g>'
        )

    def draw_node(self, node: Node) -> str:
        x, top, width = self.x[self._item(node)], _top(self.layers[node.id]), _width(node)
        radius = _BOX / 2 if node.kind == "sum" else 7
        return (
            f'<g><title>{escape(_printable(node.label))}</title><rect class="{node.kind}" '
            f'x="{x - width / 2:.1f}" y="{top:.1f}" width="{width:.1f}" height="{_BOX:.0f}" '
            f'rx="{radius:.0f}"/><text x="{x:.1f}" y="{top + _BOX / 2:.1f}">'
            f"{escape(_short(node.label))}</text></g>"
        )

    def _item(self, node: Node) -> _Item:
        return node.id, self.layers[node.id]

    def _before(self, edge: Edge) -> int:
        return self.layers[edge.target] - 1


def _layers(diagram: Diagram) -> dict[str, int]:
    """Return the length of the longest path that leads to each node."""
    sources: dict[str, list[str]] = {node.id: [] for node in diagram.nodes}
    for edge in diagram.edges:
        sources[edge.target].append(edge.source)
    layers: dict[str, int] = {}
    try:
        for name in TopologicalSorter(sources).static_order():
            layers[name] = 1 + max((layers[source] for source in sources[name]), default=-1)
    except CycleError as error:
        cycle = " -> ".join(repr(name) for name in error.args[1])
        raise SpaceError(
            f"Diagram {diagram.title!r} goes round in a circle ({cycle}); "
            "remove one of these edges: data must flow one way."
        ) from error
    return layers


def _links(diagram: Diagram, layers: dict[str, int]) -> list[tuple[_Item, _Item]]:
    """Return what connects neighbouring layers: pieces of trunks, and branches to targets."""
    links: dict[tuple[_Item, _Item], None] = {}
    for source, target in ((edge.source, edge.target) for edge in diagram.edges):
        for layer in range(layers[source], layers[target] - 1):
            links[(source, layer), (source, layer + 1)] = None
        links[(source, layers[target] - 1), (target, layers[target])] = None
    return list(links)


def _rows(nodes: Iterable[_Item], links: Sequence[tuple[_Item, _Item]]) -> list[list[_Item]]:
    rows: dict[int, list[_Item]] = defaultdict(list)
    for item in dict.fromkeys([*nodes, *(end for link in links for end in link)]):
        rows[item[1]].append(item)
    return [rows[layer] for layer in sorted(rows)]


def _ordered(rows: list[list[_Item]], links: Sequence[tuple[_Item, _Item]]) -> list[list[_Item]]:
    """Sort each row by the mean place of its neighbours, down and up; keep the best seen."""
    above, below = defaultdict(list), defaultdict(list)
    for upper, lower in links:
        above[lower].append(upper)
        below[upper].append(lower)
    best, fewest = rows, _crossings(rows, links)
    for sweep in range(24):
        neighbours, rows = (above, rows) if sweep % 2 == 0 else (below, rows[::-1])
        rows = _sweep(rows, neighbours)
        rows = rows if sweep % 2 == 0 else rows[::-1]
        if (count := _crossings(rows, links)) < fewest:
            best, fewest = rows, count
    return best


def _sweep(rows: list[list[_Item]], neighbours: dict[_Item, list[_Item]]) -> list[list[_Item]]:
    result = rows[:1]
    for row in rows[1:]:
        place = {item: index / len(result[-1]) for index, item in enumerate(result[-1])}
        mean = {
            item: sum(place[near] for near in neighbours[item]) / len(neighbours[item])
            if neighbours[item]
            else index / len(row)
            for index, item in enumerate(row)
        }
        result.append(sorted(row, key=mean.__getitem__))
    return result


def _crossings(rows: list[list[_Item]], links: Sequence[tuple[_Item, _Item]]) -> int:
    place = {item: index for row in rows for index, item in enumerate(row)}
    between: dict[int, list[tuple[int, int]]] = defaultdict(list)
    for upper, lower in links:
        between[upper[1]].append((place[upper], place[lower]))
    return sum(
        (a - c) * (b - d) < 0
        for group in between.values()
        for index, (a, b) in enumerate(group)
        for c, d in group[:index]
    )


def _coordinates(
    rows: list[list[_Item]],
    links: Sequence[tuple[_Item, _Item]],
    widths: dict[_Item, float],
) -> dict[_Item, float]:
    """Pull every item towards its neighbours, without overlap, and straighten the lanes."""
    near: dict[_Item, list[_Item]] = defaultdict(list)
    lanes: dict[str, list[_Item]] = defaultdict(list)
    for upper, lower in links:
        near[upper].append(lower)
        near[lower].append(upper)
        if lower not in widths:
            lanes[lower[0]].append(lower)
    x = {item: 60.0 * (i - len(row) / 2) for row in rows for i, item in enumerate(row)}
    for sweep in range(_SWEEPS):
        # Lanes are soft while things find their place, then stiff, so that they end up straight.
        stiffness = 2.0 if sweep < _SWEEPS / 2 else 200.0
        for row in rows if sweep % 2 == 0 else rows[::-1]:
            pulls = [_pull(item, x, near[item], lanes, stiffness) for item in row]
            x.update(zip(row, _spread(pulls, _gaps(row, widths)), strict=True))
    left = min((x[item] - widths.get(item, _LANE) / 2 for item in x), default=0.0)
    return {item: value - left + _MARGIN for item, value in x.items()}


def _gaps(row: list[_Item], widths: dict[_Item, float]) -> list[float]:
    size = [widths.get(item, _LANE) for item in row]
    return [(a + b) / 2 + _GAP_RIGHT for a, b in pairwise(size)]


def _pull(
    item: _Item,
    x: dict[_Item, float],
    near: list[_Item],
    lanes: dict[str, list[_Item]],
    stiffness: float,
) -> tuple[float, float]:
    """Return where an item would go if it were alone, and how strongly."""
    lane = lanes[item[0]] if item in lanes[item[0]] else []
    weight = len(near) + stiffness * len(lane)
    if not weight:
        return x[item], 0.01
    total = sum(x[other] for other in near) + stiffness * sum(x[other] for other in lane)
    return total / weight, weight


def _spread(pulls: list[tuple[float, float]], gaps: list[float]) -> list[float]:
    """Return the positions nearest to the desired that keep `gaps` (pool adjacent violators)."""
    # Items that want to be at 0, 0 and 5, with gaps of 2 between them, are looked at without their
    # gaps: 0, -2 and 1. The second would be before the first, so both are pooled at their mean, -1;
    # the third stays. With the gaps again they are at -1, 1 and 5.
    offsets = list(accumulate(gaps, initial=0.0))
    pools: list[tuple[float, float, int]] = []  # mean, weight, count
    for (want, weight), offset in zip(pulls, offsets, strict=False):
        pool = (want - offset, weight, 1)
        while pools and pools[-1][0] > pool[0]:
            mean, mass, count = pools.pop()
            total = mass + pool[1]
            pool = ((mean * mass + pool[0] * pool[1]) / total, total, count + pool[2])
        pools.append(pool)
    means = [mean for mean, _, count in pools for _ in range(count)]
    return [mean + offset for mean, offset in zip(means, offsets, strict=False)]


def _bend(start: float, end: float, layer: int) -> str:
    """Go from the foot of the layer above to the top of `layer`, upright at both ends."""
    top, middle = _top(layer), _top(layer) - _GAP_DOWN / 2
    return f"C{start:.1f} {middle:.1f} {end:.1f} {middle:.1f} {end:.1f} {top:.1f}"


def _top(layer: int) -> float:
    return _MARGIN + layer * (_BOX + _GAP_DOWN)


def _width(node: Node) -> float:
    # A wide character (Chinese, Japanese, Korean) takes the place of two.
    letters = sum(1 + (unicodedata.east_asian_width(c) in "WF") for c in _short(node.label))
    return max(56.0, 7.2 * letters + 26)


def _short(label: str) -> str:
    label = _printable(label)
    return label if len(label) <= _LONGEST_LABEL else label[: _LONGEST_LABEL - 1] + "…"


def _printable(text: str) -> str:
    """Replace control characters, which no XML file may hold."""
    return "".join(c if c.isprintable() else " " for c in text)

"""The drawing, read back from its SVG: boxes apart, edges outside of boxes, arrows downwards."""

import re
from dataclasses import dataclass, replace
from xml.etree import ElementTree

import pytest
from hypothesis import given
from hypothesis import strategies as st

from supernet.errors import SpaceError
from supernet.space.diagram import Diagram, Edge, Node
from supernet.track.diagram import svg

SVG = "{http://www.w3.org/2000/svg}"


@dataclass
class Box:
    left: float
    top: float
    right: float
    bottom: float

    def holds(self, x, y):
        return self.left < x < self.right and self.top < y < self.bottom


@dataclass
class Drawing:
    size: tuple[float, float]
    boxes: dict[str, Box]  # by label
    edges: dict[str, str]  # "source → target": path


def read(diagram):
    root = ElementTree.fromstring(svg(diagram))
    drawing = Drawing(tuple(map(float, root.get("viewBox").split()[2:])), {}, {})
    for group in root.iter(f"{SVG}g"):
        name, rect = group.find(f"{SVG}title").text, group.find(f"{SVG}rect")
        if rect is None:
            drawing.edges[name] = group.find(f"{SVG}path").get("d")
        else:
            x, y, w, h = (float(rect.get(key)) for key in ("x", "y", "width", "height"))
            drawing.boxes[name] = Box(x, y, x + w, y + h)
    return drawing


def points(path):
    """Return points along a path of M, C and V commands."""
    result = []
    for command, numbers in re.findall(r"([MCV])([^MCV]+)", path):
        n = list(map(float, numbers.split()))
        if command == "M":
            result.append((n[0], n[1]))
            continue
        x, y = result[-1]
        ends = [(x, y), (x, y), (x, n[0]), (x, n[0])] if command == "V" else []
        ends = ends or [(x, y), *zip(n[::2], n[1::2], strict=True)]
        for t in (i / 20 for i in range(1, 21)):
            weights = ((1 - t) ** 3, 3 * t * (1 - t) ** 2, 3 * t * t * (1 - t), t**3)
            result.append(
                tuple(sum(w * e[k] for w, e in zip(weights, ends, strict=True)) for k in (0, 1))
            )
    return result


def check(diagram):
    """Assert what every drawing promises."""
    drawing = read(diagram)
    width, height = drawing.size
    boxes = list(drawing.boxes.values())
    assert len(boxes) == len(diagram.nodes)
    for i, a in enumerate(boxes):
        assert a.left >= 0
        assert a.right <= width
        assert a.bottom <= height
        for b in boxes[:i]:
            apart = a.right < b.left or b.right < a.left or a.bottom < b.top or b.bottom < a.top
            assert apart, (a, b)
    for name, path in drawing.edges.items():
        source, target = (drawing.boxes[end] for end in name.split(" → "))
        line = points(path)
        assert line[0][1] == source.bottom
        assert source.left < line[0][0] < source.right
        assert line[-1][1] == target.top
        assert target.left < line[-1][0] < target.right
        for x, y in line:
            assert 0 <= x <= width
            assert not any(box.holds(x, y) for box in boxes), name
        # Beside boxes an edge goes straight down; it bends between the layers only.
        for top, bottom in {(box.top, box.bottom) for box in boxes}:
            assert len({round(x, 2) for x, y in line if top < y < bottom}) <= 1, name
    return drawing


def graph(names, pairs):
    nodes = tuple(Node(name, name, "operation") for name in names)
    return Diagram("graph", nodes, tuple(Edge(*pair) for pair in pairs))


@st.composite
def graphs(draw):
    names = [f"node {i}" for i in range(draw(st.integers(1, 9)))]
    order = draw(st.permutations(names))
    pairs = [(a, b) for i, b in enumerate(order) for a in order[:i]]
    chosen = draw(st.lists(st.sampled_from(pairs), unique=True)) if pairs else []
    return graph(names, chosen)


def test_a_cell_keeps_boxes_apart_and_edges_outside_of_them(cell):
    # Labels repeat in a cell, ids do not.
    nodes = tuple(replace(node, label=node.id) for node in cell.nodes)
    assert len(check(replace(cell, nodes=nodes)).edges) == len(cell.edges)


@pytest.mark.slow
@given(graphs())
def test_any_graph_keeps_boxes_apart_and_edges_outside_of_them(diagram):
    assert len(check(diagram).edges) == len(diagram.edges)


def test_a_node_lies_below_everything_that_leads_to_it():
    boxes = check(graph("abcd", ["ab", "bc", "ac", "cd", "ad"])).boxes
    assert boxes["a"].bottom < boxes["b"].top < boxes["b"].bottom < boxes["c"].top
    assert boxes["c"].bottom < boxes["d"].top


def test_crossings_that_need_not_be_are_removed():
    # As listed, every edge of the ladder crosses the others.
    boxes = check(graph("abcxyz", ["az", "by", "cx"])).boxes
    upper = sorted("abc", key=lambda name: boxes[name].left)
    lower = sorted("xyz", key=lambda name: boxes[name].left)
    partner = {"a": "z", "b": "y", "c": "x"}
    assert [partner[name] for name in upper] == lower


def test_long_edges_run_down_straight_lanes(cell):
    nodes = tuple(replace(node, label=node.id) for node in cell.nodes)
    edges = read(replace(cell, nodes=nodes)).edges
    for name in ("k-2 → inputs 4", "k-1 → inputs 3", "block 1 → inputs 4", "block 2 → out"):
        line = points(edges[name])
        first, last = line[0][1] + 44, line[-1][1] - 44
        inner = [x for x, y in line if first <= y <= last]
        assert max(inner) - min(inner) < 2


def test_edges_enter_side_by_side():
    drawing = check(graph("abcd", ["cd", "bd", "ad"]))
    lines = sorted(points(path) for path in drawing.edges.values())
    ends = [line[-1][0] for line in lines]
    assert ends == sorted(set(ends)), "arrows cross or share a place"


def test_a_circle_is_refused():
    with pytest.raises(SpaceError, match="circle") as error:
        svg(graph("abc", ["ab", "bc", "cb"]))
    assert "'b'" in str(error.value)


def test_a_loop_at_one_node_is_refused():
    with pytest.raises(SpaceError, match="circle"):
        svg(graph("a", ["aa"]))


def test_an_empty_diagram_can_be_drawn():
    assert read(graph("", [])).boxes == {}


def test_labels_and_title_are_escaped():
    label = '</text><script>alert("1")</script>&'
    text = svg(Diagram(label, (Node("a", label, "input"),), ()))
    root = ElementTree.fromstring(text)
    assert "<script" not in text
    assert root.get("aria-label") == label
    assert root.find(f".//{SVG}text").text == label


def test_control_characters_leave_the_file_readable():
    root = ElementTree.fromstring(svg(Diagram("t", (Node("a", "x\x00\ny", "sum"),), ())))
    assert root.find(f".//{SVG}text").text == "x  y"


def test_a_long_label_is_shortened_and_kept_as_a_tooltip():
    label = "operation " * 20
    root = ElementTree.fromstring(svg(Diagram("t", (Node("a", label, "operation"),), ())))
    assert len(root.find(f".//{SVG}text").text) == 40
    assert root.find(f".//{SVG}title").text == label


def test_a_wide_label_gets_a_wider_box():
    boxes = check(graph(["abcdefgh", "分離畳込分離畳込"], [])).boxes
    narrow, wide = boxes["abcdefgh"], boxes["分離畳込分離畳込"]
    assert wide.right - wide.left > 1.3 * (narrow.right - narrow.left)

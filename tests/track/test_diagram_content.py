"""What a diagram holds, and what it refuses."""

import json

import pytest

from supernet.errors import SpaceError
from supernet.space.diagram import Diagram, Edge, Node

A, B = Node("a", "A", "input"), Node("b", "B", "output")


def test_json_round_trip(cell):
    assert Diagram.from_json(json.loads(json.dumps(cell.to_json()))) == cell


@pytest.mark.parametrize("edge", [Edge("a", "elsewhere"), Edge("elsewhere", "a")])
def test_an_edge_to_nowhere_is_refused(edge):
    content = {
        "title": "t",
        "nodes": [{"id": "a", "label": "A", "kind": "input"}],
        "edges": [{"source": edge.source, "target": edge.target}],
    }
    with pytest.raises(SpaceError, match="no node 'elsewhere'; its nodes are a"):
        Diagram.from_json(content)


def test_two_nodes_of_one_id_are_refused():
    with pytest.raises(SpaceError, match="several nodes with the id 'a'"):
        Diagram("t", (A, B, Node("a", "other", "sum")), ())


def test_an_unknown_kind_is_refused():
    with pytest.raises(SpaceError, match="'star'; use one of input, operation, sum, output"):
        Node("a", "A", "star")


@pytest.mark.parametrize(
    "content",
    [
        {},
        {"title": "t", "nodes": [{"id": "a"}], "edges": []},
        {"title": "t", "nodes": [], "edges": [{"from": "a", "to": "b"}]},
        {"title": "t", "nodes": None, "edges": []},
    ],
)
def test_what_is_no_diagram_is_refused(content):
    with pytest.raises(SpaceError, match="no diagram"):
        Diagram.from_json(content)

"""Derivation rules on cells made by hand."""

import math
from random import Random

import pytest
import torch
from torch import nn

from supernet import Choice
from supernet.net import SuperNet
from supernet.space import Architecture, OneOf, SearchSpace, SomeOf
from supernet.strategies.derivation import (
    RULES,
    edges,
    holds_decisions,
    strongest,
    threshold,
    with_at_most,
)

OPERATIONS = ("none", "skip", "conv")


def node(inputs, low=2, high=2):
    """A node that chooses among its inputs, with a choice of operations on each."""
    names = tuple(f"from{i}" for i in range(inputs))
    decisions = [SomeOf("node", names, low, high)]
    decisions += [OneOf(f"op{i}", OPERATIONS) for i in range(inputs)]
    conditions = {f"op{i}": [(("node", name),)] for i, name in enumerate(names)}
    return SearchSpace(decisions, conditions)


NODE = node(3)
STRENGTHS = {
    "node": [0.9, 0.05, 0.05],  # without meaning, since operations lie in the edges
    "op0": [0.80, 0.15, 0.05],
    "op1": [0.10, 0.30, 0.60],
    "op2": [0.50, 0.10, 0.40],
}


def test_every_rule_has_a_name():
    assert {"strongest": strongest, "edges": edges, "threshold": threshold} == RULES


@pytest.mark.parametrize("rule", RULES.values())
def test_of_one_answer_the_strongest_wins(rule):
    space = SearchSpace([OneOf("a", "xyz"), OneOf("b", (1, 2))])
    strengths = {"a": [0.2, 0.5, 0.3], "b": [0.9, 0.1]}
    assert rule(space, strengths) == Architecture({"a": "y", "b": 1})


def test_edges_are_as_strong_as_their_best_operation_other_than_none():
    # the mass that `none` took weakens the first edge and not the third
    found = edges(NODE, STRENGTHS)
    assert found == Architecture({"node": ("from1", "from2"), "op1": "conv", "op2": "conv"})


def test_none_takes_mass_but_is_chosen_by_the_rule_strongest_alone():
    assert strongest(NODE, STRENGTHS) == Architecture(
        {"node": ("from1", "from2"), "op1": "conv", "op2": "none"}
    )
    space = SearchSpace([OneOf("edge", OPERATIONS)])
    mostly_none = {"edge": [0.98, 0.011, 0.009]}
    assert strongest(space, mostly_none)["edge"] == "none"
    for rule in (edges, threshold):
        assert rule(space, mostly_none)["edge"] == "skip"


@pytest.mark.parametrize("name", ["none", "zero"])
@pytest.mark.parametrize("rule", [edges, threshold])
def test_where_there_is_nothing_but_none_it_is_taken(rule, name):
    assert rule(SearchSpace([OneOf("edge", [name])]), {"edge": [1.0]})["edge"] == name


@pytest.mark.parametrize("rule", [strongest, edges])
@pytest.mark.parametrize(
    ("low", "high", "kept"),
    [
        (1, 1, ("from1",)),  # the edges by strength are 1, 2, 0; `none` leads on 2 and 0
        (2, 2, ("from1", "from2")),
        (3, 3, ("from0", "from1", "from2")),
        (1, 2, ("from1",)),
        (0, 3, ("from1",)),
        (2, 3, ("from1", "from2")),
    ],
)
def test_where_there_may_be_fewer_edges_those_are_left_out_on_which_none_leads(
    rule, low, high, kept
):
    assert rule(node(3, low, high), STRENGTHS)["node"] == kept


@pytest.mark.parametrize("rule", [strongest, edges])
def test_a_node_may_be_left_without_edges(rule):
    off = {"node": [0.5, 0.5], "op0": [0.6, 0.2, 0.2], "op1": [0.4, 0.3, 0.3]}
    assert rule(node(2, 0, 2), off) == Architecture({"node": ()})
    assert rule(node(2, 1, 2), off)["node"] == ("from1",)


@pytest.mark.parametrize("rule", [strongest, edges])
def test_how_many_options_are_taken_follows_from_their_strengths(rule):
    """Against the definition: no stronger option is left, all taken but the least reach the mean."""
    random = Random(0)
    for _ in range(200):
        n = random.randint(2, 6)
        low = random.randint(0, n)
        high = random.randint(max(low, 1), n)
        values = [random.expovariate(1) for _ in range(n)]
        chosen = rule(SearchSpace([SomeOf("a", "abcdef"[:n], low, high)]), {"a": values})["a"]
        taken = sorted((values["abcdef".index(option)] for option in chosen), reverse=True)
        ranked = sorted(values, reverse=True)
        mean = math.fsum(values) / n
        above = [value for value in ranked if value >= mean]
        assert taken == (above[:high] if len(above) >= low else ranked[:low])
        assert low <= len(taken) <= high


@pytest.mark.parametrize("rule", [strongest, edges])
@pytest.mark.parametrize("n", [3, 7, 10])
def test_one_option_that_has_won_is_taken_alone_and_equal_ones_together(rule, n):
    space = SearchSpace([SomeOf("a", range(n), 1, n)])
    won = torch.softmax(torch.tensor([-6.0, 6.0, *[-6.0] * (n - 2)]), 0).tolist()
    assert rule(space, {"a": won})["a"] == (1,)
    equal = torch.softmax(torch.zeros(n), 0).tolist()
    assert rule(space, {"a": equal})["a"] == tuple(range(n))
    # what is out of the race does not lower the mean
    out = [0.6, 0.4, *[0.0] * (n - 2)]
    assert rule(space, {"a": out})["a"] == (0,)


def test_options_without_decisions_in_them_have_their_own_strength():
    space = SearchSpace([SomeOf("some", "abcd", 1, 2)])
    for rule in (strongest, edges):
        assert rule(space, {"some": [0.1, 0.4, 0.2, 0.3]})["some"] == ("b", "d")


def test_of_an_edge_the_operations_count_and_not_what_lies_deeper():
    space = SearchSpace(
        [
            SomeOf("node", "ab", 1, 1),
            OneOf("op", "xy"),
            OneOf("size", (3, 5)),
            OneOf("other", "uv"),
        ],
        {
            "op": [(("node", "a"),)],
            "size": [(("node", "a"), ("op", "x"))],
            "other": [(("node", "b"),)],
        },
    )
    strengths = {"node": [0.5, 0.5], "op": [0.5, 0.5], "size": [0.99, 0.01], "other": [0.6, 0.4]}
    assert edges(space, strengths) == Architecture({"node": ("b",), "other": "u"})
    strengths["op"] = [0.7, 0.3]
    assert edges(space, strengths) == Architecture({"node": ("a",), "op": "x", "size": 3})


def test_a_decision_shared_by_edges_counts_for_each():
    space = SearchSpace(
        [SomeOf("node", "abc", 1, 1), OneOf("shared", "xy"), OneOf("own", "uv")],
        {"shared": [(("node", "a"),), (("node", "b"),)], "own": [(("node", "c"),)]},
    )
    strengths = {"node": [0.0, 0.1, 0.2], "shared": [0.3, 0.7], "own": [0.4, 0.6]}
    assert edges(space, strengths) == Architecture({"node": ("a",), "shared": "y"})


@pytest.mark.parametrize("rule", RULES.values())
def test_of_equals_the_first_are_taken(rule):
    space = SearchSpace([OneOf("a", "xyz"), SomeOf("b", "pqr", 2, 2)])
    found = rule(space, {"a": [0.4, 0.4, 0.2], "b": [0.9, 0.9, 0.9]})
    assert found == Architecture({"a": "x", "b": ("p", "q")})


def sigmoids(*best):
    return {"node": [0.5] * len(best), **{f"op{i}": [0.99, 0.2, s] for i, s in enumerate(best)}}


@pytest.mark.parametrize(
    ("best", "kept"),
    [
        ((0.9, 0.86, 0.84), ("from0", "from1")),
        ((0.9, 0.84, 0.1), ("from0",)),
        ((0.3, 0.84, 0.1), ("from1",)),  # a node needs an input
        ((0.86, 0.99, 0.98), ("from1", "from2")),  # and takes two at most
        ((0.85, 0.1, 0.1), ("from0",)),
    ],
)
def test_threshold_keeps_what_is_confident(best, kept):
    assert threshold(node(3, 1, 2), sigmoids(*best))["node"] == kept
    sure = any(value >= 0.85 for value in best)
    assert threshold(node(3, 0, 2), sigmoids(*best))["node"] == (kept if sure else ())


def test_threshold_keeps_as_many_as_are_needed():
    assert threshold(node(3, 2, 3), sigmoids(0.9, 0.2, 0.3))["node"] == ("from0", "from2")


@pytest.mark.parametrize("rule", RULES.values())
def test_the_order_of_the_strengths_decides_and_not_the_scale(rule):
    found = rule(NODE, STRENGTHS)
    scaled = {label: [1e-3 * s for s in values] for label, values in STRENGTHS.items()}
    assert rule(NODE, scaled) == found
    assert found in NODE


def test_edges_are_told_from_options():
    assert holds_decisions(NODE, NODE.decision("node"))
    assert not holds_decisions(NODE, NODE.decision("op0"))


class Nothing(nn.Module):
    """Zeros, under whatever name."""

    option_role = "none"

    def forward(self, x):
        return torch.zeros_like(x)


class Same(nn.Module):
    """Its input, under whatever name."""

    option_role = "skip"

    def forward(self, x):
        return x


def test_modules_say_what_they_are_whatever_they_are_called():
    options = {"off": Nothing(), "through": Same(), "none": nn.ReLU(), "tanh": nn.Tanh()}
    options["none"].option_role = None
    space = SuperNet(Choice(options, label="op")).space
    assert [space.role("op", name) for name in options] == ["none", "skip", None, None]
    assert space.within({"op": ["off", "tanh"]}).role("op", "off") == "none"
    assert RULES["edges"](space, {"op": [0.9, 0.0, 0.6, 0.1]})["op"] == "none"
    assert RULES["strongest"](space, {"op": [0.9, 0.0, 0.6, 0.1]})["op"] == "off"
    assert with_at_most(0, RULES["edges"], space, {"op": [0.9, 0.8, 0.2, 0.1]})["op"] == "none"


def test_the_names_of_published_spaces_say_it_where_modules_do_not():
    names = ["none", "zero", "skip", "skip_connect", "identity", "conv"]
    space = SearchSpace([OneOf("op", names)])
    assert [space.role("op", name) for name in names] == ["none"] * 2 + ["skip"] * 3 + [None]
    assert space.connecting(space.decision("op")) == [2, 3, 4, 5]

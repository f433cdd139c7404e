"""The counts of different NAS-Bench-201 cells, by rule, and what the rules take for equal."""

from __future__ import annotations

from itertools import product

import pytest

from supernet.errors import SpaceError
from supernet.zoo.isomorphism import OPERATIONS, graph, representative, unique_string

SHORT = dict(zip("0s13a", OPERATIONS, strict=True))
ALL = list(product(OPERATIONS, repeat=6))
PATHS = [(3,), (0, 4), (1, 5), (0, 2, 5)]
"""The ways from the input to the output, as indices of edges."""


def cell(letters):
    """Return the cell of six letters, in the order 1<-0, 2<-0, 2<-1, 3<-0, 3<-1, 3<-2."""
    return tuple(SHORT[letter] for letter in letters)


@pytest.fixture(scope="module")
def classes():
    """Return all cells by their graph."""
    found = {}
    for c in ALL:
        found.setdefault(graph(c), []).append(c)
    return found


@pytest.mark.parametrize(("rule", "count"), [("ignore", 15_625), ("skip", 12_751), ("zero", 6_466)])
def test_counts_of_the_published_routine(rule, count):
    assert len({unique_string(c, rule) for c in ALL}) == count


def test_strings_are_those_written_by_hand():
    mixed, pool, conv = cell("3s0a1s"), "(0)@avg_pool_3x3", "((0)@nor_conv_3x3)@nor_conv_1x1"
    zero = "((0)@nor_conv_3x3)@none"

    assert unique_string(mixed, "ignore") == (
        f"({zero}+(0)@skip_connect)@skip_connect+{conv}+{pool}"
    )
    assert unique_string(mixed, "skip") == f"{zero}+0+{conv}+{pool}"
    assert unique_string(mixed, "zero") == f"#+0+{conv}+{pool}"


def test_an_unknown_rule_is_refused():
    with pytest.raises(SpaceError, match="'ignore', 'skip' or 'zero', not 'exact'"):
        unique_string(ALL[0], "exact")


@pytest.mark.slow
def test_count_of_graphs(classes):
    """The largest class, a single live operation, has 460 cells."""
    assert len(classes) == 5_425
    assert max(map(len, classes.values())) == 460
    assert len(classes[graph(cell("000300"))]) == 460


def test_disconnected_cells_are_one_network(classes):
    """They are 341 by their paths alone."""
    dead = [c for c in ALL if not any(all(c[i] != "none" for i in path) for path in PATHS)]

    assert len(dead) == 341
    assert classes[(), ()] == dead


@pytest.mark.parametrize(
    ("first", "second"),
    [
        pytest.param("300300", "000300", id="a node that nobody reads"),
        pytest.param("03300s", "000300", id="an operation on zeros"),
        pytest.param("s00030", "000300", id="a skip is its input"),
        pytest.param("3ss00s", "300ss0", id="nested sums are flat"),
        pytest.param("33001s", "3300s1", id="twins with swapped readers"),
        pytest.param("31s00s", "1300ss", id="terms in another order"),
    ],
)
def test_equal_cells(first, second):
    assert graph(cell(first)) == graph(cell(second))


@pytest.mark.parametrize(
    ("first", "second"),
    [
        pytest.param("30s0ss", "3300ss", id="one convolution used twice, and two"),
        pytest.param("a0s0ss", "aa00ss", id="one pooling used twice, and two"),
        pytest.param("s00ss0", "000s00", id="the input twice, and once"),
        pytest.param("300010", "100030", id="order of operations"),
        pytest.param("331s13", "331s31", id="which twin is read"),
        pytest.param("000000", "000s00", id="nothing, and the input"),
    ],
)
def test_different_cells(first, second):
    assert graph(cell(first)) != graph(cell(second))


def test_the_published_string_errs_both_ways():
    """It merges a shared convolution with two, and keeps dead terms apart."""
    assert unique_string(cell("30s0ss"), "zero") == unique_string(cell("3300ss"), "zero")
    assert unique_string(cell("03000s"), "zero") != unique_string(cell("000300"), "zero")


@pytest.mark.slow
def test_representatives_have_the_same_graph_and_no_dead_edge(classes):
    for form, members in classes.items():
        chosen = representative(members[0])
        assert chosen in members
        assert {representative(c) for c in members} == {chosen}
        assert chosen.count("none") == max(c.count("none") for c in members)
        for i, name in enumerate(chosen):
            without = (*chosen[:i], "none", *chosen[i + 1 :])
            assert name == "none" or graph(without) != form

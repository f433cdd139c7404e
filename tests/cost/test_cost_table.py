"""Amounts by hand; random tables against the definition are in tests/space/test_space_levels.py."""

import itertools
import random

from supernet.cost import CostTable, Entry, cost_of
from supernet.space import Architecture, OneOf, SearchSpace, SomeOf

BASE = Entry(frozenset([()]), 1)
DEEP = Entry(frozenset([(("outer", "deep"),)]), 10)
BOTH = Entry(frozenset([(("outer", "deep"), ("some", "q"))]), 100)
EITHER = Entry(frozenset([(("outer", "flat"),), (("some", "p"), ("some", "q"))]), 1000)
TABLE = CostTable("macs", [BASE, DEEP, BOTH, EITHER, DEEP])


def cost(outer, *some):
    return TABLE.cost(Architecture({"outer": outer, "some": some}))


def test_amounts_count_where_all_their_options_are_chosen():
    assert cost("deep", "p") == 1 + 20
    assert cost("deep", "q") == 1 + 20 + 100
    assert cost("flat", "p") == 1 + 1000
    assert cost("flat", "q") == 1 + 1000


def test_an_amount_with_several_paths_counts_once():
    assert cost("deep", "p", "q") == 1 + 20 + 100 + 1000
    assert cost("flat", "p", "q") == 1 + 1000


def test_an_amount_that_also_lies_outside_of_options_always_counts():
    table = CostTable("params", [Entry(frozenset([(), (("outer", "deep"),)]), 7)])

    assert table.cost(Architecture({"outer": "flat"})) == 7


def test_range_sees_that_amounts_depend_on_each_other():
    space = SearchSpace([SomeOf("some", "pq", 1, 2), OneOf("outer", ["deep", "flat"])])

    assert TABLE.range(space) == (21, 1121)


def test_every_quantity_is_returned():
    tables = {"macs": TABLE, "params": CostTable("params", [BASE])}

    assert cost_of(tables, Architecture({"outer": "deep", "some": ("p",)})) == {
        "macs": 21,
        "params": 1,
    }


def test_integer_options_are_told_from_their_text():
    table = CostTable(
        "macs", [Entry(frozenset([(("w", 1),)]), 5), Entry(frozenset([(("w", "1"),)]), 7)]
    )

    assert table.cost(Architecture({"w": 1})) == 5
    assert table.cost(Architecture({"w": "1"})) == 7


def test_sums_are_rounded_once_so_that_the_range_ends_at_costs_that_are_reached():
    """Ten amounts whose floating-point sum depends on the order of addition."""
    space = SearchSpace([OneOf(f"d{i}", ["a", "b"]) for i in range(6)])
    amounts = random.Random(0)
    atoms = [(f"d{i}", option) for i in range(6) for option in "ab"]
    entries = [
        Entry(frozenset([(atom,)]), amounts.random() * 10**i) for i, atom in enumerate(atoms)
    ]
    entries.append(Entry(frozenset([(("d0", "a"), ("d5", "b"))]), 0.1))
    entries.append(Entry(frozenset([()]), 0.7))
    table = CostTable("latency_ms", entries)
    costs = [table.cost(architecture) for architecture in space]

    assert table.range(space) == (min(costs), max(costs))
    for order in itertools.islice(itertools.permutations(entries), 0, 5000, 100):
        again = CostTable("latency_ms", order)
        assert [again.cost(architecture) for architecture in space] == costs


def test_single_amounts_are_exact():
    table = CostTable("latency_ms", [Entry(frozenset([(("op", "x"),)]), 0.1)])

    assert table.cost({"op": "x"}) == 0.1
    assert table.range(SearchSpace([OneOf("op", "x")])) == (0.1, 0.1)


def test_an_empty_table_costs_nothing():
    table = CostTable("macs", [])

    assert table.cost({"op": "x"}) == 0
    assert table.range(SearchSpace([OneOf("op", "x")])) == (0, 0)

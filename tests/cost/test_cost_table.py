"""Amounts by hand; random tables against the definition are in tests/space/test_space_levels.py."""

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

"""The smallest and largest cost of a space, against enumeration of all its architectures."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from random_spaces import decisions_with_conditions, holds, naive_architectures, patient

from supernet.cost import CostTable, Entry
from supernet.space import OneOf, SearchSpace, SomeOf
from supernet.space.levels import Levels, TooManyStates


@st.composite
def entries(draw, decisions):
    """Draw amounts that depend on nothing, one option, several options, or any of several paths."""
    atoms = [(decision.label, option) for decision in decisions for option in decision.options]
    path = st.lists(st.sampled_from(atoms), max_size=3, unique=True).map(tuple)
    paths = st.frozensets(path, min_size=1, max_size=3)
    return draw(st.lists(st.builds(Entry, paths, st.integers(0, 50)), max_size=8))


@settings(patient, max_examples=150)
@given(st.data(), decisions_with_conditions(most=4))
def test_costs_and_their_range_equal_the_definition(data, drawn):
    decisions, conditions = drawn
    rows = data.draw(entries(decisions))
    costs = []

    table = CostTable("macs", rows)
    for values in naive_architectures(decisions, conditions):
        expected = sum(row.amount for row in rows if any(holds(path, values) for path in row.paths))
        assert table.cost(values) == expected
        costs.append(expected)

    assert table.range(SearchSpace(decisions, conditions)) == (min(costs), max(costs))


def test_an_amount_shared_by_many_options_has_an_exact_range():
    """A tied module in one option of each of 60 decisions counts once, unless none is chosen."""
    space = SearchSpace([OneOf(f"d{i}", "xy") for i in range(60)])
    shared = Entry(frozenset(((f"d{i}", "x"),) for i in range(60)), 1000)
    single = [Entry(frozenset([((f"d{i}", "y"),)]), 7) for i in range(60)]

    assert CostTable("params", [shared, *single]).range(space) == (60 * 7, 1000 + 59 * 7)


@pytest.mark.parametrize(
    ("low", "high", "expected"), [(0, 2, (0, 9)), (1, 3, (1, 10)), (2, 2, (5, 9))]
)
def test_bounds_of_some_of_limit_the_range(low, high, expected):
    space = SearchSpace([SomeOf("d", "abc", low, high)])
    amounts = {"a": 1, "b": 4, "c": 5}
    table = CostTable("macs", [Entry(frozenset([(("d", o),)]), n) for o, n in amounts.items()])

    assert table.range(space) == expected


@pytest.mark.slow
def test_levels_give_up_where_states_explode_and_only_if_told_to():
    """Whether every pair of 12 answers is given can be known only from all of them."""
    space = SearchSpace([OneOf(f"d{i}", "xy") for i in range(12)])
    pairs = [((f"d{i}", "x"), (f"d{j}", "x")) for i in range(12) for j in range(i)]
    watched = {number: [pair] for number, pair in enumerate(pairs)}

    with pytest.raises(TooManyStates):
        Levels(space.decisions, {d.label: [()] for d in space.decisions}, watched, most=1_000)
    assert Levels(space.decisions, {d.label: [()] for d in space.decisions}, watched).size == 2**12
    assert space.levels(watched).size == 2**12


@pytest.mark.slow
def test_amounts_of_many_groups_that_open_at_once_fit():
    """Ten sides times 300 pairs of layers: of 3,000 amounts each state follows a tenth, for a while."""
    length, sides = 30, range(10)
    decisions = [OneOf("side", sides), *[OneOf(f"d{i}", "abc") for i in range(length)]]
    entries = [
        Entry(frozenset([(("side", side), (f"d{i}", a), (f"d{i + 1}", b))]), side * (i + 1) * n)
        for side in sides
        for i in range(length - 1)
        for n, (a, b) in enumerate([("a", "a"), ("a", "b"), ("b", "a"), ("b", "b"), ("c", "c")])
    ]
    space = SearchSpace(decisions)
    levels = space.levels({number: entry.paths for number, entry in enumerate(entries)})

    assert levels.size == 10 * 3**length
    assert CostTable("macs", entries).range(space) == (0, 9 * 4 * sum(range(1, length)))


def test_a_range_that_is_found_decision_by_decision_holds_what_it_says(monkeypatch):
    monkeypatch.setattr("supernet.space.space.MANY", 0)
    space = SearchSpace(
        [OneOf("a", "xy"), SomeOf("b", "pqr", 1, 3), OneOf("c", "xy")], {"b": [(("a", "y"),)]}
    )
    amounts = {("a", "x"): 2, ("b", "p"): 1, ("b", "q"): 4, ("c", "y"): 3}
    rows = [Entry(frozenset([(atom,)]), n) for atom, n in amounts.items()]
    table = CostTable("macs", [*rows, Entry(frozenset([(("b", "q"), ("c", "y"))]), 10)])

    costs = [table.cost(one) for one in space]
    assert table.range(space) == (min(costs), max(costs))

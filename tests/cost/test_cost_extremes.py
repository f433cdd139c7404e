"""The cheapest and the dearest architecture, however they are found."""

import itertools
from random import Random

import pytest

from supernet.cost import CostTable, Entry
from supernet.cost import extremes as module
from supernet.cost.guesses import GuessedAmounts
from supernet.space import Architecture, OneOf, Ordered, SearchSpace, SomeOf

SPACE = SearchSpace(
    [
        OneOf("kind", ["conv", "pool"]),
        Ordered("width", [4, 8, 12]),
        SomeOf("edges", "xyz", 0, 2),
        OneOf("tail", "ab"),
    ],
    {"width": [(("kind", "conv"),)], "tail": [(("edges", "x"),), (("kind", "pool"),)]},
)
ATOMS = [(d.label, option) for d in SPACE.decisions for option in d.options]


def entry(amount, *paths):
    return Entry(frozenset(paths), amount)


def drawn(seed):
    """Amounts of which many are equal, of single options and of pairs."""
    random = Random(seed)
    entries = [entry(random.choice([0, 1, 1, 2]), (atom,)) for atom in ATOMS]
    pairs = [p for p in itertools.combinations(ATOMS, 2) if p[0][0] != p[1][0]]
    return entries + [entry(random.choice([1, 3]), pair) for pair in random.sample(pairs, 6)]


def first(table, cost, sign):
    """The architecture of this cost with the fewest and first options, or the most and last."""

    def order(architecture):
        for decision in SPACE.decisions:
            if decision.label in architecture:
                indices = decision.indices(architecture[decision.label])
                yield sign * len(indices), [sign * i for i in indices]

    return min((one for one in SPACE if table.cost(one) == cost), key=lambda one: list(order(one)))


@pytest.mark.parametrize("seed", range(8))
@pytest.mark.parametrize("way", ["tried", "walked"])
def test_they_are_exact_and_of_equal_ones_the_first_and_the_last(way, seed, monkeypatch):
    entries = drawn(seed)
    waiting = entry(5, (("width", 8), ("edges", "y")), (("width", 8), ("tail", "a")))
    assert GuessedAmounts([waiting], 1).decisions  # so that a small space is tried
    table = CostTable("macs", [*entries, waiting])
    if way == "walked":
        monkeypatch.setattr(module, "FEW", 0)
        monkeypatch.setattr(module, "_decision_by_decision", None)
    costs = [table.cost(one) for one in SPACE]
    cheapest, dearest = table.extremes(SPACE)
    assert table.range(SPACE) == (min(costs), max(costs))
    assert cheapest == first(table, min(costs), 1)
    assert dearest == first(table, max(costs), -1)


def test_what_no_single_answer_improves_is_found_all_the_same():
    """From each corner either answer alone costs more than both together save."""
    space = SearchSpace([OneOf("a", "01"), OneOf("b", "01")])
    pairs = {("0", "0"): 2, ("1", "0"): 3, ("0", "1"): 3, ("1", "1"): 1}
    table = CostTable("macs", [entry(n, (("a", a), ("b", b))) for (a, b), n in pairs.items()])
    assert table.extremes(space)[0] == Architecture({"a": "1", "b": "1"})


def test_where_there_are_too_many_states_it_goes_decision_by_decision(monkeypatch):
    monkeypatch.setattr("supernet.space.space.MANY", 0)
    widths = [Ordered(f"w{i}", [1, 2, 3]) for i in range(4)]
    space = SearchSpace(widths)
    entries = [
        entry(a * b, ((f"w{i}", a), (f"w{i + 1}", b)))
        for i in range(3)
        for a, b in itertools.product([1, 2, 3], repeat=2)
    ]
    table = CostTable("macs", entries)
    monkeypatch.setattr(module, "FEW", 0)
    cheapest, dearest = table.extremes(space)
    assert set(cheapest.values()) == {1}
    assert set(dearest.values()) == {3}
    assert table.range(space) == (3, 27)


def test_they_are_found_once_for_a_space(monkeypatch):
    table = CostTable("macs", [entry(1, (("a", "x"),))])
    space, other = SearchSpace([OneOf("a", "xy")]), SearchSpace([OneOf("a", "x")])
    assert table.range(space) == (0, 1)
    assert table.range(other) == (1, 1)
    monkeypatch.setattr("supernet.cost.table.extremes", None)
    assert table.extremes(other) == (Architecture({"a": "x"}),) * 2

import random
from statistics import mean

import pytest

from supernet.cost import Constraint, Constraints, CostTable, Entry
from supernet.cost.completions import Completions
from supernet.errors import ConstraintError
from supernet.search import Problem
from supernet.search.construct import Bound, build, extend
from supernet.space import OneOf, Ordered, SearchSpace, SomeOf


def entry(amount, *paths):
    return Entry(frozenset(paths), amount)


DECISIONS = [
    OneOf("kind", ["conv", "skip", "pool"]),
    Ordered("width", [8, 16, 32]),
    SomeOf("branches", ["x", "y", "z"], 1, 2),
    OneOf("tail", "ab"),
]
NESTED = SearchSpace(
    DECISIONS,
    {"width": [(("kind", "conv"),)], "branches": [(("kind", "conv"),), (("kind", "pool"),)]},
)
TABLE = CostTable(
    "macs",
    [
        entry(100, ()),
        entry(7.5, (("kind", "conv"),)),
        *[entry(width / 4, (("kind", "conv"), ("width", width))) for width in (8, 16, 32)],
        *[
            entry(amount, (("branches", name),))
            for name, amount in zip("xyz", (1, 5, 3), strict=True)
        ],
        entry(20, (("width", 32), ("branches", "y")), (("kind", "pool"), ("branches", "z"))),
        entry(2, (("tail", "b"),)),
        entry(11, (("tail", "a"), ("branches", "x"))),
    ],
)
"""Amounts that belong to one option, to nested ones, and to any of several combinations."""


WAITING = CostTable(
    "params",
    [
        entry(3, (("kind", "conv"),)),
        *[
            entry(
                width * 1.1,
                (("width", width), ("branches", "x")),
                (("width", width), ("tail", "b")),
            )
            for width in (8, 16, 32)
        ],
        *[
            entry(amount, *[(("branches", name), ("tail", end)) for end in ends])
            for name, amount, ends in (("y", 0.3, "ab"), ("z", 9, "a"))
        ],
        entry(50, (("kind", "pool"), ("tail", "a")), (("kind", "pool"), ("branches", "y"))),
        entry(70, (("kind", "skip"), ("tail", "a"))),
    ],
)
"""Amounts of several answers that all wait for later ones."""


def extremes(space, table, beginning, sign):
    costs = [
        table.cost(architecture)
        for architecture in space
        if all(architecture.get(label) == value for label, value in beginning.items())
    ]
    return min(costs) if sign > 0 else max(costs)


@pytest.mark.parametrize("table", [TABLE, WAITING], ids=["table", "waiting"])
@pytest.mark.parametrize("sign", [1, -1])
def test_completions_are_exact_at_every_place(sign, table):
    """Compared with the enumeration of everything that begins alike."""
    completions, places = Completions(table.entries, NESTED, sign), 0
    for architecture in NESTED:
        place, beginning = completions.start, {}
        for level, decision in enumerate(NESTED.decisions):
            expected = extremes(NESTED, table, beginning, sign)
            assert completions.reach(level, place) == expected
            assert completions.exists(level, place) == (decision.label in architecture)
            value = architecture.get(decision.label)
            chosen = decision.indices(value) if value is not None else ()
            beginning[decision.label] = value
            place = completions.after(level, place, chosen)
            places += 1
        reached = completions.reach(len(NESTED.decisions), place)
        assert reached == table.cost(architecture)
    assert places == 4 * NESTED.size


@pytest.mark.parametrize("sign", [1, -1])
def test_the_extreme_architecture_has_the_extreme_cost(sign):
    completions = Completions(TABLE.entries, NESTED, sign)
    found = completions.architecture()
    assert found in NESTED
    assert (
        TABLE.cost(found)
        == completions.reach(0, completions.start)
        == extremes(NESTED, TABLE, {}, sign)
    )


def test_what_waits_for_later_answers_is_guessed():
    assert len(Completions(WAITING.entries, NESTED, 1).start) > 1
    for sign in (1, -1):
        found = Completions(WAITING.entries, NESTED, sign).architecture()
        assert WAITING.cost(found) == extremes(NESTED, WAITING, {}, sign)


@pytest.mark.parametrize("sense", ["<=", ">="])
def test_one_bound_is_always_met_even_at_its_end(sense):
    smallest, largest = TABLE.range(NESTED)
    limit = smallest if sense == "<=" else largest
    bound = Bound.of(Constraint("macs", sense, limit), TABLE, NESTED)
    for seed in range(20):
        found = build(NESTED, [bound], random.Random(seed))
        assert TABLE.cost(found) == limit


@pytest.mark.slow
def test_one_bound_is_met_without_repair(monkeypatch):
    monkeypatch.setattr("supernet.search.construct.REPAIRS", 1)
    space, table = long_space(40)
    for sense, limit in (("<=", 3), (">=", 77)):
        bound = Bound.of(Constraint("cost", sense, limit), table, space)
        for seed in range(20):
            assert bound.constraint.holds(table.cost(build(space, [bound], random.Random(seed))))


def test_everything_within_a_bound_can_be_built():
    bound = Bound.of(Constraint("macs", "<=", 108), TABLE, NESTED)
    expected = {architecture for architecture in NESTED if TABLE.cost(architecture) <= 108}
    stream = random.Random(0)
    found = {build(NESTED, [bound], stream) for _ in range(300)}
    assert 3 < len(expected) < NESTED.size
    assert found == expected


@pytest.mark.parametrize("limit", [0, 1, 8])
def test_decisions_with_very_many_answers(limit):
    """Draws never hit the few answers with hardly any option; the cheapest is always tried."""
    options = [f"o{i}" for i in range(40)]
    space = SearchSpace([SomeOf(f"d{i}", options, 0, 40) for i in range(3)])
    table = CostTable("cost", [entry(1, ((d.label, o),)) for d in space.decisions for o in options])
    bound = Bound.of(Constraint("cost", "<=", limit), table, space)
    found = build(space, [bound], random.Random(0))
    assert table.cost(found) <= limit


def long_space(length, amounts=lambda index, place: place):
    space = SearchSpace([OneOf(f"op{i}", "abc") for i in range(length)])
    entries = [
        entry(amounts(i, place), ((f"op{i}", option),))
        for i in range(length)
        for place, option in enumerate("abc")
    ]
    return space, CostTable("cost", entries)


def problem(space, tables, *texts, seed=0):
    return Problem(space, Constraints(texts, tables, space), seed)


@pytest.mark.slow
def test_a_bound_that_draws_never_meet():
    """Of 3^40 architectures 861 cost 2 or less."""
    space, table = long_space(40)
    for seed in range(2):
        found = problem(space, {"cost": table}, "cost <= 2").sample(20, random.Random(seed))
        assert len(found) == len(set(found)) == 20
        assert all(table.cost(architecture) <= 2 for architecture in found)


@pytest.mark.slow
def test_what_is_built_has_no_bias_to_early_decisions():
    """The few dear answers that fit must not all be given to the decisions answered first."""
    space, table = long_space(40)
    found = problem(space, {"cost": table}, "cost <= 6").sample(60, random.Random(0))
    early, late = (
        mean(architecture[f"op{i}"] != "a" for architecture in found for i in part)
        for part in (range(20), range(20, 40))
    )
    assert len(found) == 60
    assert early / late == pytest.approx(1, abs=0.3)  # without mixing, above 2


@pytest.mark.slow
def test_seen_architectures_are_left_out_and_the_rest_is_found():
    """One architecture costs nothing and 20 cost 1: fewer than asked for, and no error."""
    space, table = long_space(20)
    narrow = problem(space, {"cost": table}, "cost <= 1")
    first = narrow.sample(12, random.Random(0))
    rest = narrow.sample(30, random.Random(1), {architecture.key for architecture in first})
    assert len(first) == 12
    assert len(rest) == 9
    assert not set(first) & set(rest)


@pytest.mark.slow
def test_samples_that_are_built_depend_on_the_random_stream_only():
    space, table = long_space(30)
    narrow = problem(space, {"cost": table}, "cost <= 5")
    first = narrow.sample(10, random.Random(0))
    assert narrow.sample(10, random.Random(0)) == first
    assert narrow.sample(10, random.Random(1)) != first


TWO = {
    "cost": long_space(30)[1],
    "weight": long_space(30, lambda index, place: (2 - place) * (1 + index % 4) / 10)[1],
}
SPACE = long_space(30)[0]


@pytest.mark.slow
@pytest.mark.parametrize(
    "texts",
    [
        ("cost <= 12", "weight <= 10.6"),
        ("cost <= 30", "cost >= 30", "weight <= 6"),
        ("cost >= 55", "weight >= 0.8"),
    ],
)
def test_several_bounds_that_draws_hardly_meet(texts):
    found = problem(SPACE, TWO, *texts).sample(10, random.Random(0))
    assert len(found) == 10
    assert all(problem(SPACE, TWO, *texts).constraints.hold(one) for one in found)


@pytest.mark.slow
def test_what_the_other_bounds_leave_is_found():
    """Cost 12 buys two steps in each of the six heaviest decisions of weight 0.4, and one is 0.3."""
    bounds = [
        Bound.of(Constraint("cost", "<=", 12), TWO["cost"], SPACE),
        Bound.of(Constraint("weight", "<=", 1), TWO["weight"], SPACE),
    ]
    lightest = sum((2 * (1 + i % 4)) / 10 for i in range(30)) - 12 * 0.4
    found = extend(SPACE, bounds[:1], bounds[1], random.Random(0))
    assert found == pytest.approx(lightest)
    assert extend(SPACE, [], bounds[0], random.Random(0)) == 0


@pytest.mark.slow
def test_the_error_says_what_was_tried_and_what_is_within_reach():
    impossible = problem(SPACE, TWO, "cost <= 12", "weight <= 1.25")
    with pytest.raises(ConstraintError) as error:
        impossible.sample(5, random.Random(0))
    text = str(error.value)
    assert "no architecture was found that satisfies cost <= 12 and weight <= 1.25" in text
    assert "2,000 were drawn and 10 times one was built" in text
    assert "cost reaches from 0 to 60, where the other bounds hold, from 4" in text
    assert "weight reaches from 0 to 14.6, where the other bounds hold, from 9.8" in text


def test_the_error_is_exact_where_everything_was_tried():
    space, table = long_space(4, lambda index, place: place * 1.5)
    weight = long_space(4, lambda index, place: 0.25 * (2 - place))[1]
    tables = {"cost": table, "weight": weight}
    with pytest.raises(ConstraintError) as error:
        problem(space, tables, "cost <= 3", "weight <= 0.5").sample(1, random.Random(0))
    text = str(error.value)
    assert "no architecture satisfies cost <= 3 and weight <= 0.5: of 81" in text
    assert "cost reaches from 0 to 12, where the other bounds hold, from 9;" in text
    assert "weight reaches from 0 to 2, where the other bounds hold, from 1.5." in text


def test_a_lower_bound_says_the_largest():
    space, table = long_space(3)
    with pytest.raises(ConstraintError) as error:
        problem(space, {"cost": table}, "cost <= 2", "cost >= 3").sample(1, random.Random(0))
    assert "hold, from 3" in str(error.value)
    assert "hold, up to 2" in str(error.value)


def test_others_that_exclude_each_other_are_said():
    space, table = long_space(4)
    weight = long_space(4, lambda index, place: index * place)[1]
    impossible = problem(
        space, {"cost": table, "weight": weight}, "cost <= 2", "cost >= 3", "weight <= 5"
    )
    with pytest.raises(ConstraintError, match="no architecture that meets the other bounds"):
        impossible.sample(1, random.Random(0))

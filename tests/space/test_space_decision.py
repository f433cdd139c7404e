import math
from random import Random

import pytest
from random_spaces import naive_values
from scipy.stats import chisquare

from supernet.errors import SpaceError
from supernet.space import OneOf, Ordered, SomeOf
from supernet.space.decision import subset_count, subset_unrank

DECISIONS = [
    OneOf("d", ["a"]),
    OneOf("d", ["a", "b", "c"]),
    Ordered("d", [1, 2.5, 8, 16]),
    SomeOf("d", ["a", "b", "c", "d"], 1, 2),
    SomeOf("d", ["a", "b", "c", "d"], 0, 4),
    SomeOf("d", ["a", "b", "c"], 2, 2),
    SomeOf("d", ["a", "b", "c"], 0, 1),
]
each_decision = pytest.mark.parametrize("decision", DECISIONS, ids=repr)


def distance(decision, one, two):
    """Return the fewest options to add, remove or exchange, or the steps along ordered values."""
    here, there = set(decision.indices(one)), set(decision.indices(two))
    if isinstance(decision, Ordered):
        return abs(here.pop() - there.pop())
    return max(len(here - there), len(there - here))


@each_decision
def test_values_are_all_subsets_within_the_bounds_once_each(decision):
    values = list(decision.values())

    assert len(values) == len(set(values)) == decision.size
    assert set(values) == set(naive_values(decision))


@each_decision
def test_value_and_indices_are_inverse(decision):
    for value in decision.values():
        indices = decision.indices(value)
        assert decision.value(indices) == value
        assert [decision.options[i] for i in indices] == list(
            value if isinstance(value, tuple) else [value]
        )


@each_decision
def test_neighbours_are_exactly_the_answers_at_distance_one(decision):
    for value in decision.values():
        near = decision.neighbours(value)
        expected = {v for v in decision.values() if distance(decision, value, v) == 1}
        assert len(near) == len(set(near))
        assert set(near) == expected


def test_samples_are_uniform_over_answers_of_different_sizes():
    decision, random = SomeOf("d", "abcd", 0, 3), Random(0)
    values = list(decision.values())

    drawn = [decision.sample(random) for _ in range(3000)]

    assert chisquare([drawn.count(value) for value in values]).pvalue > 1e-3


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: OneOf("d", []), "no options"),
        (lambda: OneOf("d", ["a", "a"]), "equal options"),
        (lambda: OneOf("d", [1, 1.0]), "equal options"),
        (lambda: OneOf("d", [True, "a"]), "texts or finite numbers"),
        (lambda: OneOf("d", [["a"], "b"]), "texts or finite numbers"),
        (lambda: Ordered("d", [1.0, math.inf]), "texts or finite numbers"),
        (lambda: OneOf("d", ["a", "b"], 1, 2), "use SomeOf"),
        (lambda: SomeOf("d", ["a", "b"], 2, 1), "0 <= low <= high <= 2"),
        (lambda: SomeOf("d", ["a", "b"], 1, 3), "0 <= low <= high <= 2"),
        (lambda: SomeOf("d", ["a", "b"], -1, 1), "0 <= low <= high <= 2"),
        (lambda: SomeOf("d", ["a", "b"], 0, 0), "high >= 1"),
        (lambda: Ordered("d", [2, 1]), "increasing"),
        (lambda: Ordered("d", ["1", "2"]), "increasing"),
    ],
)
def test_contradicting_decisions_are_refused(make, message):
    with pytest.raises(SpaceError, match=message):
        make()


@pytest.mark.parametrize(
    ("decision", "value"),
    [
        (OneOf("d", ["a", "b"]), "c"),
        (OneOf("d", ["a", "b"]), ("a",)),
        (OneOf("d", ["a", "b"]), None),
        (OneOf("d", [1, 2]), "1"),
        (SomeOf("d", ["a", "b", "c"], 1, 2), "a"),
        (SomeOf("d", ["a", "b", "c"], 1, 2), ["a"]),
        (SomeOf("d", ["a", "b", "c"], 1, 2), ()),
        (SomeOf("d", ["a", "b", "c"], 1, 2), ("a", "b", "c")),
        (SomeOf("d", ["a", "b", "c"], 1, 2), ("b", "a")),
        (SomeOf("d", ["a", "b", "c"], 1, 2), ("a", "a")),
        (SomeOf("d", ["a", "b", "c"], 1, 2), ("a", "x")),
        (Ordered("d", [1, 2]), 1.5),
    ],
)
def test_an_impossible_answer_is_named_with_the_possible_ones(decision, value):
    with pytest.raises(SpaceError, match="'d' cannot be") as error:
        decision.indices(value)

    assert str(list(decision.options)) in str(error.value)


def test_subset_count_ignores_bounds_that_no_subset_reaches():
    assert subset_count(3, -2, 1) == 4
    assert subset_count(3, 2, 9) == 4
    assert subset_count(3, 4, 9) == 0


def test_subset_unrank_yields_each_subset_once_and_then_stops():
    items = (2, 3, 5, 7, 11)
    count = subset_count(len(items), 1, 3)

    subsets = [subset_unrank(items, 1, 3, index) for index in range(count)]

    assert len(set(subsets)) == count == 5 + 10 + 10
    assert all(set(subset) <= set(items) and 1 <= len(subset) <= 3 for subset in subsets)
    assert subsets == sorted(subsets, key=lambda subset: (len(subset), subset))
    with pytest.raises(IndexError):
        subset_unrank(items, 1, 3, count)

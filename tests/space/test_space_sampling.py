"""What draws are uniform over, against probabilities that are written down by hand."""

from collections import Counter
from fractions import Fraction
from random import Random

import pytest

from supernet.errors import SpaceError
from supernet.space import Architecture, OneOf, Ordered, SearchSpace, SomeOf


def layers():
    """One to three layers; each that there is has a width, the third two widths."""
    depth = Ordered("depth", (1, 2, 3))
    widths = [OneOf("w1", "ab"), OneOf("w2", "ab"), OneOf("w3", "ab"), OneOf("w4", "abc")]
    deeper = {"w2": [(("depth", 2),), (("depth", 3),)], "w3": [(("depth", 3),)]}
    return SearchSpace([depth, *widths], {**deeper, "w4": deeper["w3"]})


def exact(space, weigh):
    """Return the probability of each architecture, where `weigh(decision)` is that of an answer."""
    return {
        one: Fraction(1) * product(weigh(space.decision(label)) for label in one) for one in space
    }


def product(numbers):
    total = Fraction(1)
    for number in numbers:
        total *= number
    return total


def chi_square(counts, probabilities):
    draws = sum(counts.values())
    assert counts.keys() <= probabilities.keys()
    return sum((counts[one] - draws * p) ** 2 / (draws * p) for one, p in probabilities.items())


def test_by_decisions_every_depth_is_as_likely():
    space = layers()
    probabilities = exact(space, lambda decision: Fraction(1, decision.size))
    assert sum(probabilities.values()) == 1
    assert space.size == len(probabilities) == 2 + 4 + 24
    random = Random(1)
    counts = Counter(space.sample(random, "decisions") for _ in range(12_000))
    assert chi_square(counts, probabilities) < 67  # 29 degrees of freedom: once in 10,000
    depths = Counter(one["depth"] for one in counts.elements())
    assert chi_square(depths, dict.fromkeys((1, 2, 3), Fraction(1, 3))) < 18.5  # 2 degrees


def test_by_architectures_most_are_deep():
    space, random = layers(), Random(1)
    counts = Counter(space.sample(random) for _ in range(9_000))
    assert chi_square(counts, dict.fromkeys(space, Fraction(1, 30))) < 67
    depths = Counter(one["depth"] for one in counts.elements())
    expected = {1: Fraction(2, 30), 2: Fraction(4, 30), 3: Fraction(24, 30)}
    assert chi_square(depths, expected) < 18.5


def test_by_networks_each_is_as_likely_however_often_it_is_written():
    """Of x and y in any order, the sorted form stands; c is like no other."""

    def form(one):
        return Architecture(dict(zip("ab", sorted(one.values()), strict=True)))

    space, random = SearchSpace([OneOf("a", "xyc"), OneOf("b", "xyc")], canonical=form), Random(4)
    counts = Counter(space.sample(random, "networks") for _ in range(6_000))
    forms = {space.canonical(one) for one in space}
    assert len(forms) == 6 < space.size
    assert chi_square(counts, dict.fromkeys(forms, Fraction(1, 6))) < 26  # 5 degrees of freedom
    alone = SearchSpace([OneOf("a", "xyc")])
    assert alone.sample(Random(5), "networks") == alone.sample(Random(5))


def test_networks_whose_form_is_no_draw_are_drawn_as_often_as_they_are_written():
    elsewhere = Architecture({"a": "z"})
    space = SearchSpace([OneOf("a", "xy")], canonical=lambda one: elsewhere)
    assert space.sample(Random(0), "networks") == elsewhere


def test_by_decisions_subsets_are_uniform_and_what_lies_in_them_follows():
    """An inner decision exists in the two of three subsets that hold its option."""
    space = SearchSpace([SomeOf("few", "xy", 1, 2), OneOf("in", "pqr")], {"in": [(("few", "x"),)]})
    third, ninth = Fraction(1, 3), Fraction(1, 9)
    expected = {Architecture({"few": ("y",)}): third}
    for few in (("x",), ("x", "y")):
        expected |= {Architecture({"few": few, "in": inner}): ninth for inner in "pqr"}
    random = Random(2)
    counts = Counter(space.sample(random, "decisions") for _ in range(6_000))
    assert chi_square(counts, expected) < 28  # 6 degrees of freedom


def test_where_nothing_lies_in_an_option_both_are_uniform():
    space, random = SearchSpace([OneOf("a", "xy"), SomeOf("b", "pqr", 0, 2)]), Random(3)
    for by in ("decisions", "architectures"):
        counts = Counter(space.sample(random, by) for _ in range(7_000))
        assert chi_square(counts, dict.fromkeys(space, Fraction(1, 14))) < 42  # 13 degrees


@pytest.mark.parametrize(
    ("options", "depths"),
    [({"depth": (2, 3)}, {2, 3}), ({"depth": (1,)}, {1}), ({"w4": "c", "depth": (3,)}, {3})],
)
def test_a_part_of_the_options_is_a_space_of_its_own(options, depths):
    space = layers()
    part = space.within(options)
    wanted = {
        one
        for one in space
        if all(one[label] in kept for label, kept in options.items() if label in one)
    }
    assert set(part) == wanted
    assert part.size == len(wanted)
    assert {one["depth"] for one in part} == depths


def test_a_part_without_answers_is_refused():
    space = layers()
    with pytest.raises(SpaceError, match="no options"):
        space.within({"w1": ()})
    with pytest.raises(SpaceError, match="no decision 'w9'"):
        space.within({"w9": "a"})
    with pytest.raises(SpaceError, match="2 to 1 of 1"):
        SearchSpace([SomeOf("pair", "xyz", 2, 3)]).within({"pair": "x"})


def test_a_redrawn_answer_may_be_the_same_where_that_is_wanted():
    space, random = SearchSpace([OneOf("a", "wxyz")]), Random(0)
    one, draws = Architecture({"a": "w"}), 4_000
    same = [space.mutate(one, 1.0, random, same=True)["a"] for _ in range(draws)]
    other = [space.mutate(one, 1.0, random)["a"] for _ in range(draws)]
    assert chi_square(Counter(same), dict.fromkeys("wxyz", Fraction(1, 4))) < 21.1  # 3 degrees
    assert chi_square(Counter(other), dict.fromkeys("xyz", Fraction(1, 3))) < 18.5

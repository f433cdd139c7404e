"""The expected cost against all architectures of small spaces, each with its probability."""

import itertools
import math

import pytest
import torch

from supernet.cost import CostTable, Entry, ExpectedCost
from supernet.space import OneOf, SearchSpace, SomeOf


def entry(amount, *paths):
    return Entry(frozenset(paths), amount)


FLAT = SearchSpace([OneOf("a", "xyz"), OneOf("b", (1, 2))])
FLAT_ENTRIES = [
    entry(5, ()),
    entry(3, (("a", "x"),)),
    entry(40, (("a", "z"),)),
    entry(7, (("b", 1),)),
    entry(1, (("b", 1),)),
]

NESTED = SearchSpace(
    [OneOf("outer", ("deep", "flat")), OneOf("inner", "pq"), OneOf("leaf", "uvw")],
    {"inner": [(("outer", "deep"),)], "leaf": [(("outer", "deep"), ("inner", "q"))]},
)
NESTED_ENTRIES = [
    entry(2, ()),
    entry(11, (("outer", "flat"),)),
    entry(13, (("outer", "deep"), ("inner", "p"))),
    entry(17, (("outer", "deep"), ("inner", "q"), ("leaf", "w"))),
]

SHARED = SearchSpace(
    [OneOf("left", ("on", "off")), OneOf("right", ("on", "off")), OneOf("op", "xy")],
    {"op": [(("left", "on"),), (("right", "on"),)]},
)
SHARED_ENTRIES = [
    entry(3, (("left", "on"),), (("right", "on"),)),
    entry(19, (("left", "on"), ("op", "x"))),
    entry(23, (("right", "on"), ("op", "x"))),
]

CASES = {
    "one-of": (FLAT, FLAT_ENTRIES),
    "nested": (NESTED, NESTED_ENTRIES),
    "shared": (SHARED, SHARED_ENTRIES),
}


def draw(space, seed):
    random = torch.Generator().manual_seed(seed)
    return {
        d.label: torch.randn(len(d.options), generator=random, dtype=torch.float64)
        for d in space.decisions
    }


def probabilities(alphas):
    return {label: alpha.softmax(0) for label, alpha in alphas.items()}


def by_enumeration(table, space, shares):
    """Answer every decision independently, and leave out those that do not exist."""
    total = 0.0
    for values in itertools.product(*(d.options for d in space.decisions)):
        answers = dict(zip((d.label for d in space.decisions), values, strict=True))
        architecture = space.build(lambda d, answers=answers: answers[d.label])
        probability = math.prod(
            shares[d.label][d.options.index(answers[d.label])] for d in space.decisions
        )
        total = total + probability * table.cost(architecture)
    return total


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("case", CASES)
def test_value_and_gradient_equal_those_over_all_architectures(case, seed):
    space, entries = CASES[case]
    table = CostTable("macs", entries)
    alphas = {label: a.requires_grad_() for label, a in draw(space, seed).items()}
    expected = by_enumeration(table, space, probabilities(alphas))
    found = ExpectedCost(table, space)(probabilities(alphas))
    torch.testing.assert_close(found, expected)
    given = list(alphas.values())
    slopes = zip(
        torch.autograd.grad(found, given), torch.autograd.grad(expected, given), strict=True
    )
    for one, other in slopes:
        torch.testing.assert_close(one, other)


@pytest.mark.parametrize("case", CASES)
def test_of_certain_options_it_is_the_cost(case):
    space, entries = CASES[case]
    table = CostTable("macs", entries)
    for architecture in space:
        certain = {
            d.label: torch.tensor([float(architecture.get(d.label) == o) for o in d.options])
            for d in space.decisions
        }
        assert ExpectedCost(table, space)(certain).item() == table.cost(architecture)


def test_an_amount_with_paths_that_share_a_decision_counts_for_either():
    """Two options of one decision exclude each other: the probabilities add up."""
    space = SearchSpace([OneOf("a", "xyz")])
    table = CostTable("params", [entry(10, (("a", "x"),), (("a", "y"),))])
    shares = {"a": torch.tensor([0.2, 0.3, 0.5])}
    assert ExpectedCost(table, space)(shares).item() == pytest.approx(5.0)


def test_weights_shared_below_one_decision():
    space = SearchSpace(
        [OneOf("a", "xyz"), OneOf("b", "pq")],
        {"b": [(("a", "x"),), (("a", "y"),)]},
    )
    table = CostTable("params", [entry(10, (("a", "x"), ("b", "p")), (("a", "y"), ("b", "p")))])
    shares = {label: a.softmax(0) for label, a in draw(space, 0).items()}
    found = ExpectedCost(table, space)(shares)
    torch.testing.assert_close(found, by_enumeration(table, space, shares))


def test_many_paths():
    """Inclusion and exclusion would have 2^30 terms."""
    options = [f"o{i}" for i in range(30)]
    space = SearchSpace([OneOf("a", options), OneOf("b", options)])
    paths = [(("a", o), ("b", o)) for o in options]
    table = CostTable("params", [entry(4, *paths)])
    shares = {label: a.softmax(0) for label, a in draw(space, 1).items()}
    found = ExpectedCost(table, space)(shares)
    torch.testing.assert_close(found, by_enumeration(table, space, shares))


def test_of_several_each_option_is_in_or_out_for_itself():
    space = SearchSpace([SomeOf("some", "pqr", 1, 3), OneOf("op", "xy")])
    paths = [
        (("some", "p"), ("op", "x")),
        (("some", "q"), ("op", "x")),
        (("some", "q"), ("op", "y")),
    ]
    table = CostTable("macs", [entry(10, *paths), entry(7, (("some", "p"),), (("some", "r"),))])
    p, q, r, x = 0.2, 0.5, 0.9, 0.3
    shares = {"some": torch.tensor([p, q, r]), "op": torch.tensor([x, 1 - x])}
    either = 10 * (x * (1 - (1 - p) * (1 - q)) + (1 - x) * q) + 7 * (1 - (1 - p) * (1 - r))
    assert ExpectedCost(table, space)(shares).item() == pytest.approx(either)


def test_it_has_the_type_of_the_probabilities():
    table = CostTable("macs", FLAT_ENTRIES)
    for dtype in (torch.float32, torch.float64):
        shares = {d.label: torch.full((len(d.options),), 0.5, dtype=dtype) for d in FLAT.decisions}
        assert ExpectedCost(table, FLAT)(shares).dtype == dtype


def test_amounts_of_options_that_a_part_of_the_space_has_lost_do_not_count():
    """The tables of a supernet that is split are those of the whole."""
    space = SearchSpace([OneOf("a", "x"), OneOf("b", (1, 2))])
    lost = entry(100, (("a", "y"), ("b", 1)))
    either = entry(10, (("a", "z"),), (("b", 2),))
    table = CostTable("cost", [*FLAT_ENTRIES, lost, either])
    p = {"a": torch.tensor([1.0]), "b": torch.tensor([0.25, 0.75])}
    expected = sum(q * table.cost({"a": "x", "b": b}) for b, q in ((1, 0.25), (2, 0.75)))
    assert ExpectedCost(table, space)(p).item() == pytest.approx(expected)

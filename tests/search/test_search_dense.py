"""Spaces in which all decisions act on each other: widths that are all concatenated."""

import itertools
from random import Random

import pytest
import torch
from torch import nn

from supernet.conversion import Widths, convert
from supernet.cost import (
    Constraint,
    Constraints,
    CostTable,
    Entry,
    count_macs,
    count_params,
    measure_costs,
)
from supernet.cost.completions import Completions
from supernet.evaluate import Candidate
from supernet.net import SuperNet, derive
from supernet.search import (
    NSGA2,
    Evolution,
    LocalSearch,
    Problem,
    RandomSearch,
    RegularizedEvolution,
    Search,
)
from supernet.search.construct import Bound, build
from supernet.space import OneOf, Ordered, SearchSpace, SomeOf
from supernet.space.levels import TooManyStates

WIDTHS = (4, 8, 12)
LAYERS = 20


def dense(layers=LAYERS):
    """Return a space of widths and its multiply-adds: every layer takes all earlier ones."""
    space = SearchSpace([Ordered(f"w{i}", WIDTHS) for i in range(layers)])
    entries = [Entry(frozenset([((f"w{i}", n),)]), 3 * n) for i in range(layers) for n in WIDTHS]
    entries += [
        Entry(frozenset([((f"w{i}", n), (f"w{j}", m))]), n * m)
        for i, j in itertools.combinations(range(layers), 2)
        for n in WIDTHS
        for m in WIDTHS
    ]
    return space, CostTable("macs", entries)


def by_hand(architecture):
    values = list(architecture.values())
    return 3 * sum(values) + sum(n * m for n, m in itertools.combinations(values, 2))


SPACE, MACS = dense()
LARGEST = by_hand({f"w{i}": 12 for i in range(LAYERS)})


@pytest.fixture(autouse=True)
def soon(request, monkeypatch):
    """Give up early, so that tests are quick; that it happens at all is tested without this."""
    if request.node.originalname != "test_the_states_explode_and_the_range_is_found_all_the_same":
        monkeypatch.setattr("supernet.space.space.MANY", 5_000)


def problem(*texts, seed=0):
    return Problem(SPACE, Constraints(texts, {"macs": MACS}, SPACE), seed)


def test_the_space_itself_is_counted_and_drawn_from():
    assert SPACE.size == 3**LAYERS
    assert len({SPACE.sample(Random(seed)) for seed in range(20)}) == 20


@pytest.mark.slow
def test_the_states_explode_and_the_range_is_found_all_the_same():
    """Found as it is where the bound on their number is that of users."""
    with pytest.raises(TooManyStates):
        Completions(MACS.entries, SPACE, 1)
    assert MACS.range(SPACE) == (by_hand({f"w{i}": 4 for i in range(LAYERS)}), LARGEST)
    assert set(MACS.extremes(SPACE)[0].values()) == {4}
    assert set(MACS.extremes(SPACE)[1].values()) == {12}


@pytest.mark.quick_with("45", "80")
@pytest.mark.parametrize("share", [15, 25, 45, 80])
def test_random_search_under_a_bound(share):
    (found,) = RandomSearch(100).generations(problem(f"macs <= {share}%"))
    costs = [by_hand(one) for one in found]

    assert len(found) == len(set(found)) == 100
    assert max(costs) <= share / 100 * LARGEST
    assert {one[f"w{i}"] for one in found for i in range(LAYERS)} == set(WIDTHS)


@pytest.mark.slow
def test_what_is_moved_is_moved_no_more_than_need_be():
    """All end just below the bound, and early decisions are moved no more than late ones."""
    (found,) = RandomSearch(200).generations(problem("macs <= 25%"))
    means = [sum(one[f"w{i}"] for one in found) / 200 for i in range(LAYERS)]

    assert min(by_hand(one) for one in found) > 0.2 * LARGEST
    assert max(means) - min(means) < 0.25 * max(means)
    assert any(one[f"w{i}"] == 8 for one in found for i in range(LAYERS))


@pytest.mark.slow
@pytest.mark.parametrize(
    "searcher",
    [
        Evolution(population=20, generations=4),
        RegularizedEvolution(count=40, population=20, tournament=5),
        LocalSearch(count=40, initial=5),
        NSGA2(objectives=("accuracy", "macs"), population=10, generations=3),
    ],
    ids=lambda searcher: type(searcher).__name__,
)
@pytest.mark.parametrize("text", ["macs <= 20%", "macs >= 85%"])
def test_every_searcher_works_under_a_bound(searcher, text):
    given = problem(text)
    search, found = Search(searcher, given), []
    while asked := search.ask():
        told = [
            Candidate(a.key, a, "ok", -by_hand(a), sum(a.values()), {"macs": by_hand(a)})
            for a in asked
        ]
        search.tell(told)
        found += asked
    assert len(found) >= 30
    assert all(given.constraints.hold(one) for one in found)


@pytest.mark.slow
def test_two_bounds():
    sizes = CostTable("sizes", [Entry(frozenset([((f"w{i}", 4),)]), 1) for i in range(LAYERS)])
    tables = {"macs": MACS, "sizes": sizes}
    both = Problem(SPACE, Constraints(["macs <= 32%", "sizes <= 8"], tables, SPACE), 0)
    found = both.sample(5, Random(0))
    assert len(found) == 5
    assert all(both.constraints.hold(one) for one in found)

    window = problem("macs <= 30.5%", "macs >= 28.5%").sample(20, Random(0))
    assert len(window) == 20
    assert all(0.285 * LARGEST <= by_hand(one) <= 0.305 * LARGEST for one in window)


def test_samples_follow_the_random_stream():
    bound = Bound.of(problem("macs <= 20%").constraints.bounds[0], MACS, SPACE)
    first, again, other = (build(SPACE, [bound], Random(seed)) for seed in (1, 1, 2))
    assert first == again != other


NESTED = SearchSpace(
    [
        OneOf("kind", ["conv", "skip"]),
        Ordered("width", [8, 16, 32]),
        SomeOf("branches", ["x", "y", "z"], 1, 2),
        OneOf("tail", "ab"),
    ],
    {"width": [(("kind", "conv"),)], "branches": [(("kind", "conv"),)]},
)
GROWING = CostTable(
    "macs",
    [
        Entry(frozenset([()]), 10),
        *[Entry(frozenset([(("kind", "conv"), ("width", n))]), n) for n in (8, 16, 32)],
        *[Entry(frozenset([(("branches", b),)]), n) for b, n in zip("xyz", (1, 5, 3), strict=True)],
        Entry(frozenset([(("width", 32), ("tail", "b"))]), 20),
        Entry(frozenset([(("tail", "b"),)]), 2),
    ],
)


@pytest.mark.parametrize("sense", ["<=", ">="])
def test_the_end_itself_is_reached_also_where_decisions_depend_on_others(sense, monkeypatch):
    smallest, largest = GROWING.range(NESTED)
    monkeypatch.setattr("supernet.space.space.MANY", 0)
    assert GROWING.range(NESTED) == (smallest, largest)
    limit = smallest if sense == "<=" else largest
    bound = Bound.of(Constraint("macs", sense, limit), GROWING, NESTED)
    assert bound.completions is None
    assert bound.extreme == limit
    for seed in range(20):
        found = build(NESTED, [bound], Random(seed))
        assert found in NESTED
        assert GROWING.cost(found) == limit


def test_everything_within_a_bound_can_come_out(monkeypatch):
    monkeypatch.setattr("supernet.space.space.MANY", 0)
    bound = Bound.of(Constraint("macs", "<=", 40), GROWING, NESTED)
    expected = {one for one in NESTED if GROWING.cost(one) <= 40}
    random = Random(0)
    assert {build(NESTED, [bound], random) for _ in range(400)} == expected


class DenseNet(nn.Module):
    """Twenty convolutions, each of all that was before."""

    def __init__(self):
        super().__init__()
        self.layers = nn.ModuleList(nn.Conv2d(3 + 4 * i, 4, 1) for i in range(LAYERS))
        self.head = nn.Linear(3 + 4 * LAYERS, 2)

    def forward(self, x):
        features = [x]
        for layer in self.layers:
            features.append(layer(torch.cat(features, 1)).relu())
        return self.head(torch.cat(features, 1).mean((2, 3)))


@pytest.mark.slow
def test_a_converted_dense_network():
    """Its costs are those of the networks that are derived."""
    torch.manual_seed(0)
    x = torch.randn(1, 3, 4, 4)
    rules = [Widths(fractions=(0.25, 0.5, 1.0), multiple=1)]
    supernet = SuperNet(convert(DenseNet().eval(), x, rules=rules))
    tables, space = measure_costs(supernet, x), supernet.space
    bounds = Constraints(["macs <= 30%", "params <= 30%"], tables, space)
    ends = [space[0], space[space.size - 1]]

    assert space.size == 3**LAYERS
    assert tables["macs"].range(space) == tuple(count_macs(derive(supernet, e), x) for e in ends)
    assert tables["params"].range(space) == tuple(count_params(derive(supernet, e)) for e in ends)
    found = Problem(space, bounds, 0).sample(100, Random(0))
    assert len(found) == 100
    assert all(map(bounds.hold, found))
    for one in found[:2]:
        assert tables["macs"].cost(one) == count_macs(derive(supernet, one), x)

"""The searcher that takes scores for sums, and the integer programme behind it."""

import itertools
from statistics import mean

import numpy as np
import pytest
import torch

import supernet as sn
from supernet.cost import Constraints, measure_costs
from supernet.errors import ConfigError
from supernet.evaluate import Candidate
from supernet.search import IntegerProgramming, RandomSearch, Search, additivity
from supernet.search.integer_program import IntegerProgram
from supernet.space import OneOf, SearchSpace, SomeOf
from supernet.zoo import NASBench201
from supernet.zoo.resnet import ResNet


def summed(program, weights, architecture):
    return float(np.dot(weights, program.indicators(architecture)))


def nested():
    """Return decisions that exist under others, under one of two paths and under two options at once."""
    return SearchSpace(
        [
            OneOf("a", ["x", "y", "z"]),
            SomeOf("b", ["p", "q", "r"], 1, 2),
            OneOf("c", [1, 2]),
            SomeOf("d", ["u", "v"], 0, 2),
        ],
        {
            "c": [(("a", "x"),), (("a", "y"), ("b", "q"))],
            "d": [(("a", "z"), ("b", "p"))],
        },
    )


def converted():
    model = ResNet(image=(1, 8, 8), widths=(8, 16), blocks=2)
    supernet = sn.SuperNet(sn.convert(model, torch.zeros(2, 1, 8, 8)))
    return supernet.space, measure_costs(supernet, torch.zeros(1, 1, 8, 8))


def cells():
    supernet = sn.SuperNet(NASBench201(image=(1, 8, 8), channels=2, cells=1))
    space = supernet.space.within(
        {"1<-0": ["none", "skip_connect"], "2<-1": ["nor_conv_3x3", "none"]}
    )
    return space, measure_costs(supernet, torch.zeros(1, 1, 8, 8))


@pytest.mark.parametrize("made", [converted, pytest.param(cells, marks=pytest.mark.slow)])
@pytest.mark.parametrize("sense", ["<=", ">="])
def test_the_best_sum_within_bounds_is_that_of_all_architectures(made, sense):
    space, costs = made()
    (low, high), few = costs["macs"].range(space), costs["params"].range(space)
    bounds = [f"macs {sense} {(low + high) / 2}", f"params <= {0.2 * few[0] + 0.8 * few[1]}"]
    constraints = Constraints(bounds, costs, space)
    feasible = [one for one in space if constraints.hold(one)]
    assert 0 < len(feasible) < space.size
    program = IntegerProgram(space, constraints)
    random = np.random.default_rng(0)
    for _ in range(5):
        weights = random.standard_normal(len(program.atoms))
        found = program.best(weights.tolist())
        assert constraints.hold(found)
        least = min(summed(program, weights, one) for one in feasible)
        assert summed(program, weights, found) == pytest.approx(least, abs=1e-6)


def test_decisions_that_exist_under_others_are_answered_only_where_they_do():
    space = nested()
    program = IntegerProgram(space, Constraints())
    random = np.random.default_rng(1)
    for _ in range(20):
        weights = random.standard_normal(len(program.atoms))
        found = program.best(weights.tolist())
        assert found in space
        least = min(summed(program, weights, one) for one in space)
        assert summed(program, weights, found) == pytest.approx(least, abs=1e-6)


def test_excluded_ones_are_followed_by_the_next_best_until_none_is_left():
    space = nested()
    program = IntegerProgram(space, Constraints())
    weights = np.random.default_rng(2).standard_normal(len(program.atoms))
    found = []
    while (one := program.best(weights.tolist(), found)) is not None:
        found.append(one)
    assert {one.key for one in found} == {one.key for one in space}
    sums = [summed(program, weights, one) for one in found]
    assert all(a <= b + 1e-6 for a, b in itertools.pairwise(sums))


def test_what_is_a_sum_is_found_exactly(chain, make_problem, run, matches):
    space = chain(12)
    for seed in range(3):
        problem = make_problem(space, "cost <= 12", seed=seed)
        generations = run(IntegerProgramming(80, first=60, batch=10), problem, matches)
        best = max(one.accuracy for generation in generations for one in generation)
        drawn = run(RandomSearch(80), problem, matches)[0]
        # The hidden optimum costs 12, so it is within the bound.
        assert best == 1 > max(one.accuracy for one in drawn)


def test_generations_are_of_new_networks_within_the_bounds(chain, make_problem, run, matches):
    problem = make_problem(chain(7), "cost <= 5")
    generations = run(IntegerProgramming(47, first=20, batch=12), problem, matches)
    assert [len(one) for one in generations] == [20, 12, 12, 3]
    keys = [one.key for generation in generations for one in generation]
    assert len(set(keys)) == 47
    assert all(problem.constraints.hold(c.architecture) for g in generations for c in g)
    everything = run(IntegerProgramming(100, first=20, batch=12), make_problem(chain(3)), matches)
    assert sum(map(len, everything)) == 27


def test_additivity_tells_sums_from_what_is_none(chain):
    space = chain(6)
    random = np.random.default_rng(0)
    some = [space[int(i)] for i in random.choice(space.size, 150, replace=False)]

    def candidates(score):
        return [Candidate(one.key, one, "ok", score(one), None, {}, by="loss") for one in some]

    worth = {label: dict(zip("abc", random.normal(size=3), strict=True)) for label in some[0]}
    assert additivity(space, candidates(lambda a: sum(worth[n][v] for n, v in a.items()))) == (
        additivity(space, candidates(lambda a: sum(worth[n][v] for n, v in a.items())))
    )
    of_sums = additivity(space, candidates(lambda a: sum(worth[n][v] for n, v in a.items())))
    assert of_sums.kendall_tau > 0.95
    parity = additivity(space, candidates(lambda a: sum(v == "a" for v in a.values()) % 2))
    assert abs(parity.kendall_tau) < 0.3
    with pytest.raises(ConfigError, match="9 candidates were scored in full"):
        additivity(space, candidates(len)[:9])


def test_while_all_fail_random_ones_are_asked_for(chain, make_problem):
    search, asked_for = Search(IntegerProgramming(30, 10, 10), make_problem(chain(8))), []
    while asked := search.ask():
        asked_for.append(len(asked))
        search.tell([Candidate(a.key, a, "failed", None, None, {}, "no") for a in asked])
    assert sum(asked_for) == 30


@pytest.mark.parametrize("options", [{"count": 0}, {"first": 0}, {"batch": 0}, {"seconds": 0}])
def test_numbers_that_cannot_be_are_refused(options):
    with pytest.raises(ConfigError, match="count, first and batch must be at least 1"):
        IntegerProgramming(**options)


def test_proposals_are_better_than_random_ones_from_the_first(chain, make_problem, run, matches):
    generations = run(IntegerProgramming(60, 40, 10), make_problem(chain(10)), matches)
    first, second, _ = ([one.accuracy for one in g] for g in generations)
    assert mean(second) > mean(first) + 0.3
    assert min(second) > mean(first)

"""The searcher that takes scores for sums, and the integer programme behind it."""

import itertools
from statistics import mean

import numpy as np
import pytest
import torch

import supernet as sn
from supernet.cost import Constraints, measure_costs
from supernet.cost.reference import reference
from supernet.errors import ConfigError
from supernet.evaluate import Candidate
from supernet.search import IntegerProgramming, Problem, RandomSearch, Search, additivity
from supernet.search.integer_program import IntegerProgram
from supernet.search.replacements import replacements
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


def worth_of(space, seed):
    """Return what single answers add to the loss; a sum over them is the loss."""
    random = np.random.default_rng(seed)
    worth = {
        (decision.label, option): random.uniform(0.0, 1.0)
        for decision in space.decisions
        for option in decision.options
    }

    def loss(architecture):
        atoms = (
            (label, option)
            for label, value in architecture.items()
            for option in (value if isinstance(value, tuple) else (value,))
        )
        return sum(worth[atom] for atom in atoms)

    return loss


def searched(space, costs, bounds, loss, **options):
    """Return the generations of a search by replacements, and the best of them within the bounds."""
    constraints = Constraints(bounds, costs, space)
    search = Search(
        IntegerProgramming(design="replacements", **options), Problem(space, constraints)
    )
    generations = []
    while asked := search.ask():
        told = [Candidate(a.key, a, "ok", loss(a), None, {}, by="loss") for a in asked]
        generations.append(told)
        search.tell(told)
    proposed = [one for generation in generations[1:] for one in generation]
    assert all(constraints.hold(one.architecture) for one in proposed)
    return generations, proposed


def test_replacements_are_one_answer_away_from_the_largest_network():
    space, costs = converted()
    whole = reference(space, costs)
    found = replacements(space, whole)
    assert found[0] == whole
    assert len({one.key for one in found}) == len(found)
    reachable = [one for one in space.decisions if one.label in whole]
    assert len(found) == 1 + sum(len(one.options) - 1 for one in reachable)
    for one in found[1:]:
        changed = [label for label in one.keys() & whole.keys() if one[label] != whole[label]]
        assert len(changed) == 1


def test_replacements_reach_what_lies_in_other_options():
    space = nested()
    whole = space.build(lambda d: d.value(range(len(d.options) - d.high, len(d.options))))
    assert "c" not in whole
    found = replacements(space, whole)
    seen = {(label, option) for one in found for label, option in one.items()}
    assert {("a", option) for option in "xyz"} <= seen
    assert {("c", 1), ("c", 2)} <= seen
    assert {value for label, value in seen if label == "d"} == {("u",), ("v",), ("u", "v")}
    assert all(one in space for one in found)


@pytest.mark.parametrize("seed", range(3))
def test_a_sum_is_exact_from_single_replacements(seed):
    space, costs = converted()
    loss = worth_of(space, seed)
    bounds = ["macs <= 55%", "params <= 70%"]
    constraints = Constraints(bounds, costs, space)
    size = len(replacements(space, reference(space, costs)))
    generations, proposed = searched(space, costs, bounds, loss, count=size + 6, batch=3)
    best = sorted(loss(one) for one in space if constraints.hold(one))
    assert [one.loss for one in generations[1]] == pytest.approx(best[:3])
    assert [one.loss for one in proposed] == pytest.approx(best[:6])
    assert not all(constraints.hold(one.architecture) for one in generations[0])


def test_nested_sums_are_exact_too():
    space = nested()
    loss = worth_of(space, 5)
    count = len(replacements(space, reference(space, {})))
    _, proposed = searched(space, {}, [], loss, count=count + 1, batch=1)
    known = {one.key for one in replacements(space, reference(space, {}))}
    new = [loss(one) for one in space if one.key not in known]
    assert [one.loss for one in proposed] == pytest.approx([min(new)], abs=0.35)


def test_what_is_scored_later_corrects_the_worths(chain):
    """Two answers that are good alone and bad together are left after some rounds."""
    space = chain(6, 2)

    def loss(architecture):
        chosen = [label for label, option in architecture.items() if option == "a"]
        both = "op0" in chosen and "op1" in chosen
        return 10 - 0.1 * len(chosen) + (3.0 if both else 0.0)

    generations, proposed = searched(space, {}, [], loss, count=25, batch=3)
    assert generations[1][0].loss > 12  # all of them, as the sum says
    assert min(one.loss for one in proposed) == pytest.approx(9.5)
    assert generations[-1][0].loss < 10


def test_a_replacement_that_failed_is_not_proposed():
    space, costs = converted()
    loss, label = worth_of(space, 1), space.decisions[0].label
    whole = reference(space, costs)
    size = len(replacements(space, whole))
    searcher = IntegerProgramming(count=size + 4, batch=4, design="replacements")
    search = Search(searcher, Problem(space, Constraints([], costs, space)))
    asked = search.ask()

    def told(one):
        failed = one[label] != whole[label]
        value = None if failed else loss(one) / 100
        return Candidate(one.key, one, "failed" if failed else "ok", value, None, {}, by="loss")

    search.tell([told(one) for one in asked])
    assert {one[label] for one in search.ask()} == {whole[label]}


def test_too_few_candidates_for_the_replacements_are_refused():
    space, costs = converted()
    problem = Problem(space, Constraints([], costs, space))
    with pytest.raises(ConfigError, match="leaves none to propose; give"):
        Search(IntegerProgramming(3, design="replacements"), problem).ask()
    with pytest.raises(ConfigError, match='"random" or "replacements"'):
        IntegerProgramming(design="single")

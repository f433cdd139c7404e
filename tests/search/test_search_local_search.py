import pytest

from supernet.errors import ConfigError
from supernet.search import LocalSearch, RandomSearch
from supernet.space import Architecture


def distance(first, second):
    return sum(first[label] != second[label] for label in first)


def best(candidates):
    return min(candidates, key=lambda candidate: candidate.rank_key)


def test_it_climbs_to_the_optimum_of_a_smooth_score(chain, make_problem, run, matches):
    """Of 14 answers each step mends one; 28 neighbours a step, from about 7 wrong answers."""
    for seed in range(5):
        problem = make_problem(chain(14), seed=seed)
        generations = run(LocalSearch(400, 10), problem, matches)
        drawn = run(RandomSearch(400), problem, matches)
        assert max(c.accuracy for generation in generations for c in generation) == 1.0
        assert max(c.accuracy for generation in drawn for c in generation) < 1.0


def test_all_neighbours_of_the_best_are_scored(chain, make_problem, run, matches):
    first, second, third, *_ = run(LocalSearch(400, 10), make_problem(chain(14)), matches)
    assert len(first) == 10
    here = best(first)
    assert len(second) == 28
    assert all(distance(one.architecture, here.architecture) == 1 for one in second)
    there = best(second)
    assert there.accuracy > here.accuracy
    # The other new answer of the same decision was a neighbour before, as was the start itself.
    assert len(third) == 26
    assert all(distance(one.architecture, there.architecture) == 1 for one in third)


def test_it_restarts_where_no_neighbour_is_better(chain, make_problem, run, matches):
    generations = run(LocalSearch(400, 10), make_problem(chain(14)), matches)
    starts = [
        index
        for index, generation in enumerate(generations)
        if index
        and max(distance(generation[0].architecture, c.architecture) for c in generation) > 2
    ]
    assert starts
    told = [c for generation in generations[: starts[0]] for c in generation]
    assert best(told).accuracy == 1.0
    assert len(generations[starts[0]]) == 10


def test_where_the_score_is_flat_it_restarts_at_once(chain, make_problem, run):
    generations = run(LocalSearch(60, 1), make_problem(chain(9)), lambda architecture: 0.5)
    sizes = [len(generation) for generation in generations]
    assert sizes[:4] == [1, 18, 1, 18]
    assert sum(sizes) == 60


def test_the_budget_is_kept_to(chain, make_problem, run, matches):
    for count in (1, 5, 10, 11, 30, 200):
        generations = run(LocalSearch(count, 10), make_problem(chain(14)), matches)
        assert sum(map(len, generations)) == count


def test_neighbours_outside_a_bound_are_left_out(chain, make_problem, run, matches):
    problem = make_problem(chain(12), "cost <= 10")
    generations = run(LocalSearch(300, 5), problem, matches)
    told = [candidate for generation in generations for candidate in generation]
    assert all(problem.constraints.hold(candidate.architecture) for candidate in told)
    assert best(told).accuracy == pytest.approx(11 / 12)


@pytest.mark.slow
def test_equal_networks_are_scored_once(chain, make_problem, run, matches):
    def canonical(architecture):
        return Architecture(dict(zip(architecture, sorted(architecture.values()), strict=True)))

    generations = run(LocalSearch(500, 3), make_problem(chain(8, canonical=canonical)), matches)
    told = [candidate.key for generation in generations for candidate in generation]
    assert len(told) == len(set(told)) == 45


@pytest.mark.parametrize("numbers", [(0, 1), (1, 0)])
def test_impossible_numbers_are_refused(numbers):
    with pytest.raises(ConfigError, match="at least 1"):
        LocalSearch(*numbers)

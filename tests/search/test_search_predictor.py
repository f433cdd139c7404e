"""The searcher that learns from costs and answers which architectures to score next."""

from statistics import mean

import pytest

from supernet.errors import ConfigError
from supernet.evaluate import Candidate
from supernet.search import Predictor, RandomSearch, Search


def best(generations):
    return max(candidate.accuracy for generation in generations for candidate in generation)


def test_few_candidates_lead_to_what_is_best(chain, make_problem, run, matches):
    space, predicted, drawn = chain(9), [], []
    for seed in range(3):
        problem = make_problem(space, seed=seed)
        predicted.append(best(run(Predictor(70, pool=150), problem, matches)))
        drawn.append(best(run(RandomSearch(70), problem, matches)))
    assert mean(predicted) > 0.95 > 0.8 > mean(drawn)


def test_it_learns_from_costs(chain, make_problem, run):
    """Where the score is the cost, the predicted ones are the dearest of what is left."""
    problem = make_problem(chain(10), seed=1)
    table = problem.constraints.tables["cost"]
    generations = run(Predictor(40, first=20, batch=10, pool=200), problem, table.cost)
    first, second, third = (mean(one.accuracy for one in g) for g in generations)
    assert third >= second > first + 2


def test_generations_have_the_size_of_the_batch(chain, make_problem, run, matches):
    generations = run(Predictor(41, 12, 10, 50), make_problem(chain(12)), matches)
    assert [len(generation) for generation in generations] == [12, 10, 10, 9]
    everything = run(Predictor(41, 12, 10, 50), make_problem(chain(3)), matches)
    assert sum(map(len, everything)) == 27
    assert len({one.key for generation in everything for one in generation}) == 27


def test_while_too_few_passed_nothing_is_predicted(chain, make_problem):
    """Candidates that failed teach nothing, and a search in which all fail ends like any other."""
    search, asked_for = Search(Predictor(30, 10, 10, 30), make_problem(chain(8))), []
    while asked := search.ask():
        asked_for.append(len(asked))
        search.tell([Candidate(a.key, a, "failed", None, None, {}, "no") for a in asked])
    assert asked_for == [10, 10, 10]


@pytest.mark.parametrize("options", [{"count": 0}, {"first": 7}, {"pool": 5}, {"parents": 0}])
def test_numbers_that_contradict_each_other_are_refused(options):
    with pytest.raises(ConfigError, match="count, batch and parents must be at least 1"):
        Predictor(**options)

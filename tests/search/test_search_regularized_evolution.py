import inspect
from statistics import mean

import pytest

from supernet.errors import ConfigError
from supernet.evaluate import Candidate
from supernet.search import RandomSearch, RegularizedEvolution, Search
from supernet.search.regularized_evolution import mutate_one
from supernet.space import OneOf, SearchSpace, SomeOf


def best(generations):
    return max(candidate.accuracy for generation in generations for candidate in generation)


def distance(first, second):
    return sum(first[label] != second[label] for label in first)


def test_population_and_tournament_are_those_of_the_paper():
    defaults = inspect.signature(RegularizedEvolution).parameters
    assert defaults["population"].default == 100
    assert defaults["tournament"].default == 25


@pytest.mark.slow
def test_it_beats_random_search_with_the_same_budget(chain, make_problem, run, matches):
    space, evolved, drawn = chain(14), [], []
    for seed in range(6):
        problem = make_problem(space, seed=seed)
        evolved.append(best(run(RegularizedEvolution(400, 30, 8, 5), problem, matches)))
        drawn.append(best(run(RandomSearch(400), problem, matches)))
        assert evolved[-1] > drawn[-1]
    assert mean(evolved) > 0.95
    assert mean(drawn) < 0.8


def test_generations_have_the_size_of_the_batch(chain, make_problem, run, matches):
    generations = run(RegularizedEvolution(50, 20, 5, 7), make_problem(chain(20)), matches)
    assert [len(generation) for generation in generations] == [20, 7, 7, 7, 7, 2]
    short = run(RegularizedEvolution(12, 20, 5, 7), make_problem(chain(20)), matches)
    assert [len(generation) for generation in short] == [12]


def test_children_differ_in_one_answer_from_one_that_is_alive(chain, make_problem, run, matches):
    searcher = RegularizedEvolution(200, 15, 4, batch=5)
    told = []
    for generation in run(searcher, make_problem(chain(40)), matches):
        alive = [candidate.architecture for candidate in told[-15:]]
        if alive:
            for child in generation:
                assert min(distance(child.architecture, parent) for parent in alive) == 1
        told += generation


def test_the_oldest_die_however_good(chain, make_problem, run):
    """Scores fall with age: the best are the first, but after a while nothing descends from them."""
    order = {}

    def score(architecture):
        return -float(order.setdefault(architecture.key, len(order)))

    generations = run(RegularizedEvolution(60, 10, 10, 1), make_problem(chain(60)), score)
    told = [candidate for generation in generations for candidate in generation]
    for index in range(10, 60):
        parent = told[index - 10]  # the best alive: the oldest, which a full tournament finds
        assert distance(told[index].architecture, parent.architecture) == 1


def test_the_tournament_decides_how_greedy_it_is(chain, make_problem, run, matches):
    def parents(tournament):
        first, second = run(
            RegularizedEvolution(60, 30, tournament, 30), make_problem(chain(40)), matches
        )
        found = [
            next(p for p in first if distance(p.architecture, child.architecture) == 1)
            for child in second
        ]
        return mean(parent.accuracy for parent in found)

    assert parents(30) > parents(4) > parents(1)


def test_failed_candidates_win_no_tournament_while_others_passed(chain, make_problem):
    def tell(architecture):
        if architecture["op0"] == "a":
            return Candidate(architecture.key, architecture, "ok", 1.0, 0.1, {})
        return Candidate(architecture.key, architecture, "failed", None, None, {})

    search = Search(RegularizedEvolution(60, 30, 30, 30), make_problem(chain(20)))
    first = search.ask()
    search.tell([tell(architecture) for architecture in first])
    passed = [architecture for architecture in first if architecture["op0"] == "a"]
    for child in search.ask():
        assert min(distance(child, parent) for parent in passed) == 1


def test_one_answer_is_redrawn_and_what_comes_into_existence():
    import random

    space = SearchSpace(
        [OneOf("kind", ["conv", "skip"]), OneOf("single", "x"), SomeOf("inside", "pqr", 1, 2)],
        {"inside": [(("kind", "conv"),)]},
    )
    stream, seen = random.Random(0), set()
    for architecture in space:
        for _ in range(60):
            child = mutate_one(space, architecture, stream)
            assert child in space
            changed = [k for k in architecture if child.get(k) != architecture[k]]
            assert changed[0] in ("kind", "inside")
            assert changed in (["kind"], ["inside"], ["kind", "inside"])
            assert changed != ["kind", "inside"] or "inside" not in child
            seen.add(child)
    assert seen == set(space)


@pytest.mark.parametrize(
    "numbers", [(0, 1, 1, 1), (10, 0, 1, 1), (10, 5, 0, 1), (10, 5, 6, 1), (10, 5, 5, 0)]
)
def test_impossible_numbers_are_refused(numbers):
    with pytest.raises(ConfigError, match="at least 1 and the tournament at most"):
        RegularizedEvolution(*numbers)

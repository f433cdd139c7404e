import inspect
from statistics import mean

import pytest

from supernet.errors import ConfigError
from supernet.evaluate import Candidate
from supernet.search import Evolution, RandomSearch, Search
from supernet.space import Architecture


def best(generations):
    return max(candidate.accuracy for generation in generations for candidate in generation)


def ranked(generations):
    told = [candidate for generation in generations for candidate in generation]
    return [one.architecture for one in sorted(told, key=lambda one: one.rank_key)]


def test_the_parameters_are_those_of_the_paper():
    defaults = {
        name: parameter.default
        for name, parameter in inspect.signature(Evolution).parameters.items()
    }
    assert defaults == {
        "population": 50,
        "generations": 20,
        "parents": 10,
        "mutants": None,
        "crossovers": None,
        "mutation": 0.1,
        "same": True,
    }
    assert (Evolution().mutants, Evolution().crossovers) == (25, 25)


@pytest.mark.parametrize("population", [1, 7, 30])
def test_a_population_alone_is_enough(population):
    searcher = Evolution(population=population)
    assert searcher.mutants == searcher.crossovers == population // 2


@pytest.mark.slow
def test_it_finds_the_optimum_and_beats_random_search(chain, make_problem, run, matches):
    """The same budget over ten seeds, in a space of 3^14."""
    space, evolved, drawn = chain(14), [], []
    for seed in range(10):
        problem = make_problem(space, seed=seed)
        evolution = Evolution(20, 20, parents=5, mutants=10, crossovers=10)
        evolved.append(best(run(evolution, problem, matches)))
        drawn.append(best(run(RandomSearch(400), problem, matches)))
        assert evolved[-1] > drawn[-1]
    assert evolved.count(1.0) >= 8
    assert mean(drawn) < 0.8


@pytest.mark.slow
def test_it_finds_the_optimum_under_a_bound(chain, make_problem, run, matches):
    """Twelve answers of which the hidden ones cost 12; the bound allows ten."""
    problem = make_problem(chain(12), "cost <= 10")
    generations = run(Evolution(20, 20, 5, 10, 10), problem, matches)
    assert best(generations) == pytest.approx(11 / 12)


def test_each_generation_has_the_size_of_the_population(chain, make_problem, run, matches):
    generations = run(Evolution(30, 5, 4, 10, 12), make_problem(chain(20)), matches)
    assert [len(generation) for generation in generations] == [30] * 5


def test_crossovers_mix_answers_of_the_best(chain, make_problem, run, matches):
    searcher = Evolution(12, 4, parents=3, mutants=0, crossovers=12)
    generations = run(searcher, make_problem(chain(40), seed=2), matches)
    for index in range(1, len(generations)):
        parents = ranked(generations[:index])[:3]
        for child in generations[index]:
            answers = {label: {one[label] for one in parents} for label in child.architecture}
            assert all(value in answers[label] for label, value in child.architecture.items())
            assert child.architecture not in parents


def test_the_seed_decides_how_parents_are_mixed(chain, make_problem, run, matches):
    """Not only which parents there are: from which of the two an answer comes differs too."""
    patterns = []
    for seed in (0, 1):
        searcher = Evolution(2, 2, parents=2, mutants=0, crossovers=1)
        first, second = run(searcher, make_problem(chain(200), seed=seed), matches)
        one, two = ranked([first])
        child = second[0].architecture
        patterns.append({k: child[k] == one[k] for k in child if one[k] != two[k]})
    both = patterns[0].keys() & patterns[1].keys()
    equal = sum(patterns[0][label] == patterns[1][label] for label in both)
    assert 0.3 < equal / len(both) < 0.7


def distance(first, second):
    return sum(first[label] != second[label] for label in first)


def test_mutants_are_near_the_best(chain, make_problem, run, matches):
    """Each of 40 answers is redrawn with probability 1/10: four differ on average."""
    searcher = Evolution(30, 5, parents=2, mutants=30, crossovers=0, same=False)
    generations = run(searcher, make_problem(chain(40)), matches)
    nearest = []
    for index in range(1, len(generations)):
        parents = ranked(generations[:index])[:2]
        nearest += [
            min(distance(child.architecture, parent) for parent in parents)
            for child in generations[index]
        ]
    assert mean(nearest) == pytest.approx(4, abs=0.6)
    assert min(nearest) > 0
    assert max(nearest) <= 12  # random architectures differ in about 27 answers


def test_the_mutation_rate_counts(chain, make_problem, run, matches):
    """Of 40 answers; where a redrawn one may be the same, a third of them are."""

    def step(mutation, same=False):
        searcher = Evolution(30, 2, 1, 30, 0, mutation, same)
        first, second = run(searcher, make_problem(chain(40)), matches)
        parent = ranked([first])[0]
        return mean(distance(child.architecture, parent) for child in second)

    assert step(0.5) == pytest.approx(20, abs=2)
    assert step(1.0) == 40
    assert step(0.5, same=True) == pytest.approx(40 / 3, abs=2)
    assert step(1.0, same=True) == pytest.approx(80 / 3, abs=2)


def test_parents_are_the_best_of_all_so_far(chain, make_problem, run):
    """The score falls with every generation, so that all parents are of the first one."""
    order = {}

    def score(architecture):
        return -float(order.setdefault(architecture.key, len(order)))

    searcher = Evolution(8, 6, parents=2, mutants=0, crossovers=1)
    generations = run(searcher, make_problem(chain(20)), score)
    parents = [candidate.architecture for candidate in generations[0][:2]]
    for generation in generations[1:]:
        child = generation[0].architecture
        assert all(child[label] in {one[label] for one in parents} for label in child)


def test_what_is_missing_is_drawn_at_random(chain, make_problem, run, matches):
    searcher = Evolution(20, 4, parents=1, mutants=2, crossovers=2, mutation=0.05)
    generations = run(searcher, make_problem(chain(40)), matches)
    for index in range(1, 4):
        (parent,) = ranked(generations[:index])[:1]
        far = [distance(one.architecture, parent) > 12 for one in generations[index]]
        assert sum(far) >= 16


def test_failed_candidates_have_no_children_while_others_passed(chain, make_problem):
    def tell(architecture):
        if architecture["op0"] == "a":
            return Candidate(architecture.key, architecture, "ok", 1.0, 0.1, {})
        return Candidate(architecture.key, architecture, "failed", None, None, {})

    search = Search(Evolution(30, 3, 3, 0, 30), make_problem(chain(20)))
    search.tell([tell(architecture) for architecture in search.ask()])
    assert all(child["op0"] == "a" for child in search.ask())


@pytest.mark.slow
def test_equal_networks_are_scored_once(chain, make_problem, run, matches):
    def canonical(architecture):
        return Architecture(dict(zip(architecture, sorted(architecture.values()), strict=True)))

    problem = make_problem(chain(8, canonical=canonical))
    generations = run(Evolution(10, 30, 4, 5, 5), problem, matches)
    told = [candidate.key for generation in generations for candidate in generation]
    assert len(told) == len(set(told)) == 45


@pytest.mark.parametrize(
    "changes",
    [
        {"population": 0, "mutants": 0, "crossovers": 0},
        {"generations": 0},
        {"parents": 0},
        {"mutants": -1},
        {"crossovers": -1},
        {"mutants": 26},
        {"mutation": 0},
        {"mutation": 1.5},
    ],
)
def test_impossible_numbers_are_refused(changes):
    with pytest.raises(ConfigError):
        Evolution(**changes)

import pytest

from supernet.cost import Constraints
from supernet.errors import ConfigError
from supernet.evaluate import Candidate
from supernet.search import Problem, RandomNASSearch, Search
from supernet.space import OneOf, SearchSpace

SPACE = SearchSpace([OneOf(str(i), range(4)) for i in range(6)])
PROBLEM = Problem(SPACE, Constraints([], {}, SPACE), 1)


def told(asked, score, status="ok"):
    return [Candidate(a.key, a, status, 1.0, score(a), {}) for a in asked]


def quick(architecture):
    return sum(architecture.values()) / 18


@pytest.mark.parametrize(("options", "batches"), [({}, 10), ({"batches": 3}, 3)])
def test_the_best_on_some_batches_are_scored_on_all(options, batches):
    search = Search(RandomNASSearch(count=60, best=5, rounds=2, **options), PROBLEM)
    rounds = []
    for _ in range(2):
        drawn = search.ask()
        assert search.batches == batches
        assert len(drawn) == 60
        search.tell(told(drawn, quick, "partial"))
        best = search.ask()
        assert search.batches is None
        assert sorted(map(quick, best)) == sorted(map(quick, drawn))[-5:]
        search.tell(told(best, lambda _: 0.5))
        rounds.append({a.key for a in drawn})
    assert search.ask() == []
    assert not rounds[0] & rounds[1]


def test_failed_ones_are_not_scored_again():
    search = Search(RandomNASSearch(count=4, best=3), PROBLEM)
    drawn = search.ask()
    search.tell([*told(drawn[:2], quick, "partial"), *told(drawn[2:], lambda _: None, "failed")])
    assert {a.key for a in search.ask()} == {a.key for a in drawn[:2]}


@pytest.mark.parametrize("numbers", [(3, 4, 1), (3, 0, 1), (3, 1, 0), (0, 0, 1), (3, 1, 1, 0)])
def test_contradicting_numbers_are_refused(numbers):
    with pytest.raises(ConfigError, match="best must be 1 to count"):
        RandomNASSearch(*numbers)

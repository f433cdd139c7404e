import pytest

from supernet.errors import ConfigError
from supernet.search import RandomSearch, Search


@pytest.mark.parametrize(("length", "found"), [(2, 9), (5, 30), (30, 30)])
def test_one_generation_of_as_many_as_there_are(chain, make_problem, length, found):
    problem = make_problem(chain(length))
    assert len(Search(RandomSearch(30), problem).ask()) == found
    assert RandomSearch(30).expected(problem) == found


def test_every_architecture_may_be_drawn(chain, make_problem):
    space, seen = chain(3), set()
    for seed in range(60):
        (asked,) = Search(RandomSearch(1), make_problem(space, seed=seed)).ask()
        seen.add(asked)
    assert len(seen) > 18  # 24 of 27 are expected


def test_a_longer_search_begins_like_a_shorter_one(chain, make_problem):
    """So that a budget can be raised without scoring everything anew."""
    for length in (6, 30):
        problem = make_problem(chain(length))
        short, long = (Search(RandomSearch(count), problem).ask() for count in (10, 20))
        assert long[:10] == short


@pytest.mark.parametrize("count", [0, -5])
def test_an_impossible_count_is_refused(count):
    with pytest.raises(ConfigError, match=f"at least 1, not {count}"):
        RandomSearch(count)

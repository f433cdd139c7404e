"""What every searcher must do (`supernet.testing`)."""

import importlib
from functools import cache, partial

import pytest

from marks import slow_unless
from supernet.search import SEARCHERS, Search, Searcher
from supernet.testing.problems import PROBLEMS
from supernet.testing.searchers import (
    PROMISES,
    SearcherCase,
    exclusive,
    exclusive_bounds_are_an_error,
    proposals_are_of_the_space,
)

ARGUMENTS = {
    "evolution": {
        "population": 8,
        "generations": 3,
        "parents": 4,
        "mutants": 3,
        "crossovers": 3,
        "mutation": 0.3,
    },
    "exhaustive": {"batch": 7},
    "local_search": {"count": 25, "initial": 5},
    "milp": {"count": 25, "first": 10, "batch": 5},
    "nsga2": {"population": 8, "generations": 3, "objectives": ["accuracy", "macs"]},
    "ppo": {"population": 10, "generations": 4, "hidden": 8},
    "predictor": {"count": 25, "first": 10, "batch": 5, "pool": 20, "parents": 4},
    "random": {"count": 25},
    "randomnas": {"count": 12, "best": 3, "rounds": 2},
    "regularized_evolution": {"count": 24, "population": 10, "tournament": 4, "batch": 5},
    "tpe": {"population": 8, "generations": 5, "startup": 8},
}
"""By searcher; one that is missing here fails."""

DRAWN = {
    "evolution",
    "local_search",
    "milp",
    "nsga2",
    "predictor",
    "random",
    "randomnas",
    "regularized_evolution",
    "tpe",
    "ppo",
}
"""Searchers whose proposals depend on the seed."""


NAMES = [name for name in SEARCHERS if name != "learned"]  # it searches nothing

QUICK = {"one architecture", "small, bounded", "nested"}
"""What all searchers are asked to search in the quick tests."""

FULL = "random"
"""The searcher that the quick tests ask to search everything."""

DEAR = {("ppo", "small, bounded"), ("ppo", "large, bounded"), ("tpe", "large, bounded")}
"""Pairs of which one quick test would take longer than all others of the searcher together."""

LONG = DEAR | {
    ("ppo", "one architecture"),
    ("ppo", "nested"),
    ("tpe", "nested"),
    ("tpe", "small, bounded"),
    ("random", "equal networks"),
    ("random", "equal networks, bounded"),
}
"""Pairs that are asked for all promises in long tests only."""


def make_searcher(name):
    module, _, kind = SEARCHERS[name].rpartition(".")
    return partial(getattr(importlib.import_module(module), kind), **ARGUMENTS[name])


@cache
def bounded(title):
    return PROBLEMS[title]()


def enumerable(name, space):
    """Return whether a searcher can search a space; one enumerates, and has tests of its own."""
    return name != "exhaustive" or space.size <= 10_000


def pairs():
    """Yield every searcher with every problem."""
    for name in NAMES:
        for title in PROBLEMS:
            if enumerable(name, bounded(title).space):
                quick = title in QUICK or name == FULL
                yield slow_unless(
                    quick and (name, title) not in LONG, name, title, id=f"{name}-{title}"
                )


@pytest.mark.parametrize("name", NAMES)
def test_it_is_a_searcher(name):
    assert isinstance(make_searcher(name)(), Searcher)


@pytest.mark.parametrize(("name", "title"), [*pairs()])
def test_what_is_promised(name, title):
    case = SearcherCase(make_searcher(name), bounded(title), title, name in DRAWN)
    for kept in PROMISES:
        kept(case)


@pytest.mark.parametrize(
    ("name", "title"), [slow_unless(name != "ppo", name, title) for name, title in sorted(DEAR)]
)
def test_proposals_are_of_the_space(name, title):
    """The one promise that the quick tests ask for where all together take long."""
    proposals_are_of_the_space(SearcherCase(make_searcher(name), bounded(title), title))


@pytest.mark.parametrize("name", NAMES)
def test_what_is_expected_is_known(name):
    """Where all architectures are different networks, and feasible."""
    for title in ("one architecture", "small", "nested", "middle", "large"):
        case = SearcherCase(make_searcher(name), bounded(title), title)
        if enumerable(name, case.space):
            assert case.plain
            assert case.make().expected(case.problem()) is not None


@pytest.mark.parametrize(
    ("name", "length"),
    [slow_unless(length == 4, name, length) for name in NAMES for length in (4, 30)],
)
def test_bounds_that_exclude_each_other_are_an_error(name, length):
    case = SearcherCase(make_searcher(name), exclusive(length), "bounds that exclude each other")
    if enumerable(name, case.space):
        exclusive_bounds_are_an_error(case)


def test_what_was_scored_in_part_is_asked_for_again():
    case = SearcherCase(make_searcher("randomnas"), bounded("one architecture"), "one architecture")
    assert case.found.first == [True, False]
    search = Search(case.make(), case.problem())
    search.ask()
    assert search.batches is not None

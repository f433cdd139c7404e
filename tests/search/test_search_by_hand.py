"""Searchers by hand: without a run, its seeds and its constraints."""

import random

import pytest

from supernet.cost import Constraints
from supernet.errors import ConfigError, ConstraintError
from supernet.evaluate import Candidate
from supernet.search import Evolution, Problem, Search
from supernet.space import Decision, SearchSpace

SPACE = SearchSpace([Decision(label, ("a", "b", "c")) for label in "xyz"])


def worth(architecture):
    return sum("abc".index(architecture[label][0]) for label in "xyz") / 6


def test_a_searcher_needs_no_more_than_a_space_and_scores():
    search, found = Search(Evolution(population=6, generations=4), Problem(SPACE)), []
    while asked := search.ask():
        candidates = [Candidate.scored(one, accuracy=worth(one)) for one in asked]
        search.tell(candidates)
        found += candidates
    assert max(one.accuracy for one in found) > 0.8
    again = Search(Evolution(population=6, generations=4), Problem(SPACE, seed=0))
    assert [one.key for one in again.ask()] == [one.key for one in found[:6]]


def test_scored_candidates_are_ranked():
    good = Candidate.scored(SPACE[0], loss=1.0)
    bad = Candidate.scored(SPACE[1], loss=2.0)
    assert sorted([bad, good], key=lambda one: one.rank_key)[0] is good
    with pytest.raises(ConfigError, match="its loss or its accuracy"):
        Candidate.scored(SPACE[0])


def test_bounds_need_a_space():
    assert Constraints().hold(SPACE[0])
    with pytest.raises(ConstraintError, match="space="):
        Constraints(["macs <= 1"])


@pytest.mark.parametrize("by", ["architectures", "decisions", "networks"])
def test_draws_without_a_stream_are_pythons(by):
    random.seed(3)
    drawn = [SPACE.sample(by=by) for _ in range(50)]
    random.seed(3)
    assert [SPACE.sample(by=by) for _ in range(50)] == drawn
    assert drawn == [SPACE.sample(stream, by) for stream in [random.Random(3)] for _ in range(50)]
    assert len(set(drawn)) > 10

"""Spaces with more architectures than floats count, and than Python writes integers of."""

import json
import math
from random import Random

import pytest

from supernet.cost import Constraints, CostTable
from supernet.cost.entry import Entry
from supernet.errors import ConfigError
from supernet.evaluate.scoring import _exact
from supernet.pipeline import Diagnosis, doctor_text
from supernet.search import Exhaustive, Problem
from supernet.space import SearchSpace, SomeOf
from supernet.space.numbers import digits, size_text
from supernet.track import headline

DECISIONS = 15
"""Any of 1,000 options each: 2^15000 architectures, a number of 4,516 digits."""


@pytest.fixture(scope="module")
def space():
    names = tuple(map(str, range(1_000)))
    return SearchSpace([SomeOf(f"d{i}", names, 0, 1_000) for i in range(DECISIONS)])


@pytest.mark.slow
def test_a_size_is_written_as_it_is(space):
    assert space.size == 2**15_000
    text = digits(space.size)
    assert len(text) == 1 + int(15_000 * math.log10(2))
    assert int(text[:9]) == int(10 ** (8 + 15_000 * math.log10(2) % 1))
    assert int(text[-40:]) == pow(2, 15_000, 10**40)
    assert size_text(space.size) == "2.82e+4515"
    assert size_text(space.size // 3) == "9.39e+4514"
    assert size_text(10**15 - 1) == "999,999,999,999,999"
    assert headline.size_text(digits(space.size)) == "2.82 × 10⁴⁵¹⁵"
    assert headline.size_text("999999") == "999,999"


@pytest.mark.slow
def test_messages_and_draws_of_such_a_space(space):
    assert repr(space) == "SearchSpace(15 decisions, size 2.82e+4515)"
    with pytest.raises(IndexError, match=r"0\.\.2\.82e\+4515, not 2\.82e\+4515"):
        space[space.size]
    drawn = space.sample(Random(0))
    assert 0.4 < sum(map(len, drawn.values())) / 15_000 < 0.6
    problem = Problem(space, Constraints([], {}, space), 0)
    with pytest.raises(ConfigError, match=r"2\.82e\+4515 architectures, more than"):
        next(Exhaustive().generations(problem))


@pytest.mark.slow
def test_a_diagnosis_of_such_a_space_is_text_and_json(space):
    found = Diagnosis((), {}, space.size, {}, {})
    assert "2.82e+4515 architectures" in doctor_text(found)
    assert json.loads(json.dumps(found.to_json()))["size"] == digits(space.size)
    assert Diagnosis((), {}, 10**20, {}, {}).to_json()["size"] == 10**20


def test_costs_that_no_database_holds_as_integers_stay_floats():
    assert [repr(_exact(cost)) for cost in (3.0, 2.5, 1e19)] == ["3", "2.5", "1e+19"]
    table = CostTable("macs", [Entry(frozenset([()]), 1e308)])
    assert table.cost({}) == 1e308

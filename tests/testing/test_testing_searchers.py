"""Each promise of a searcher is found broken where it is broken, and named."""

from __future__ import annotations

import inspect
import random

import pytest

from supernet.search import RandomSearch
from supernet.space import Architecture
from supernet.testing import check_searcher
from supernet.testing.problems import PROBLEMS
from supernet.testing.promises import text
from supernet.testing.searchers import (
    PROMISES,
    SearcherCase,
    a_search_is_replayed_from_its_scores,
    exclusive,
    exclusive_bounds_are_an_error,
)


class Few(RandomSearch):
    def __init__(self, count=12):
        super().__init__(count)


class Outside(Few):
    """Proposes what is not in the space."""

    def generations(self, problem):
        yield [Architecture({"op0": "z"})]


class Written(Few):
    """Proposes forms that are not canonical."""

    def generations(self, problem):
        size = problem.space.size
        drawn = problem.stream("written").sample(range(min(size, 1000)), min(self.count, size))
        yield [problem.space[i] for i in drawn]


class Twice(Few):
    """Asks for an architecture twice."""

    def generations(self, problem):
        found = problem.sample(self.count, problem.stream("random"))
        yield found
        yield found


class Fewer(Few):
    """Asks for fewer than it expects."""

    def expected(self, problem):
        return min(2 * self.count, problem.space.size)


class Boastful(Few):
    """Expects more than there are."""

    def expected(self, problem):
        return self.count


class Global(Few):
    """Draws from the global random state."""

    def generations(self, problem):
        yield problem.sample(self.count, random)


class Fixed(Few):
    """Draws the same for every seed."""

    def generations(self, problem):
        yield problem.sample(self.count, random.Random(1))


class Keeping(Few):
    """Draws on in its second search."""

    searches = 0

    def generations(self, problem):
        self.searches += 1
        yield problem.sample(self.count, problem.stream("random", self.searches))


class Giving(Few):
    """Gives up when candidates fail."""

    def generations(self, problem):
        told = yield problem.sample(max(1, self.count // 2), problem.stream("random"))
        known = {one.key for one in told}
        rest = problem.sample(self.count // 2, problem.stream("more"), known)
        if rest and all(one.status == "ok" for one in told):
            yield rest


class Unbounded(Few):
    """Says nothing of bounds that exclude each other."""

    def generations(self, problem):
        yield list(problem.feasible(problem.space.sample(random) for _ in range(9)))


FAULTS = {
    Outside: ("canonical, feasible", "Expected: architectures of the space"),
    Written: ("canonical, feasible", "Expected: (the canonical form|architectures with)"),
    Twice: ("asked for once", "different ones"),
    Fewer: ("as many as it expects", "Expected: (24 candidates|all)"),
    Boastful: ("as many as it expects", "that 12 are expected"),
    Global: ("not on the global random state", "same proposals for the same seed"),
    Fixed: ("not on the global random state", "other proposals for another seed"),
    Keeping: ("keeps nothing from one search", "in its second search"),
    Giving: ("failed do not end the search", "nine tenths"),
}


@pytest.mark.slow_with("Keeping", "Giving", "Global")
@pytest.mark.parametrize("fault", FAULTS, ids=lambda fault: fault.__name__)
def test_what_is_broken_is_named(fault):
    promise, seen = FAULTS[fault]
    start = f"{fault.__name__}, searching '.*', breaks a promise. .*{promise}"
    with pytest.raises(AssertionError, match=start) as at:
        check_searcher(fault)
    at.match(seen)


def test_what_is_replayed_otherwise_is_named():
    made = []

    class Replayed(Few):
        """Goes another way from its third search on, which is the first that is replayed."""

        def generations(self, problem):
            made.append(self)
            told = yield problem.sample(6, problem.stream("random"))
            late = problem.stream("late", len(made) > 5)
            yield problem.sample(6, late, {one.key for one in told})

    case = SearcherCase(Replayed, PROBLEMS["middle"](), "middle")
    assert len(case.found.asked) == 12
    made.extend([None] * 5)
    with pytest.raises(AssertionError, match=r"replayed from its scores .*Expected: generation 1"):
        a_search_is_replayed_from_its_scores(case)


def test_what_says_nothing_of_bounds_is_named():
    case = SearcherCase(Unbounded, exclusive(4), "bounds")
    with pytest.raises(AssertionError, match=r"are a ConstraintError.*Seen: 0 proposals"):
        exclusive_bounds_are_an_error(case)


def test_what_keeps_all_promises_passes():
    check_searcher(Few(6), largest=100)


def test_what_is_no_searcher_is_refused():
    with pytest.raises(TypeError, match="a Searcher is checked"):
        check_searcher(3)


def test_the_docstring_lists_all_promises():
    listed = " ".join(inspect.getdoc(check_searcher).split())
    promises = [*PROMISES, exclusive_bounds_are_an_error]
    assert all(f"* {text(kept)}" in listed for kept in promises)
    assert listed.count("* ") == len(promises)

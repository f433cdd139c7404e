import pytest

from supernet.cost import Constraints, CostTable, Entry
from supernet.evaluate import Candidate
from supernet.search import Problem, Search
from supernet.space import OneOf, SearchSpace


@pytest.fixture
def chain():
    """Return a function that makes a space of equal decisions, "a" < "b" < ... in each."""

    def make(length, options=3, canonical=None):
        decisions = [OneOf(f"op{i}", list("abcdef"[:options])) for i in range(length)]
        return SearchSpace(decisions, canonical=canonical)

    return make


@pytest.fixture
def make_problem():
    """Return a function that makes a problem; "cost" counts 0 for "a", 1 for "b", ..."""

    def make(space, *constraints, seed=0):
        entries = [
            Entry(frozenset([((decision.label, option),)]), place)
            for decision in space.decisions
            for place, option in enumerate(decision.options)
        ]
        tables = {"cost": CostTable("cost", entries)}
        return Problem(space, Constraints(constraints, tables, space), seed)

    return make


@pytest.fixture
def run():
    """Return a function that searches to the end, with scores from a function, by generations."""

    def to_the_end(searcher, problem, score):
        search, generations = Search(searcher, problem), []
        while asked := search.ask():
            told = [Candidate(a.key, a, "ok", -score(a), score(a), {}) for a in asked]
            generations.append(told)
            search.tell(told)
        return generations

    return to_the_end


@pytest.fixture
def matches():
    """Return the share of answers that are those of a hidden optimum."""

    def score(architecture):
        hidden = {label: "abc"[int(label[2:]) * 7 % 3] for label in architecture}
        return sum(architecture[label] == hidden[label] for label in hidden) / len(hidden)

    return score

"""What every searcher must do, on spaces with and without equal networks, conditions and bounds."""

import importlib
import itertools
import random
from dataclasses import dataclass

import pytest

from supernet.cost import Constraints, CostTable, Entry
from supernet.errors import ConstraintError, SupernetError
from supernet.evaluate import Candidate
from supernet.net import SuperNet
from supernet.search import SEARCHERS, Problem, Search, Searcher
from supernet.space import Architecture, OneOf, Ordered, SearchSpace, SomeOf
from supernet.zoo import Bender

ARGUMENTS = {
    "evolution": {
        "population": 12,
        "generations": 4,
        "parents": 4,
        "mutants": 5,
        "crossovers": 4,
        "mutation": 0.3,
    },
    "exhaustive": {"batch": 7},
    "local_search": {"count": 40, "initial": 5},
    "nsga2": {"population": 12, "generations": 4, "objectives": ["accuracy", "macs"]},
    "ppo": {"population": 10, "generations": 4, "hidden": 8},
    "random": {"count": 40},
    "randomnas": {"count": 20, "best": 3, "rounds": 2},
    "regularized_evolution": {"count": 45, "population": 15, "tournament": 5, "batch": 6},
    "tpe": {"population": 8, "generations": 5, "startup": 8},
}
"""By searcher; one that is missing here fails."""

DRAWN = {
    "evolution",
    "local_search",
    "nsga2",
    "random",
    "randomnas",
    "regularized_evolution",
    "tpe",
    "ppo",
}
"""Searchers whose proposals depend on the seed."""


@dataclass(frozen=True)
class Case:
    space: SearchSpace
    constraints: tuple[str, ...] = ()


def tables(space):
    """Return params, which grow with an option's place, and macs, which fall with it."""
    entries = {"params": [], "macs": []}
    for decision in space.decisions:
        for place, option in enumerate(decision.options):
            path = frozenset([((decision.label, option),)])
            entries["params"].append(Entry(path, 1 + place))
            entries["macs"].append(Entry(path, 10 - place))
    return {name: CostTable(name, rows) for name, rows in entries.items()}


def chain(length, options=3, canonical=None):
    decisions = [OneOf(f"op{i}", list("abcdef"[:options])) for i in range(length)]
    return SearchSpace(decisions, canonical=canonical)


def ordered(architecture):
    """Of decisions that are interchangeable, the representative is the sorted one."""
    return Architecture(dict(zip(architecture, sorted(architecture.values()), strict=True)))


def nested():
    decisions = [
        OneOf("kind", ["conv", "skip"]),
        Ordered("width", [8, 16, 32]),
        SomeOf("branches", ["x", "y", "z"], 1, 2),
    ]
    conditions = {"width": [(("kind", "conv"),)], "branches": [(("kind", "conv"),)]}
    return SearchSpace(decisions, conditions)


CASES = {
    "one architecture": Case(chain(1, 1)),
    "small": Case(chain(3)),
    "small, bounded": Case(chain(4), ("params <= 9", "macs <= 36")),
    "equal networks": Case(chain(5, canonical=ordered)),
    "equal networks, bounded": Case(chain(5, canonical=ordered), ("params <= 60%",)),
    "nested": Case(nested()),
    "zoo": Case(SuperNet(Bender((1, 8, 8), channels=2, groups=(1,), blocks=2)).space),
    "middle": Case(chain(8)),
    "large": Case(chain(30)),
    "large, bounded": Case(chain(30), ("params <= 55",)),
}


@pytest.fixture(params=[name for name in SEARCHERS if name != "learned"])  # it searches nothing
def name(request):
    return request.param


@pytest.fixture
def make_searcher(name):
    module, _, kind = SEARCHERS[name].rpartition(".")
    return lambda: getattr(importlib.import_module(module), kind)(**ARGUMENTS[name])


@pytest.fixture(params=CASES)
def case(request, name):
    case = CASES[request.param]
    if name == "exhaustive" and case.space.size > 10_000:
        pytest.skip("too large to enumerate, which the searcher's own tests cover")
    return case


def make_problem(case, seed=1):
    constraints = Constraints(case.constraints, tables(case.space), case.space)
    return Problem(case.space, constraints, seed)


def candidate(architecture, status="ok"):
    """Score an architecture by its text alone, as a table that holds it already would."""
    score = random.Random(architecture.key).random()
    if status != "ok":
        return Candidate(architecture.key, architecture, status, None, None, {})
    return Candidate(architecture.key, architecture, status, 1 - score, score, {})


class Again(list):
    """Architectures that were scored on a part of the images before."""


def generations(searcher, problem, tell=candidate):
    """Search to the end; return what was asked for."""
    search, found, partly = Search(searcher, problem), [], set()
    while asked := search.ask():
        keys = {architecture.key for architecture in asked}
        found.append(Again(asked) if keys <= partly else asked)
        partly |= keys if search.batches is not None else set()
        search.tell([tell(architecture) for architecture in asked])
    return found


def flat(generations):
    """Return all that was asked for, once what was scored in part first."""
    first = (generation for generation in generations if not isinstance(generation, Again))
    return list(itertools.chain.from_iterable(first))


def keys(found):
    return [[architecture.key for architecture in generation] for generation in found]


def feasible(case):
    """Return the keys of all different networks that satisfy the constraints, by enumeration."""
    problem = make_problem(case)
    canonical = {case.space.canonical(architecture) for architecture in case.space}
    return {one.key for one in canonical if problem.constraints.hold(one)}


def test_it_is_a_searcher(make_searcher):
    assert isinstance(make_searcher(), Searcher)


def test_proposals_are_canonical_feasible_and_different(make_searcher, case):
    problem = make_problem(case)
    asked = flat(generations(make_searcher(), problem))
    assert asked
    for architecture in asked:
        assert architecture in case.space
        assert case.space.canonical(architecture) == architecture
        assert problem.constraints.hold(architecture)
    assert len({architecture.key for architecture in asked}) == len(asked)


def test_the_search_ends_and_small_spaces_are_exhausted(make_searcher, case):
    asked = flat(generations(make_searcher(), make_problem(case)))
    wanted = make_searcher().expected(make_problem(case))
    assert wanted is None or 0 < len(asked) <= wanted <= case.space.size
    if case.space.size < 1000:
        possible = feasible(case)
        found = {architecture.key for architecture in asked}
        assert found <= possible
        if wanted is not None and wanted >= len(possible):
            assert found == possible


@pytest.mark.parametrize("plain", ["one architecture", "small", "nested", "middle", "large"])
def test_as_many_are_asked_for_as_expected(make_searcher, name, plain):
    """Where all architectures are different networks, and feasible."""
    if name == "exhaustive" and plain == "large":
        pytest.skip("too large to enumerate")
    problem = make_problem(CASES[plain])
    asked = flat(generations(make_searcher(), problem))
    assert len(asked) == make_searcher().expected(problem)


def test_proposals_depend_on_seed_and_scores_only(make_searcher, name, case):
    first = keys(generations(make_searcher(), make_problem(case)))
    random.seed(99)
    assert keys(generations(make_searcher(), make_problem(case))) == first
    other = keys(generations(make_searcher(), make_problem(case, seed=2)))
    if name in DRAWN and len(flat(first)) > 5:
        assert other != first
    else:
        assert sorted(flat(other)) == sorted(flat(first))


def test_one_searcher_serves_several_searches(make_searcher, case):
    searcher = make_searcher()
    first = keys(generations(searcher, make_problem(case)))
    assert keys(generations(searcher, make_problem(case))) == first


def test_a_search_is_replayed_from_its_scores(make_searcher, case):
    """Killed after any generation; the new process reads the scores from the table."""
    table = {}

    def score(architecture):
        return table.setdefault(architecture.key, candidate(architecture))

    whole = keys(generations(make_searcher(), make_problem(case), score))
    for stop in {0, len(whole) // 2, len(whole) - 1}:
        search = Search(make_searcher(), make_problem(case))
        for expected in whole[: stop + 1]:
            asked = search.ask()
            assert [architecture.key for architecture in asked] == expected
            search.tell([table[architecture.key] for architecture in asked])


@pytest.mark.parametrize("failed", ["all", "some"])
def test_failed_candidates_do_not_end_the_search(make_searcher, case, failed):
    def tell(architecture):
        bad = failed == "all" or int(architecture.key, 16) % 3 == 0
        return candidate(architecture, "failed" if bad else "ok")

    problem = make_problem(case)
    asked = flat(generations(make_searcher(), problem, tell))
    plain = flat(generations(make_searcher(), problem))
    assert len(asked) >= 0.9 * len(plain)
    assert len({architecture.key for architecture in asked}) == len(asked)


@pytest.mark.parametrize("length", [4, 30])
def test_bounds_that_exclude_each_other_are_an_error(make_searcher, name, length):
    """Each alone is possible: few params, and few macs, which only options with many have."""
    space = chain(length)
    case = Case(space, (f"params <= {length + 1}", f"macs <= {8 * length + 1}"))
    if name == "exhaustive" and length > 10:
        pytest.skip("too large to enumerate")
    with pytest.raises(ConstraintError, match=r"params <= .* and macs <= .*relax one"):
        Search(make_searcher(), make_problem(case)).ask()


def test_the_best_is_found_where_everything_is_asked_for(make_searcher):
    case = CASES["small"]
    asked = flat(generations(make_searcher(), make_problem(case)))
    best = min((candidate(one) for one in case.space), key=lambda one: one.rank_key)
    assert best.key in {architecture.key for architecture in asked}


def test_ask_and_tell_take_turns(make_searcher):
    search = Search(make_searcher(), make_problem(CASES["small"]))
    with pytest.raises(SupernetError, match="0 were asked for and 0 told"):
        search.tell([])
    asked = search.ask()
    with pytest.raises(SupernetError, match="ask\\(\\) was called twice"):
        search.ask()
    told = [candidate(architecture) for architecture in asked]
    for wrong in (told[:-1], told[::-1], [], [*told, told[0]], [told[0]] * len(told)):
        with pytest.raises(SupernetError, match="tell\\(\\) needs the candidates"):
            search.tell(wrong)
    search.tell(told)
    with pytest.raises(SupernetError, match="tell\\(\\) needs"):
        search.tell(told)


def test_nothing_is_asked_for_after_the_end(make_searcher):
    search = Search(make_searcher(), make_problem(CASES["one architecture"]))
    (only,) = search.ask()
    partly = search.batches is not None
    search.tell([candidate(only)])
    if partly:
        assert search.ask() == [only]
        assert search.batches is None
        search.tell([candidate(only)])
    assert [search.ask() for _ in range(3)] == [[], [], []]

"""What every searcher must do, on spaces with and without equal networks, conditions and bounds."""

from __future__ import annotations

import random
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import cached_property, partial

from supernet.cost import Constraints
from supernet.errors import ConstraintError, SupernetError
from supernet.evaluate import Candidate
from supernet.search import Problem, Search, Searcher
from supernet.space import Architecture, SearchSpace
from supernet.testing.problems import PROBLEMS, Bounded, chain, tables
from supernet.testing.promises import expect, factory, promise, stirred

__all__ = ["PROMISES", "SearcherCase", "check_searcher", "score"]

ENUMERATED = 1000
"""Spaces with fewer architectures are enumerated to know all that can be found."""


@dataclass
class SearcherCase:
    """A searcher with what it searches.

    Attributes:
        make: function that makes the searcher, a new one each time.
        bounded: the space and its constraints.
        title: name of the space in messages.
        drawn: whether another seed leads to other proposals.
    """

    make: Callable[[], Searcher]
    bounded: Bounded
    title: str
    drawn: bool = True

    @property
    def name(self) -> str:
        """The class of the searcher, and what it searches."""
        return f"{type(self.make()).__name__}, searching {self.title!r},"

    @property
    def space(self) -> SearchSpace:
        """What is searched."""
        return self.bounded.space

    @property
    def plain(self) -> bool:
        """Whether all architectures are different networks and feasible."""
        return not self.bounded.constraints and not self.space.has_canonical

    def problem(self, seed: int = 1) -> Problem:
        """Return the problem, all of whose draws depend on a seed."""
        constraints = Constraints(self.bounded.constraints, tables(self.space), self.space)
        return Problem(self.space, constraints, seed)

    @cached_property
    def searcher(self) -> Searcher:
        """One that serves several searches."""
        return self.make()

    @cached_property
    def found(self) -> Found:
        """What it asks for to the end in its first search."""
        return searched(self.searcher, self.problem())


@dataclass(frozen=True)
class Found:
    """All that a search asked for.

    Attributes:
        generations: generations in the order in which they were asked for.
        first: for each generation, whether its architectures were not scored in part before.
        after: architectures that were asked for after the end.
    """

    generations: list[list[Architecture]] = field(default_factory=list)
    first: list[bool] = field(default_factory=list)
    after: list[Architecture] = field(default_factory=list)

    @property
    def asked(self) -> list[Architecture]:
        """Everything, what was scored in part first only once."""
        pairs = zip(self.generations, self.first, strict=True)
        return [architecture for generation, first in pairs if first for architecture in generation]

    @property
    def keys(self) -> list[list[str]]:
        """The keys of all generations."""
        return [[architecture.key for architecture in one] for one in self.generations]


def score(architecture: Architecture) -> Candidate:
    """Return a score that depends on the text of an architecture alone, as of a table that holds it."""
    found = random.Random(architecture.key).random()
    return Candidate(architecture.key, architecture, "ok", 1 - found, found, {})


def failed(architecture: Architecture) -> Candidate:
    """Return the candidate of a network that could not be scored."""
    return Candidate(architecture.key, architecture, "failed", None, None, {})


def searched(
    searcher: Searcher, problem: Problem, tell: Callable[[Architecture], Candidate] = score
) -> Found:
    """Search to the end."""
    search, found, partly = Search(searcher, problem), Found(), set[str]()
    while asked := search.ask():
        keys = {architecture.key for architecture in asked}
        found.generations.append(asked)
        found.first.append(not keys <= partly)
        partly |= keys if search.batches is not None else set()
        search.tell([tell(architecture) for architecture in asked])
    for _ in range(2):
        found.after.extend(search.ask())
    return found


def check_searcher(
    searcher: Searcher | Callable[[], Searcher],
    *,
    drawn: bool = True,
    largest: int | None = None,
) -> None:
    """Check that a searcher keeps what the search, its table and its replay rely on.

    Every promise is asked for on ten spaces, of one to 3^30 architectures, some with equal networks,
    decisions that lie in options, or bounds on costs.

    * Proposals are canonical, feasible architectures of the space, each asked for once.
    * The search asks for as many as it expects, or for all that there are.
    * Proposals depend on the seed and the scores, not on the global random state.
    * A searcher keeps nothing from one search to the next.
    * A search that is replayed from its scores goes on with the same proposals.
    * Candidates that failed do not end the search.
    * Bounds that exclude each other are a ConstraintError that names them.
    * Where everything is asked for, the best is among it.
    * Asking and telling take turns.
    * Nothing is asked for after the end.

    Args:
        searcher: a class or function without arguments that makes it, or a searcher, which is copied;
            for 40 candidates or so, since it is run some 100 times.
        drawn: whether another seed leads to other proposals.
        largest: spaces with more architectures are left out, for searchers that enumerate.

    Raises:
        AssertionError: a promise is broken; the message names it and the space, what was expected and
            what was seen.
        TypeError: what is given is neither a searcher nor makes one.
    """
    make = factory(searcher, Searcher)  # type: ignore[type-abstract]
    for title, problem in PROBLEMS.items():
        case = SearcherCase(make, problem(), title, drawn)
        if largest is None or case.space.size <= largest:
            for kept in PROMISES:
                kept(case)
    for length in (4, 30):
        case = SearcherCase(make, exclusive(length), "bounds that exclude each other", drawn)
        if largest is None or case.space.size <= largest:
            exclusive_bounds_are_an_error(case)


@promise
def proposals_are_of_the_space(case: SearcherCase) -> None:
    """Proposals are canonical, feasible architectures of the space, each asked for once."""
    problem, asked = case.problem(), case.found.asked
    expect(asked, "proposals", "none")
    for one in asked:
        expect(one in case.space, "architectures of the space", one)
        canonical = case.space.canonical(one)
        expect(canonical == one, f"the canonical form {canonical}", one)
        bounds = " and ".join(case.bounded.constraints)
        expect(problem.constraints.hold(one), f"architectures with {bounds}", one)
    keys = [architecture.key for architecture in asked]
    expect(len(set(keys)) == len(keys), f"{len(keys)} different ones", f"{len(set(keys))}")


@promise
def it_asks_for_what_it_expects(case: SearcherCase) -> None:
    """The search asks for as many as it expects, or for all that there are."""
    asked, wanted = case.found.asked, case.make().expected(case.problem())
    if wanted is not None:
        size = case.space.size
        expect(wanted <= size, f"at most {size} candidates", f"that {wanted} are expected")
        within = 0 < len(asked) <= wanted
        expect(within, f"from 1 to {wanted} candidates", len(asked))
    if case.plain and wanted is not None:
        expect(len(asked) == wanted, f"{wanted} candidates", len(asked))
    if case.space.size < ENUMERATED:
        problem = case.problem()
        forms = {case.space.canonical(architecture) for architecture in case.space}
        possible = {form.key for form in forms if problem.constraints.hold(form)}
        seen = {architecture.key for architecture in asked}
        expect(seen <= possible, "what enumeration finds", f"{len(seen - possible)} others")
        if wanted is not None and wanted >= len(possible):
            expect(seen == possible, f"all {len(possible)} that there are", len(seen))


@promise
def proposals_depend_on_seed_and_scores_only(case: SearcherCase) -> None:
    """Proposals depend on the seed and the scores, not on the global random state."""
    with stirred(99):
        again = searched(case.make(), case.problem())
    expect(again.keys == case.found.keys, "the same proposals for the same seed", "others")
    other, asked = searched(case.make(), case.problem(seed=2)), case.found.asked
    if case.drawn and len(asked) > 5:
        expect(other.keys != case.found.keys, "other proposals for another seed", "the same")
    else:
        seen, wanted = (sorted(one.key for one in found) for found in (other.asked, asked))
        expect(seen == wanted, "the same architectures for another seed", "others")


@promise
def it_keeps_nothing_between_searches(case: SearcherCase) -> None:
    """A searcher keeps nothing from one search to the next."""
    first = case.found
    second = searched(case.searcher, case.problem())
    expect(second.keys == first.keys, "the same proposals in its second search", "others")


@promise
def a_search_is_replayed_from_its_scores(case: SearcherCase) -> None:
    """A search that is replayed from its scores goes on with the same proposals."""
    whole = case.found.keys
    for stop in {
        0,
        len(whole) // 2,
        len(whole) - 1,
    }:  # killed there; a new process reads the scores
        search = Search(case.make(), case.problem())
        for number, expected in enumerate(whole[: stop + 1]):
            asked = search.ask()
            keys = [architecture.key for architecture in asked]
            expect(keys == expected, f"generation {number} to be {expected}", keys)
            search.tell([score(architecture) for architecture in asked])


@promise
def failed_candidates_do_not_end_the_search(case: SearcherCase) -> None:
    """Candidates that failed do not end the search."""

    def all_fail(architecture: Architecture) -> Candidate:
        return failed(architecture)

    def some_fail(architecture: Architecture) -> Candidate:
        fails = int(architecture.key, 16) % 3 == 0
        return failed(architecture) if fails else score(architecture)

    plain = len(case.found.asked)
    for tell, which in ((all_fail, "all"), (some_fail, "a third")):
        asked = searched(case.make(), case.problem(), tell).asked
        enough = len(asked) >= 0.9 * plain
        expect(enough, f"at least nine tenths of {plain} where {which} fail", len(asked))
        keys = {architecture.key for architecture in asked}
        expect(len(keys) == len(asked), f"{len(asked)} different ones", len(keys))


def exclusive(length: int) -> Bounded:
    """Return bounds that can each be met alone: few params, and few macs, of options with many."""
    return Bounded(chain(length), (f"params <= {length + 1}", f"macs <= {8 * length + 1}"))


@promise
def exclusive_bounds_are_an_error(case: SearcherCase) -> None:
    """Bounds that exclude each other are a ConstraintError that names them."""
    try:
        asked = Search(case.make(), case.problem()).ask()
    except ConstraintError as error:
        bounds = [bound.rpartition(" ")[0] for bound in case.bounded.constraints]
        named = re.search(f"{' .* and '.join(bounds)} .*relax one", str(error))
        expect(named, "a message that names the bounds and says 'relax one'", error)
    else:
        expect(False, "a ConstraintError", f"{len(asked)} proposals")


@promise
def the_best_is_among_everything(case: SearcherCase) -> None:
    """Where everything is asked for, the best is among it."""
    wanted = case.make().expected(case.problem())
    if case.space.size >= ENUMERATED or wanted is None or wanted < case.space.size:
        return
    problem = case.problem()
    forms = {case.space.canonical(architecture) for architecture in case.space}
    feasible = [score(form) for form in forms if problem.constraints.hold(form)]
    best = min(feasible, key=lambda candidate: candidate.rank_key)
    keys = {architecture.key for architecture in case.found.asked}
    expect(best.key in keys, f"the best architecture {best.architecture}", "all but it")


@promise
def asking_and_telling_take_turns(case: SearcherCase) -> None:
    """Asking and telling take turns."""
    search = Search(case.make(), case.problem())
    _refused(partial(search.tell, []), "0 were asked for and 0 told")
    asked = search.ask()
    _refused(search.ask, "ask() was called twice")
    told = [score(architecture) for architecture in asked]
    wrong: Sequence[list[Candidate]] = ([], told[:-1], [*told, told[0]])
    if len(told) > 1:
        wrong = (*wrong, told[::-1], [told[0]] * len(told))
    for candidates in wrong:
        _refused(partial(search.tell, candidates), "tell() needs the candidates")
    search.tell(told)
    _refused(partial(search.tell, told), "tell() needs")


def _refused(call: Callable[[], object], message: str) -> None:
    try:
        call()
    except SupernetError as error:
        expect(message in str(error), f"an error that says {message!r}", error)
    else:
        expect(False, f"an error that says {message!r}", "none")


@promise
def nothing_is_asked_for_after_the_end(case: SearcherCase) -> None:
    """Nothing is asked for after the end."""
    after = case.found.after
    expect(not after, "nothing after the end", f"{len(after)} proposals")


PROMISES: tuple[Callable[[SearcherCase], None], ...] = (
    proposals_are_of_the_space,
    it_asks_for_what_it_expects,
    proposals_depend_on_seed_and_scores_only,
    it_keeps_nothing_between_searches,
    a_search_is_replayed_from_its_scores,
    failed_candidates_do_not_end_the_search,
    the_best_is_among_everything,
    asking_and_telling_take_turns,
    nothing_is_asked_for_after_the_end,
)
"""In the order in which they are checked on every space; see `exclusive` for one besides."""

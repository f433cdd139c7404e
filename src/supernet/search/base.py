"""Searchers propose architectures by generations and learn from their scores.

A searcher is a generator: it yields a generation of architectures and is sent the candidates they
became. All its randomness comes from the problem's seed, so replaying the scores from the table of
candidates brings it to where it was; nothing of a searcher is ever saved.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import (
    Callable,
    Collection,
    Container,
    Generator,
    Iterable,
    Iterator,
    Mapping,
    Sequence,
)
from dataclasses import dataclass, field
from functools import cached_property
from itertools import islice
from random import Random

from supernet.cost import Constraints
from supernet.cost.constraint import number_text
from supernet.errors import ConfigError, ConstraintError, SupernetError
from supernet.evaluate import Candidate, FigureBounds
from supernet.random import stream
from supernet.search.construct import Bound, build, extend
from supernet.space import Architecture, Sampling, SearchSpace
from supernet.space.numbers import size_text
from supernet.user_code import calling

__all__ = ["Generation", "PartialGeneration", "Problem", "Search", "Searcher"]


@dataclass(frozen=True)
class PartialGeneration:
    """A generation that shall be scored on the first batches of the validation split only.

    Their candidates have the status "partial", and are never chosen.
    """

    architectures: Sequence[Architecture]
    batches: int


Generation = Generator[Sequence[Architecture] | PartialGeneration, Sequence[Candidate], None]
"""Yields architectures, at least one, and is sent their candidates in the same order."""

TRIES = 100
"""Draws per wanted architecture before a sampler gives up: a constraint may leave next to nothing."""

SMALL = 20_000
"""Spaces up to this size are shuffled where draws do not find enough, so that samples always exist; in
larger ones a sampler draws at least so often before it gives up."""

MISSES = 2_000
"""Draws of no use in a row after which a sampler goes another way."""

BUILT = 10
"""Builds that may fail before a sampler gives up."""


@dataclass(frozen=True)
class Problem:
    """The problem that a searcher works on: a space, the constraints in it, and a seed.

    Attributes:
        space: space of the architectures.
        constraints: constraints that every candidate must meet; none if they are not given.
        seed: seed of all draws of the search.
        learned: architectures that the training led to, best first; none from most strategies.
        sampling: set that random draws are uniform over, see `SearchSpace.sample`.
        figures: figures of the task that objectives may name, besides "accuracy" and "loss".
        optional_figures: options with which further figures would be reported, by their names.
        lower: figures of which lower ones are better, besides the loss.
        bounds: bounds on figures that what is selected keeps to; searchers may propose others.
    """

    space: SearchSpace
    constraints: Constraints = field(default_factory=Constraints)
    seed: int = 0
    learned: Sequence[Architecture] = ()
    sampling: Sampling = "decisions"
    figures: Sequence[str] = ()
    optional_figures: Mapping[str, str] = field(default_factory=dict)
    lower: Collection[str] = ()
    bounds: FigureBounds = field(default_factory=FigureBounds)

    def stream(self, *purpose: str | int) -> Random:
        """Return the random stream of the search for a purpose."""
        return stream(self.seed, "search", *purpose)

    def allows(self, candidate: Candidate) -> bool:
        """Return whether a candidate satisfies all bounds, on costs and on figures."""
        held = self.constraints.hold(candidate.architecture)
        return held and self.bounds.hold(candidate.scores)

    def feasible(
        self, draws: Iterable[Architecture], seen: Container[str] = ()
    ) -> Iterator[Architecture]:
        """Yield the canonical forms of draws that are new, different, and satisfy the constraints.

        Args:
            draws: the architectures; drawn one at a time, as long as more are asked for.
            seen: keys of canonical forms that are not wanted.
        """
        found: set[str] = set()
        for draw in draws:
            canonical = self.space.canonical(draw)
            known = canonical.key in seen or canonical.key in found
            if not known and self.constraints.hold(canonical):
                found.add(canonical.key)
                yield canonical

    def draw(
        self, propose: Callable[[], Architecture], count: int, seen: Container[str]
    ) -> list[Architecture]:
        """Call `propose` until `count` feasible new architectures are found, or too often."""
        draws = (propose() for _ in range(TRIES * count))
        return list(islice(self.feasible(draws, seen), count))

    def sample(self, count: int, random: Random, seen: Container[str] = ()) -> list[Architecture]:
        """Return up to `count` different feasible architectures.

        They are drawn as `sampling` says as long as draws satisfy the constraints now and then. It is
        networks that are drawn: of architectures that are the same one, only the canonical form counts,
        so that none is likelier for being written in many ways. Where canonical forms are hardly ever
        drawn, others stand for them.

        What is still missing is built decision by decision within the bounds and mixed by a random walk
        among feasible architectures (see `supernet.search.construct`); those are not exactly of the
        same distribution. With one bound that always finds some. In small spaces it is taken from all
        architectures in random order.

        Fewer are returned where the space holds no more, or where neither finds more.

        Raises:
            ConstraintError: not one was found although none is excluded by `seen`.
        """
        size, tries = self.space.size, max(TRIES * count, SMALL)
        small, found = size <= SMALL, dict[str, Architecture]()

        def take(draws: Iterable[Architecture], forms: bool, patience: int) -> None:
            """Add what is of use to `found`, as far as it is missing."""
            missed = 0
            for draw in draws if len(found) < count else ():
                form = self.space.canonical(draw)
                known = form.key in found or form.key in seen
                if known or (forms and form != draw) or not self.constraints.hold(form):
                    missed += 1
                else:
                    found[form.key], missed = form, 0
                if len(found) == count or missed == patience:
                    return

        for forms in (True, False) if self.space.has_canonical else (False,):
            if not small or self.sampling == "decisions":
                take(
                    (self.space.sample(random, self.sampling) for _ in range(tries)), forms, MISSES
                )
            if small:
                take((self.space[i] for i in random.sample(range(size), size)), forms, size)
        if not small:
            take(self._built(count, random), False, tries)
        if count and not found and not seen:
            raise self.impossible(size if small else min(MISSES, tries))
        return list(found.values())

    def impossible(self, tried: int) -> ConstraintError:
        """Return the error for constraints that none of `tried` architectures satisfied."""
        enumerated = tried >= self.space.size
        texts = " and ".join(self.constraints.texts)
        if enumerated:
            found, how = "no architecture satisfies", f"{tried:,} were tried (none)"
        else:
            found = "no architecture was found that satisfies"
            how = (
                f"{tried:,} were drawn and {BUILT} times one was built decision by decision (none; if "
                "any do, they are too rare)"
            )
        reachable = "; ".join(self._reachable(bound, enumerated) for bound in self._bounds)
        return ConstraintError(
            f"{found} {texts}: of {size_text(self.space.size)} architectures {how}, though each bound "
            f"alone can be met. {reachable}. Relax one: choose a bound that the others leave within "
            "reach, or relax one of the others"
        )

    @cached_property
    def _bounds(self) -> list[Bound]:
        tables = self.constraints.tables
        return [Bound.of(c, tables[c.quantity], self.space) for c in self.constraints.bounds]

    def _built(self, count: int, random: Random) -> Iterator[Architecture]:
        """Yield a bounded number of architectures, built within the bounds; none without bounds."""
        failures = 0
        for _ in range(BUILT + 4 * count if self._bounds else 0):
            built = build(self.space, self._bounds, random)
            if built is not None:
                yield built
            else:
                failures += 1
            if failures == BUILT:
                return

    def _reachable(self, bound: Bound, enumerated: bool) -> str:
        """Say what a bounded quantity reaches, alone and where the other bounds hold."""
        one, others = bound.constraint, [other for other in self._bounds if other is not bound]
        lower = one.sense == "<="
        if enumerated:
            costs = [
                bound.table.cost(architecture)
                for architecture in map(self.space.canonical, self.space)
                if all(o.constraint.holds(o.table.cost(architecture)) for o in others)
            ]
            best = (min(costs) if lower else max(costs)) if costs else None
        else:
            best = extend(self.space, others, bound, self.stream("reachable"))
        smallest, largest = map(number_text, bound.table.range(self.space))
        joint = (
            "but no architecture that meets the other bounds was found"
            if best is None
            else f"where the other bounds hold, from {number_text(best)}"
            if lower
            else f"where the other bounds hold, up to {number_text(best)}"
        )
        found = "" if enumerated or best is None else " as far as found"
        return f"{one.quantity} reaches from {smallest} to {largest}, {joint}{found}"


class Searcher(ABC):
    """A way to look for the best architecture under the shared weights.

    Attributes:
        looks_at: number of the best of a generation that decide what comes next, for races, which
            score only these in full; None if all of them do.
    """

    looks_at: int | None = None

    @abstractmethod
    def generations(self, problem: Problem) -> Generation:
        """Yield generations of canonical, feasible architectures; receive their candidates."""

    def expected(self, problem: Problem) -> int | None:
        """Return how many candidates the search will ask for, where that is known beforehand."""
        return None

    def select(self, candidates: Sequence[Candidate], count: int) -> list[Candidate]:
        """Return up to `count` candidates to retrain, of all that were scored, best first."""
        return sorted(candidates, key=lambda candidate: candidate.rank_key)[:count]


class Search:
    """A searcher at work, as `ask` and `tell`."""

    def __init__(self, searcher: Searcher, problem: Problem) -> None:
        self._name = type(searcher).__name__
        with calling(f"{self._name}.generations(problem)"):
            self._generations = searcher.generations(problem)
        if not isinstance(self._generations, Generator):
            raise ConfigError(
                f"{self._name}.generations(problem) must yield generations of architectures, but it "
                f"returned a {type(self._generations).__name__}; write 'told = yield [...]' in it"
            )
        self._asked: list[Architecture] | None = None
        self._told: Sequence[Candidate] | None = None
        self.batches: int | None = None
        """On how many batches what was asked for shall be scored; None for all."""

    def ask(self) -> list[Architecture]:
        """Return the next generation; empty when the search is over.

        Raises:
            CodeError: the searcher raised something.
            ConfigError: what it yields are no architectures.
            SupernetError: the generation before was not told.
        """
        if self._asked:
            raise SupernetError("ask() was called twice; tell() the candidates of the first call")
        with calling(f"{self._name}.generations(problem)"):
            try:
                told = self._told
                asked = next(self._generations) if told is None else self._generations.send(told)
            except StopIteration:
                asked = []
        self.batches = None
        if isinstance(asked, PartialGeneration):
            self.batches, asked = asked.batches, asked.architectures
        if not isinstance(asked, Sequence) or not all(isinstance(a, Architecture) for a in asked):
            raise ConfigError(
                f"{self._name}.generations(problem) must yield lists of architectures, as of "
                f"problem.sample(...), but it yielded {str(asked)[:80]}"
            )
        self._asked = list(asked)
        return self._asked

    def tell(self, candidates: Sequence[Candidate]) -> None:
        """Give the candidates of the last `ask`, in its order.

        Raises:
            SupernetError: nothing was asked, or the candidates are not those that were asked for.
        """
        asked = [architecture.key for architecture in self._asked or []]
        told = [candidate.key for candidate in candidates]
        if not asked or asked != told:
            raise SupernetError(
                f"tell() needs the candidates of the last ask(), in its order: {len(asked)} were asked "
                f"for and {len(told)} told"
                + ("" if len(asked) != len(told) else ", with other keys")
            )
        self._asked, self._told = None, candidates

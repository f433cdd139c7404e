"""NSGA-II and TPE, through Optuna's ask and tell.

Deb et al., "A Fast and Elitist Multiobjective Genetic Algorithm: NSGA-II" (2002), as FairNAS (Chu et
al., ICCV 2021) uses it; Bergstra et al., "Algorithms for Hyper-Parameter Optimization" (NIPS 2011)
for TPE. The algorithms are Optuna's (Akiba et al., KDD 2019), with its defaults unless named here.

Differences: an architecture that is asked again is answered from what was told, without being asked
for again; one that violates the constraints is told as such, and not asked for. A generation draws
a bounded number of times and is then completed by random feasible architectures, which Optuna is told
like its own. What is drawn before there is anything to learn from is drawn as all random architectures
are (`Problem.sampling`). Children of NSGA-II inherit decisions that lie in options too, where a parent
has them (`supernet.search.inherit`); TPE draws such decisions each on its own.
"""

from __future__ import annotations

import warnings
from abc import abstractmethod
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from random import Random
from typing import TYPE_CHECKING, Any

from supernet.errors import ConfigError
from supernet.evaluate import Candidate, Preference
from supernet.search.base import Generation, Problem, Searcher
from supernet.search.mirror import StudyMirror
from supernet.search.pareto import pareto_front
from supernet.space import Architecture, Decision, OneOf, Ordered, SearchSpace, Value
from supernet.suggestions import wanted_figure

# Optuna takes a fifth of a second to import: it is imported where it is used.
if TYPE_CHECKING:
    from optuna import Study, Trial
    from optuna.samplers import BaseSampler

__all__ = ["NSGA2", "TPE"]

DRAWS = 3
"""Draws per wanted architecture before a generation is completed at random."""

LISTED = 64
"""Several of the options: with so many answers one parameter, with more a parameter per option."""

MEASURES = ("accuracy", "loss")
"""Objectives that every task has, see `NSGA2`."""

SCORE = "score"
"""What candidates are ranked by, higher being better."""


class _Asked(Searcher):
    """A search through a sampler of Optuna; final classes choose the sampler and the objectives.

    Args:
        population: architectures per generation.
        generations: number of generations.
        storage: an SQLite file into which the candidates are also written, for optuna-dashboard.

    Raises:
        ConfigError: a number is too small.
    """

    def __init__(self, population: int, generations: int, storage: Path | None) -> None:
        if population < 2 or generations < 1:
            raise ConfigError(
                f"population must be at least 2 and generations at least 1, not {population} and "
                f"{generations}"
            )
        self.population = population
        self.count = generations
        self.storage = storage

    @abstractmethod
    def sampler(self, seed: int) -> BaseSampler:
        """Return Optuna's sampler."""

    @abstractmethod
    def objectives_of(self, problem: Problem) -> Sequence[str]:
        """Return the names of the objectives, after checking that they are known."""

    @abstractmethod
    def first(self, problem: Problem) -> list[Architecture]:
        """Return the architectures to begin with, feasible ones, of one or more generations."""

    def generations(self, problem: Problem) -> Generation:
        """Yield up to `generations` populations; fewer when the space is exhausted.

        Raises:
            ConfigError: an objective is unknown.
            StorageError: the storage cannot be written.
        """
        names = self.objectives_of(problem)
        random = problem.stream("optuna")
        with _quiet():
            import optuna

            up, down = optuna.study.StudyDirection.MAXIMIZE, optuna.study.StudyDirection.MINIMIZE
            directions = [up if _rises(problem, name) else down for name in names]
            sampler = self.sampler(random.getrandbits(32))
            study = optuna.create_study(sampler=sampler, directions=directions)
        talk = _Talk(study, problem, random, names)
        mirror = None
        if self.storage is not None:
            mirror = StudyMirror(self.storage, study, self._name(problem), names)
        first = self.first(problem)
        for number in range(self.count):
            wanted = first[number * self.population :][: self.population]
            with _quiet():
                asked = talk.ask(self.population, wanted)
            if not asked:
                return
            candidates = yield asked
            with _quiet():
                told = talk.tell(candidates)
                if mirror is not None:
                    mirror.write(told)

    def expected(self, problem: Problem) -> int:
        """Return population times generations, or the size of a smaller space."""
        return min(self.population * self.count, problem.space.size)

    def _name(self, problem: Problem) -> str:
        return f"{type(self).__name__}, seed {problem.seed}"


class NSGA2(_Asked):
    """The front of several objectives: nondominated sorting, crossover and mutation.

    The first population holds, where they are feasible, the architectures with the smallest and the
    largest amount of every cost among the objectives, since crossover alone rarely reaches the ends
    of the front. They are scored and counted like all others. For as few evaluations as one affords
    here, a population of 20 found larger hypervolumes than Optuna's own default of 50.

    Args:
        population: architectures per generation.
        generations: number of generations.
        objectives: two or more objectives of "accuracy" (maximised; where a task has none, the loss
            stands in for it), "loss" and the other figures of the task (the better the higher, or the
            lower, as the task says), and the costs of the space, for instance "macs" (minimised).
        mutation: probability that a child's answer is redrawn; one answer on average if not given.
        storage: an SQLite file into which the candidates are also written, for optuna-dashboard; a
            study of the same searcher and seed in it is replaced.

    Raises:
        ConfigError: a number is out of range, or there are fewer than two different objectives.
    """

    def __init__(
        self,
        population: int = 20,
        generations: int = 50,
        objectives: Sequence[str] = ("accuracy", "macs"),
        mutation: float | None = None,
        storage: Path | None = None,
    ) -> None:
        super().__init__(population, generations, storage)
        if isinstance(objectives, str) or not 2 <= len(objectives) == len(set(objectives)):
            raise ConfigError(f"objectives must be two or more different names, not {objectives!r}")
        if mutation is not None and not 0 <= mutation <= 1:
            raise ConfigError(f"mutation must lie in 0–1, not {mutation}")
        self.objectives = tuple(objectives)
        self.mutation = mutation

    def sampler(self, seed: int) -> BaseSampler:
        """Return Optuna's NSGA-II, with children that inherit all they can."""
        from supernet.search.inherit import InheritingNSGAII

        return InheritingNSGAII(self.population, self.mutation, seed)

    def objectives_of(self, problem: Problem) -> Sequence[str]:
        """Return the objectives.

        Raises:
            ConfigError: one is neither a figure nor a cost of the problem.
        """
        possible = list(dict.fromkeys([*MEASURES, *problem.figures, *problem.constraints.tables]))
        unknown = [name for name in self.objectives if name not in possible]
        if unknown:
            raise ConfigError(
                f"unknown objective {', '.join(map(repr, unknown))}; possible: "
                f"{', '.join(possible)}"
                f"{wanted_figure(unknown[0], possible, problem.optional_figures)}"
            )
        return self.objectives

    def select(self, candidates: Sequence[Candidate], count: int) -> list[Candidate]:
        """Return members of the front, the best by accuracy or loss first, spread evenly over it."""
        points = [
            [_minimised(candidate, name) for name in self.objectives] for candidate in candidates
        ]
        front = sorted((candidates[i] for i in pareto_front(points)), key=lambda one: one.rank_key)
        if len(front) <= count:
            return front
        return [front[i * (len(front) - 1) // max(count - 1, 1)] for i in range(count)]

    def first(self, problem: Problem) -> list[Architecture]:
        """Return the feasible ones of the cheapest and the most expensive architectures, and others."""
        known = problem.constraints.tables
        tables = [known[one] for one in self.objectives if one in known]
        ends = (end for table in tables for end in table.extremes(problem.space))
        found = list(problem.feasible(ends))[: self.population]
        missing, seen = self.population - len(found), {one.key for one in found}
        return found + problem.sample(missing, problem.stream("first"), seen)


class TPE(_Asked):
    """The best by one score: draws where good candidates are denser than bad ones.

    The score is what the run ranks by: a figure of the task, such as its loss or accuracy.

    Args:
        population: architectures per generation, drawn from one estimate (1 or 2 is closest to the
            paper, but leaves nothing to score together).
        generations: number of generations.
        startup: candidates drawn at random before there is an estimate.
        storage: an SQLite file into which the candidates are also written, for optuna-dashboard; a
            study of the same searcher and seed in it is replaced.

    Raises:
        ConfigError: a number is too small.
    """

    def __init__(
        self,
        population: int = 10,
        generations: int = 50,
        startup: int = 20,
        storage: Path | None = None,
    ) -> None:
        super().__init__(population, generations, storage)
        if startup < 1:
            raise ConfigError(f"startup must be at least 1, not {startup}")
        self.startup = startup

    def sampler(self, seed: int) -> BaseSampler:
        """Return Optuna's TPE, which takes what was asked and not yet told for bad."""
        from optuna.samplers import TPESampler

        return TPESampler(
            n_startup_trials=self.startup, multivariate=True, constant_liar=True, seed=seed
        )

    def first(self, problem: Problem) -> list[Architecture]:
        """Return the candidates that are drawn at random."""
        return problem.sample(self.startup, problem.stream("first"))

    def objectives_of(self, problem: Problem) -> Sequence[str]:
        """Return the one objective: what candidates are ranked by."""
        return (SCORE,)


@dataclass
class _Talk:
    """Ask and tell with a study, by generations and without asking for anything twice."""

    study: Study
    problem: Problem
    random: Random
    names: Sequence[str]
    known: dict[str, Candidate] = field(default_factory=dict)
    drawn: list[tuple[Trial, Architecture]] = field(default_factory=list)

    def ask(self, count: int, wanted: Sequence[Architecture] = ()) -> list[Architecture]:
        """Return up to `count` new feasible architectures, the wanted ones first."""
        space, self.drawn = self.problem.space, []
        fresh: dict[str, Architecture] = {}

        def draw(given: Architecture | None = None) -> Architecture:
            if given is not None:
                self.study.enqueue_trial(_parameters(space, given))
            trial = self.study.ask()
            # Parents first, and only what exists: Optuna learns the space as it is asked.
            architecture = space.build(lambda decision: _suggest(trial, decision, self.random))
            self.drawn.append((trial, space.canonical(architecture)))
            return self.drawn[-1][1]

        draws = (draw() for _ in range(DRAWS * count))
        fresh.update({given.key: draw(given) for given in wanted})
        new = self.problem.feasible(draws, self.known.keys() | fresh.keys())
        fresh.update({one.key: one for one in islice(new, count - len(fresh))})
        known = self.known.keys() | fresh.keys()
        rest = self.problem.sample(count - len(fresh), self.random, known)
        fresh.update({one.key: draw(one) for one in rest})
        return list(fresh.values())

    def tell(self, candidates: Sequence[Candidate]) -> list[int]:
        """Tell all that was drawn; return the trial numbers of the candidates."""
        import optuna

        self.known.update({candidate.key: candidate for candidate in candidates})
        numbers: dict[str, int] = {}
        for trial, architecture in self.drawn:
            candidate = self.known.get(architecture.key)
            numbers.setdefault(architecture.key, trial.number)
            if candidate is not None and candidate.status == "ok":
                values = [self._value(candidate, name) for name in self.names]
            else:
                worst = float("inf")
                values = [-worst if _rises(self.problem, name) else worst for name in self.names]
                trial.set_constraint("infeasible or failed", 1.0)
            trial.set_user_attr("key", architecture.key)
            trial.set_user_attr("architecture", architecture.to_json())
            self.study.tell(trial, values, optuna.trial.TrialState.COMPLETE)
        return [numbers[candidate.key] for candidate in candidates]

    def _value(self, candidate: Candidate, name: str) -> float:
        loss = float("inf") if candidate.loss is None else candidate.loss
        if name == "loss":
            return loss
        if name == "score":
            return -loss if candidate.score is None else candidate.score
        if name == "accuracy":
            return -loss if candidate.accuracy is None else candidate.accuracy
        if name in candidate.measures:
            return candidate.measures[name]
        if name in candidate.costs:
            return candidate.costs[name]
        return self.problem.constraints.tables[name].cost(candidate.architecture)


def _rises(problem: Problem, name: str) -> bool:
    """Return whether an objective is the better the higher it is: figures are, but for some."""
    if name in problem.constraints.tables:
        return False
    return not Preference(lower=problem.lower).falls(name)


def _minimised(candidate: Candidate, name: str) -> float:
    """Return an objective as a number that is better when smaller."""
    loss = float("inf") if candidate.loss is None else candidate.loss
    figure = candidate.value(name)
    return candidate.costs.get(name, loss) if figure is None else -figure


def _suggest(trial: Trial, decision: Decision, random: Random) -> Value:
    """Return Optuna's answer to a decision; its parameters are those of `_parameters`."""
    label, options = decision.label, decision.options
    if isinstance(decision, Ordered):
        return options[trial.suggest_int(label, 0, len(options) - 1)]
    if isinstance(decision, OneOf):
        return options[options.index(trial.suggest_categorical(label, options))]
    if decision.size <= LISTED:
        index = trial.suggest_categorical(label, range(decision.size))
        return next(islice(decision.values(), index, None))
    taken = [trial.suggest_categorical(name, (False, True)) for name in _names(decision)]
    chosen = [i for i, is_taken in enumerate(taken) if is_taken]
    others = [i for i, is_taken in enumerate(taken) if not is_taken]
    # Too many or too few: some, drawn at random, are left out or added.
    chosen = random.sample(chosen, min(len(chosen), decision.high))
    return decision.value(chosen + random.sample(others, max(0, decision.low - len(chosen))))


def _parameters(space: SearchSpace, architecture: Architecture) -> dict[str, Any]:
    """Return the parameters for which `_suggest` answers as this architecture does."""
    parameters: dict[str, Any] = {}
    for label, value in architecture.items():
        decision = space.decision(label)
        chosen = decision.indices(value)
        if isinstance(decision, Ordered):
            parameters[label] = chosen[0]
        elif isinstance(decision, OneOf):
            parameters[label] = value
        elif decision.size <= LISTED:
            parameters[label] = list(decision.values()).index(value)
        else:
            names = enumerate(_names(decision))
            parameters.update({name: i in chosen for i, name in names})
    return parameters


def _names(decision: Decision) -> list[str]:
    return [f"{decision.label} has {option}" for option in decision.options]


@contextmanager
def _quiet() -> Iterator[None]:
    """Leave out Optuna's messages and its warnings that something is experimental."""
    import optuna

    verbosity = optuna.logging.get_verbosity()
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
            yield
    finally:
        optuna.logging.set_verbosity(verbosity)

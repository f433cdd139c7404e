"""Networks as `metrics.json` has them: selected, trained alone, tested, failed, and compared."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Annotated, Any, Literal, TypeAlias

from supernet.errors import DamagedFileError
from supernet.evaluate import Candidate
from supernet.evaluate.rank_correlation import RankCorrelation
from supernet.evaluate.resampling import Interval
from supernet.failures import Kind, failure_kind
from supernet.record_fields import Inline, Rest
from supernet.space import Architecture
from supernet.typed import Count, JsonRecord, MadeBy, Where

__all__ = [
    "Answers",
    "Baselines",
    "CostName",
    "CostRanking",
    "EvidenceRecord",
    "Failed",
    "Measures",
    "NetworkScore",
    "OneShotRanking",
    "Outcome",
    "OverRandom",
    "Score",
    "Selected",
    "ShortRecord",
    "Truth",
    "WeightsName",
    "verified",
]

SHOWN = 200
"""Characters of an architecture, and of a reason, that are shown in a line."""

WeightsName: TypeAlias = Literal["fresh", "inherited"]
"""What the training of a network alone starts from."""

Truth: TypeAlias = Literal["scratch", "fine_tuned", "inherited"]
"""By what weights a network alone was scored with, what one-shot scores are compared with."""

CostName: TypeAlias = Literal["params", "macs"]
"""Costs whose own ranking is compared."""

Score: TypeAlias = Mapping[str, float | None]
"""The figures of the task over the examples: "loss", "accuracy" (0–1), ..."""

Measures: TypeAlias = Annotated[
    Mapping[str, float | None],
    Where(
        lambda score: score.get("loss") is not None,
        "measures with a loss",
        {"required": ["loss"], "properties": {"loss": {"type": "number"}}},
    ),
]
"""A score that has a loss."""

Answers: TypeAlias = Annotated[
    Architecture, MadeBy(dict[str, Any], Architecture, "the answers of an architecture")
]
"""An architecture, written as an object of its answers by decision."""


@dataclass(frozen=True, kw_only=True)
class Selected(JsonRecord):
    """An architecture that is to be retrained.

    Attributes:
        key: hash of the answers.
        role: "top" (one of the best under the shared weights), "probe" (drawn at random from the
            candidates, to measure what their ranking is worth), "promising" (named by all evidence) or
            "random" (a baseline).
        probe: whether it is among the probes; one of the best may be drawn too.
        architecture: answers of the architecture, by decision.
        supernet: scores under the shared weights, by measure.
        costs: costs by quantity.
    """

    key: str
    role: str
    probe: bool = False
    architecture: Answers
    supernet: Score
    costs: Rest[Mapping[str, float]]

    @classmethod
    def of(cls, candidate: Candidate, role: str, probe: bool = False) -> Selected:
        """Return a candidate in a role."""
        return cls(
            key=candidate.key,
            role=role,
            probe=probe,
            architecture=candidate.architecture,
            supernet=candidate.scores,
            costs=candidate.costs,
        )


def verified(selected: Iterable[Selected]) -> list[Selected]:
    """Return architectures that were read from `metrics.json`.

    Raises:
        DamagedFileError: the answers of one are not those of its key.
    """
    found = list(selected)
    for one in found:
        if one.architecture.key != one.key:
            raise DamagedFileError(
                f"metrics.json has the key {one.key} for {dict(one.architecture)}, whose key is "
                f"{one.architecture.key}. Put a copy of the file back; or delete it and run the same "
                "command again, which repeats the steps from the files before them"
            )
    return found


@dataclass(frozen=True, kw_only=True)
class Outcome(JsonRecord):
    """What became of an architecture that was retrained.

    Attributes:
        key: hash of the answers.
        role: the role that it was selected in.
        probe: whether it is among the probes.
        supernet: scores under the shared weights, by measure.
        costs: the costs of the network that was trained, by quantity.
        validation: the scores on the search split of the better network, by measure.
        weights: the weights that this one was trained from, "fresh" or "inherited".
        stand_alone: scores on the search split by what was scored: "inherited" (the supernet's weights
            as they are), "fine_tuned" (trained from these), "scratch" (trained from fresh ones).
    """

    key: str
    role: str
    probe: bool
    supernet: Score
    costs: Rest[Mapping[str, float]]
    validation: Measures
    weights: WeightsName
    stand_alone: Mapping[str, Measures] = field(default_factory=dict)

    @property
    def alone(self) -> Mapping[str, Score]:
        """The scores alone; of files that do not tell them apart, those after training."""
        return self.stand_alone or {"scratch": self.validation}


@dataclass(frozen=True, kw_only=True)
class Failed(JsonRecord):
    """A network that failed.

    Attributes:
        key: hash of the answers, or the name of what failed instead, such as a part of a supernet.
        role: role of the network in the run: "top", "probe", "promising", "random", "chosen",
            "candidate", "batch norm probe" or "part".
        architecture: answers of the architecture, by decision.
        kind: "numbers" (a loss or weight is not finite), "measure" (a measure is not, though the loss
            is), "code" (of the model or task, or of another library, raised), "refused" (by a check of
            supernet) or "library" (a mistake of supernet).
        error: message of what was raised; of training with the step, the learning rate and the clipping.
        weights: the weights that its training started from, "fresh" or "inherited"; null where it was
            not trained alone.
        file: the file that keeps the failure, relative to the run folder; if it is deleted, the network
            is tried again. Null where nothing is kept.
    """

    key: str
    role: str
    architecture: Mapping[str, Any]
    kind: Kind
    error: str
    weights: WeightsName | None = None
    file: str | None = None

    @classmethod
    def of(
        cls, key: str, role: str, architecture: Architecture, error: Exception, **more: Any
    ) -> Failed:
        """Return the record of what was raised."""
        return cls(
            key=key,
            role=role,
            architecture=dict(architecture),
            kind=failure_kind(error),
            error=f"{type(error).__name__}: {error}",
            **more,
        )

    def text(self) -> str:
        """Return who failed and why, in one line."""
        answers = ", ".join(
            f"{label}={_answer(value)}" for label, value in self.architecture.items()
        )
        answers = f"; {_short(answers)}" if answers else ""
        weights = f", from {self.weights} weights" if self.weights else ""
        return f"{self.key} ({self.role}{weights}{answers}): {_short(self.error)}"


@dataclass(frozen=True, kw_only=True)
class Baselines(JsonRecord):
    """The random architectures that the chosen one is compared with.

    Attributes:
        networks: at most as many as asked for; fewer where the space holds no more.
        match: the cost in which they are like the chosen one; null if in none.
        tolerance: share of the chosen one's cost by which theirs may be off; null if by any.
    """

    networks: tuple[Selected, ...]
    match: str | None
    tolerance: float | None


@dataclass(frozen=True, kw_only=True)
class CostRanking(JsonRecord):
    """How well a cost alone ranks networks.

    Attributes:
        correlation: Kendall's τ-b of the cost with the truth.
        difference: the amount by which that of one-shot scores is higher; null where it cannot be said.
    """

    correlation: Inline[RankCorrelation]
    difference: Interval | None


@dataclass(frozen=True, kw_only=True)
class OneShotRanking(JsonRecord):
    """What the ranking by one-shot scores is worth.

    Attributes:
        truth: the scores that one-shot scores are compared with: "scratch" where these are known, else
            "fine_tuned".
        population: the number of candidates that the probes were drawn from.
        why: why there is no correlation: "no probes", or "same weights" where both sides are scores of
            the supernet's weights; else null.
        correlation: Kendall's τ-b of one-shot scores with the truth.
        costs: the same of each cost alone, by quantity.
    """

    truth: Truth | None
    population: Count
    why: Literal["no probes", "same weights"] | None
    correlation: Inline[RankCorrelation]
    costs: Mapping[CostName, CostRanking]


@dataclass(frozen=True, kw_only=True)
class NetworkScore(JsonRecord):
    """A network on the test split.

    Attributes:
        key: hash of the answers.
        weights: the weights that it was trained from, "fresh" or "inherited".
        score: scores by measure; none if it failed.
    """

    key: str
    weights: WeightsName
    score: Rest[Score]


@dataclass(frozen=True, kw_only=True)
class OverRandom(JsonRecord):
    """By how much the chosen network is better than random ones, on the same examples.

    Attributes:
        measure: the figure that is compared, such as "accuracy", or "loss": how much less.
        examples: the difference from the mean of the random networks, above 0 where the chosen one is
            better, with its interval over test examples.
        networks: the same with its interval over random networks; null for one, or where all score
            alike.
    """

    measure: str
    examples: Interval
    networks: Interval | None


@dataclass(frozen=True, kw_only=True)
class EvidenceRecord(JsonRecord):
    """What scores, counts and answers tell together, as probes teach; see `supernet.fidelity.combine`.

    Attributes:
        scores: names of the scores and counts that were combined.
        start: names of those that are believed before any probe.
        left_out: τ of what each probe is worth with what the others predict of it.
        alone: τ of the same with the start alone.
        over: the amount by which the first is higher; null where one is not defined.
        best: keys of the most promising networks of all that were scored, best first.
    """

    scores: tuple[str, ...]
    start: str
    left_out: RankCorrelation
    alone: RankCorrelation
    over: Interval | None
    best: tuple[str, ...]

    def text(self) -> str:
        """Say how much all evidence tells, and what to try."""
        together, alone = self.left_out.kendall_tau, self.alone.kendall_tau
        if together is None or alone is None:
            return ""
        said = (
            f"All evidence predicts what a left-out probe is worth with τ {together:.2f}, "
            f"{self.start} alone with {alone:.2f}"
        )
        if self.left_out.low is None or self.left_out.low <= 0:
            return f"{said}: not beyond chance; train more probes, or for longer."
        best = ", ".join(self.best[:3])
        if self.over is None or self.over.low <= 0:
            return f"{said}: no more, as far as can be told. Most promising: {best}."
        return f"{said} (higher by {self.over.low:.2f} to {self.over.high:.2f}). Most promising: {best}."


@dataclass(frozen=True, kw_only=True)
class ShortRecord(JsonRecord):
    """Short trainings, by which evidence was learned.

    Attributes:
        seconds: the time of all of them.
        steps: the number of steps of each.
        model: constructor arguments in which their model differs from the supernet's.
        measure: name of what they are worth by.
        keys: keys of the networks that passed.
        values: worth of each, in the same order, higher being better.
        failed: networks that failed.
    """

    seconds: float
    steps: Count
    model: Mapping[str, Any]
    measure: str
    keys: tuple[str, ...]
    values: tuple[float, ...]
    failed: tuple[Failed, ...] = ()


def _answer(value: Any) -> str:
    return "+".join(map(str, value)) if isinstance(value, list | tuple) else str(value)


def _short(text: str) -> str:
    line = " ".join(text.split())
    return line if len(line) <= SHOWN else f"{line[: SHOWN - 1]}…"

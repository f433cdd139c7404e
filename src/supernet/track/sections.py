"""The sections of `metrics.json`: what each step found, and what a run is about."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar

from supernet.evaluate import Preference, Provenance
from supernet.evaluate.batch_norm_policy import Agreement
from supernet.record_fields import Omitted, Rest
from supernet.track.records import (
    Baselines,
    EvidenceRecord,
    Failed,
    NetworkScore,
    OneShotRanking,
    Outcome,
    OverRandom,
    Selected,
    ShortRecord,
    WeightsName,
)
from supernet.typed import Count, JsonRecord

__all__ = [
    "BatchNormRecord",
    "DataRecord",
    "EnvironmentRecord",
    "FewShotRecord",
    "Finalists",
    "IdentityRecord",
    "LatencyRecord",
    "RetrainRecord",
    "SearchRecord",
    "Section",
    "Spent",
    "StageRecord",
    "TestRecord",
    "TrainRecord",
]


class Section(JsonRecord):
    """Base of the sections, frozen dataclasses.

    Attributes:
        SECTION: the key of the section in `metrics.json`.
    """

    SECTION: ClassVar[str]


@dataclass(frozen=True, kw_only=True)
class EnvironmentRecord(Section):
    """Where the supernet was trained.

    Attributes:
        supernet: the version of supernet.
        torch: the version of PyTorch.
        python: the version of Python.
        device: the device.
        threads: the number of CPU threads.
    """

    SECTION: ClassVar[str] = "environment"

    supernet: str | None = None
    torch: str | None = None
    python: str | None = None
    device: str | None = None
    threads: int | None = None


@dataclass(frozen=True, kw_only=True)
class DataRecord(Section):
    """The data of the run.

    Attributes:
        name: name of the data.
        train: the number of examples to train on.
        search: the number of examples to score candidates and networks on.
        test: the number of examples that are read once, at the end.
        classes: the number of classes.
        vocabulary: the number of words, with texts only.
        columns: the number of columns that inputs are made of, with tables only.
        mean: mean that images (0–1) are normalised with, by channel, or features of a table; empty where
            inputs are other floats.
        std: standard deviation that they are normalised with.
        identity: a hash of the data and of the model's decisions and shapes.
        notes: notes on what was found with the data and is not used; only if there is something.
    """

    SECTION: ClassVar[str] = "data"

    name: str | None = None
    train: Count | None = None
    search: Count | None = None
    test: Count | None = None
    classes: Count | None = None
    vocabulary: Omitted[Count | None] = None
    columns: Omitted[Count | None] = None
    mean: tuple[float, ...] = ()
    std: tuple[float, ...] = ()
    identity: str | None = None
    notes: Omitted[tuple[str, ...]] = ()


@dataclass(frozen=True, kw_only=True)
class IdentityRecord(Section):
    """What the results depend on besides options ([when it changes](running.md#going-on-in-a-folder)).

    Attributes:
        python: the version of Python that the user's code was compiled for.
        device: the kind of device that numbers were computed on.
        parts: hashes of the user's code, of weights that were given and of the test split, and the
            losses and measures of untrained architectures ("varies" where they differ from one time to
            the next), by the step ("train", "few_shot", "search", "retrain", "test") that depends on
            them.
    """

    SECTION: ClassVar[str] = "identity"

    python: str
    device: str
    parts: Rest[Mapping[str, Mapping[str, Any]]]


@dataclass(frozen=True, kw_only=True)
class Spent(JsonRecord):
    """What a training took, and where it ended.

    Attributes:
        seconds: the time of training, that of interrupted attempts up to the last record included.
        steps: the number of training steps.
        loss: the last loss, a mean since the record before; null if there is none.
    """

    seconds: float
    steps: Count
    loss: float | None


@dataclass(frozen=True, kw_only=True)
class StageRecord(Spent):
    """The training of a supernet before the supernet.

    Attributes:
        warnings: warnings of the strategy.
    """

    warnings: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True)
class TrainRecord(Section, Spent):
    """The training of the supernet.

    Attributes:
        passes: number of routed forward passes that an option took part in, by decision and option (a
            ghost batch is one).
        weights: a hash of the trained weights.
        warnings: warnings of the strategy, and of what was watched.
        stages: the trainings of the supernets before, where the strategy has stages.
    """

    SECTION: ClassVar[str] = "train"

    passes: Mapping[str, Mapping[str, int]] = field(default_factory=dict)
    weights: str | None = None
    warnings: tuple[str, ...] = ()
    stages: Omitted[tuple[StageRecord, ...]] = ()


@dataclass(frozen=True, kw_only=True)
class FewShotRecord(Section):
    """The training of the parts of the supernet, with `few_shot.decision` only.

    Attributes:
        seconds: the time of training.
        steps: the number of training steps of each part.
        decision: the decision that the supernet is split along.
        parts: the number of parts.
        failed: the parts that failed.
        weights: a hash of the weights of all parts.
    """

    SECTION: ClassVar[str] = "few_shot"

    seconds: float | None = None
    steps: Count | None = None
    decision: str | None = None
    parts: Count
    failed: tuple[Failed, ...] = ()
    weights: str | None = None


@dataclass(frozen=True, kw_only=True)
class LatencyRecord(Section):
    """The table of latencies that `supernet latency` measured.

    Attributes:
        table: the file.
        how: how it was measured, and its error ([keys](costs.md#the-file-of-a-measured-table)).
    """

    SECTION: ClassVar[str] = "latency"

    table: str | None = None
    how: Rest[Mapping[str, Any]]


@dataclass(frozen=True, kw_only=True)
class BatchNormRecord(JsonRecord):
    """What was found out about the treatment of batch norm; empty where it was not looked into.

    Attributes:
        converged: whether scores changed next to nothing after `calibration_batches`.
        calibration_batches: the number of batches that statistics are estimated on.
        measure: the measure that is compared, "accuracy" or "loss".
        architectures: the number of random architectures that were compared.
        agreements: how alike two treatments rank, for every two.
        failed: architectures that failed.
    """

    converged: Omitted[bool | None] = None
    calibration_batches: Omitted[Count | None] = None
    measure: Omitted[str | None] = None
    architectures: Omitted[Count | None] = None
    agreements: Omitted[tuple[Agreement, ...] | None] = None
    failed: Omitted[tuple[Failed, ...]] = ()


@dataclass(frozen=True, kw_only=True)
class Finalists(JsonRecord):
    """The best candidates of a search, which were tuned and scored again.

    Attributes:
        protocol: the protocol of these scores.
        keys: the keys of the networks, as the search ranked them.
    """

    protocol: Provenance
    keys: tuple[str, ...]


@dataclass(frozen=True, kw_only=True)
class SearchRecord(Section):
    """The search.

    Attributes:
        seconds: the time of the search.
        candidates: the number of candidates, failed ones included.
        partial: the number of those scored on a part of the images.
        failed: the number of those that failed.
        failures: one example of each kind of failure, and probes that failed when they were scored in
            full.
        searcher: the class of the searcher.
        space_size: the number of architectures in the space, with all its digits.
        batch_norm: how batch norm was treated.
        batch_norm_report: findings on that.
        shared: whether layers that candidates have in common were computed once.
        hypervolume: share of the plane of accuracy (0 to 1) and cost (0 to the largest of the space)
            that candidates dominate, by cost.
        protocol: the weights and the protocol that the scores depend on.
        costs: hashes of the tables of costs, by quantity.
        selected: the architectures that are to be retrained.
        finalists: the best candidates, which were scored again before some of them were selected, where
            only these are tuned.
        tuned: the number of candidates that were tuned before they were scored.
        tune_seconds: the time of their tuning, that of interrupted attempts included.
        ranked_by: the figure that candidates were ranked by, where it is neither the loss nor the
            accuracy.
        lower_is_better: the figures of the task of which lower ones are better, besides the loss.
    """

    SECTION: ClassVar[str] = "search"

    seconds: float | None = None
    candidates: Count
    partial: Count = 0
    failed: Count
    failures: tuple[Failed, ...] = ()
    searcher: str | None = None
    space_size: str | None = None
    batch_norm: str | None = None
    batch_norm_report: BatchNormRecord | None = None
    shared: bool | None = None
    hypervolume: Mapping[str, float] = field(default_factory=dict)
    protocol: Provenance
    costs: Mapping[str, str] | None = None
    selected: tuple[Selected, ...]
    finalists: Omitted[Finalists | None] = None
    tuned: Omitted[Count] = 0
    tune_seconds: Omitted[float | None] = None
    ranked_by: Omitted[str] = ""
    lower_is_better: Omitted[tuple[str, ...]] = ()

    @property
    def preference(self) -> Preference:
        """By which figure networks were ranked, and which are better when lower."""
        return Preference(self.ranked_by or "loss", self.lower_is_better)


@dataclass(frozen=True, kw_only=True)
class RetrainRecord(Section):
    """Training networks alone, and the choice.

    Attributes:
        seconds: the time of training of all networks.
        steps: the number of training steps of each network.
        weights: the option `retrain.weights`.
        candidates: the networks that were retrained.
        failed: networks that failed.
        substitutes: the next best, which took the places of the best that failed.
        chosen: the key of the chosen one, the best of all candidates on the search split.
        chosen_weights: the weights that it was trained from, "fresh" or "inherited".
        searched: the key of the best that the search found, where the chosen one is a random baseline.
        promising: candidates that all evidence named, which were retrained after the others.
        evidence: record of this evidence; missing where none was asked for.
        short: record of the short trainings that it was learned from; missing where there were none.
        baselines: the random architectures. Empty where the space holds no other one that
            satisfies the constraints, or all that were drawn failed.
        program: type and shape of what `model.pt2` takes, of several inputs of each by its name; null
            where it is not written.
        ranking: the worth of the ranking by one-shot scores.
        figure: the figure that networks were compared by, where it is neither the loss nor the accuracy.
    """

    SECTION: ClassVar[str] = "retrain"

    seconds: float | None = None
    steps: Count | None = None
    weights: str | None = None
    candidates: tuple[Outcome, ...]
    failed: tuple[Failed, ...] = ()
    substitutes: tuple[Selected, ...] = ()
    chosen: str
    chosen_weights: WeightsName
    searched: Omitted[str | None] = None
    promising: Omitted[tuple[Selected, ...]] = ()
    evidence: Omitted[EvidenceRecord | None] = None
    short: Omitted[ShortRecord | None] = None
    baselines: Baselines
    program: Mapping[str, Any] | None = None
    ranking: OneShotRanking
    figure: Omitted[str] = ""


@dataclass(frozen=True, kw_only=True)
class TestRecord(Section):
    """The test.

    Attributes:
        seconds: the time of the test.
        images: the number of examples.
        chosen: the chosen network.
        searched: the best network of the search, where the chosen one is a random baseline.
        random: the random baselines.
        better: keys of those that scored better than the chosen one.
        over_random: the amount by which the best of the search is better than their mean; null without
            baselines, and if that one failed.
        failed: networks that failed on the test split.
        other: the chosen architecture with the other weights, with `retrain.weights both` only.
        figure: the figure that networks were compared by, where it is neither the loss nor the accuracy.
        constraints: the bounds within which the network was searched for.
    """

    SECTION: ClassVar[str] = "test"
    __test__: ClassVar[bool] = False  # pytest takes classes of such a name for tests

    seconds: float | None = None
    images: Count
    chosen: NetworkScore
    searched: Omitted[NetworkScore | None] = None
    random: tuple[NetworkScore, ...]
    better: tuple[str, ...]
    over_random: OverRandom | None
    failed: tuple[Failed, ...] = ()
    other: Omitted[NetworkScore | None] = None
    figure: Omitted[str] = ""
    constraints: Omitted[tuple[str, ...]] = ()

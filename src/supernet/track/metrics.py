"""`metrics.json`: what it holds, section by section, and how it is read and written.

It decides which networks are retrained, chosen and tested, so it carries a digest, and what does not
match it is refused; what only shows results goes on, and says that they were changed.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Literal, NotRequired, TypedDict, cast

from supernet.errors import DamagedFileError
from supernet.files import read_json, write_json
from supernet.parsed import ChangedError, seal, unsealed
from supernet.typed import Count, MisfitError, typed

__all__ = ["Metrics", "read_metrics", "write_metrics"]

REMEDY = (
    "Delete it and run the same command again; the steps are repeated from the files before them"
)

Score = dict[str, float | None]
Weights = Literal["fresh", "inherited"]


class Environment(TypedDict):
    """Where the supernet was trained."""

    device: NotRequired[str]
    threads: NotRequired[int]


class Data(TypedDict):
    """What a run is about."""

    name: NotRequired[str]
    train: NotRequired[Count]
    search: NotRequired[Count]
    test: NotRequired[Count]
    classes: NotRequired[Count]
    vocabulary: NotRequired[Count]
    identity: NotRequired[str]
    notes: NotRequired[list[str]]


class Identity(TypedDict):
    """What results depend on besides options, by step."""

    python: str
    device: str
    train: NotRequired[dict[str, Any]]
    few_shot: NotRequired[dict[str, Any]]
    search: NotRequired[dict[str, Any]]
    retrain: NotRequired[dict[str, Any]]
    test: NotRequired[dict[str, Any]]


class Train(TypedDict):
    """The training of the supernet."""

    seconds: NotRequired[float]
    steps: NotRequired[Count]
    loss: NotRequired[float | None]
    warnings: NotRequired[list[str]]


class FewShot(TypedDict):
    """The training of its parts."""

    seconds: NotRequired[float]
    parts: Count


class Alone(TypedDict):
    """What a network scores alone; there may be further measures."""

    loss: float
    accuracy: NotRequired[float | None]


class Chosen(TypedDict):
    """An architecture that was selected, or retrained; its costs are further keys."""

    key: str
    role: str
    probe: bool
    supernet: Score
    params: NotRequired[float | None]
    macs: NotRequired[float | None]
    latency_ms: NotRequired[float | None]


class Selected(Chosen):
    """An architecture that is to be retrained."""

    architecture: dict[str, Any]


class Retrained(Chosen):
    """An architecture that was retrained."""

    validation: Alone
    weights: Weights
    stand_alone: NotRequired[dict[str, Alone]]


class Failed(TypedDict):
    """A network that failed; `architecture`, `kind` and `file` as in `pipeline/failed.py`."""

    key: str
    role: str
    error: str
    architecture: NotRequired[dict[str, Any]]
    kind: NotRequired[str]
    weights: NotRequired[str | None]
    file: NotRequired[str | None]


class Protocol(TypedDict):
    """What the scores of candidates depend on."""

    split: str
    images: Count
    batch_norm: str
    batch_size: Count
    calibration_batches: Count
    weights: str


class Agreement(TypedDict):
    """How alike candidates are ranked under two treatments of batch norm."""

    first: str
    second: str
    kendall_tau: float | None
    difference: float


class BatchNormReport(TypedDict):
    """What was found out about batch norm."""

    measure: NotRequired[str]
    architectures: NotRequired[Count]
    agreements: NotRequired[list[Agreement]]


class Search(TypedDict):
    """The search."""

    seconds: NotRequired[float]
    candidates: Count
    failed: Count
    searcher: NotRequired[str]
    space_size: NotRequired[str]
    batch_norm_report: NotRequired[BatchNormReport | None]
    hypervolume: NotRequired[dict[str, float]]
    protocol: Protocol
    costs: NotRequired[dict[str, str]]
    selected: list[Selected]


class Interval(TypedDict):
    """A number with its interval."""

    value: float
    low: float
    high: float
    confidence: float


class Tau(TypedDict):
    """A rank correlation with its interval."""

    kendall_tau: float | None
    low: float | None
    high: float | None
    confidence: float


class CostTau(Tau):
    """That of a cost, and by how much that of one-shot scores is higher."""

    difference: Interval | None


class Ranking(Tau):
    """What the ranking by one-shot scores is worth."""

    truth: Literal["scratch", "fine_tuned", "inherited"] | None
    why: Literal["no probes", "same weights"] | None
    n: Count
    population: Count
    meaningful: bool
    costs: dict[Literal["params", "macs"], CostTau]


class Baselines(TypedDict):
    """The random architectures."""

    networks: list[Selected]
    match: str | None
    tolerance: float | None


class Retrain(TypedDict):
    """Retraining and the choice."""

    seconds: NotRequired[float]
    candidates: list[Retrained]
    chosen: str
    chosen_weights: Weights
    failed: NotRequired[list[Failed]]
    substitutes: NotRequired[list[Selected]]
    better: list[str]
    baselines: Baselines
    ranking: Ranking


class Tested(TypedDict):
    """A network on the test split."""

    key: str
    weights: Weights
    accuracy: NotRequired[float | None]
    loss: NotRequired[float | None]


class OverRandom(TypedDict):
    """How much better than random networks the chosen one is."""

    measure: Literal["accuracy", "loss"]
    examples: Interval
    networks: Interval | None


class Test(TypedDict):
    """The test."""

    seconds: NotRequired[float]
    images: Count
    chosen: Tested
    random: list[Tested]
    better: list[str]
    over_random: OverRandom | None
    other: NotRequired[Tested]


class Metrics(TypedDict):
    """All sections; each is there once its step has ended."""

    environment: NotRequired[Environment]
    data: NotRequired[Data]
    identity: NotRequired[Identity]
    train: NotRequired[Train]
    few_shot: NotRequired[FewShot]
    latency: NotRequired[dict[str, Any]]
    search: NotRequired[Search]
    retrain: NotRequired[Retrain]
    test: NotRequired[Test]
    tested_before: NotRequired[list[dict[str, Any]]]


def read_metrics(path: Path, notes: list[str] | None = None) -> dict[str, Any]:
    """Return what `write_metrics` wrote; nothing where there is no file.

    Args:
        path: path of the file.
        notes: list that what is wrong with the digest is added to, where the content is only shown;
            otherwise it is refused.

    Raises:
        DamagedFileError: the file cannot be read, is of another shape, or was changed.
    """
    if not path.exists():
        return {}
    content = read_json(path, dict[str, Any], REMEDY)
    try:
        try:
            metrics = unsealed(content)
        except ChangedError as error:
            if notes is None:
                raise DamagedFileError(
                    f'{path}: {error}. If the change is meant, delete its line "digest"; otherwise put '
                    "a copy of the file back, or delete it and run the same command again: the steps "
                    "are repeated from the files before them"
                ) from error
            notes.append(
                f"{path.name} was changed since the run wrote it: what is shown is not what was found"
            )
            metrics = {name: section for name, section in content.items() if name != "digest"}
        return _checked(metrics)
    except MisfitError as error:
        raise DamagedFileError(
            f"{path} is damaged or of another version: {error}. {REMEDY}"
        ) from error


def write_metrics(path: Path, metrics: Mapping[str, Any]) -> None:
    """Write all sections, with a digest of them.

    Raises:
        StorageError: the file cannot be written; the one that was there is intact.
    """
    write_json(path, seal(metrics))


def _checked(content: dict[str, Any]) -> dict[str, Any]:
    """Check the types, and that keys name networks that are listed.

    Raises:
        MisfitError: there is something else.
    """
    metrics = typed(content, Metrics)
    for place, key, known in _references(metrics):
        if key not in known:
            raise MisfitError(place, repr(key), f"one of {sorted(known)}")
    return cast(dict[str, Any], metrics)


def _references(metrics: Metrics) -> Iterator[tuple[tuple[str, ...], str, set[str]]]:
    """Yield every key that names a network: where it stands, and what it can be."""
    if "retrain" in metrics:
        retrain = metrics["retrain"]
        rows = {row["key"] for row in retrain["candidates"]}
        chosen = retrain["chosen"]
        yield ("retrain", "chosen"), chosen, rows
        if "search" in metrics:
            given = [*metrics["search"]["selected"], *retrain.get("substitutes", [])]
            yield ("retrain", "chosen"), chosen, {row["key"] for row in given}
        for key in retrain["better"]:
            yield ("retrain", "better"), key, rows
        for row in retrain["baselines"]["networks"]:
            tried = rows | {one["key"] for one in retrain.get("failed", [])}
            yield ("retrain", "baselines", "networks"), row["key"], tried
    if "test" in metrics:
        random = {row["key"] for row in metrics["test"]["random"]}
        for key in metrics["test"]["better"]:
            yield ("test", "better"), key, random

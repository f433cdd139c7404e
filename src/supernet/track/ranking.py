"""`ranking.json`: how far the scores of a run can be believed, as `supernet rank` found it.

Like `metrics.json` it has a version and a digest. Nothing is decided by it: who only shows it goes on
when it was changed, and says so.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any, Literal

from supernet.evaluate.rows import Provenance
from supernet.fidelity import Ceiling, Fidelity, Truth, Verdict
from supernet.files import write_json
from supernet.record_fields import Omitted
from supernet.strict_json import seal
from supernet.track.numbers import tuned_text
from supernet.track.records import EvidenceRecord, Failed
from supernet.track.sealed import read_sealed
from supernet.typed import Between, Count, JsonRecord

__all__ = [
    "ProbeRecord",
    "Ranking",
    "RankingTruth",
    "read_ranking",
    "write_ranking",
]

VERSION = 1
"""Of the file as it is written now."""

REMEDY = "Delete it and run `supernet rank` again"


@dataclass(frozen=True, kw_only=True)
class RankingTruth(JsonRecord):
    """What scores were compared with.

    Attributes:
        kind: "table" (known before) or "probes" (networks that were trained alone for it).
        name: name of the table, or how the probes were trained.
        measures: meaning of a value, in words.
        networks: the number of networks that the table has in the space, or that probes were drawn
            from.
        folded: the number of architectures of the table that are the same network as another.
        outside: the number of architectures of the table that are outside the space.
        digest: a hash of the table; null for probes.
    """

    kind: Literal["table", "probes"]
    name: str
    measures: str
    networks: Count
    folded: Count = 0
    outside: Count = 0
    digest: str | None = None

    @classmethod
    def of(cls, truth: Truth) -> RankingTruth:
        """Return what is kept of a table."""
        return cls(
            kind="table",
            name=truth.name,
            measures=truth.measures,
            networks=len(truth.networks),
            folded=truth.folded,
            outside=truth.outside,
            digest=truth.digest,
        )

    def text(self, n: int) -> str:
        """Return in a line what n networks were compared with."""
        if self.kind == "probes":
            return f"{n:,} probes, as many of each of {self.name}; {self.measures}"
        same = f", {self.folded:,} further architectures being one of these" if self.folded else ""
        whence = "a random choice of the" if n < self.networks else "all"
        return f"{n:,} networks, {whence} {self.networks:,} of {self.name}{same}; {self.measures}"


@dataclass(frozen=True, kw_only=True)
class ProbeRecord(JsonRecord):
    """How probes were drawn and trained.

    Attributes:
        strata: number of the stratum that each was drawn from, in the order of those that passed.
        trainings: the number of trainings of each that passed.
        seconds: the time of all trainings, that of interrupted attempts included.
        train: options of the training.
        model: constructor arguments of their model; missing where it is the one that is retrained.
    """

    strata: tuple[int, ...]
    trainings: tuple[Count, ...]
    seconds: float
    train: Mapping[str, Any]
    model: Omitted[Mapping[str, Any]] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class Ranking(JsonRecord):
    """How far the scores of a run can be believed.

    Attributes:
        version: the version of the file, 1.
        truth: the table or the probes that scores were compared with.
        protocol: the weights and the protocol that the scores depend on.
        tune_seconds: the time of training the networks a little before they were scored, where that is
            the protocol.
        seed: seed of the draw of networks, and of the resampling.
        failed: networks without a score, one example of each kind of failure; of probes all.
        missing: the number of networks without a score.
        figures: figures of each score, with intervals; see `supernet.fidelity.fidelity`.
        ceiling: τ that a perfect score would reach; null if nothing is known of the noise.
        verdict: the same in words.
        keys: keys of the networks that were compared.
        values: worth of each, in the same order.
        scores: scores of each by name, in the same order; the first is what the run ranks by.
        probes: how probes were drawn and trained; missing where a table was known.
        evidence: record of what all scores tell together, where enough probes were trained.
    """

    version: Annotated[int, Between(1, VERSION)] = VERSION
    truth: RankingTruth
    protocol: Provenance
    tune_seconds: Omitted[float] = 0.0
    seed: int
    failed: tuple[Failed, ...] = ()
    missing: Count = 0
    figures: Fidelity
    ceiling: Ceiling | None
    verdict: Verdict
    keys: tuple[str, ...]
    values: tuple[float, ...]
    scores: Mapping[str, tuple[float, ...]]
    probes: Omitted[ProbeRecord | None] = None
    evidence: Omitted[EvidenceRecord | None] = None

    def sentences(self) -> str:
        """Return the verdict with what to be careful about, and what all scores tell together."""
        told = self.evidence.text() if self.evidence else ""
        tuned = tuned_text(self.protocol.tuning, self.figures.n, self.tune_seconds)
        return " ".join(one for one in (self.verdict.sentences(), tuned, told) if one)

    def __repr__(self) -> str:
        return f"Ranking({self.truth.text(self.figures.n)}: {self.verdict.text})"

    def summary(self) -> dict[str, Any]:
        """Return all but the columns of networks, as plain data."""
        content = self.to_json()
        return {n: one for n, one in content.items() if n not in ("keys", "values", "scores")}


def write_ranking(path: Path, ranking: Ranking) -> None:
    """Write a ranking into a file, in place of what is there.

    Raises:
        StorageError: it cannot be written; the one that was there is intact.
    """
    write_json(path, seal(ranking.to_json()))


def read_ranking(path: Path, notes: list[str] | None = None) -> Ranking | None:
    """Return the ranking in a file, or None where there is none; see `read_sealed`.

    Raises:
        DamagedFileError: the file cannot be read, is of another shape or of a later version, or was
            changed.
    """
    return read_sealed(path, Ranking, VERSION, REMEDY, notes)

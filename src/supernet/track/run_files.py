"""A run folder as it is read: from its files alone."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from supernet.errors import DamagedFileError, RunFolderError
from supernet.evaluate import CandidateTable
from supernet.evaluate.rows import Provenance, Row, candidate_rows
from supernet.files import read_bytes, read_json
from supernet.record_fields import Omitted
from supernet.space import Diagram
from supernet.track.config_and_log import Record, log_records, read_config
from supernet.track.metrics import Metrics, read_metrics
from supernet.track.ranking import Ranking, read_ranking
from supernet.track.records import Answers
from supernet.track.watch import WatchRecord, read_watch
from supernet.typed import JsonRecord

__all__ = ["ChosenArchitecture", "RunFiles"]

_FILES = ("config.yaml", "log.jsonl", "candidates.db", "architecture.json", "metrics.json")


@dataclass(frozen=True, kw_only=True)
class ChosenArchitecture(JsonRecord):
    """What `architecture.json` of a run holds.

    Attributes:
        key: hash of the answers.
        architecture: the answers of the chosen architecture, by decision.
        diagram: drawing of the architecture, where the model draws it.
        classes: names of the classes, in the order of the network's outputs; only if there are classes.
    """

    key: str
    architecture: Answers
    diagram: Diagram | None = None
    classes: Omitted[tuple[str, ...]] = ()


@dataclass(frozen=True)
class RunFiles:
    """What the files of a run folder hold; empty where a file is missing."""

    config_text: str
    config: Mapping[str, Any]
    log: Sequence[Record]
    candidates: Sequence[Row]
    architecture: ChosenArchitecture | None
    metrics: Metrics
    notes: Sequence[str] = ()
    """What was changed since the run wrote it, in words."""
    ranking: Ranking | None = None
    watch: WatchRecord | None = None

    @classmethod
    def read(cls, folder: Path) -> RunFiles:
        """Read a run folder.

        Raises:
            RunFolderError: the folder holds no run.
            DamagedFileError: a file cannot be read.
        """
        paths = [folder / name for name in _FILES]
        if not any(path.exists() for path in paths):
            raise RunFolderError(
                f"{folder} holds no run (none of {', '.join(_FILES)}); "
                "give the folder that `supernet run --out` wrote."
            )
        config, log, store, architecture, metrics_file = paths
        notes: list[str] = []
        metrics = read_metrics(metrics_file, notes)
        protocol = None if metrics.search is None else metrics.search.protocol
        return cls(
            read_bytes(config).decode(errors="replace") if config.exists() else "",
            read_config(config, verify=False) if config.exists() else {},
            [record for _, record in log_records(log)],
            _read_candidates(store, protocol, notes),
            _noted_architecture(architecture, notes),
            metrics,
            notes,
            read_ranking(folder / "ranking.json", notes),
            read_watch(folder / "watch.json", notes),
        )

    @property
    def title(self) -> str:
        """What the run is about, as a heading."""
        name = self.metrics.data and self.metrics.data.name
        return f"Architecture search on {name}" if name else "Architecture search"

    @property
    def chosen(self) -> str | None:
        """The key of the chosen architecture."""
        if self.architecture is not None:
            return self.architecture.key
        return None if self.metrics.retrain is None else self.metrics.retrain.chosen

    @property
    def random(self) -> Sequence[str]:
        """The keys of the tested random architectures."""
        return [] if self.metrics.test is None else [one.key for one in self.metrics.test.random]


def _noted_architecture(path: Path, notes: list[str]) -> ChosenArchitecture | None:
    """Return the chosen architecture; its key is a digest of its answers."""
    if not path.exists():
        return None
    found = read_json(path, ChosenArchitecture)
    if found.architecture.key != found.key:
        notes.append(
            f"{path.name} was changed since the run wrote it: its key is not that of its answers"
        )
    return found


def _read_candidates(path: Path, protocol: Provenance | None, notes: list[str]) -> Sequence[Row]:
    """Return the measured candidates that are comparable, in order of evaluation.

    Args:
        path: path of the table.
        protocol: protocol that the search measured by; that of the newest row if it has not ended.
        notes: list that is told that rows were changed.
    """
    if not path.exists():
        return []
    try:
        rows, changed = candidate_rows(path)
    except DamagedFileError:
        with CandidateTable(path):  # repairs what a killed process left, or says what is damaged
            pass
        rows, changed = candidate_rows(path)
    if changed:
        more = f" and {len(changed) - 1} more" if len(changed) > 1 else ""
        notes.append(
            f"{path.name} was changed since the run wrote it: the candidate {changed[0]}{more}"
        )
    # Scores with other weights, images or statistics say nothing about these.
    wanted = protocol or (rows[-1].provenance if rows else None)
    return [row for row in rows if row.provenance == wanted]

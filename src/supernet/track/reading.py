"""A run folder as it is read: from its files alone."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NotRequired, TypedDict

from supernet.errors import DamagedFileError, RunFolderError, SpaceError
from supernet.evaluate import CandidateTable
from supernet.evaluate.rows import candidate_rows
from supernet.files import REPEAT, read_bytes, read_json
from supernet.space import Architecture, Diagram
from supernet.track.metrics import read_metrics
from supernet.track.stored import log_records, read_config

__all__ = ["RunFiles"]

_FILES = ("config.yaml", "log.jsonl", "candidates.db", "architecture.json", "metrics.json")


class Chosen(TypedDict):
    """The chosen architecture."""

    key: str
    architecture: dict[str, Any]
    diagram: NotRequired[Diagram | None]


@dataclass(frozen=True)
class RunFiles:
    """What the files of a run folder hold; empty where a file is missing."""

    config_text: str
    config: Mapping[str, Any]
    log: Sequence[Mapping[str, Any]]
    candidates: Sequence[Mapping[str, Any]]
    architecture: Mapping[str, Any]
    metrics: Mapping[str, Any]
    notes: Sequence[str] = ()
    """What was changed since the run wrote it, in words."""

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
        protocol = metrics.get("search", {}).get("protocol")
        return cls(
            read_bytes(config).decode(errors="replace") if config.exists() else "",
            read_config(config, verify=False) if config.exists() else {},
            [record for _, record in log_records(log)],
            _read_candidates(store, protocol, notes),
            _noted_architecture(architecture, notes),
            metrics,
            notes,
        )

    @property
    def title(self) -> str:
        """What the run is about, as a heading."""
        name = self.metrics.get("data", {}).get("name")
        return f"Architecture search on {name}" if name else "Architecture search"

    @property
    def chosen(self) -> str | None:
        """The key of the chosen architecture."""
        key: str | None = self.architecture.get("key")
        return key or self.metrics.get("retrain", {}).get("chosen")

    @property
    def random(self) -> Sequence[str]:
        """The keys of the tested random architectures."""
        return [one["key"] for one in self.metrics.get("test", {}).get("random", [])]


def _noted_architecture(path: Path, notes: list[str]) -> dict[str, Any]:
    """Return the chosen architecture; its key is a digest of its answers."""
    if not path.exists():
        return {}
    found: dict[str, Any] = dict(read_json(path, Chosen))
    try:
        known = Architecture(found["architecture"]).key
    except SpaceError as error:
        raise DamagedFileError(f"{path} is damaged: {error}. {REPEAT}") from error
    if known != found["key"]:
        notes.append(
            f"{path.name} was changed since the run wrote it: its key is not that of its answers"
        )
    return found


def _read_candidates(
    path: Path, protocol: Mapping[str, Any] | None, notes: list[str]
) -> Sequence[Mapping[str, Any]]:
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
    wanted = protocol or (_protocol(rows[-1]) if rows else {})
    return [row for row in rows if _protocol(row) == wanted]


def _protocol(row: Mapping[str, Any]) -> dict[str, Any]:
    names = ("split", "images", "batch_norm", "batch_size", "calibration_batches", "weights")
    return {name: row[name] for name in names}

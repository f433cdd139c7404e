"""A run folder as it is read: from its files alone."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from supernet.errors import DamagedFileError, RunFolderError
from supernet.files import read_json

__all__ = ["RunFiles"]

_FILES = ("config.yaml", "log.jsonl", "candidates.db", "architecture.json", "metrics.json")


@dataclass(frozen=True)
class RunFiles:
    """What the files of a run folder hold; empty where a file is missing."""

    config_text: str
    config: Mapping[str, Any]
    log: Sequence[Mapping[str, Any]]
    candidates: Sequence[Mapping[str, Any]]
    architecture: Mapping[str, Any]
    metrics: Mapping[str, Any]

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
        metrics = read_json(metrics_file) if metrics_file.exists() else {}
        return cls(
            config.read_text() if config.exists() else "",
            _read_config(config),
            _read_log(log),
            _read_candidates(store, metrics.get("search", {}).get("protocol")),
            read_json(architecture) if architecture.exists() else {},
            metrics,
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


def _read_config(path: Path) -> Mapping[str, Any]:
    if not path.exists():
        return {}
    try:
        content = yaml.safe_load(path.read_text())
    except yaml.YAMLError as error:
        raise DamagedFileError(f"{path} is damaged: it is no YAML ({error}).") from error
    return content if isinstance(content, dict) else {}


def _read_log(path: Path) -> list[Mapping[str, Any]]:
    """Return the records; lines torn by a killed process are left out."""
    records: list[Mapping[str, Any]] = []
    for line in path.read_text(errors="replace").splitlines() if path.exists() else ():
        try:
            record = json.loads(line)
        except ValueError:
            continue
        if isinstance(record, dict) and {"stage", "step"} <= record.keys():
            records.append(record)
    return records


def _read_candidates(path: Path, protocol: Mapping[str, Any] | None) -> list[Mapping[str, Any]]:
    """Return the measured candidates that are comparable, in order of evaluation.

    Args:
        path: the table.
        protocol: how the search measured; that of the newest row if it has not ended.
    """
    if not path.exists():
        return []
    try:
        with closing(sqlite3.connect(f"{path.resolve().as_uri()}?mode=ro", uri=True)) as store:
            store.row_factory = sqlite3.Row
            rows = [dict(row) for row in store.execute("SELECT * FROM candidates ORDER BY rowid")]
    except sqlite3.Error as error:
        raise DamagedFileError(
            f"{path} cannot be read ({error}). Run `supernet search` on this folder: "
            "it repairs what a killed process left, or says what is damaged."
        ) from error
    rows = [row for row in rows if row["status"] == "ok"]
    # Scores with other weights, images or statistics say nothing about these.
    wanted = protocol or (_protocol(rows[-1]) if rows else {})
    return [row for row in rows if _protocol(row) == wanted]


def _protocol(row: Mapping[str, Any]) -> dict[str, Any]:
    names = ("split", "images", "batch_norm", "batch_size", "calibration_batches", "weights")
    return {name: row[name] for name in names}

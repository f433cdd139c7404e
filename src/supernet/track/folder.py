"""The run folder: everything a run leaves behind, each file readable without supernet."""

from __future__ import annotations

import contextlib
import fcntl
import io
import json
import os
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
import yaml

from supernet.errors import DamagedFileError, RunFolderError
from supernet.files import read_json, storage_errors, write_bytes, write_json, write_text
from supernet.train import Checkpoint

__all__ = ["RunFolder", "StageLog"]


class RunFolder:
    """The files of one run.

    The folder is made if it is missing, and belongs to one process at a time.

    Raises:
        RunFolderError: the folder cannot be made or written, or another process works in it.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.config = path / "config.yaml"
        self.log = path / "log.jsonl"
        self.candidates = path / "candidates.db"
        self.architecture = path / "architecture.json"
        self.weights = path / "model.pt"
        self.program = path / "model.pt2"
        self.vocabulary = path / "vocabulary.json"
        self.metrics_file = path / "metrics.json"
        self.initial = path / "initial.pt"
        self.checkpoint = Checkpoint(path / "supernet.pt")
        try:
            path.mkdir(parents=True, exist_ok=True)
            self._lock = os.open(path / ".lock", os.O_RDWR | os.O_CREAT)
        except OSError as error:
            raise RunFolderError(
                f"the run folder {path} cannot be written: {error.strerror}; choose another with --out"
            ) from error
        try:
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            os.close(self._lock)
            raise RunFolderError(
                f"another process is working in {path}; wait for it or choose another folder"
            ) from error

    def close(self) -> None:
        """Let other processes work in the folder; one that holds nothing is removed."""
        with contextlib.suppress(OSError):
            if [file.name for file in self.path.iterdir()] == [".lock"]:
                (self.path / ".lock").unlink()
                self.path.rmdir()
        os.close(self._lock)

    def part(self, number: int) -> Checkpoint:
        """Return the checkpoint of a part of the supernet."""
        return Checkpoint(self.path / "few_shot" / f"{number}.pt")

    def stage(self, number: int) -> Checkpoint:
        """Return the checkpoint of a supernet that is trained before the supernet."""
        return Checkpoint(self.path / "stages" / f"{number}.pt")

    def retrained(self, name: str) -> Checkpoint:
        """Return the checkpoint of a retrained network."""
        return Checkpoint(self.path / "retrain" / f"{name}.pt")

    @property
    def exports(self) -> Path:
        """Where networks are exported to unless another folder is named."""
        return self.path / "exports"

    def clean(self) -> None:
        """Delete what a process that was killed while it wrote a file of the run left behind."""
        names = [
            "config.yaml",
            "log.jsonl",
            "supernet.pt",
            "architecture.json",
            "metrics.json",
            "model.pt",
            "model.pt2",
            "vocabulary.json",
            "initial.pt",
            "latency.json",
            "report.html",
        ]
        for name in names:
            for left in self.path.glob(f".{name}.[0-9]*.tmp"):
                left.unlink()
        for folder in ("retrain", "few_shot", "stages"):
            for left in self.path.glob(f"{folder}/.*.pt.[0-9]*.tmp"):
                left.unlink()

    def complete(self, step: str) -> bool:
        """Return whether a step is recorded and the files that later steps need are there."""
        files = {
            "train": [self.checkpoint.path],
            "few_shot": [
                self.part(number).path
                for number in range(self.metrics.get("few_shot", {}).get("parts", 0))
            ],
            "search": [self.candidates],
            "retrain": [self.architecture, self.weights],
        }
        return step in self.metrics and all(file.exists() for file in files.get(step, []))

    def has_results(self) -> bool:
        """Return whether anything was computed here that another configuration would spoil."""
        files = (self.checkpoint.path, self.checkpoint.previous, self.candidates)
        return "train" in self.metrics or any(file.exists() for file in files)

    def read_config(self) -> dict[str, Any] | None:
        """Return the configuration that made this folder, or None.

        Raises:
            DamagedFileError: the file cannot be read.
        """
        if not self.config.exists():
            return None
        try:
            config = yaml.safe_load(self.config.read_text())
        except (yaml.YAMLError, UnicodeDecodeError) as error:
            config = error
        if not isinstance(config, dict):
            raise DamagedFileError(
                f"{self.config} is damaged. Put a copy of it back, or start anew in another folder."
            )
        return config

    def write_config(self, config: dict[str, Any]) -> None:
        """Write the whole resolved configuration."""
        write_text(self.config, yaml.safe_dump(config, sort_keys=False))

    @property
    def metrics(self) -> dict[str, Any]:
        """All metrics so far, by stage."""
        if not self.metrics_file.exists():
            return {}
        metrics = read_json(self.metrics_file)
        if not isinstance(metrics, dict) or not all(
            isinstance(section, list if name == "tested_before" else dict)
            for name, section in metrics.items()
        ):
            raise DamagedFileError(
                f"{self.metrics_file} is damaged: it does not hold a section for each step. Delete it "
                "and run the same command again; the steps are repeated from the files before them."
            )
        return metrics

    def record(self, stage: str, metrics: dict[str, Any]) -> None:
        """Write the metrics of a stage."""
        write_json(self.metrics_file, {**self.metrics, stage: metrics})

    def forget(self, steps: Sequence[str]) -> None:
        """Drop the metrics of steps, and the files that say what was chosen.

        What the test split was read for stays on record, under "tested_before".
        """
        metrics = self.metrics
        kept = {name: section for name, section in metrics.items() if name not in steps}
        if "test" in metrics and "test" in steps:
            kept["tested_before"] = [*metrics.get("tested_before", []), metrics["test"]]
        write_json(self.metrics_file, kept)
        if "retrain" in steps:
            for file in (self.architecture, self.weights, self.program):
                file.unlink(missing_ok=True)

    def drop_files(self, step: str) -> None:
        """Delete what a step computed and would otherwise take up again."""
        if step == "search":
            self.candidates.unlink(missing_ok=True)
        elif step in ("few_shot", "retrain"):
            for file in (self.path / step).glob("*.pt"):
                file.unlink()

    def write_initial(self, weights: Mapping[str, Any]) -> None:
        """Write the weights that training begins with, where they were given."""
        buffer = io.BytesIO()
        torch.save(dict(weights), buffer)
        write_bytes(self.initial, buffer.getvalue())

    def stage_log(self, stage: str) -> StageLog:
        """Return the log of a stage."""
        return StageLog(self.log, stage)


class StageLog:
    """The records of one stage in `log.jsonl`, with the seconds it took over all attempts."""

    def __init__(self, path: Path, stage: str) -> None:
        self._path = path
        self._stage = stage
        self._started = time.monotonic()
        self._before = 0.0
        self.last: dict[str, Any] = {}

    @property
    def seconds(self) -> float:
        """Time the stage has taken, that of attempts before an interruption included."""
        return round(self._before + time.monotonic() - self._started, 3)

    def rewind(self, step: int) -> None:
        """Forget records of this stage after `step`, which the run is about to repeat."""
        keep = []
        for line, record in _records(self._path):
            if record.get("stage") != self._stage or record["step"] <= step:
                keep.append(line)
                if record.get("stage") == self._stage:
                    self.last = record
        self._before = float(self.last.get("seconds", 0.0))
        self._started = time.monotonic()
        write_text(self._path, "".join(keep))

    def write(self, record: dict[str, Any]) -> None:
        """Append a record; it must have a "step"."""
        self.last = {"stage": self._stage, "seconds": self.seconds, **record}
        with storage_errors(self._path), open(self._path, "a") as file:
            file.write(json.dumps(self.last) + "\n")
            file.flush()
            os.fsync(file.fileno())


def _records(path: Path) -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield the whole lines of a log; a torn one, of a process that was killed, is left out."""
    if not path.exists():
        return
    with open(path, errors="replace") as file:
        for line in file:
            try:
                record = json.loads(line)
            except ValueError:
                continue
            if line.endswith("\n") and isinstance(record, dict) and "step" in record:
                yield line, record

"""The run folder: everything a run leaves behind, each file readable without supernet."""

from __future__ import annotations

import contextlib
import io
import json
import math
import os
import shlex
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import torch

from supernet.errors import RunFolderError, StorageError
from supernet.files import FULL, clean, read_bytes, storage_errors, write_bytes, write_text
from supernet.folders import MARK, check_links, folder_kind, mark_text, recover, write_mark
from supernet.origin import has_origin, with_origin
from supernet.track.config_and_log import config_text, log_records, read_config
from supernet.track.contents import ENTRIES, EXPORTS, FILES, FOLDERS, LOGS, Entry, entries_of
from supernet.track.lock import LOCK, FolderLock
from supernet.track.metrics import Metrics, forget_sections, read_metrics, record_section
from supernet.track.sections import Section
from supernet.train import Checkpoint

__all__ = ["RunFolder", "StageLog"]

Tell = Callable[[Mapping[str, Any]], None]


class RunFolder:
    """The files of one run.

    The folder is made if it is missing, bears a mark that it is ours, and belongs to one process at a
    time.

    Args:
        path: path of the folder.
        write: whether to work in it; otherwise it is only read, together with others, and may be one
            that cannot be written.

    Attributes:
        unlocked: why the folder is not locked, where the file system has no locks; else None.

    Raises:
        DamagedFileError: the mark of the folder cannot be read.
        RunFolderError: the folder cannot be made or written, holds files that a run would overwrite and
            that are not ours or links to files elsewhere, or another process works in it; to be read,
            it has to be there.
    """

    def __init__(self, path: Path, *, write: bool = True) -> None:
        self.path = path
        self.config = path / "config.yaml"
        self.log = path / "log.jsonl"
        self.candidates = path / "candidates.db"
        self.architecture = path / "architecture.json"
        self.weights = path / "model.pt"
        self.program = path / "model.pt2"
        self.vocabulary = path / "vocabulary.json"
        self.encoding = path / "encoding.json"
        self.metrics_file = path / "metrics.json"
        self.ranking = path / "ranking.json"
        self.training_free = path / "training-free.json"
        self.watch = path / "watch.json"
        self.profile = path / "profile.json"
        self.trace = path / "trace.json"
        self.logger = path / "logger.json"
        self.logs = path / LOGS
        self.initial = path / "initial.pt"
        self.checkpoint = Checkpoint(path / "supernet.pt")
        self._write = write
        written = [path / name for name in (MARK, LOCK, *FILES, *FOLDERS, EXPORTS, LOGS)]
        check_links(path, [*written, *(one for name in FOLDERS for one in (path / name).glob("*"))])
        self._lock = self._begin() if write else self._open_to_read()
        self.unlocked = self._lock.missing

    def _open_to_read(self) -> FolderLock:
        """Take the lock of a folder that is only read."""
        if not self.path.is_dir():
            raise RunFolderError(f"{self.path} is no run folder")
        return FolderLock(self.path, write=False)

    def _begin(self) -> FolderLock:
        """Make the folder, lock it and mark it, or leave it as it is."""
        check_free(self.path)
        self._made = not self.path.exists()
        try:
            self.path.mkdir(parents=True, exist_ok=True)
            lock = FolderLock(self.path, write=True)
        except OSError as error:
            if self._made:
                with contextlib.suppress(OSError):
                    self.path.rmdir()
            raise _cannot_be_made(self.path, error) from error
        try:
            check_free(self.path)  # another process may have been here
            if folder_kind(self.path) is None:
                write_mark(self.path, "run")
        except BaseException:
            self._leave_no_trace()
            lock.close()
            raise
        return lock

    def _leave_no_trace(self) -> None:
        """Remove what is there of the folder if nothing came into it."""
        if any(os.path.lexists(self.path / name) for name in (*FILES, *FOLDERS, EXPORTS)):
            return
        with contextlib.suppress(OSError):
            (self.path / MARK).unlink(missing_ok=True)
            (self.path / LOCK).unlink(missing_ok=True)
            if self._made:
                self.path.rmdir()

    def close(self) -> None:
        """Let other processes work in the folder; where nothing came into it, leave no trace."""
        if self._write and self._lock.held:
            self._leave_no_trace()
        self._lock.close()

    def part(self, number: int) -> Checkpoint:
        """Return the checkpoint of a part of the supernet."""
        return Checkpoint(self.path / "few_shot" / f"{number}.pt")

    def stage(self, number: int) -> Checkpoint:
        """Return the checkpoint of a supernet that is trained before the supernet."""
        return Checkpoint(self.path / "stages" / f"{number}.pt")

    def retrained(self, name: str) -> Checkpoint:
        """Return the checkpoint of a retrained network."""
        return Checkpoint(self.path / "retrain" / f"{name}.pt")

    def probe(self, key: str, number: int) -> Checkpoint:
        """Return the checkpoint of a training of a probe."""
        return Checkpoint(self.path / "probes" / f"{key}-{number}.pt")

    @property
    def exports(self) -> Path:
        """Where networks are exported to unless another folder is named."""
        return self.path / EXPORTS

    def clean(self) -> None:
        """Put right what a process that was killed while it wrote something left behind."""
        for folder in (self.path, *(self.path / name for name in FOLDERS), self.exports):
            clean(folder)
        recover(self.exports)

    def complete(self, step: str) -> bool:
        """Return whether a step is recorded and the files that later steps need are there."""
        metrics = self.metrics
        needed = [name for entry in entries_of(step) for name in entry.needed(metrics)]
        return step in metrics.names and all((self.path / name).exists() for name in needed)

    def empty(self) -> None:
        """Delete every file that runs write, but not what was exported or other files that lie there."""
        self._drop(ENTRIES)
        for folder in (*FOLDERS, LOGS):
            for file in (self.path / folder).glob("*.previous.pt"):
                file.unlink()
            with contextlib.suppress(OSError):  # it is not there, or not empty
                (self.path / folder).rmdir()

    def has_results(self) -> bool:
        """Return whether anything was computed here that another configuration would spoil."""
        results = [entry for entry in ENTRIES if entry.is_result]
        found = any(file.exists() for entry in results for file in entry.files(self.path))
        return found or self.metrics.train is not None

    def read_config(self) -> dict[str, Any] | None:
        """Return the configuration that made this folder, or None.

        Raises:
            DamagedFileError: the file cannot be read, or was changed since results were computed.
        """
        if not self.config.exists():
            return None
        return read_config(self.config, verify=self.has_results())

    def is_own(self) -> bool:
        """Return whether the configuration was written here, see `supernet.origin`."""
        return self.config.exists() and has_origin(self.path, read_bytes(self.config).decode())

    def write_config(self, config: dict[str, Any]) -> None:
        """Write the whole resolved configuration, and that it was written here."""
        write_text(self.config, with_origin(self.path, config_text(config)))

    @property
    def metrics(self) -> Metrics:
        """What the steps found so far.

        Raises:
            DamagedFileError: the file cannot be read, or was changed since it was written.
        """
        return read_metrics(self.metrics_file)

    def record(self, section: Section) -> None:
        """Write what a step found."""
        record_section(self.metrics_file, section)

    def forget(self, steps: Sequence[str]) -> None:
        """Drop the metrics of steps, and the files that say what was chosen.

        What the test split was read for stays on record, under "tested_before".
        """
        for step in steps:  # before they are forgotten: what is killed between is repeated
            self._drop(entries_of(step, "repeated"))
        forget_sections(self.metrics_file, steps)

    def drop_files(self, step: str) -> None:
        """Delete what a step computed and would otherwise take up again."""
        self._drop(entries_of(step, "changed"))

    def drop_failures(self, step: str) -> None:
        """Have the networks that failed in a step tried again."""
        self._drop(one for one in entries_of(step) if one.name.endswith(".failed.json"))

    def _drop(self, entries: Iterable[Entry]) -> None:
        for entry in entries:
            for file in entry.files(self.path):
                file.unlink(missing_ok=True)

    def write_initial(self, weights: Mapping[str, Any]) -> None:
        """Write the weights that training begins with, where they were given."""
        buffer = io.BytesIO()
        torch.save(dict(weights), buffer)
        write_bytes(self.initial, buffer.getvalue())

    def stage_records(self, stage: str) -> list[Mapping[str, Any]]:
        """Return the records of a stage in the log."""
        return [record for _, record in log_records(self.log) if record["stage"] == stage]

    def stage_log(self, stage: str, tell: Tell = lambda record: None) -> StageLog:
        """Return the log of a stage, which tells of each new record."""
        return StageLog(self.log, stage, tell)


class StageLog:
    """The records of one stage in `log.jsonl`, with the seconds it took over all attempts.

    Args:
        path: path of the log.
        stage: name of the stage.
        tell: function that is given each record once it is written. One that an attempt before had
            written, and that comes out the same but for its times, is not told again.
    """

    def __init__(self, path: Path, stage: str, tell: Tell = lambda record: None) -> None:
        self._path = path
        self._stage = stage
        self._tell = tell
        self._told: dict[int, Mapping[str, Any]] = {}
        self._started = time.monotonic()
        self._before = 0.0
        self.last: Mapping[str, Any] = {}

    @property
    def seconds(self) -> float:
        """Time the stage has taken, that of attempts before an interruption included."""
        return round(self._before + time.monotonic() - self._started, 3)

    def rewind(self, step: int) -> None:
        """Forget records of this stage after `step`, which the run is about to repeat."""
        keep = []
        for line, record in log_records(self._path):
            if record["stage"] != self._stage or record["step"] <= step:
                keep.append(line)
                if record["stage"] == self._stage:
                    self.last = record
            else:
                self._told[record["step"]] = record
        self._before = float(self.last.get("seconds", 0.0))
        self._started = time.monotonic()
        write_text(self._path, "".join(keep))

    def replace(self, records: Sequence[Mapping[str, Any]]) -> None:
        """Put records of this stage, as another process wrote them, in the place of those here."""
        lines = list(log_records(self._path))
        here = {one["step"]: one for _, one in lines if one["stage"] == self._stage}
        kept = [line for line, one in lines if one["stage"] != self._stage]
        write_text(self._path, "".join([*kept, *(json.dumps(one) + "\n" for one in records)]))
        for one in records:
            if _timeless(one) != _timeless(here.get(one["step"], {})):
                self._tell(one)

    def write(self, record: dict[str, Any]) -> None:
        """Append a record; it must have a "step"."""
        known = {name: _finite(value) for name, value in record.items()}
        self.last = {"stage": self._stage, "seconds": self.seconds, **known}
        with storage_errors(self._path), open(self._path, "a") as file:
            file.write(json.dumps(self.last) + "\n")
            file.flush()
            os.fsync(file.fileno())
        if _timeless(self.last) != _timeless(self._told.get(record["step"], {})):
            self._tell(self.last)


def _cannot_be_made(path: Path, error: OSError) -> StorageError | RunFolderError:
    """Return what to raise where a run folder cannot be made or locked."""
    if error.errno in FULL:
        return StorageError(
            f"the run folder {path} cannot be written: the disk is full; free some space or choose "
            "another with --out"
        )
    return RunFolderError(
        f"the run folder {path} cannot be written: {error.strerror}; choose another with --out. What is "
        "in it can be read: a report or an export is written elsewhere with --to"
    )


def check_free(path: Path) -> None:
    """Check that a run may write into a folder: it is ours, or holds nothing that a run would overwrite.

    Raises:
        DamagedFileError: the mark of the folder cannot be read.
        RunFolderError: it may not.
    """
    real = Path(os.path.realpath(path))
    if real.name in (*FOLDERS, EXPORTS) and folder_kind(real.parent) == "run":
        raise RunFolderError(
            f"{path} belongs to the run in {real.parent}, which writes and removes files there; choose "
            "another folder with --out"
        )
    if os.path.lexists(path) and not path.is_dir():
        raise RunFolderError(f"{path} is there and no folder; choose another with --out")
    kind = folder_kind(path)
    if kind == "run":
        return
    if kind is not None:
        raise RunFolderError(
            f"{path} is no run folder but holds an {kind}, as {MARK} there says; choose another folder "
            "with --out"
        )
    found = [name for name in (*FILES, *FOLDERS) if os.path.lexists(path / name)]
    if not found:
        return
    adopt = ""
    if {"config.yaml", "metrics.json"} <= set(found):
        adopt = (
            f" If it is a run of supernet whose mark was lost, or that a version before marks made, "
            f"write the mark: echo '{mark_text('run')}' > {shlex.quote(str(path / MARK))}"
        )
    raise RunFolderError(
        f"{path} holds {', '.join(found)}, which a run would overwrite, but not {MARK}, which every run "
        f"folder of supernet bears; nothing was changed. Choose another folder with --out.{adopt}"
    )


def _timeless(record: Mapping[str, Any]) -> dict[str, Any]:
    """Return a record without what differs from one attempt to the next."""
    return {k: v for k, v in record.items() if k not in ("seconds", "images_per_second")}


def _finite(value: Any) -> Any:
    """Return None for a number that JSON does not know."""
    return None if isinstance(value, float) and not math.isfinite(value) else value

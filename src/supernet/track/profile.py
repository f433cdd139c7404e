"""`profile.json`: where the time and the memory of a run went, with `--profile`.

Like `ranking.json` it has a version and a digest, and decides nothing.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

from rich.table import Table

from supernet.files import write_json
from supernet.record_fields import Omitted
from supernet.strict_json import seal
from supernet.track.numbers import MISSING, duration, milliseconds
from supernet.track.sealed import read_sealed
from supernet.typed import Between, Count, JsonRecord

__all__ = [
    "PARTS",
    "ProfileRecord",
    "StepProfile",
    "TrainingProfile",
    "profile_tables",
    "read_profile",
    "write_profile",
]

VERSION = 1
"""Of the file as it is written now."""

REMEDY = "Delete it; it decides nothing"

PARTS = ("data", "backward", "optimizer", "log", "checkpoint")
"""Parts of a training step, in their order."""


@dataclass(frozen=True, kw_only=True)
class StepProfile(JsonRecord):
    """What a step of the run took.

    Attributes:
        step: name of the step; "load" is loading the data and seeing what is in the folder.
        seconds: time of the step, in this call alone.
        memory: most memory that the process had held in RAM by the end of the step, in bytes; null
            where the system does not say.
        accelerator: most memory of PyTorch's tensors on the accelerator during the step, in bytes; only
            where there is one.
    """

    step: str
    seconds: float
    memory: Count | None
    accelerator: Omitted[Count | None] = None


@dataclass(frozen=True, kw_only=True)
class TrainingProfile(JsonRecord):
    """What the trainings of one kind took.

    Attributes:
        stage: kind of the trainings, the beginning of their stage in the log: "train", "few_shot",
            "retrain", ...
        trainings: number of trainings.
        steps: number of training steps in this call, of all of them.
        seconds: time by part of the steps: "data" (making the batch, and setting learning rates),
            "backward" (forward and backward passes), "optimizer" (means over ranks, clipping, moving),
            "log" (records, what is watched, and what they are sent to) and "checkpoint".
    """

    stage: str
    trainings: Count
    steps: Count
    seconds: Mapping[str, float]


@dataclass(frozen=True, kw_only=True)
class ProfileRecord(JsonRecord):
    """Where time and memory went in one call of a command.

    Attributes:
        version: version of the file, 1.
        device: device that was computed on.
        steps: steps that were run, in their order.
        trainings: trainings, by their kind.
    """

    version: Annotated[int, Between(1, VERSION)] = VERSION
    device: str
    steps: tuple[StepProfile, ...]
    trainings: tuple[TrainingProfile, ...]


def write_profile(path: Path, record: ProfileRecord) -> None:
    """Write a profile into a file, in place of what is there.

    Raises:
        StorageError: it cannot be written; the one that was there is intact.
    """
    write_json(path, seal(record.to_json()))


def read_profile(path: Path) -> ProfileRecord | None:
    """Return what is in a file, or None where there is none; see `read_sealed`.

    Raises:
        DamagedFileError: the file cannot be read, is of another shape or of a later version, or was
            changed.
    """
    return read_sealed(path, ProfileRecord, VERSION, REMEDY)


def profile_tables(record: ProfileRecord) -> list[Table]:
    """Return a profile as tables: the steps of the run, and the parts of a training step."""
    steps = Table(title="Profile", title_justify="left")
    whole = sum(one.seconds for one in record.steps)
    timed = any(one.accelerator is not None for one in record.steps)
    for heading in (
        "step",
        "time",
        "share",
        "peak memory",
        *(["peak on " + record.device] * timed),
    ):
        steps.add_column(heading, justify="left" if heading == "step" else "right")
    for one in record.steps:
        steps.add_row(
            one.step,
            duration(one.seconds),
            f"{100 * one.seconds / max(whole, 1e-9):.0f} %",
            _memory(one.memory),
            *([_memory(one.accelerator)] if timed else []),
        )
    trainings = Table(title="A training step", title_justify="left")
    for heading in ("training", "steps", *PARTS, "together"):
        trainings.add_column(heading, justify="left" if heading == "training" else "right")
    for training in record.trainings:
        each = [1000 * training.seconds.get(part, 0.0) / max(training.steps, 1) for part in PARTS]
        trainings.add_row(
            training.stage,
            f"{training.steps:,}",
            *map(milliseconds, each),
            milliseconds(sum(each)),
        )
    return [steps, trainings] if record.trainings else [steps]


def _memory(size: int | None) -> str:
    return MISSING if size is None else f"{size / 2**20:,.0f} MiB"

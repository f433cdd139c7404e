"""`watch.json`: how a few networks scored under the shared weights while the supernet trained.

Like `ranking.json` it has a version and a digest, and decides nothing.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

from supernet.errors import DamagedFileError
from supernet.evaluate import Preference, Protocol
from supernet.fidelity.early import EarlyWarning
from supernet.files import write_json
from supernet.record_fields import Omitted, Rest
from supernet.strategies import BatchNorm
from supernet.strict_json import seal
from supernet.track.ranking import RankingTruth
from supernet.track.records import Answers
from supernet.track.sealed import read_sealed
from supernet.typed import Between, Count, JsonRecord

__all__ = [
    "AloneRecord",
    "MomentRecord",
    "WatchRecord",
    "WatchedNetwork",
    "read_watch",
    "write_watch",
]

VERSION = 1
"""Of the file as it is written now."""

REMEDY = "Delete it and run the same command again, which watches the rest of the training"


@dataclass(frozen=True, kw_only=True)
class WatchedNetwork(JsonRecord):
    """A network that is scored while the supernet trains.

    Attributes:
        key: hash of the answers.
        architecture: answers of the architecture, by decision.
        values: worth of the network by the table that was given, a number for each training in it.
        costs: costs by quantity.
    """

    key: str
    architecture: Answers
    values: Omitted[tuple[float, ...]] = ()
    costs: Rest[Mapping[str, float]]


@dataclass(frozen=True, kw_only=True)
class AloneRecord(JsonRecord):
    """A watched network that was trained alone for the first part of the steps.

    Attributes:
        key: key of the network.
        steps: steps at which it was scored; none where its training failed.
        losses: the loss at each.
    """

    key: str
    steps: tuple[Count, ...]
    losses: tuple[float | None, ...]


@dataclass(frozen=True, kw_only=True)
class MomentRecord(JsonRecord):
    """How watched networks scored at one moment of the training.

    Attributes:
        step: the number of steps that were done; 0 before the first.
        losses: loss of each network, in their order; null where its scoring failed.
        accuracies: accuracy of each, 0 to 1, where the task measures one.
        figures: figure of each by which the run ranks, where that is neither the loss nor the accuracy.
        noise: standard deviation of a score by which the run ranks, were other examples drawn, beyond
            what they have in common for all networks; null for fewer than two scores, and where there is
            no figure of fewer examples.
        warnings: warnings that were given at this moment.
    """

    step: Count
    losses: tuple[float | None, ...]
    accuracies: Omitted[tuple[float | None, ...] | None] = None
    figures: Omitted[tuple[float | None, ...] | None] = None
    noise: float | None
    warnings: tuple[EarlyWarning, ...] = ()

    @property
    def mean_loss(self) -> float | None:
        """The mean loss of the networks that have one."""
        return _mean(self.losses)

    @property
    def mean_accuracy(self) -> float | None:
        """The mean accuracy of the networks that have one."""
        return _mean(self.accuracies or ())

    @property
    def mean_figure(self) -> float | None:
        """The mean of the figure that is neither, of the networks that have one."""
        return _mean(self.figures or ())

    def scores(self, better: Preference) -> tuple[str, tuple[float, ...]]:
        """Return by what networks are ranked, and the score of each, higher better; NaN without one.

        Args:
            better: preference of the run; where there is no figure that it goes by, it is the loss.
        """
        values = {"accuracy": self.accuracies, "loss": self.losses}.get(better.by, self.figures)
        by = "loss" if values is None else better.by
        return better.named(by), tuple(
            float("nan") if one is None else better.signed(by, one)
            for one in (self.losses if values is None else values)
        )


@dataclass(frozen=True, kw_only=True)
class WatchRecord(JsonRecord):
    """What was watched while the supernet trained.

    Attributes:
        version: the version of the file, 1.
        by: the figure that networks are ranked by, such as "loss", "accuracy" or "mean_iou".
        lower_is_better: figures that are better when they are lower, besides the loss.
        images: the number of examples of the search split that scores are measured on.
        batch_norm: how batch norm was treated: "recalibrate", "batch" or "running".
        batch_size: the number of examples in a batch of scoring.
        calibration_batches: the number of training batches that statistics are estimated on.
        networks: the networks.
        truth: the table that says what they are worth; null where none was given.
        alone: networks that were trained alone.
        moments: scores at each moment, in the order of the steps.
    """

    version: Annotated[int, Between(1, VERSION)] = VERSION
    by: str
    lower_is_better: Omitted[tuple[str, ...]] = ()
    images: Count
    batch_norm: BatchNorm
    batch_size: Count
    calibration_batches: Count
    networks: tuple[WatchedNetwork, ...]
    truth: RankingTruth | None
    alone: tuple[AloneRecord, ...] = ()
    moments: tuple[MomentRecord, ...] = ()

    @property
    def preference(self) -> Preference:
        """By which figure networks are ranked."""
        return Preference(self.by, self.lower_is_better)

    @property
    def protocol(self) -> Protocol:
        """The settings of the scores."""
        return Protocol(self.batch_norm, self.batch_size, self.calibration_batches)

    @property
    def warnings(self) -> tuple[EarlyWarning, ...]:
        """All warnings, in the order of the steps."""
        return tuple(one for moment in self.moments for one in moment.warnings)

    def fits(self) -> bool:
        """Return whether there are as many numbers as networks and steps."""
        n = len(self.networks)
        each = [one.losses for one in self.moments]
        others = [(one.accuracies, one.figures) for one in self.moments]
        each += [one for both in others for one in both if one is not None]
        alone = all(len(one.losses) == len(one.steps) for one in self.alone)
        return alone and all(len(one) == n for one in each)

    def losses_at(self, moment: MomentRecord) -> dict[str, float]:
        """Return the losses under the shared weights at a moment, by key."""
        rows = zip(self.networks, moment.losses, strict=True)
        return {one.key: loss for one, loss in rows if loss is not None}

    def alone_at(self, step: int) -> dict[str, float]:
        """Return the losses of networks alone after so many steps, by key."""
        return {
            one.key: loss
            for one in self.alone
            for at, loss in zip(one.steps, one.losses, strict=True)
            if at == step and loss is not None
        }


def write_watch(path: Path, record: WatchRecord) -> None:
    """Write what was watched into a file, in place of what is there.

    Raises:
        StorageError: it cannot be written; the one that was there is intact.
    """
    write_json(path, seal(record.to_json()))


def read_watch(path: Path, notes: list[str] | None = None) -> WatchRecord | None:
    """Return what is in a file, or None where there is none; see `read_sealed`.

    Raises:
        DamagedFileError: the file cannot be read, is of another shape or of a later version, or was
            changed.
    """
    found = read_sealed(path, WatchRecord, VERSION, REMEDY, notes)
    if found is not None and not found.fits():
        raise DamagedFileError(
            f"{path} is damaged: it has not one number for each network and step. {REMEDY}"
        )
    return found


def _mean(values: tuple[float | None, ...]) -> float | None:
    known = [one for one in values if one is not None]
    return math.fsum(known) / len(known) if known else None

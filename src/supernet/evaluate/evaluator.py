"""Scores of candidates under the shared weights, and of ordinary models under their own."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import partial

import torch
from torch import nn

from supernet.data import Examples, Normalise, chunks
from supernet.errors import ConfigError, DivergedError
from supernet.evaluate.batchnorm import batch_statistics, recalibrated
from supernet.net import SuperNet
from supernet.net.modes import evaluating
from supernet.space import Architecture
from supernet.strategies import BatchNorm
from supernet.task import Batch, Task

__all__ = ["Evaluator", "Protocol", "Score", "measure"]

Score = dict[str, float]
"""Means over the examples, by measure: "loss", "accuracy" (0–1), ..."""


@dataclass(frozen=True)
class Protocol:
    """How candidates are scored; together with weights and data it determines every score.

    Attributes:
        batch_norm: "batch" (statistics of the evaluation batch) or "recalibrate".
        batch_size: images per evaluation and calibration batch; scores under batch statistics
            depend on it.
        calibration_batches: how many batches of the training split recalibration averages over.

    Raises:
        ConfigError: a number is not positive.
    """

    batch_norm: BatchNorm = "recalibrate"
    batch_size: int = 256
    calibration_batches: int = 8

    def __post_init__(self) -> None:
        if self.batch_size < 1 or self.calibration_batches < 1:
            raise ConfigError(
                "evaluate.batch_size and evaluate.calibration_batches must be positive, not "
                f"{self.batch_size} and {self.calibration_batches}"
            )


class Evaluator:
    """Scores architectures as a function of (weights, architecture, protocol) alone.

    Neither the order of evaluation nor what was evaluated before matters, and every buffer of the
    supernet is as it was afterwards.

    Args:
        supernet: with trained weights.
        task: how examples are measured.
        search: the validation split that training never saw.
        train: the training split, of which calibration takes the first images.
        normalise: from stored examples to inputs.
        protocol: see `Protocol`.
    """

    def __init__(
        self,
        supernet: SuperNet,
        task: Task,
        search: Examples,
        train: Examples,
        normalise: Normalise,
        protocol: Protocol,
    ) -> None:
        self._supernet = supernet
        self._task = task
        self._search = search
        self._normalise = normalise
        self.protocol = protocol
        images = min(len(train), protocol.batch_size * protocol.calibration_batches)
        self._calibration = train.select(torch.arange(images, device=train.targets.device))

    @property
    def images(self) -> int:
        """How many images a score is measured on."""
        return len(self._search)

    def score(self, architecture: Architecture) -> Score:
        """Return the measures of an architecture under the shared weights.

        Raises:
            DivergedError: the loss is not a finite number.
        """
        model, size = self._supernet, self.protocol.batch_size
        measures = partial(self._task.measure, model)
        with torch.inference_mode(), model.route(architecture):
            if self.protocol.batch_norm == "batch":
                statistics = batch_statistics(model)
            else:
                batches = chunks(self._calibration, size, self._normalise)
                statistics = recalibrated(model, batches, measures)
            with statistics:
                return _means(measures, chunks(self._search, size, self._normalise))


def measure(
    model: nn.Module, task: Task, examples: Examples, normalise: Normalise, batch_size: int
) -> Score:
    """Return the measures of an ordinary model in evaluation mode, with its own statistics.

    Raises:
        DivergedError: the loss is not a finite number.
    """
    with torch.inference_mode(), evaluating(model):
        return _means(partial(task.measure, model), chunks(examples, batch_size, normalise))


def _means(measures: Callable[[Batch], dict[str, torch.Tensor]], batches: Iterable[Batch]) -> Score:
    """Return the mean of each measure over all examples, with one host synchronisation."""
    totals: dict[str, torch.Tensor] = {}
    count = 0
    for batch in batches:
        count += len(batch[-1])
        for name, values in measures(batch).items():
            total = values.double().sum()
            totals[name] = totals[name] + total if name in totals else total
    means = (torch.stack(list(totals.values())) / count).tolist()
    score = dict(zip(totals, means, strict=True))
    if not abs(score["loss"]) < float("inf"):
        raise DivergedError(f"the loss on {count} examples is {score['loss']}")
    return score

"""Scores of candidates under the shared weights, and of ordinary models under their own."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import torch
from torch import nn

from supernet.data import Examples, Normalise, chunks
from supernet.errors import ConfigError, DivergedError
from supernet.evaluate.batchnorm import batch_statistics, recalibrated
from supernet.evaluate.sharing import SharedForward, UntraceableError
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
        memory: bytes that activations kept for other candidates may take; 0 scores plainly.

    Attributes:
        plain_because: why candidates are scored one after the other, or empty.
    """

    def __init__(
        self,
        supernet: SuperNet,
        task: Task,
        search: Examples,
        train: Examples,
        normalise: Normalise,
        protocol: Protocol,
        memory: int = 2**30,
    ) -> None:
        self._supernet = supernet
        self._task = task
        self._search = search
        self._normalise = normalise
        self.protocol = protocol
        self.plain_because = "" if memory else "no memory is allowed for sharing"
        self._memory = memory
        self._forward: SharedForward | None = None
        self._batches: list[Batch] = []
        images = min(len(train), protocol.batch_size * protocol.calibration_batches)
        self._calibration = train.select(torch.arange(images, device=train.targets.device))

    @property
    def images(self) -> int:
        """How many images a score is measured on."""
        return len(self._search)

    def score(self, architecture: Architecture) -> Score:
        """Return the measures of an architecture under the shared weights, computed plainly.

        Raises:
            DivergedError: the loss is not a finite number.
        """
        model = self._supernet
        measures = partial(self._task.measure, model)
        with torch.inference_mode(), model.route(architecture):
            if self.protocol.batch_norm == "batch":
                statistics = batch_statistics(model)
            else:
                statistics = recalibrated(model, self._chunks(self._calibration), measures)
            with statistics:
                return _means(measures, self._chunks(self._search))

    def scores(
        self, architectures: Sequence[Architecture]
    ) -> Iterator[tuple[Architecture, Score | Exception]]:
        """Yield each architecture with its measures, or with what was raised instead.

        The measures are those of `score`, to the bit, but what candidates have in common is computed
        once where the model can be traced; they come in the order that shares most.
        """
        shared = self._shared_forward() if len(architectures) > 1 else None
        for architecture in shared.order(architectures) if shared else architectures:
            try:
                yield architecture, self._score(architecture)
            except Exception as error:  # a user's model may raise anything, for one candidate alone
                yield architecture, error
        if shared:
            shared.forget()

    def _score(self, architecture: Architecture) -> Score:
        if self._forward is not None:
            try:
                return self._shared(self._forward, architecture)
            except UntraceableError as error:
                self._forward, self.plain_because = None, str(error)
        return self.score(architecture)

    def _shared_forward(self) -> SharedForward | None:
        """Return the shared forward passes, or None, with the reason in `plain_because`."""
        if self._forward is None and not self.plain_because:
            recalibrates = self.protocol.batch_norm == "recalibrate"
            batches = list(self._chunks(self._calibration)) if recalibrates else []
            self._batches = list(self._chunks(self._search))
            inputs = [batch[:-1] for batch in self._batches]
            try:
                calibration = [batch[:-1] for batch in batches]
                self._forward = SharedForward(self._supernet, calibration, inputs, self._memory)
            except UntraceableError as error:
                self.plain_because = str(error)
        return self._forward

    def _shared(self, shared: SharedForward, architecture: Architecture) -> Score:
        model, batch = self._supernet, self.protocol.batch_norm == "batch"
        with torch.inference_mode(), batch_statistics(model) if batch else evaluating(model):
            outputs = iter(shared.outputs(architecture))
        given = _Given()

        def measures(batch: Batch) -> dict[str, torch.Tensor]:
            given.output, given.inputs = next(outputs), batch[:-1]
            return self._task.measure(given, batch)

        with torch.inference_mode():
            return _means(measures, self._batches)

    def _chunks(self, examples: Examples) -> Iterator[Batch]:
        return chunks(examples, self.protocol.batch_size, self._normalise)


class _Given(nn.Module):
    """Stands for a model whose output on one batch is known already."""

    output: Any = None
    inputs: Sequence[torch.Tensor] = ()

    def forward(self, *inputs: torch.Tensor) -> Any:
        """Return the known output.

        Raises:
            UntraceableError: the task runs the model on anything but the batch's inputs.
        """
        if len(inputs) != len(self.inputs) or any(
            one is not other for one, other in zip(inputs, self.inputs, strict=True)
        ):
            raise UntraceableError("the task runs the model on other inputs than the batch's")
        return self.output


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

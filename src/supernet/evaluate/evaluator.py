"""Scores of candidates under the shared weights."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import nullcontext
from functools import partial
from typing import Any

import numpy as np
import torch
from torch import nn

from supernet.data import Examples, Normalise
from supernet.errors import ConfigError
from supernet.evaluate.batches import Batches, InputsOf
from supernet.evaluate.known_output import KnownOutput
from supernet.evaluate.measure_sums import MeasureSums, Score
from supernet.evaluate.measuring import SCORING
from supernet.evaluate.protocol import Protocol, Tuning
from supernet.evaluate.racing import WORTH, DroppedCandidate, Race, rounds
from supernet.evaluate.sharing import SharedForward
from supernet.evaluate.side_effects import UntraceableError
from supernet.evaluate.tuning import tuned_network
from supernet.failures import attempted, failure_kind
from supernet.modules.modes import evaluating
from supernet.net import SuperNet
from supernet.net.batchnorm import (
    batch_statistics,
    explaining_single_values,
    norms_with_statistics,
    recalibrated,
)
from supernet.precision import autocasting
from supernet.space import Architecture
from supernet.task import Task, checked_measures, in_precision
from supernet.task.preference import Preference
from supernet.user_code import calling

__all__ = ["Evaluator", "Score"]

CHECKED = 3
"""Candidates that an evaluator scores both ways before it trusts shared evaluation: one that computes
everything, and two that find results of those before them."""


class Evaluator:
    """Scores architectures as a function of (weights, architecture, protocol) alone.

    Neither the order of evaluation nor what was evaluated before matters, and every buffer of the
    supernet is as it was afterwards.

    Args:
        supernet: supernet with trained weights.
        task: task that measures a batch.
        search: the validation split that training never saw.
        train: the training split, of which calibration takes the first images, and tuning any.
        normalise: normalisation, from stored examples to inputs.
        protocol: batch norm, batch size, calibration and tuning of the scores, see `Protocol`.
        memory: bytes that activations and inputs kept for other candidates may take; 0 scores
            plainly.

    Attributes:
        plain_because: why candidates are scored one after the other, or empty.
        tuning_seconds: time that the tuning of candidates took so far.
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
        self._measured = in_precision(task, protocol.precision)
        self.protocol = protocol
        self.plain_because = "" if memory else "no memory is allowed for sharing"
        if protocol.tuning is not None:
            self.plain_because, memory = "each is trained with weights of its own before", 0
        self.tuning_seconds = 0.0
        self._memory = memory
        self._forward: SharedForward | None = None
        self._unchecked = CHECKED
        count = min(len(train), protocol.batch_size * protocol.calibration_batches)
        calibration = train.select(torch.arange(count, device=train.targets.device))
        self._calibration = Batches(calibration, protocol.batch_size, normalise)
        self._search = Batches(search, protocol.batch_size, normalise)
        if 4 * self._search.nbytes <= memory:
            self._search = Batches(search, protocol.batch_size, normalise, keep=True)
            self._memory -= self._search.nbytes
        self._images, self._device = len(search), search.targets.device
        self._train, self._normalise = train, normalise

    @property
    def images(self) -> int:
        """How many images a score is measured on."""
        return self._images

    @property
    def calibration_images(self) -> int:
        """How many training images recalibration uses: the split may hold fewer than asked for."""
        return sum(map(self._calibration.size, range(len(self._calibration))))

    @property
    def batch_norm(self) -> str:
        """How statistics are chosen, see `Protocol`; "none needed" without such norms."""
        needed = norms_with_statistics(self._supernet)
        return self.protocol.batch_norm if needed else "none needed"

    def score(self, architecture: Architecture) -> Score:
        """Return the measures of an architecture under the shared weights, computed plainly.

        Raises:
            DivergedError: the loss is not a finite number, or the tuning diverged.
            ConfigError: batches are so small that batch norm has no statistics.
        """
        return self._plain(architecture, range(len(self._search)), self._sums()).score()

    def images_in(self, batches: int | None) -> int:
        """Return how many images the first evaluation batches hold; None stands for all batches."""
        return sum(map(self._search.size, self._first(batches)))

    def scores(
        self, architectures: Sequence[Architecture], batches: int | None = None
    ) -> Iterator[tuple[Architecture, Score | Exception]]:
        """Yield each architecture with its measures, or with what was raised instead.

        The measures are those of `score`, to the bit, but what candidates have in common is computed
        once where the model can be traced; they come in the order that shares most.

        Args:
            architectures: architectures to score, all different.
            batches: look at the first so many evaluation batches only; None for all.

        Raises:
            Exception: what is not an architecture's own fault, as too little memory; see
                `supernet.failures`.
        """
        tallies = {architecture: self._sums() for architecture in architectures}
        for architecture, tally in self._tallies(tallies, self._first(batches)):
            yield architecture, tally if isinstance(tally, Exception) else tally.score()

    def order(
        self, architectures: Sequence[Architecture], batches: int | None = None
    ) -> list[Architecture]:
        """Return architectures in the order in which `scores` yields them.

        Args:
            architectures: architectures to score, all different.
            batches: number of evaluation batches, see `scores`.
        """
        several = len(architectures) > 1
        shared = self._shared_forward(self._first(batches), False) if several else None
        return shared.order(architectures) if shared else list(architectures)

    def example_scores(
        self, architectures: Sequence[Architecture], by: str = "accuracy"
    ) -> Iterator[tuple[Architecture, tuple[Score, np.ndarray | None] | Exception]]:
        """Yield what `scores` does, each score with the part of every example in it, `[examples]`.

        These are the measures of the examples where the score is their mean, else pseudo-values, see
        `supernet.evaluate.jackknife`. They are None where the task makes no figures of fewer examples.

        Args:
            architectures: architectures to score, all different.
            by: figure that the parts are of; the loss where there is no such figure.
        """
        tallies = {architecture: self._sums(by, whole=True) for architecture in architectures}
        for architecture, tally in self._tallies(tallies, self._first(None)):
            if isinstance(tally, Exception):
                yield architecture, tally
            else:
                parts = tally.parts()
                yield architecture, (tally.score(), None if parts is None else parts.cpu().numpy())

    def race(
        self,
        architectures: Sequence[Architecture],
        keep: int,
        error: float = 0.05,
        by: str = "accuracy",
    ) -> Iterator[tuple[Architecture, Score | Exception | DroppedCandidate]]:
        """Yield each architecture as soon as its fate is known, the scores of the finalists last.

        The batches pass in rounds of growing size, and candidates that cannot be among the best
        `keep` any more are dropped in between; see `supernet.evaluate.racing`. Once few fall, the
        others finish in one round. With "recalibrate", the statistics of a candidate are estimated
        in its first round only (in each, where candidates are scored plainly). Scores are those of
        `score`, to the bit.

        Args:
            architectures: architectures to score, all different.
            keep: number of the best that must not be lost.
            error: bound on the probability that one of the best is dropped, see
                `supernet.evaluate.racing`.
            by: measure that they are the best by; the loss where there is no accuracy.

        Raises:
            ConfigError: `keep` or `error` is out of range, or the measure is no mean over examples.
        """
        parts = rounds(len(self._search))
        contest = Race(len(architectures), keep, len(parts), error)
        return self._raced(contest, architectures, parts, by)

    def _first(self, batches: int | None) -> range:
        return range(len(self._search))[:batches]

    def _raced(
        self,
        contest: Race,
        architectures: Sequence[Architecture],
        parts: Sequence[range],
        by: str,
    ) -> Iterator[tuple[Architecture, Score | Exception | DroppedCandidate]]:
        try:
            yield from self._race(contest, architectures, parts, by)
        finally:
            if self._forward is not None:
                self._forward.start(range(0))  # the statistics are not needed any more

    def _race(
        self,
        contest: Race,
        architectures: Sequence[Architecture],
        parts: Sequence[range],
        by: str,
    ) -> Iterator[tuple[Architecture, Score | Exception | DroppedCandidate]]:
        alive = {architecture: self._sums(by) for architecture in architectures}
        parts, last = list(parts), parts[-1].stop
        while alive:
            part = parts.pop(0)
            passed: dict[Architecture, MeasureSums] = {}
            scores: dict[Architecture, Score] = {}
            for architecture, tally in self._tallies(alive, part, again=True):
                if isinstance(tally, Exception):
                    yield architecture, tally
                else:
                    passed[architecture], scores[architecture] = tally, tally.score()
            alive = passed
            if part.stop == last or not alive:
                yield from scores.items()
                return
            results = np.stack([_raced_by(tally).cpu() for tally in alive.values()])
            name = by if by in next(iter(scores.values())) else "loss"
            lower = Preference(lower=self._task.lower_is_better).falls(name)
            falls = contest.falls(results, not lower)
            if part.start and falls.mean() < WORTH:
                parts = [range(part.stop, last)]
            for architecture, fell in zip(list(alive), falls, strict=True):
                if fell:
                    images = alive.pop(architecture).images
                    yield architecture, DroppedCandidate(scores[architecture], images)

    def _sums(self, each_by: str | None = None, whole: bool = False) -> MeasureSums:
        """Return empty sums, which also keep a measure of each example if it is named, or all."""
        if each_by is None:
            return MeasureSums(self._task)
        return MeasureSums(self._task, each=[], by=each_by, whole=whole)

    def _tallies(
        self, before: dict[Architecture, MeasureSums], part: range, again: bool = False
    ) -> Iterator[tuple[Architecture, MeasureSums | Exception]]:
        """Yield each architecture with its tally, to which these batches were added."""
        shared = self._shared_forward(part, again) if len(before) > 1 else None
        try:
            for architecture in shared.order(before) if shared else list(before):
                tally = self._outcome(architecture, part, before[architecture], shared is not None)
                yield architecture, tally
        finally:
            if shared:
                shared.forget()

    def _outcome(
        self, architecture: Architecture, part: range, before: MeasureSums, share: bool
    ) -> MeasureSums | Exception:
        """Return the tally, shared where that can be trusted, or what was raised."""
        forward = self._forward if share else None
        shared: MeasureSums | Exception | None = None
        if forward is not None:
            shared = _caught(partial(self._shared, forward, architecture, part, before))
            # A failure is confirmed, as sharing might be what failed.
            if not self._unchecked and isinstance(shared, MeasureSums):
                return shared
            if isinstance(shared, Exception) and failure_kind(shared) == "memory":
                # Alone, the candidate may fit; what is kept for others goes first.
                forward.forget()
                self._forward, self.plain_because = None, "there is too little memory to share"
                forward, shared = None, None
        plain = attempted(partial(self._plain, architecture, part, before))
        if forward is not None:
            if isinstance(shared, UntraceableError):
                self._forward, self.plain_because = None, str(shared)
            elif not _same(shared, plain):
                self._forward = None
                self.plain_because = f"shared evaluation gives other scores for {architecture}"
            self._unchecked = max(0, self._unchecked - 1)
        return plain

    def _plain(self, architecture: Architecture, part: range, before: MeasureSums) -> MeasureSums:
        tally, tuning = before.extend(), self.protocol.tuning
        model = self._supernet if tuning is None else self._tuned(architecture, tuning)
        measures = partial(checked_measures, self._measured, model)
        with (
            calling(SCORING),
            torch.inference_mode(),
            self._supernet.route(architecture) if tuning is None else nullcontext(),
            explaining_single_values(self.protocol.batch_size),
        ):
            if self.protocol.batch_norm == "batch":
                statistics = batch_statistics(model)
            elif self.protocol.batch_norm == "running":
                statistics = evaluating(model)
            else:
                statistics = recalibrated(model, self._calibration, measures)
            with statistics:
                for number in part:
                    batch = self._search.make(number)
                    tally.add(measures(batch), len(batch[-1]))
        tally.score()
        return tally

    def _tuned(self, architecture: Architecture, tuning: Tuning) -> nn.Module:
        """Return the tuned network of an architecture."""
        started = time.monotonic()
        try:
            return tuned_network(
                self._supernet, architecture, tuning, self._task, self._train, self._normalise
            )
        finally:
            self.tuning_seconds += time.monotonic() - started

    def _shared_forward(self, part: range, again: bool) -> SharedForward | None:
        """Return the shared forward passes, or None, with the reason in `plain_because`."""
        if self.plain_because:
            return None
        by_batch = self.protocol.batch_norm == "batch"
        estimates = self.protocol.batch_norm == "recalibrate"
        calibrates = estimates and norms_with_statistics(self._supernet)
        try:
            if self._forward is None or not self._forward.fits():
                self._forward = SharedForward(
                    self._supernet,
                    InputsOf(self._calibration) if calibrates else [],
                    InputsOf(self._search),
                    self._memory,
                    by_batch,
                )
            self._forward.start(part, again)
        except UntraceableError as error:
            self._forward, self.plain_because = None, str(error)
        return self._forward

    def _shared(
        self, shared: SharedForward, architecture: Architecture, part: range, before: MeasureSums
    ) -> MeasureSums:
        given, tally = KnownOutput(), before.extend()

        def add(number: int, output: Any) -> None:
            batch = self._search[number]
            given.output, given.inputs = output, batch[:-1]
            tally.add(checked_measures(self._measured, given, batch), len(batch[-1]))

        device = self._device
        with (
            calling(SCORING),
            explaining_single_values(self.protocol.batch_size),
            autocasting(self.protocol.precision, device),
        ):
            shared.run(architecture, add)
        tally.score()
        return tally


def _raced_by(tally: MeasureSums) -> torch.Tensor:
    """Return the ranked measure of each example, `[examples]`.

    Raises:
        ConfigError: it is no mean over examples.
    """
    each = tally.examples()
    if each is None:
        raise ConfigError(
            f"a race compares candidates example by example, but {tally.by!r} of "
            f"{type(tally.task).__name__} is no mean over examples; score all candidates on all "
            "examples, with --evaluate.race null, or rank by another figure"
        )
    return each


def _caught(tally: Callable[[], MeasureSums]) -> MeasureSums | Exception:
    try:
        return tally()
    except Exception as error:  # a user's model may raise anything, for one candidate alone
        return error


def _same(one: MeasureSums | Exception | None, other: MeasureSums | Exception) -> bool:
    """Return whether two ways to score a candidate agree, to the bit."""
    if isinstance(one, MeasureSums) and isinstance(other, MeasureSums):
        sums = one.sums.keys() == other.sums.keys()
        return sums and all(
            torch.equal(total.nan_to_num(), other.sums[name].nan_to_num())
            for name, total in one.sums.items()
        )
    return type(one) is type(other)

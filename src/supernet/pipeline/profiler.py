"""Where time and memory go in a run, for `--profile`; without it, nothing here is made."""

from __future__ import annotations

import sys
import time
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import Any

import torch

from supernet.errors import ConfigError
from supernet.files import beside, storage_errors
from supernet.track.profile import ProfileRecord, StepProfile, TrainingProfile, write_profile

__all__ = ["Profiler"]

MOST_TRACED = 1000
"""Steps of a trace: it takes about a megabyte for each of a large network."""


class Profiler:
    """Measures the steps of a run and the parts of its trainings, and draws nothing at random.

    On an accelerator each part waits until what it began is done, so a step takes a little longer.

    Args:
        trace: number of training steps that `torch.profiler` traces, the first of the command after one
            that is left out; 0 for none. They take longer for it.

    Raises:
        ConfigError: the number is out of bounds.
    """

    def __init__(self, trace: int = 0) -> None:
        if not 0 <= trace <= MOST_TRACED:
            raise ConfigError(
                f"profile.trace is a number of training steps up to {MOST_TRACED:,}, not {trace}"
            )
        self._trace = trace
        self._device = torch.device("cpu")
        self._steps: list[StepProfile] = []
        self._seconds: dict[str, defaultdict[str, float]] = {}
        self._counts: dict[str, Counter[str]] = {}

    @property
    def record(self) -> ProfileRecord:
        """What was measured so far."""
        trainings = (
            TrainingProfile(
                stage=stage,
                trainings=counts["trainings"],
                steps=counts["backward"],
                seconds={part: round(s, 6) for part, s in self._seconds[stage].items()},
            )
            for stage, counts in self._counts.items()
        )
        return ProfileRecord(
            device=str(self._device), steps=tuple(self._steps), trainings=tuple(trainings)
        )

    @contextmanager
    def measured_step(self, name: str, device: torch.device, file: Path) -> Iterator[None]:
        """Measure the block as a step of the run; then write all that was measured into a file."""
        self._device = device
        if device.type == "cuda":
            torch.cuda.reset_peak_memory_stats(device)
        started = time.monotonic()
        try:
            yield
        finally:
            self._wait()
            self._steps.append(
                StepProfile(
                    step=name,
                    seconds=round(time.monotonic() - started, 6),
                    memory=_peak_memory(),
                    accelerator=torch.cuda.max_memory_allocated(device)
                    if device.type == "cuda"
                    else None,
                )
            )
            write_profile(file, self.record)

    @contextmanager
    def measured_training(self, stage: str, trace: Path) -> Iterator[Callable[[str], None]]:
        """Measure the block as a training; yield the function that is told which part has ended.

        Args:
            stage: name of the training; those with the same beginning, as "retrain-KEY", are put
                together.
            trace: file of the trace.
        """
        kind = stage.partition("-")[0]
        seconds = self._seconds.setdefault(kind, defaultdict(float))
        counts = self._counts.setdefault(kind, Counter())
        counts["trainings"] += 1
        with self._tracing(trace) if self._trace else nullcontext() as tracing:
            last = time.monotonic()

            def mark(part: str) -> None:
                nonlocal last
                self._wait()
                if part != "start":
                    seconds[part] += time.monotonic() - last
                    counts[part] += 1
                if part == "optimizer" and tracing is not None:
                    tracing.step()
                last = time.monotonic()

            yield mark

    @contextmanager
    def _tracing(self, path: Path) -> Iterator[Any]:
        """Trace the steps of a training into a file, which Perfetto and chrome://tracing open."""
        steps, self._trace = self._trace, 0  # one that is begun within this one is none of it

        def write(traced: torch.profiler.profile) -> None:
            nonlocal steps
            steps = 0
            temporary = beside(path)
            with storage_errors(path):
                try:
                    traced.export_chrome_trace(str(temporary))
                    temporary.replace(path)
                finally:
                    temporary.unlink(missing_ok=True)

        schedule = torch.profiler.schedule(wait=0, warmup=1, active=steps, repeat=1)
        with torch.profiler.profile(schedule=schedule, on_trace_ready=write) as tracing:
            yield tracing
        self._trace = steps  # where there was no step, the next training is traced

    def _wait(self) -> None:
        if self._device.type == "cuda":
            torch.cuda.synchronize(self._device)


def _peak_memory() -> int | None:
    """Return the most memory that this process has held in RAM, in bytes; None where it is unknown."""
    try:
        import resource
    except ImportError:  # Windows
        return None
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024

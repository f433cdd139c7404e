"""What is going on: bars on a terminal and in a notebook, lines elsewhere."""

from __future__ import annotations

import sys
import time
from types import TracebackType

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    ProgressColumn,
    TaskID,
    TextColumn,
    TimeRemainingColumn,
)
from rich.progress import Progress as Bars
from rich.progress import Task as BarTask
from rich.text import Text

from supernet.track.numbers import duration

__all__ = ["Progress", "ProgressTask"]

_SECONDS_BETWEEN_DRAWINGS = 0.1
_SECONDS_BETWEEN_LINES = 5.0
_FINISHED = 5
"""Finished bars that stay; older ones make room, as a terminal shows no more lines than it has."""


class Progress:
    """What is going on, on standard error: bars on a terminal and in a notebook, else lines.

    Bars are drawn when a task advances, not by a thread: nothing is left over when an exception
    ends the work, and a process that forks workers forks no lock held by a drawing thread.

    Args:
        enabled: True for bars, False for neither bars nor lines; None for bars on a terminal and in a
            notebook, and elsewhere (nohup, CI) a line every five seconds.
    """

    def __init__(self, enabled: bool | None = None) -> None:
        shown = Console(stderr=True)
        self.enabled = shown.is_terminal or shown.is_jupyter if enabled is None else enabled
        self._lines = enabled is None and not self.enabled
        self._bars = Bars(
            TextColumn("{task.description}", markup=False),
            BarColumn(bar_width=24),
            MofNCompleteColumn(),
            _Rate(),
            TimeRemainingColumn(compact=True),
            TextColumn("{task.fields[metrics]}", style="dim", markup=False),
            console=Console(stderr=True, force_terminal=self.enabled or None),
            auto_refresh=False,
            get_time=lambda: time.monotonic(),
            disable=not self.enabled,
        )
        self._drawn = 0.0

    def __enter__(self) -> Progress:
        self._bars.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._bars.stop()

    def task(self, description: str, total: int) -> ProgressTask:
        """Start a bar; `total` is the number of steps, images or candidates it will count."""
        finished = [task.id for task in self._bars.tasks if task.finished]
        for old in finished[: max(len(finished) - _FINISHED, 0)]:
            self._bars.remove_task(old)
        self._drawn = time.monotonic()
        return ProgressTask(self, self._bars.add_task(description, total=total, metrics=""))

    def say(self, text: str) -> None:
        """Print one line: above the bars on a terminal, plainly to standard error elsewhere."""
        if self.enabled:
            self._bars.console.print(text, markup=False, highlight=False, soft_wrap=True)
        else:
            print(text, file=sys.stderr, flush=True)

    def _advance(self, task: TaskID, n: int, metrics: dict[str, float]) -> None:
        if not (self.enabled or self._lines):
            return
        self._bars.advance(task, n)
        if metrics:
            self._bars.update(task, metrics="  ".join(f"{k} {v:.4g}" for k, v in metrics.items()))
        now = time.monotonic()
        if self._lines:
            if now - self._drawn >= _SECONDS_BETWEEN_LINES:
                self._drawn = now
                self.say(_line(next(one for one in self._bars.tasks if one.id == task)))
        elif now - self._drawn >= _SECONDS_BETWEEN_DRAWINGS or self._bars.finished:
            self._drawn = now
            self._bars.refresh()


def _line(task: BarTask) -> str:
    """Say how far a task is, how fast, how long it will take, and its metrics."""
    total, left = int(task.total or 0), task.time_remaining
    parts = [f"{task.description}: {int(task.completed):,} of {total:,}"]
    if task.speed is not None:
        parts.append(f"{task.speed:.3g}/s")
    if left is not None:
        parts.append(f"{duration(left)} left")
    return ", ".join([*parts, *([task.fields["metrics"]] if task.fields["metrics"] else [])])


class ProgressTask:
    """A bar of a `Progress`."""

    def __init__(self, progress: Progress, identity: TaskID) -> None:
        self._progress = progress
        self._identity = identity

    def advance(self, n: int = 1, **metrics: float) -> None:
        """Count `n` more, and show `metrics` beside the bar."""
        self._progress._advance(self._identity, n, metrics)


class _Rate(ProgressColumn):
    """Steps per second, averaged over the last seconds."""

    def render(self, task: BarTask) -> Text:
        speed = task.finished_speed or task.speed
        return Text("" if speed is None else f"{speed:.3g}/s", style="cyan")

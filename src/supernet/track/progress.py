"""What is going on: bars on a terminal and in a notebook, lines elsewhere."""

from __future__ import annotations

import sys
import time
from types import TracebackType
from typing import Literal

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

from supernet.track.notebook import NotebookPlace, in_notebook
from supernet.track.numbers import duration

__all__ = ["Progress", "ProgressTask"]

_SECONDS_BETWEEN = {"terminal": 0.1, "notebook": 0.5, "lines": 5.0}
"""Seconds between two drawings of the bars, or two lines."""

_FINISHED = 5
"""Finished bars that stay; older ones make room, as a terminal shows no more lines than it has."""


class Progress:
    """What is going on: bars on a terminal (standard error) and in a notebook's output, else lines.

    Bars are drawn when a task advances, not by a thread: nothing is left over when an exception
    ends the work, and a process that forks workers forks no lock held by a drawing thread.

    Args:
        enabled: True for bars, False for neither bars nor lines; None for bars on a terminal and in a
            notebook, and elsewhere (nohup, CI) a line every five seconds.
    """

    def __init__(self, enabled: bool | None = None) -> None:
        self._way = _way(enabled)
        self._place = NotebookPlace()
        self._bars = Bars(
            TextColumn("{task.description}", markup=False),
            BarColumn(bar_width=24),
            MofNCompleteColumn(),
            _Rate(),
            TimeRemainingColumn(compact=True),
            TextColumn("{task.fields[metrics]}", style="dim", markup=False),
            console=Console(stderr=True, force_terminal=self._way == "terminal" or None),
            auto_refresh=False,
            get_time=lambda: time.monotonic(),
            disable=self._way != "terminal",
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
        if self._way == "notebook" and self._bars.tasks:
            self._draw()
        self._bars.stop()

    def task(self, description: str, total: int) -> ProgressTask:
        """Start a bar; `total` is the number of steps, images or candidates it will count."""
        finished = [task.id for task in self._bars.tasks if task.finished]
        for old in finished[: max(len(finished) - _FINISHED, 0)]:
            self._bars.remove_task(old)
        self._drawn = time.monotonic()
        return ProgressTask(self, self._bars.add_task(description, total=total, metrics=""))

    def say(self, text: str) -> None:
        """Print one line: above the bars on a terminal, below them in a notebook, else plainly."""
        if self._way == "terminal":
            self._bars.console.print(text, markup=False, highlight=False, soft_wrap=True)
        else:
            # What a notebook is told on standard error looks like a failure.
            file = sys.stdout if self._way == "notebook" else sys.stderr
            print(text, file=file, flush=True)

    def _advance(self, task: TaskID, n: int, metrics: dict[str, float]) -> None:
        if self._way is None:
            return
        self._bars.advance(task, n)
        if metrics:
            self._bars.update(task, metrics="  ".join(f"{k} {v:.4g}" for k, v in metrics.items()))
        now = time.monotonic()
        late = now - self._drawn >= _SECONDS_BETWEEN[self._way]
        if late or (self._way == "terminal" and self._bars.finished):
            self._drawn = now
            if self._way == "lines":
                self.say(_line(next(one for one in self._bars.tasks if one.id == task)))
            else:
                self._draw()

    def _draw(self) -> None:
        if self._way == "notebook":
            self._place.draw(self._bars.get_renderable())
        else:
            self._bars.refresh()


def _way(enabled: bool | None) -> Literal["terminal", "notebook", "lines"] | None:
    """Return how progress is shown."""
    if enabled is False:
        return None
    if in_notebook():
        return "notebook"
    return "terminal" if enabled or Console(stderr=True).is_terminal else "lines"


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

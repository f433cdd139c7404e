"""Progress bars on a terminal, plain lines elsewhere."""

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

__all__ = ["Progress", "ProgressTask"]

_SECONDS_BETWEEN_DRAWINGS = 0.1


class Progress:
    """Bars with rate, time left and metrics, on standard error.

    Bars are drawn when a task advances, not by a thread: nothing is left over when an exception
    ends the work, and a process that forks workers forks no lock held by a drawing thread.

    Args:
        enabled: whether to draw bars; None draws them only on a terminal.
    """

    def __init__(self, enabled: bool | None = None) -> None:
        self.enabled = sys.stderr.isatty() if enabled is None else enabled
        self._bars = Bars(
            TextColumn("{task.description}", markup=False),
            BarColumn(bar_width=24),
            MofNCompleteColumn(),
            _Rate(),
            TimeRemainingColumn(compact=True),
            TextColumn("{task.fields[metrics]}", style="dim", markup=False),
            console=Console(stderr=True, force_terminal=self.enabled or None),
            auto_refresh=False,
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
        return ProgressTask(self, self._bars.add_task(description, total=total, metrics=""))

    def say(self, text: str) -> None:
        """Print one line: above the bars on a terminal, plainly to standard error elsewhere."""
        if self.enabled:
            self._bars.console.print(text, markup=False, highlight=False, soft_wrap=True)
        else:
            print(text, file=sys.stderr, flush=True)

    def _advance(self, task: TaskID, n: int, metrics: dict[str, float]) -> None:
        if not self.enabled:
            return
        self._bars.advance(task, n)
        if metrics:
            self._bars.update(task, metrics="  ".join(f"{k} {v:.4g}" for k, v in metrics.items()))
        now = time.monotonic()
        if now - self._drawn >= _SECONDS_BETWEEN_DRAWINGS or self._bars.finished:
            self._drawn = now
            self._bars.refresh()


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

"""Trackio: experiments kept on this machine, which `trackio show` draws."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from contextlib import redirect_stdout
from pathlib import Path
from typing import Any

from supernet.loggers.base import Logger, numbers, require

__all__ = ["Trackio"]


class Trackio(Logger):
    """A run of Trackio (extra `trackio`); the variable TRACKIO_DIR says where it keeps them.

    Args:
        project: project that the run belongs to.
        name: name of the run; by default one that Trackio draws.
    """

    def __init__(self, project: str = "supernet", name: str | None = None) -> None:
        self.project = project
        self.name = name

    def start(self, folder: Path, options: Mapping[str, Any], before: str | None) -> str:
        """Begin a run with these options, or go on in the one from before."""
        self._trackio = require("trackio", "trackio")
        with redirect_stdout(sys.stderr):  # what it says is none of the command's results
            self._run = self._trackio.init(
                project=self.project,
                name=before or self.name,
                config=dict(options),
                resume="allow",
                embed=False,
            )
        return str(self._run.name)

    def log(self, record: Mapping[str, Any], step: int) -> None:
        """Log the numbers at the step of their stage."""
        self._run.log(numbers(record), step=step)

    def close(self, *, failed: bool) -> None:
        """End the run."""
        with redirect_stdout(sys.stderr):
            self._trackio.finish()

"""Weights & Biases; with the variable WANDB_MODE=offline, into files that `wandb sync` sends later."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from supernet.loggers.base import Logger, numbers, require

__all__ = ["WandB"]


class WandB(Logger):
    """A run of Weights & Biases (extra `wandb`).

    Args:
        project: project that the run belongs to.
        name: name of the run; by default one that the service draws.
        folder: folder that holds the files of the service; by default `logs` in the run folder.
    """

    def __init__(
        self, project: str = "supernet", name: str | None = None, folder: str | None = None
    ) -> None:
        self.project = project
        self.name = name
        self.folder = folder

    def start(self, folder: Path, options: Mapping[str, Any], before: str | None) -> str:
        """Begin a run with these options, or go on in the one from before."""
        wandb = require("wandb", "wandb")
        place = Path(self.folder or folder)
        place.mkdir(parents=True, exist_ok=True)
        self._run = wandb.init(
            project=self.project,
            name=self.name,
            dir=str(place),
            config=dict(options),
            id=before,
            resume="allow",
        )
        self._run.define_metric("*", step_metric="step")  # stages count their own steps
        return str(self._run.id)

    def log(self, record: Mapping[str, Any], step: int) -> None:
        """Log the numbers, over the step of their stage."""
        self._run.log({"step": step, **numbers(record)})

    def close(self, *, failed: bool) -> None:
        """End the run."""
        self._run.finish(exit_code=int(failed))

"""TensorBoard: curves in files that `tensorboard --logdir FOLDER` shows."""

from __future__ import annotations

import importlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from supernet.loggers.base import Logger, numbers, require

__all__ = ["TensorBoard"]


class TensorBoard(Logger):
    """Curves in event files for TensorBoard (extra `tensorboard`).

    Args:
        folder: folder of the event files; by default `logs` in the run folder.
    """

    def __init__(self, folder: str | None = None) -> None:
        self.folder = folder

    def start(self, folder: Path, options: Mapping[str, Any], before: str | None) -> None:
        """Begin a file of events, which goes on where those of earlier attempts end."""
        require("tensorboard", "tensorboard")
        writer = importlib.import_module("torch.utils.tensorboard").SummaryWriter
        self._writer = writer(self.folder or str(folder), flush_secs=10)

    def log(self, record: Mapping[str, Any], step: int) -> None:
        """Add each number as a scalar "stage/name"."""
        for name, value in numbers(record).items():
            self._writer.add_scalar(name, value, step)

    def close(self, *, failed: bool) -> None:
        """Write what is waiting."""
        self._writer.close()

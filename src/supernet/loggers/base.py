"""What a logger is: it is started once, given every record of a run, and closed."""

from __future__ import annotations

import importlib
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from supernet.errors import ConfigError
from supernet.imports import find_module

__all__ = ["Hook", "Logger", "numbers", "require"]

Hook = Callable[[Mapping[str, Any], int], object]
"""What is called as `log(record, step)`: a record is a flat mapping of names to numbers, texts, true,
false and None, with its "stage" and "step" (docs/logging.md lists them)."""


class Logger(ABC):
    """Sends the records of a run somewhere.

    The constructor keeps options and does nothing else: commands that only read make loggers too, and
    do not start them.
    """

    def start(self, folder: Path, options: Mapping[str, Any], before: str | None) -> str | None:
        """Get ready, before anything is trained; what is raised here ends the run.

        Args:
            folder: folder for what the logger writes, within the run folder; it may not exist yet.
            options: all options of the run, as `config.yaml` holds them.
            before: text that `start` returned when the run was last worked on with the same options of
                the logger; None the first time.

        Returns:
            A text by which the run is known where it is logged, to be continued there; or None.

        Raises:
            ConfigError: a package is missing.
        """
        return None

    @abstractmethod
    def log(self, record: Mapping[str, Any], step: int) -> None:
        """Take a record; see `Hook`. What is raised here is said once, and the run goes on."""

    def close(self, *, failed: bool) -> None:  # noqa: B027 - a logger may have nothing to close
        """Send what is still waiting.

        Args:
            failed: whether the run ends before its steps are done.
        """


def require(package: str, extra: str) -> Any:
    """Return a package that a logger needs.

    Args:
        package: name by which it is imported.
        extra: name of the extra of supernet that installs it.

    Raises:
        ConfigError: it is not installed.
    """
    if find_module(package) is None:  # a folder of this name, as wandb makes one, is no package
        raise ConfigError(
            f"--logger {extra} needs the package {package}, which is not installed: "
            f"pip install 'supernet[{extra}]'; or go on without it by --logger null"
        )
    return importlib.import_module(package)


def numbers(record: Mapping[str, Any]) -> dict[str, float]:
    """Return the numbers of a record by "stage/name": what can be drawn as curves."""
    return {
        f"{record['stage']}/{name}": value
        for name, value in record.items()
        if isinstance(value, int | float) and not isinstance(value, bool) and name != "step"
    }

"""Which steps an option belongs to, so that a changed one repeats no more than it must."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from supernet.errors import RunFolderError
from supernet.parser import differences
from supernet.track import RunFolder
from supernet.track.contents import STEPS

__all__ = ["Changes", "without_neutral"]

ORDER = tuple(step.name for step in STEPS)

NEUTRAL = ("checkpoint_seconds", "log_every", "evaluate.memory", "search.other_device", "storage")
"""Ends of names of options that change no result."""


class Changes:
    """The differences between the options that a folder was made with and those of now.

    Args:
        folder: run folder whose results may be forgotten.
        stored: the options that it was made with.
        plain: the options of now.
        rewards: whether the training learns from the figure that the run ranks by.

    Raises:
        RunFolderError: an option is changed that training depends on: the trained supernet is what
            took long, and never given up.
    """

    def __init__(
        self,
        folder: RunFolder,
        stored: Mapping[str, Any],
        plain: Mapping[str, Any],
        rewards: bool = False,
    ) -> None:
        self._folder = folder
        unsplit = all(one.get("few_shot", {}).get("decision") is None for one in (stored, plain))
        self._changed = [
            change
            for change in differences(stored, plain)
            if not (name := change.partition(":")[0]).endswith(NEUTRAL)
            and name.partition(".")[0] != "logger"
            and not (unsplit and name.startswith("few_shot."))
        ]
        first = first_step(change.partition(":")[0] for change in self._changed)
        if first == "train" or (rewards and _rewarded(stored) != _rewarded(plain)):
            raise RunFolderError(
                f"{folder.path} was made by another configuration. In the folder and now:\n  "
                + "\n  ".join(self._changed)
                + "\nThe trained supernet depends on it. Choose another folder with --out, or leave "
                "these options as they were."
            )
        steps = () if first is None else ORDER[ORDER.index(first) :]
        self.repeated = [step for step in steps if step in folder.metrics.names]
        """The steps whose results the options of now would not give."""

    def apply(self) -> str:
        """Forget the results of these steps; return what happened in words."""
        self._folder.forget(self.repeated)
        return (
            f"changed since this folder was made: {'; '.join(self._changed)}. "
            f"Repeated for that: {', '.join(self.repeated)}"
        )


def _rewarded(options: Mapping[str, Any]) -> str | None:
    """Return the figure that rewards are, where it is not the accuracy; see `Preference.final`."""
    by = options.get("evaluate", {}).get("rank_by")
    return None if by in ("loss", "accuracy") else by


def without_neutral(options: Any) -> Any:
    """Return options without those that change no result."""
    if not isinstance(options, Mapping):
        return options
    kept = {name: value for name, value in options.items() if not name.endswith(NEUTRAL)}
    return {name: without_neutral(value) for name, value in kept.items()}


def first_step(names: Iterable[str]) -> str | None:
    """Return the first step that depends on any of these options, or None."""
    found = {
        step.name
        for name in names
        for step in STEPS
        if any(name == option or name.startswith(f"{option}.") for option in step.options)
    }
    return next((step for step in ORDER if step in found), None)

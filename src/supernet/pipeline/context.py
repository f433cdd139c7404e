"""A run: its options, its folder, and where its steps say what they do."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field
from typing import Any, TypeVar

import torch

from supernet.config import RunConfig
from supernet.errors import ConfigError, RunFolderError
from supernet.net.source import ModelSource
from supernet.pipeline.hooks import Hooks
from supernet.pipeline.profiler import Profiler
from supernet.suggestions import did_you_mean
from supernet.track import Progress, RunFolder, StageLog
from supernet.track.sections import Section

__all__ = ["Run"]

MOST_THREADS = 4096
MOST_WORKERS = 256

S = TypeVar("S", bound=Section)


@dataclass(frozen=True)
class Run:
    """What every step of a run is given besides what the steps before hand on.

    Attributes:
        config: configuration as `supernet.parser.parse` returns it.
        options: the same as plain data, as `config.yaml` holds them.
        model: source that builds the model with choices.
        folder: run folder that the files are in.
        progress: bars and messages by which the steps say what they do.
        hooks: hooks that are given the records of the run.
        profiler: profiler that measures the run; None for none.
        device: device that everything is computed on.

    Raises:
        ConfigError: the device cannot be used, or the seed or a number of threads or processes is out of
            bounds.
    """

    config: RunConfig
    options: Mapping[str, Any]
    model: ModelSource
    folder: RunFolder
    progress: Progress
    hooks: Hooks = field(default_factory=Hooks)
    profiler: Profiler | None = None
    device: torch.device = field(init=False)

    def __post_init__(self) -> None:
        config = self.config
        object.__setattr__(self, "device", _device(config.device))
        if not 0 <= config.seed < 2**63:
            raise ConfigError(f"seed is a number from 0 to 2^63 - 1, not {config.seed}")
        if not 0 <= config.threads <= MOST_THREADS:
            raise ConfigError(
                f"threads is a number of CPU threads up to {MOST_THREADS:,}, or 0 for all, not "
                f"{config.threads}"
            )
        if config.workers is not None and not 0 <= config.workers <= MOST_WORKERS:
            raise ConfigError(
                f"workers is a number of processes that read data, from 0 (the main one reads) to "
                f"{MOST_WORKERS}, or null, not {config.workers}"
            )

    def know_examples(self, count: int) -> None:
        """Take in how many examples are trained on, which numbers of epochs are of."""
        object.__setattr__(self, "config", self.config.of_examples(count))

    @property
    def seed(self) -> int:
        """What all random draws depend on."""
        return self.config.seed

    @property
    def made_in_python(self) -> bool:
        """Whether options are Python objects, which a command line cannot give again."""
        search = self.options.get("search", {})
        given = [*self.options.values(), *search.values()]
        return any(isinstance(value, Mapping) and set(value) == {"python"} for value in given)

    def stage_log(self, stage: str) -> StageLog:
        """Return the log of a stage; hooks are given its records."""
        return self.folder.stage_log(stage, self.hooks.tell)

    def measured_step(self, name: str) -> AbstractContextManager[None]:
        """Return a context within which a step of the run is measured, where that is asked for."""
        if self.profiler is None:
            return nullcontext()
        return self.profiler.measured_step(name, self.device, self.folder.profile)

    def measured_training(self, stage: str) -> AbstractContextManager[Callable[[str], None]]:
        """Return the same for a training; it gives what the training loop marks its parts with."""
        if self.profiler is None:
            return nullcontext(lambda part: None)
        return self.profiler.measured_training(stage, self.folder.trace)

    def section(self, kind: type[S]) -> S:
        """Return what an earlier step found.

        Raises:
            RunFolderError: that step has not ended.
        """
        section = self.folder.metrics.of(kind)
        if section is None:
            raise RunFolderError(
                f"{self.folder.path} lacks the results of the step {kind.SECTION!r}; run that step first"
            )
        return section

    def repeat(self, step: str) -> str:
        """Say how a step is run again in this folder, which may be possible from Python only."""
        if self.made_in_python:
            return "call supernet.run(...) as before, which repeats what is missing"
        return f"run: supernet {step} --run {self.folder.path}"


def _device(name: str) -> torch.device:
    if name == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        device = torch.device(name)
        torch.zeros((), device=device)
    except (RuntimeError, AssertionError) as error:
        raise ConfigError(
            f"the device {name!r} cannot be used: {str(error).splitlines()[0]}"
            f"{did_you_mean(name, ('auto', 'cpu', 'cuda', 'mps'))}"
        ) from error
    return device

"""Opening a run folder, where the command line and Python meet."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from supernet.config import RunConfig
from supernet.errors import ConfigError, RunFolderError
from supernet.failures import MORE_MEMORY, machine_errors
from supernet.loggers import Hook
from supernet.net.source import FromCallable, ModelSource, as_model_source
from supernet.origin import code_in
from supernet.parser import parse
from supernet.pipeline.changes import Changes
from supernet.pipeline.context import Run
from supernet.pipeline.hooks import Hooks
from supernet.pipeline.objects import (
    check_objects,
    put_back,
    put_fingerprints,
    with_objects,
    without_objects,
)
from supernet.pipeline.profiler import Profiler
from supernet.pipeline.state import RunState
from supernet.pipeline.train import check_inputs, check_options
from supernet.track import Progress, RunFolder
from supernet.zoo import SPACES

__all__ = ["open_run"]

Mode = Literal["run", "add", "read"]


@contextlib.contextmanager
def open_run(
    arguments: Sequence[str],
    out: Path,
    *,
    program: str = "supernet run",
    objects: Mapping[str, object] | None = None,
    progress: bool | None = None,
    mode: Mode = "run",
    trust: bool = False,
    on_record: Hook | None = None,
    profiler: Profiler | None = None,
    anew: bool = False,
) -> Iterator[RunState]:
    """Open a run folder: a new one, or one whose trained supernet the options still fit.

    Args:
        arguments: arguments as on the command line, for instance `["--strategy", "spos"]`.
        out: path of the run folder.
        program: name of the command in error messages.
        objects: objects by option ("model", "data", "task", "strategy", "search.searcher") that are
            used instead of configured ones; see `supernet.data.as_source` for the data.
        progress: whether to draw bars of the progress; by default on terminals only.
        mode: purpose of opening the folder. "run": to work in it, by one process at a time; options
            that differ from the folder's repeat what depends on them. "add": to put further files
            beside the results, by options that may differ and leave the results as they are. "read":
            to write nothing, so the folder may be one that cannot be written; options may differ.
        trust: use a folder and configuration files of another origin that name code; see
            `supernet.origin`.
        on_record: function that is given the records of the run, see `supernet.pipeline.hooks`.
        profiler: profiler that measures it.
        anew: delete what a run left in the folder before, once the options are read, which are those
            that it remembers only where no argument is given; but not where
            `torchrun` starts processes again after a failure.

    Raises:
        ConfigError: the options cannot be read, or name code and are not trusted.
        RunFolderError: the folder belongs to another configuration, or cannot be used.
    """
    folder = RunFolder(out, write=mode != "read")
    objects = objects or {}
    try:
        anew = anew and os.environ.get("TORCHELASTIC_RESTART_COUNT", "0") == "0"
        options = _read_options(folder, arguments, objects, program, mode, trust, anew)
        if anew:
            folder.empty()
        with Progress(progress) as shown:
            if folder.unlocked:
                shown.say(
                    f"{out} cannot be locked on this file system ({folder.unlocked}): let no other "
                    "process work in it"
                )
            config = with_objects(options.config, objects)
            changes = None
            if options.before:
                rewards = config.strategy.rewards
                changes = Changes(folder, options.before, options.plain, rewards)
            source = _model_source(options.config, objects)
            hooks = Hooks(on_record, shown.say)
            opened = RunState(Run(config, options.plain, source, folder, shown, hooks, profiler))
            if mode != "read":
                folder.clean()
            if mode == "run":
                _apply(opened, options, changes)
            with machine_errors("this command", MORE_MEMORY):
                yield opened
    finally:
        folder.close()


@dataclass(frozen=True)
class _Options:
    """The options of now, and those that the folder was made with.

    Attributes:
        config: options of now.
        plain: the same as plain data, with notes of the objects in their places.
        stored: options in the folder that those of now continue, as they stand there; or None.
        before: `stored`, with a default for each option that it does not know, if there are results
            that those of now may not give; or None.
        begun: whether the folder holds results.
        own: whether what is stored was written here, see `supernet.origin`.
    """

    config: RunConfig
    plain: dict[str, Any]
    stored: dict[str, Any] | None
    before: dict[str, Any] | None
    begun: bool
    own: bool


def _read_options(
    folder: RunFolder,
    arguments: Sequence[str],
    objects: Mapping[str, object],
    program: str,
    mode: Mode,
    trust: bool,
    anew: bool,
) -> _Options:
    """Read the options of now, which continue those of the folder; see `open_run`."""
    stored, begun = folder.read_config(), folder.has_results()
    if anew:  # without options, by those of the folder
        stored, begun = None if arguments else stored, False
    if stored and arguments and not begun and mode == "run" and folder.metrics.latency is None:
        stored = None  # a first attempt failed, perhaps for an option that is now mended
    if stored is None and begun and not folder.config.exists():
        raise RunFolderError(
            f"{folder.path} holds results but no config.yaml, so what they belong to is unknown; put "
            "the file back, or choose another folder with --out"
        )
    made_before, base = without_objects(stored or {})
    given = {*objects, *(argument[2:].partition("=")[0] for argument in arguments)}
    check_objects(folder, made_before, given)
    own = stored is None or folder.is_own()
    foreign = None if own else f"the run folder {folder.path}"
    config, plain = parse(program, arguments, base, trust, foreign)
    put_fingerprints(plain, objects)
    before = None
    if stored is not None and begun and mode == "run":
        _, before = parse(program, [], base)  # what an older version did not know has its default
        put_back(before, made_before)
    return _Options(config, plain, stored, before, begun, own)


def _apply(opened: RunState, options: _Options, changes: Changes | None) -> None:
    """Make the folder one of the options of now: forget what they would not give, and write them.

    Raises:
        ConfigError: they cannot be run; then nothing was forgotten.
    """
    run = opened.run
    if changes and changes.repeated:
        check_inputs(run, opened.inputs)
        check_options(run, opened.inputs, opened.costs)
        run.progress.say(changes.apply())
    if options.begun:
        _forget_costs(opened)
    else:  # what is there is of an attempt that trained nothing
        run.folder.forget(("environment", "data", "identity"))
    marks = not options.own and set(code_in(options.plain))  # what was trusted once is from now on
    if options.plain != options.stored or marks:
        run.folder.write_config(options.plain)


def _forget_costs(opened: RunState) -> None:
    """Forget the search if a file of costs holds others now than it did then."""
    run = opened.run
    metrics = run.folder.metrics
    if metrics.search is None or metrics.search.costs is None or not run.config.search.costs:
        return
    if metrics.search.costs != {quantity: table.digest for quantity, table in opened.costs.items()}:
        steps = [step for step in ("search", "retrain", "test") if step in metrics.names]
        run.folder.forget(steps)
        run.progress.say(f"the tables of costs changed; repeated for that: {', '.join(steps)}")


def _model_source(config: RunConfig, objects: Mapping[str, object]) -> ModelSource:
    """Return what builds the model.

    Raises:
        ConfigError: none is given, or it is no model.
    """
    if "model" in objects:
        return as_model_source(objects["model"])
    if config.model is None:
        raise ConfigError(
            f"no model is given; name one with --model: {', '.join(SPACES)} or a class"
        )
    return FromCallable.named(config.model.class_path, config.model.init_args)

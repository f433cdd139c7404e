"""Opening a run folder, where the command line and Python meet."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from supernet.config import RunConfig
from supernet.errors import ConfigError, RunFolderError
from supernet.failures import MORE_MEMORY, machine_errors
from supernet.net.source import FromCallable, ModelSource, as_model_source
from supernet.origin import code_in
from supernet.parser import parse
from supernet.pipeline.changes import Changes
from supernet.pipeline.context import Run
from supernet.pipeline.objects import (
    check_objects,
    put_fingerprints,
    with_objects,
    without_objects,
)
from supernet.pipeline.state import RunState
from supernet.pipeline.train import check_inputs, check_options
from supernet.track import Progress, RunFolder
from supernet.zoo import SPACES

__all__ = ["open_run"]


@contextlib.contextmanager
def open_run(
    arguments: Sequence[str],
    out: Path,
    *,
    program: str = "supernet run",
    objects: Mapping[str, object] | None = None,
    progress: bool | None = None,
    read_only: bool = False,
    write: bool = True,
    trust: bool = False,
) -> Iterator[RunState]:
    """Open a run folder: a new one, or one whose trained supernet the options still fit.

    Args:
        arguments: arguments as on the command line, for instance `["--strategy", "spos"]`.
        out: path of the run folder.
        program: name of the command in error messages.
        objects: objects by option ("model", "data", "task", "strategy", "search.searcher") that are
            used instead of configured ones; see `supernet.data.as_source` for the data.
        progress: whether to draw bars of the progress; by default on terminals only.
        read_only: whether to use other options than the folder's without applying them to what is in it.
        write: whether anything is to be written into the folder, which one process at a time may do;
            otherwise the folder is only looked at, and may be one that cannot be written.
        trust: use a folder and configuration files of another origin that name code; see
            `supernet.origin`.

    Raises:
        ConfigError: the options cannot be read, or name code and are not trusted.
        RunFolderError: the folder belongs to another configuration, or cannot be used.
    """
    read_only = read_only or not write
    folder = RunFolder(out, write=write)
    objects = objects or {}
    try:
        stored = folder.read_config()
        begun = folder.has_results()
        if arguments and not begun and not read_only and folder.metrics.latency is None:
            stored = None  # a first attempt failed, perhaps for an option that is now mended
        if stored is None and begun and not folder.config.exists():
            raise RunFolderError(
                f"{out} holds results but no config.yaml, so what they belong to is unknown; put the "
                "file back, or choose another folder with --out"
            )
        made_before, base = without_objects(stored or {})
        given = {*objects, *(argument[2:].partition("=")[0] for argument in arguments)}
        check_objects(folder, made_before, given)
        own = stored is None or folder.is_own()
        foreign = None if own else f"the run folder {out}"
        config, plain = parse(program, arguments, base, trust, foreign)
        _, before = parse(program, [], base)  # what an older version did not know has its default
        put_fingerprints(plain, objects, before, made_before)
        with Progress(progress) as shown:
            if folder.unlocked:
                shown.say(
                    f"{out} cannot be locked on this file system ({folder.unlocked}): let no other "
                    "process work in it"
                )
            compare = stored is not None and begun and not read_only
            changes = Changes(folder, before, plain) if compare else None
            source = _model_source(config, objects)
            run = Run(with_objects(config, objects), plain, source, folder, shown)
            opened = RunState(run)
            if write:
                folder.clean()
            if changes and changes.repeated:
                # Before anything is given up for them:
                check_inputs(run, opened.inputs)
                check_options(run, opened.inputs, opened.costs)
                shown.say(changes.apply())
            if begun and not read_only:
                _forget_costs(opened)
            if not begun and not read_only:
                # What is there is of an attempt that trained nothing.
                folder.forget(("environment", "data", "identity"))
            marks = not own and set(code_in(plain))  # what was trusted once is from now on
            if (plain != stored or marks) and not read_only:
                folder.write_config(plain)
            with machine_errors("this command", MORE_MEMORY):
                yield opened
    finally:
        folder.close()


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

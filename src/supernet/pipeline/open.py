"""Opening a run folder, from the command line or from Python, and running steps in it."""

from __future__ import annotations

import contextlib
import json
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import nn

from supernet.config import differences, parse
from supernet.data import as_source
from supernet.errors import ConfigError, RunFolderError
from supernet.net.source import FromCallable, ModelSource, as_model_source
from supernet.pipeline.retrain import retrain
from supernet.pipeline.run import Run
from supernet.pipeline.search import search
from supernet.pipeline.test import test
from supernet.pipeline.train import train
from supernet.space import Architecture
from supernet.track import Progress, RunFolder, write_report
from supernet.train import digest
from supernet.zoo import SPACES

__all__ = ["STEPS", "Result", "execute", "open_run", "run"]


def report(run: Run) -> None:
    """Write `report.html` from the files of the run."""
    write_report(run.folder.path)


STEPS: dict[str, Callable[[Run], None]] = {
    "train": train,
    "search": search,
    "retrain": retrain,
    "test": test,
    "report": report,
}
"""The steps in their order."""


@dataclass(frozen=True)
class Result:
    """What a run leads to.

    Attributes:
        architecture: the chosen one.
        metrics: what `metrics.json` holds.
        folder: where all files are.
        model: the chosen network, retrained; an ordinary module in evaluation mode.
    """

    architecture: Architecture
    metrics: Mapping[str, Any]
    folder: Path
    model: nn.Module


def run(
    model: object,
    data: object = "digits",
    *,
    strategy: str = "bender",
    searcher: str = "random",
    constraints: Sequence[str] | str = (),
    out: str | Path = "runs/python",
    options: Mapping[str, Any] | None = None,
    progress: bool | None = None,
) -> Result:
    """Search around a model: train the supernet, rank, retrain the best, test once.

    Args:
        model: an `nn.Module` with choices; or a class or function that returns one, and then its own
            initialisation gives fresh weights, where an instance is initialised anew module by
            module. Arguments called `image` and `classes`, if it has them, are given by the data.
        data: "digits", a folder, a `torch.utils.data.Dataset`, a pair of tensors, ...
        strategy: short name or import path.
        searcher: short name or import path.
        constraints: bounds such as "macs <= 40e6".
        out: the run folder; an interrupted run continues there.
        options: any other option of the command line by its dotted name, for instance
            `{"train.steps": 1000, "search.searcher.count": 50}`.
        progress: whether to draw bars; by default on terminals only.

    Raises:
        SupernetError: the message says what is wrong and what to do.
    """
    names: dict[str, Any] = {
        "strategy": strategy,
        "search.searcher": searcher,
        "search.constraints": [constraints] if isinstance(constraints, str) else list(constraints),
        **(options or {}),
    }
    if isinstance(model, str):
        names, model = {"model": model, **names}, None
    arguments = [
        f"--{name}={value if isinstance(value, str) else json.dumps(value)}"
        for name, value in names.items()
    ]
    with open_run(arguments, Path(out), model=model, data=data, progress=progress) as opened:
        opened.check_identity()
        execute(opened, list(STEPS))
        metrics = opened.folder.metrics
        chosen = next(one for one in opened.selected() if one.key == metrics["retrain"]["chosen"])
        return Result(chosen.architecture, metrics, Path(out), opened.retrained(chosen))


def execute(run: Run, steps: Sequence[str]) -> None:
    """Run steps in their order; one whose results stand in the folder is not repeated."""
    with _settings(run):
        if any(step != "report" and not run.folder.complete(step) for step in steps):
            run.check_identity()
        for step in steps:
            if run.folder.complete(step):
                run.progress.say(f"{step}: done before")
            else:
                STEPS[step](run)


@contextlib.contextmanager
def open_run(
    arguments: Sequence[str],
    out: Path,
    *,
    program: str = "supernet run",
    model: object = None,
    data: object = None,
    progress: bool | None = None,
) -> Iterator[Run]:
    """Open a run folder, a new one or one of the same configuration.

    Args:
        arguments: as on the command line, for instance `["--strategy", "spos"]`.
        out: the folder.
        program: what error messages call the command.
        model: an instance, class or function, instead of a configured model.
        data: see `supernet.data.as_source`, instead of a configured data set.
        progress: whether to draw bars; by default on terminals only.

    Raises:
        ConfigError: the options cannot be read.
        RunFolderError: the folder belongs to another configuration, or cannot be used.
    """
    folder = RunFolder(out)
    try:
        stored = folder.read_config()
        if arguments and not folder.has_results():
            stored = None  # a first attempt failed, perhaps for an option that is now mended
        given = {
            name: value for name, value in (("model", model), ("data", data)) if value is not None
        }
        base = {name: value for name, value in (stored or {}).items() if not _from_python(value)}
        config, plain = parse(program, arguments, base)
        if stored is None and folder.has_results() and not folder.config.exists():
            raise RunFolderError(
                f"{out} holds results but no config.yaml, so what they belong to is unknown; put the "
                "file back, or choose another folder with --out"
            )
        plain.update({name: {"python": _fingerprint(value)} for name, value in given.items()})
        _check_same(folder, stored, plain)
        source = as_model_source(model) if model is not None else _configured(config.model)
        with Progress(progress) as shown:
            loaded = as_source(data) if data is not None else config.data
            opened = Run(config, source, loaded, folder, shown)
            folder.clean()
            if stored is None:
                folder.write_config(plain)
            yield opened
    finally:
        folder.close()


def _check_same(
    folder: RunFolder, stored: Mapping[str, Any] | None, plain: Mapping[str, Any]
) -> None:
    """Refuse to go on in a folder that another configuration made."""
    for name, value in (stored or {}).items():
        if _from_python(value) and not _from_python(plain[name]):
            raise RunFolderError(
                f"{folder.path} was made from Python, with {name} {value['python']}; go on by calling "
                "supernet.run(...) as before"
            )
    changed = list(differences(stored, plain)) if stored is not None else []
    if changed:
        raise RunFolderError(
            f"{folder.path} was made by another configuration. In the folder and now:\n  "
            + "\n  ".join(changed)
            + "\nChoose another folder with --out, or leave these options as they were."
        )


def _configured(model: Any) -> ModelSource:
    if model is None:
        raise ConfigError(
            f"no model is given; name one with --model: {', '.join(SPACES)} or a class"
        )
    arguments = model.init_args.as_dict() if "init_args" in model else {}
    return FromCallable.named(model.class_path, arguments)


def _from_python(value: Any) -> bool:
    return isinstance(value, Mapping) and set(value) == {"python"}


def _fingerprint(value: object) -> str:
    """Return a text that tells models and data sets given from Python apart."""
    if isinstance(value, str | Path):
        return str(value)
    if isinstance(value, nn.Module):
        return f"{type(value).__qualname__} {digest(repr(value))[:12]}"
    if isinstance(value, list | tuple) and all(isinstance(part, torch.Tensor) for part in value):
        return f"tensors {digest(list(value))[:12]}"
    return str(getattr(value, "__qualname__", type(value).__qualname__))


@contextlib.contextmanager
def _settings(run: Run) -> Iterator[None]:
    """Use the configured number of threads and deterministic kernels, and put both back."""
    threads = torch.get_num_threads()
    try:
        torch.set_num_threads(run.config.threads or os.cpu_count() or 1)
        with torch.backends.cudnn.flags(enabled=True, benchmark=False, deterministic=True):
            yield
    finally:
        torch.set_num_threads(threads)

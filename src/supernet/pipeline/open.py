"""Opening a run folder, from the command line or from Python, and running steps in it."""

from __future__ import annotations

import contextlib
import copy
import dataclasses
import json
import os
import re
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from torch import nn

from supernet.config import ModelConfig, RunConfig
from supernet.data import Normalise, as_source
from supernet.errors import ConfigError, RunFolderError
from supernet.failures import MORE_MEMORY, machine_errors
from supernet.foreign import calling
from supernet.net.source import FromCallable, FromInstance, ModelSource, as_model_source
from supernet.origin import code_in
from supernet.parser import parse
from supernet.pipeline.changes import Changes
from supernet.pipeline.code import described, structure
from supernet.pipeline.context import Run
from supernet.pipeline.export import Exported, export_networks
from supernet.pipeline.failed import less_memory
from supernet.pipeline.few_shot import few_shot
from supernet.pipeline.identity import check_identity
from supernet.pipeline.networks import chosen, retrained
from supernet.pipeline.retrain import retrain
from supernet.pipeline.search import search
from supernet.pipeline.test import test
from supernet.pipeline.train import check_options, train
from supernet.reading import plain_value, shown, usable_path
from supernet.search import Searcher
from supernet.space import Architecture
from supernet.strategies import Strategy
from supernet.task import Task
from supernet.track import Progress, RunFolder, write_report
from supernet.train import digest
from supernet.zoo import SPACES

__all__ = ["STEPS", "Result", "execute", "open_run", "run", "settings"]


def report(run: Run) -> None:
    """Write `report.html` from the files of the run."""
    write_report(run.folder.path)


STEPS: dict[str, Callable[[Run], None]] = {
    "train": train,
    "few_shot": few_shot,
    "search": search,
    "retrain": retrain,
    "test": test,
    "report": report,
}
"""The steps in their order."""


@dataclass(frozen=True)
class Result:
    """The result of a run: the chosen architecture, its network, and the folder of the files.

    Attributes:
        architecture: chosen architecture.
        metrics: content of `metrics.json`.
        folder: run folder, with all files.
        model: the chosen network, retrained; an ordinary module in evaluation mode.
        normalise: normalisation, from examples as the data set has them to what the model takes.
        again: opens the folder once more, with the options of the run, and changes nothing in it.
    """

    architecture: Architecture
    metrics: Mapping[str, Any]
    folder: Path
    model: nn.Module
    normalise: Normalise
    again: Callable[[], contextlib.AbstractContextManager[Run]] = field(repr=False)

    def export_networks(
        self, *picks: str, onnx: bool = False, to: str | Path | None = None
    ) -> list[Exported]:
        """Export the best candidate of the search within each bound; see `supernet.pipeline.export`.

        Args:
            picks: bounds such as "macs <= 40e6 and params <= 50%"; without any, the chosen network.
            onnx: whether to write ONNX too.
            to: folder in which those of the networks are made; by default `exports` in the run
                folder.

        Raises:
            SupernetError: the message says what is wrong and what to do.
        """
        with self.again() as opened, settings(opened):
            check_identity(opened, look=True)
            return export_networks(
                opened, picks, onnx=onnx, to=None if to is None else usable_path(to, "to")
            )


def run(
    model: object,
    data: object = "digits",
    *,
    strategy: str | Strategy | type[Strategy] = "bender",
    searcher: str | Searcher | type[Searcher] | None = None,
    task: str | Task | type[Task] = "supernet.task.Classification",
    constraints: Sequence[str] | str = (),
    out: str | Path = "runs/python",
    initial: Literal["given", "fresh"] = "given",
    options: Mapping[str, Any] | None = None,
    progress: bool | None = None,
    trust: bool = False,
) -> Result:
    """Search around a model: train the supernet, rank, retrain the best, test once.

    Args:
        model: an `nn.Module` with choices; or a class or function that returns one, and then its own
            initialisation gives fresh weights. Of an instance the supernet has the weights at first
            (see `initial`), and fresh ones are drawn module by module. Arguments called
            `image`, `classes`, `vocabulary` and `context`, if it has them, are given by the data.
        data: "digits", a folder, a file of texts, a `torch.utils.data.Dataset`, a pair of tensors or
            arrays, ...
        strategy: short name, import path, class or object.
        searcher: short name, import path, class or object; by default what a coupled strategy
            learned, and random search for others.
        task: import path, class or object.
        constraints: bounds such as "macs <= 40e6".
        out: the run folder; an interrupted run continues there.
        initial: start of a supernet of a model that is an instance: the weights that are "given",
            or "fresh" ones.
        options: any other option of the command line by its dotted name, for instance
            `{"train.steps": 1000, "search.searcher.count": 50}`.
        progress: whether to draw bars of the progress; by default on terminals only.
        trust: go on in a folder of another origin that names code which is not given here.

    Raises:
        SupernetError: the message says what is wrong and what to do.
    """
    if searcher is None and isinstance(strategy, Strategy):
        searcher = "random" if type(strategy).learned is Strategy.learned else "learned"
    if not isinstance(initial, str) or initial not in ("given", "fresh"):
        raise ConfigError(f'initial is "given" or "fresh", not {shown(initial)}')
    folder = usable_path(out, "out")
    _check_data(data)
    if initial == "fresh" and isinstance(model, nn.Module):
        model = FromInstance(model, fresh=True)
    bounds = [constraints] if isinstance(constraints, str) else constraints
    if not isinstance(bounds, list | tuple) or not all(isinstance(one, str) for one in bounds):
        raise ConfigError(f"constraints are a text or a list of texts, not {shown(constraints)}")
    names: dict[str, Any] = {}
    objects: dict[str, object] = {}
    for name, value, kind in (
        ("model", model, None),
        ("data", data, None),
        ("strategy", strategy, Strategy),
        ("search.searcher", searcher, Searcher),
        ("task", task, Task),
    ):
        if value is None and name == "search.searcher":
            continue
        if isinstance(value, str) and name != "data":
            names[name] = value
        else:
            objects[name] = value if kind is None else _made(name, value, kind)
    options = {} if options is None else options
    _check_names(options, objects)
    arguments = [
        f"--{name}={value if isinstance(value, str) else _json(name, value)}"
        for name, value in {**names, "search.constraints": list(bounds), **options}.items()
    ]
    opens = partial(open_run, arguments, folder, objects=objects, progress=progress, trust=trust)
    with opens() as opened:
        execute(opened, list(STEPS))
        metrics = opened.folder.metrics
        one, weights = chosen(opened)
        trained = retrained(opened, one, weights)
        return Result(
            one.architecture,
            metrics,
            folder,
            trained,
            opened.normalise,
            partial(opens, write=False),
        )


def _check_data(data: object) -> None:
    """Refuse what cannot be data, before its numbers are looked at.

    Raises:
        ConfigError: it is no path, or there are no numbers in memory one by one.
    """
    if isinstance(data, str | Path):
        usable_path(data, "data")
    for part in data if isinstance(data, list | tuple) else ():
        numbers = not isinstance(part, np.ndarray) or part.dtype.kind in "biuf"
        dense = not isinstance(part, torch.Tensor) or (
            part.layout == torch.strided and not part.is_meta
        )
        if not numbers or not dense:
            kind = (
                f"{part.layout} on {part.device}" if isinstance(part, torch.Tensor) else part.dtype
            )
            raise ConfigError(
                f"arrays and tensors of data hold numbers one by one in memory, not {kind}"
            )


def _check_names(options: Mapping[str, Any], objects: Mapping[str, object]) -> None:
    """Refuse what is no option, and options that an object, which is as it is, would leave no effect.

    Raises:
        ConfigError: there is one.
    """
    if not isinstance(options, Mapping):
        raise ConfigError(
            f'options are a dictionary such as {{"train.steps": 1000}}, not {shown(options)}'
        )
    for option in options:
        if (
            not isinstance(option, str)
            or not re.fullmatch(r"[A-Za-z_][\w.]{,200}", option, re.ASCII)
            or option.rpartition(".")[2] in ("help", "print_config")
        ):
            raise ConfigError(
                f"{shown(option)} is no name of an option; write it with dots, as in train.steps"
            )
        for name in objects:
            if option == name or option.startswith(f"{name}."):
                kind = getattr(objects[name], "__name__", type(objects[name]).__name__)
                raise ConfigError(
                    f"the option {option} has no effect on {name}, which is given as {kind}; set it "
                    f"there, or give {name} by its import path"
                )


def _made(name: str, value: object, kind: type) -> object:
    """Return an object of a kind, made without arguments where its class is given.

    Raises:
        ConfigError: it is no such object.
    """
    if isinstance(value, type) and issubclass(value, kind):
        made: type = value
        try:
            value = made()
        except TypeError as error:
            raise ConfigError(
                f"{name} {made.__qualname__} cannot be made without arguments ({error}); give an object"
            ) from error
    if not isinstance(value, kind):
        raise ConfigError(
            f"{name} is a short name, an import path, or a {kind.__name__}, not {shown(value)}"
        )
    return value


def _json(name: str, value: object) -> str:
    return json.dumps(plain_value(value, name))


def execute(run: Run, steps: Sequence[str]) -> None:
    """Run steps in their order; one whose results stand in the folder is not repeated."""
    step = ""
    with settings(run), calling(lambda: f"the step {step!r}" if step else "looking at the run"):
        if any(step != "report" for step in steps):
            check_identity(run)
        for step in steps:
            if step == "few_shot" and run.config.few_shot.decision is None:
                continue
            if run.folder.complete(step):
                run.progress.say(f"{step}: done before")
            else:
                before = run.folder.metrics.get(step)
                with machine_errors(f"the step {step!r}", less_memory(run, step)):
                    STEPS[step](run)
                _forget_later(run, step, before)


def _forget_later(run: Run, step: str, before: Mapping[str, Any] | None) -> None:
    """Forget the results of later steps if those of this one, which they came from, are others now."""

    def result(section: Mapping[str, Any] | None) -> Any:
        return section and {name: value for name, value in section.items() if name != "seconds"}

    metrics = run.folder.metrics
    later = [other for other in list(STEPS)[list(STEPS).index(step) + 1 :] if other in metrics]
    if later and result(metrics.get(step)) != result(before):
        run.folder.forget(later)
        run.progress.say(
            f"{step} has other results than before; repeated for that: {', '.join(later)}"
        )


def _forget_costs(run: Run) -> None:
    """Forget the search if a file of costs holds others now than it did then."""
    known = run.folder.metrics.get("search", {}).get("costs")
    if known is None or not run.config.search.costs:
        return
    if known != {quantity: table.digest for quantity, table in run.costs.items()}:
        steps = [step for step in ("search", "retrain", "test") if step in run.folder.metrics]
        run.folder.forget(steps)
        run.progress.say(f"the tables of costs changed; repeated for that: {', '.join(steps)}")


@contextlib.contextmanager
def open_run(
    arguments: Sequence[str],
    out: Path,
    *,
    program: str = "supernet run",
    objects: Mapping[str, object] | None = None,
    progress: bool | None = None,
    look: bool = False,
    write: bool = True,
    trust: bool = False,
) -> Iterator[Run]:
    """Open a run folder: a new one, or one whose trained supernet the options still fit.

    Args:
        arguments: arguments as on the command line, for instance `["--strategy", "spos"]`.
        out: path of the run folder.
        program: name of the command in error messages.
        objects: objects by option ("model", "data", "task", "strategy", "search.searcher") that are
            used instead of configured ones; see `supernet.data.as_source` for the data.
        progress: whether to draw bars of the progress; by default on terminals only.
        look: use other options than the folder's without applying them to what is in it.
        write: whether anything is to be written into the folder, which one process at a time may do;
            otherwise the folder is only looked at, and may be one that cannot be written.
        trust: use a folder and configuration files of another origin that name code; see
            `supernet.origin`.

    Raises:
        ConfigError: the options cannot be read, or name code and are not trusted.
        RunFolderError: the folder belongs to another configuration, or cannot be used.
    """
    look = look or not write
    folder = RunFolder(out, write=write)
    objects = objects or {}
    try:
        stored = folder.read_config()
        begun = folder.has_results()
        if arguments and not begun and not look and "latency" not in folder.metrics:
            stored = None  # a first attempt failed, perhaps for an option that is now mended
        if stored is None and begun and not folder.config.exists():
            raise RunFolderError(
                f"{out} holds results but no config.yaml, so what they belong to is unknown; put the "
                "file back, or choose another folder with --out"
            )
        made_before, base = _apart(stored or {})
        given = {*objects, *(argument[2:].partition("=")[0] for argument in arguments)}
        _check_python(folder, made_before, given)
        own = stored is None or folder.is_own()
        foreign = None if own else f"the run folder {out}"
        config, plain = parse(program, arguments, base, trust, foreign)
        _, before = parse(program, [], base)  # what an older version did not know has its default
        for name, value in objects.items():
            _put(plain, name, {"python": _fingerprint(value)})
        for name, was in made_before.items():
            _put(before, name, was)
        with Progress(progress) as shown:
            if folder.unlocked:
                shown.say(
                    f"{out} cannot be locked on this file system ({folder.unlocked}): let no other "
                    "process work in it"
                )
            compare = stored is not None and begun and not look
            changes = Changes(folder, before, plain) if compare else None
            opened = _opened(config, plain, objects, folder, shown)
            if write:
                folder.clean()
            if changes and changes.repeated:
                check_options(opened)  # before anything is given up for them
                shown.say(changes.apply())
            if begun and not look:
                _forget_costs(opened)
            if not begun and not look:
                folder.forget(
                    ("environment", "data", "identity")
                )  # of an attempt that trained nothing
            marks = not own and set(code_in(plain))  # what was trusted once is from now on
            if (plain != stored or marks) and not look:
                folder.write_config(plain)
            with machine_errors("this command", MORE_MEMORY):
                yield opened
    finally:
        folder.close()


def _opened(
    config: RunConfig,
    plain: Mapping[str, Any],
    objects: Mapping[str, object],
    folder: RunFolder,
    shown: Progress,
) -> Run:
    source = as_model_source(objects["model"]) if "model" in objects else _configured(config.model)
    return Run(_with_objects(config, objects), plain, source, folder, shown)


def _with_objects(config: RunConfig, objects: Mapping[str, object]) -> RunConfig:
    """Return the options with the objects that are given from Python in their places.

    They are copied, but for the data: a run must not change what the caller gave, as a strategy's
    memory.
    """
    if "data" in objects:
        config = dataclasses.replace(config, data=as_source(objects["data"]))
    if isinstance(task := objects.get("task"), Task):
        config = dataclasses.replace(config, task=copy.deepcopy(task))
    if isinstance(strategy := objects.get("strategy"), Strategy):
        config = dataclasses.replace(config, strategy=copy.deepcopy(strategy))
    if isinstance(searcher := objects.get("search.searcher"), Searcher):
        search = dataclasses.replace(config.search, searcher=copy.deepcopy(searcher))
        config = dataclasses.replace(config, search=search)
    return config


def _apart(stored: Mapping[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return the options that were Python objects, by dotted name, and all others."""
    base = copy.deepcopy(dict(stored))
    objects: dict[str, Any] = {}
    for name in ("model", "data", "task", "strategy", "search.searcher"):
        parts = name.split(".")
        place = base if len(parts) == 1 else base.get(parts[0], {})
        if _from_python(place.get(parts[-1])):
            objects[name] = place.pop(parts[-1])
    return objects, base


def _put(options: dict[str, Any], name: str, value: object) -> None:
    """Set an option by its dotted name."""
    *outer, last = name.split(".")
    for part in outer:
        options = options[part]
    options[last] = value


def _check_python(
    folder: RunFolder, made_before: Mapping[str, Any], given: Collection[str]
) -> None:
    """Refuse to go on without the Python objects that a folder was made with, or others for them."""
    for name in made_before.keys() - set(given):
        raise RunFolderError(
            f"{folder.path} was made from Python, with {name} {made_before[name]['python']}; go on by "
            "calling supernet.run(...) as before"
        )


def _configured(model: ModelConfig | None) -> ModelSource:
    if model is None:
        raise ConfigError(
            f"no model is given; name one with --model: {', '.join(SPACES)} or a class"
        )
    return FromCallable.named(model.class_path, model.init_args)


def _from_python(value: Any) -> bool:
    return isinstance(value, Mapping) and set(value) == {"python"}


def _fingerprint(value: object) -> str:
    """Return a text that tells objects given from Python apart; code and weights are looked at later."""
    if isinstance(value, str | Path):
        return str(value)
    if isinstance(value, FromInstance):
        return _fingerprint(value.model) + " fresh" * value.fresh
    name = str(getattr(value, "__qualname__", type(value).__qualname__))
    if isinstance(value, nn.Module):
        return f"{name} {digest(structure(value))[:12]}"
    if isinstance(value, Strategy | Searcher | Task):
        return f"{name} {digest(described(value))[:12]}"
    if isinstance(value, list | tuple):
        arrays = [torch.as_tensor(p) for p in value if isinstance(p, torch.Tensor | np.ndarray)]
        return f"tensors {digest(arrays)[:12]}"
    return name


@contextlib.contextmanager
def settings(run: Run) -> Iterator[None]:
    """Use the configured number of threads and deterministic kernels, and put both back."""
    threads = torch.get_num_threads()
    try:
        torch.set_num_threads(run.config.threads or os.cpu_count() or 1)
        flags = torch.backends.cudnn.flags(enabled=True, benchmark=False, deterministic=True)
        with calling("working on the run"), flags:
            yield
    finally:
        torch.set_num_threads(threads)

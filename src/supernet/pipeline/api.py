"""Runs from Python: `run` does what `supernet run` does, and returns what it led to."""

from __future__ import annotations

import contextlib
import json
import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any, Literal

from torch import nn

from supernet.cost.quantities import LATENCY
from supernet.data import Normalise
from supernet.errors import ConfigError
from supernet.evaluate.rows import Row
from supernet.loggers import Hook
from supernet.net import SuperNet
from supernet.net.source import FromInstance
from supernet.pipeline.execute import STEPS, execute, settings
from supernet.pipeline.export import Exported, export_networks
from supernet.pipeline.identity import check_identity
from supernet.pipeline.objects import check_data, check_names, made, split_functions
from supernet.pipeline.open import open_run
from supernet.pipeline.profiler import Profiler
from supernet.pipeline.several import as_rank
from supernet.pipeline.state import RunState
from supernet.ranks import rank
from supernet.reading import plain_value, shown, usable_path
from supernet.search import Searcher
from supernet.space import Architecture
from supernet.strategies import Strategy
from supernet.task import Task
from supernet.track import RunFiles, print_table, result_table
from supernet.track.metrics import Metrics
from supernet.track.notebook import in_notebook, notebook_html
from supernet.track.numbers import score
from supernet.track.result_texts import over_random_text

__all__ = ["Result", "run"]

Opens = Callable[..., contextlib.AbstractContextManager[RunState]]

_KINDS: dict[str, type] = {"strategy": Strategy, "search.searcher": Searcher, "task": Task}
"""What an object has to be that is given for an option, or its class."""


@dataclass(frozen=True, repr=False)
class Result:
    """The result of a run: the chosen architecture, its network, and the folder of the files.

    Attributes:
        architecture: chosen architecture.
        metrics: content of `metrics.json`.
        folder: run folder, with all files.
        model: the chosen network, retrained; an ordinary module in evaluation mode.
        normalise: normalisation, from examples as the data set has them to what the model takes.
        again: opens the folder once more, with the options of the run, to read it, or in another `mode`
            of `supernet.pipeline.open_run`.
    """

    architecture: Architecture
    metrics: Mapping[str, Any]
    folder: Path
    model: nn.Module
    normalise: Normalise
    again: Opens = field(repr=False)

    @property
    def report(self) -> Path:
        """The page that shows what was found; it opens in a browser."""
        return self.folder / "report.html"

    @property
    def candidates(self) -> list[dict[str, Any]]:
        """Candidates that the search scored on all examples, best first, as pandas and polars take them.

        A row has "key", "loss", "accuracy", the task's other figures and the costs by their names, and
        of each decision the answer as "decision.LABEL", None where the architecture has none.

        Raises:
            DamagedFileError: the table cannot be read.
        """
        files = RunFiles.read(self.folder)
        rows = [_row(one) for one in files.candidates]
        every = dict.fromkeys(name for row in rows for name in row)
        search = files.metrics.search
        if search is not None and (by := search.ranked_by):
            signed = search.preference.signed
            rows.sort(key=lambda row: (-signed(by, row[by]), row["loss"]))
        elif files.config.get("evaluate", {}).get("rank_by") == "accuracy":
            rows.sort(key=lambda row: (-(row["accuracy"] or 0.0), row["loss"]))
        else:
            rows.sort(key=lambda row: row["loss"])
        return [{name: row.get(name) for name in every} for row in rows]

    @property
    def supernet(self) -> SuperNet:
        """The trained supernet, read from the folder.

        Raises:
            SupernetError: it cannot be read any more, or the model's code is another one by now.
        """
        with self.again() as opened, settings(opened.run):
            return opened.trained.supernet

    def __repr__(self) -> str:
        found = Metrics.from_json(dict(self.metrics))
        parts = [f"chosen {found.retrain.chosen}"] if found.retrain else []
        if found.test is not None:
            reached = score(found.test.chosen.score, found.test.figure)
            parts.append(f"{reached} on {found.test.images:,} test examples")
            parts.append(over_random_text(found.test, found.retrain).partition(", on ")[0])
        return f"Result({'; '.join([*filter(None, parts), f'report: {self.report}'])})"

    def _repr_html_(self) -> str:
        """Return what a notebook shows: the table of results."""
        return notebook_html(result_table(Metrics.from_json(dict(self.metrics))))[0]

    def export_networks(
        self,
        *picks: str,
        onnx: bool = False,
        to: str | Path | None = None,
        needed: bool = True,
    ) -> list[Exported]:
        """Export the best candidate of the search within each bound; see `supernet.pipeline.export`.

        Args:
            picks: bounds such as "macs <= 40e6 and params <= 50%"; without any, the chosen network.
            onnx: whether to write ONNX too.
            to: folder in which those of the networks are made; by default `exports` in the run
                folder.
            needed: whether a network of which a programme cannot be made is not exported; if not, its
                weights are written, and a warning says why there is no programme.

        Raises:
            SupernetError: the message says what is wrong and what to do.
        """
        with self.again() as opened, settings(opened.run):
            check_identity(opened, read_only=True)
            place = None if to is None else usable_path(to, "to")
            return export_networks(opened, picks, onnx=onnx, to=place, needed=needed)


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
    on_record: Hook | None = None,
    profiler: Profiler | None = None,
    overwrite: bool = False,
) -> Result:
    """Search around a model: train the supernet, rank, retrain the best, test once.

    In a script that `torchrun` starts, all processes call it with the same, share out the work, and are
    returned the same; the run folder is that of process 0.

    Args:
        model: an `nn.Module` with choices; or a class or function that returns one, and then its own
            initialisation gives fresh weights. Of an instance the supernet has the weights at first
            (see `initial`), and fresh ones are drawn module by module. Arguments called
            `image`, `classes`, `vocabulary`, `context` and `shapes` (of several inputs), if it has them,
            are given by the data.
        data: a short name such as "digits", the path of a folder or file, an import path, a data frame,
            a `torch.utils.data.Dataset`, a pair of tensors or arrays, ...
        strategy: short name, import path, class or object.
        searcher: short name, import path, class or object; by default what a coupled strategy
            learned, and random search for others.
        task: import path, class or object.
        constraints: bounds such as "macs <= 40e6".
        out: the run folder; an interrupted run continues there.
        initial: start of a supernet of a model that is an instance: the weights that are "given",
            or "fresh" ones.
        options: any other option of the command line by its dotted name, for instance
            `{"train.steps": 1000, "search.searcher.count": 50}`. Optimizers may be functions of the
            parameters (`"train.optimizer": lambda parameters: torch.optim.Adam(parameters, 1e-3)`), and
            schedules of the share of the steps that are done.
        progress: True for bars of the progress, False for none, and for no table of results at the
            end; by default bars on a terminal and in a notebook, and lines elsewhere.
        trust: go on in a folder of another origin that names code which is not given here.
        on_record: function `on_record(record, step)` that is given each record of the run as it is made:
            what `log.jsonl` holds, candidates as they are scored, retrained networks, test figures
            (docs/logging.md). What it raises is said once, and the run goes on.
        profiler: profiler that measures where time and memory go, into `profile.json`; what it found is
            its `record`.
        overwrite: begin anew in a folder that holds a run, whose files are deleted; by default it is
            continued.

    Raises:
        SupernetError: the message says what is wrong and what to do.
    """
    folder = usable_path(out, "out")
    given = {"model": _begun(model, initial), "data": data, "strategy": strategy, "task": task}
    given["search.searcher"] = _searcher(searcher, strategy)
    names, objects = _named_and_made(given)
    if options is None:
        options = {}
    elif isinstance(options, Mapping):
        options, functions = split_functions(options)
        objects |= functions
    arguments = _arguments(names, objects, constraints, options)
    opens = partial(open_run, arguments, objects=objects, trust=trust)
    if not (on_record is None or callable(on_record)):
        raise ConfigError(
            f"on_record is a function on_record(record, step), not {shown(on_record)}"
        )
    with (
        as_rank(folder, arguments) as place,
        opens(
            out=place,
            progress=progress if rank() == 0 else False,
            on_record=on_record if rank() == 0 else None,
            profiler=profiler,
            anew=overwrite,
        ) as opened,
    ):
        execute(opened, list(STEPS))
        result = _result(opened, folder, partial(opens, out=folder, progress=progress, mode="read"))
        if progress is not False and not in_notebook():  # which shows what is returned
            print_table(result_table(opened.run.folder.metrics))
            print(f"report: {result.report}")
        return result


def _row(candidate: Row) -> dict[str, Any]:
    answers = json.loads(candidate.architecture)
    return {
        "key": candidate.key,
        "loss": candidate.loss,
        "accuracy": candidate.accuracy,
        **candidate.figures,
        "params": candidate.params,
        "macs": candidate.macs,
        **({} if candidate.latency_ms is None else {LATENCY: candidate.latency_ms}),
        **json.loads(candidate.costs or "{}"),
        **{f"decision.{label}": answer for label, answer in answers.items()},
    }


def _begun(model: object, initial: object) -> object:
    """Return the model with a note of whether its own weights are those that training begins from.

    Raises:
        ConfigError: there is no such beginning.
    """
    if not isinstance(initial, str) or initial not in ("given", "fresh"):
        raise ConfigError(f'initial is "given" or "fresh", not {shown(initial)}')
    if initial == "fresh" and isinstance(model, nn.Module):
        return FromInstance(model, fresh=True)
    return model


def _searcher(searcher: object, strategy: object) -> object:
    """Return the searcher, or the name of the one that suits a strategy that is an object."""
    if searcher is None and isinstance(strategy, Strategy):
        return "random" if type(strategy).learned is Strategy.learned else "learned"
    return searcher


def _named_and_made(given: Mapping[str, object]) -> tuple[dict[str, str], dict[str, object]]:
    """Return the options that are given by name, and those that are given as objects.

    Raises:
        ConfigError: an object is of the wrong kind, or data are none.
    """
    check_data(given["data"])
    given = {**given, "data": _written(given["data"])}
    names, objects = dict[str, str](), dict[str, object]()
    for name, value in given.items():
        if value is None and name == "search.searcher":
            continue
        if isinstance(value, str):
            names[name] = value
        else:
            objects[name] = made(name, value, _KINDS[name]) if name in _KINDS else value
    return names, objects


def _written(data: object) -> object:
    """Return the path of data as it is written on the command line, where a short name comes first."""
    if isinstance(data, Path):
        return str(data) if data.is_absolute() or len(data.parts) > 1 else f".{os.sep}{data}"
    return data


def _arguments(
    names: Mapping[str, str],
    objects: Mapping[str, object],
    constraints: object,
    options: Mapping[str, Any],
) -> list[str]:
    """Return all that is given, but for objects, as arguments of the command line.

    Raises:
        ConfigError: an option is none or of an object, or constraints are no texts.
    """
    bounds = [constraints] if isinstance(constraints, str) else constraints
    if not isinstance(bounds, list | tuple) or not all(isinstance(one, str) for one in bounds):
        raise ConfigError(f"constraints are a text or a list of texts, not {shown(constraints)}")
    check_names(options, objects)
    return [
        f"--{name}={value if isinstance(value, str) else json.dumps(plain_value(value, name))}"
        for name, value in {**names, "search.constraints": list(bounds), **options}.items()
    ]


def _result(opened: RunState, folder: Path, again: Opens) -> Result:
    """Return what a run led to that has come to its end.

    Args:
        opened: the run, by other processes than the first in a copy of its folder.
        folder: run folder.
        again: opens it once more.
    """
    retrained = opened.retrained
    kept = opened.networks(inherit=retrained.weights == "inherited")
    return Result(
        retrained.chosen.architecture,
        opened.run.folder.metrics.to_json(),
        folder,
        kept.retrained(retrained.chosen, retrained.weights),
        opened.inputs.normalise,
        again,
    )

"""Runs from Python: `run` does what `supernet run` does, and returns what it led to."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any, Literal

from torch import nn

from supernet.data import Normalise
from supernet.errors import ConfigError
from supernet.net.source import FromInstance
from supernet.pipeline.execute import STEPS, execute, settings
from supernet.pipeline.export import Exported, export_networks
from supernet.pipeline.identity import check_identity
from supernet.pipeline.objects import check_data, check_names, made
from supernet.pipeline.open import open_run
from supernet.pipeline.state import RunState
from supernet.reading import plain_value, shown, usable_path
from supernet.search import Searcher
from supernet.space import Architecture
from supernet.strategies import Strategy
from supernet.task import Task

__all__ = ["Result", "run"]


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
    again: Callable[[], contextlib.AbstractContextManager[RunState]] = field(repr=False)

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
        with self.again() as opened, settings(opened.run):
            check_identity(opened, read_only=True)
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
    check_data(data)
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
            objects[name] = value if kind is None else made(name, value, kind)
    options = {} if options is None else options
    check_names(options, objects)
    arguments = [
        f"--{name}={value if isinstance(value, str) else _json(name, value)}"
        for name, value in {**names, "search.constraints": list(bounds), **options}.items()
    ]
    opens = partial(open_run, arguments, folder, objects=objects, progress=progress, trust=trust)
    with opens() as opened:
        execute(opened, list(STEPS))
        retrained = opened.retrained
        kept = opened.networks(inherit=retrained.weights == "inherited")
        return Result(
            retrained.chosen.architecture,
            opened.run.folder.metrics.to_json(),
            folder,
            kept.retrained(retrained.chosen, retrained.weights),
            opened.inputs.normalise,
            partial(opens, write=False),
        )


def _json(name: str, value: object) -> str:
    return json.dumps(plain_value(value, name))

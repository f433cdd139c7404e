"""A trained model made smaller: `compress` does what `supernet compress` does.

The model is opened (`supernet.convert`), all its sizes are trained with the model as the teacher, all
together or block by block, and within each target the best is searched for, trained further and
exported. The first target pays for the training; each other one repeats the search and what follows.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, cast

import torch
from torch import nn

from supernet.conversion import DEFAULT, ConversionRule, convert, pretrained_rules
from supernet.conversion.trial_networks import largest
from supernet.cost import measure_costs
from supernet.cost.constraint import Constraint, read_constraint
from supernet.cost.timing import timer_of, times
from supernet.data import DataSource, Normalise, Raw, as_source, whole_batch
from supernet.data.resolve import SOURCES, is_path
from supernet.elastic.importance import Importance
from supernet.errors import ConfigError
from supernet.evaluate import example_results
from supernet.evaluate.resampling import Interval
from supernet.importance import Taylor
from supernet.imports import resolve
from supernet.modules.calls import called
from supernet.modules.nested import mapped
from supernet.net import SuperNet, derive
from supernet.net.pretrained import is_pretrained
from supernet.pipeline.api import Result, run
from supernet.pipeline.execute import settings
from supernet.pipeline.export import Exported
from supernet.pipeline.objects import made
from supernet.pipeline.scoring import protocol_of
from supernet.pipeline.test import Measured, over_random
from supernet.random import generator
from supernet.reading import shown
from supernet.search import Searcher
from supernet.space import Architecture
from supernet.strategies import Blockwise, Strategy
from supernet.task import TASKS, Task
from supernet.track.records import NetworkScore, Score

__all__ = ["DEFAULTS", "SEARCHERS", "Compressed", "Once", "Sized", "compress"]

DEFAULTS: Mapping[str, Any] = {
    "train.epochs": 5,
    "train.optimizer": "AdamW",
    "train.optimizer.lr": 1e-3,
    "train.teacher": 0.9,
    "retrain.weights": "inherited",
    "retrain.train.epochs": 15,
    "retrain.train.teacher": 0.5,
    "retrain.top": 1,
    "retrain.baselines": 0,
}
"""Options of the run that differ from those of `supernet.run`."""

SEARCHERS: Mapping[str, Mapping[str, Any]] = {
    "evolution": {
        "search.searcher.population": 32,
        "search.searcher.generations": 8,
        "search.searcher.parents": 8,
    },
    "milp": {"search.searcher.design": "replacements"},
}
"""By searcher, options of it that differ from its own defaults."""

LARGEST = "original"
"""Name of the model as it was given."""

BATCHES, EXAMPLES = 24, 32
"""Batches that the importance of channels is measured on, and training examples of each."""

Made = tuple[Architecture, nn.Module, Path]
"""A network that was made: its architecture, the module, and the folder of its files."""

WARMUP, REPEATS = 5, 30
"""Calls before those that are timed, and number of these."""


@dataclass(frozen=True)
class Sized:
    """A model with its costs and what it reaches.

    Attributes:
        name: "original", or the target.
        costs: costs by quantity, as the search counts them, for instance {"params": ..., "macs": ...}.
        latency_ms: median milliseconds of one forward pass of one example on the run's device.
        score: figures on the test split.
        lead: how much better the figure that networks are compared by is than the original's, on the
            same test examples, with its interval; None of the original.
        model: ordinary module in evaluation mode.
        folder: folder of the exported files; None of the original.
    """

    name: str
    costs: Mapping[str, float]
    latency_ms: float
    score: Score
    lead: Interval | None
    model: nn.Module = field(repr=False)
    folder: Path | None

    def summary(self) -> dict[str, Any]:
        """Return all but the model, as plain data."""
        return {
            "name": self.name,
            "costs": dict(self.costs),
            "latency_ms": self.latency_ms,
            "score": dict(self.score),
            "lead": None if self.lead is None else dataclasses.asdict(self.lead),
            "folder": None if self.folder is None else str(self.folder),
        }


@dataclass(frozen=True)
class Compressed:
    """What compressing a model led to.

    Attributes:
        original: the model as it was given.
        networks: a network within each target, in the order of the targets.
        measure: name of the figure that they are compared by, such as "accuracy".
        images: number of test examples.
        result: result of the run, of the last target.
    """

    original: Sized
    networks: Sequence[Sized]
    measure: str
    images: int
    result: Result


def compress(
    model: nn.Module,
    data: object,
    targets: str | Sequence[str] = "macs <= 50%",
    *,
    strategy: str | Strategy | type[Strategy] = "sandwich",
    searcher: str | Searcher | type[Searcher] = "evolution",
    task: str | Task | type[Task] = "supernet.task.Classification",
    out: str | Path = "runs/compressed",
    sort: bool | Importance | None = None,
    rules: Sequence[ConversionRule] | None = None,
    onnx: bool = False,
    options: Mapping[str, Any] | None = None,
    progress: bool | None = None,
) -> Compressed:
    """Return networks within targets, made of a trained model.

    Channels are put in the order of their importance, so that narrower networks have what matters most;
    all sizes are trained at once, with the model as the teacher; and within each target the best is
    searched for, trained further from the shared weights, tested and exported. What cannot be a
    programme (of `torch.export`, or ONNX) is said, and written as weights alone.

    Args:
        model: trained model; it is not changed. Its own class is that of what is returned.
        data: examples as `supernet.run` takes them, on which the model works as it is; with a test split
            of examples that it was not trained on.
        targets: bounds such as "macs <= 50%", "params <= 1e6" or "macs <= 40% and params <= 50%"; a
            network is made for each.
        strategy: short name, import path, class or object: "sandwich", which trains all sizes together,
            or "blockwise", by which each block learns by itself.
        searcher: short name, import path, class or object: "evolution", or "milp", which begins with the
            scores of single replacements and chooses exactly.
        task: import path, class or object.
        out: run folder; an interrupted call continues there.
        sort: importance by which channels are put in order, as of `supernet.convert`; by default
            `supernet.importance.Taylor` on some training examples.
        rules: rules of what is opened, as of `supernet.convert`; by default widths and depths, of models
            of Hugging Face's transformers what their configuration can say (`pretrained_rules`), so
            that what is exported is such a model again.
        onnx: whether to write ONNX too.
        options: options of the run by their dotted names, before `DEFAULTS` and `SEARCHERS`.
        progress: True for bars of the progress, False for none, see `supernet.run`.

    Raises:
        ConfigError: there is no target, or the model is none.
        ConstraintError: a target cannot be read, or met.
        ConversionError: the model cannot be opened.
        SupernetError: the message says what is wrong and what to do.
    """
    wanted = [targets] if isinstance(targets, str) else list(targets)
    if not wanted:
        raise ConfigError('give a target such as "macs <= 50%", or several')
    for bound in (one for target in wanted for one in _bounds(target)):
        read_constraint(bound)
    if not isinstance(model, nn.Module):
        raise ConfigError(f"a trained model is an nn.Module, not {shown(model)}")
    given = {**_defaults(options or {}, strategy, searcher), **(options or {})}
    if not any(name.startswith("data.") for name in given):
        data = Once(_source(data))
    batches, results = _batches(data), dict[str, Made]()
    order = Taylor(batches, _task(task)) if sort is None else sort
    *inputs, _ = batches[0]
    example = mapped(lambda one: one[:2], inputs)
    if rules is None:
        rules = pretrained_rules(model, *example) if is_pretrained(model) else DEFAULT
    space = convert(model, *example, rules=rules, sort=order)
    _check_targets(wanted, space, mapped(lambda one: one[:1], inputs), "search.costs" in given)
    for target in wanted:
        result = run(
            space,
            data,
            strategy=strategy,
            searcher=searcher,
            task=task,
            constraints=_bounds(target),
            out=out,
            options=given,
            progress=progress,
        )
        (exported,) = result.export_networks(target, onnx=onnx, needed=False)
        results[target] = _exported(result, exported)
    return _measured(result, results)


def _exported(result: Result, exported: Exported) -> Made:
    """Return the architecture, network and folder of what was exported, which need not be the chosen."""
    architecture = Architecture(exported.content["architecture"])
    model = derive(result.supernet, architecture)
    model.load_state_dict(torch.load(exported.folder / "model.pt", weights_only=True))
    return architecture, model.eval(), exported.folder


def _bounds(target: str) -> list[str]:
    return [one.strip() for one in target.split(" and ")]


def _check_targets(
    targets: Sequence[str], space: nn.Module, example: Sequence[Any], others: bool
) -> None:
    """Check that each bound can be met, before anything is trained for the first one.

    Args:
        targets: targets.
        space: model with choices.
        example: inputs of one example.
        others: whether tables of further costs are given, which are read later.

    Raises:
        ConstraintError: one cannot be read, or met.
    """
    supernet = SuperNet(space)
    tables = measure_costs(supernet, *example)
    for text in (one for target in targets for one in _bounds(target)):
        quantity, *_ = read_constraint(text)
        if quantity in tables or not others:
            Constraint.parse(text, tables, supernet.space)


class Once(DataSource):
    """Another source, which is loaded once. Copies of it, which are made for other runs, know nothing.

    Args:
        source: the other source.
    """

    def __init__(self, source: DataSource) -> None:
        self.source = source
        self._raw: Raw | None = None

    def load(self) -> Raw:
        """Return what the other source loads, the same at every call."""
        if self._raw is None:
            self._raw = self.source.load()
        return self._raw

    def __getstate__(self) -> dict[str, Any]:
        """Return what tells it from others: the source alone."""
        return {"source": self.source, "_raw": None}


def _defaults(
    options: Mapping[str, Any], strategy: object = "sandwich", searcher: object = "evolution"
) -> dict[str, Any]:
    """Return the defaults that the options do not speak of: steps instead of epochs are others."""
    steps = {name.replace("steps", "epochs") for name in options if name.endswith("train.steps")}
    searcher = options.get("search.searcher", searcher)
    own = SEARCHERS.get(searcher, {}) if isinstance(searcher, str) else {}
    optimizer = "train.optimizer" in options
    taught = strategy not in ("blockwise", Blockwise) and not isinstance(strategy, Blockwise)
    return {
        name: value
        for name, value in {**DEFAULTS, **own}.items()
        if name not in steps
        and not (optimizer and name.startswith("train.optimizer"))
        and (taught or name != "train.teacher")  # blocks have their own
    }


def _source(data: object) -> DataSource:
    """Return the source that is given, or named by its import path."""
    if isinstance(data, str) and not is_path(data) and data not in SOURCES:
        data = made("data", resolve(data, DataSource), DataSource)
    return as_source(data)


def _batches(data: object) -> list[tuple[Any, ...]]:
    """Return a few batches of random training examples, inputs as the model takes them, and targets."""
    train = _source(data).load().train
    normalise = Normalise.of(train)
    order = torch.randperm(len(train), generator=generator(0, "compress")).to(train.targets.device)
    parts = torch.split(order[: BATCHES * EXAMPLES], EXAMPLES)
    return [whole_batch(train.select(part), normalise) for part in parts]


def _task(task: object) -> Task:
    """Return the task that importances are measured by."""
    named = resolve(TASKS.get(task, task), Task) if isinstance(task, str) else task
    return cast(Task, made("task", named, Task))


def _measured(last: Result, results: Mapping[str, Made]) -> Compressed:
    """Measure the original and the networks, on the same test examples and in turns."""
    with last.again() as opened, settings(opened.run):
        inputs, better = opened.inputs, opened.run.config.preference
        space, whole = inputs.space, inputs.original()
        models = {LARGEST: whole, **{name: one for name, (_, one, _) in results.items()}}
        architectures: dict[str, Architecture] = {
            LARGEST: largest(inputs.supernet),
            **{name: one for name, (one, _, _) in results.items()},
        }
        size, examples = (
            protocol_of(opened.run.config).batch_size,
            inputs.splits.test.open("compress"),
        )
        found = dict[str, Measured]()
        for name, one in models.items():
            placed = one.to(opened.run.device)
            score, each = example_results(
                placed, inputs.task, examples.to(opened.run.device), inputs.normalise, size, better
            )
            key = space.canonical(architectures[name]).key
            found[name] = NetworkScore(key=key, weights="inherited", score=score), each
        calls = [lambda one=one: called(one, inputs.example) for one in models.values()]
        _, timer = timer_of(opened.run.device)
        spent = times(calls, timer, WARMUP, REPEATS, opened.run.seed)
        latency = dict(zip(models, torch.tensor(spent).median(0).values.tolist(), strict=True))
        costs = {
            name: {quantity: table.cost(one) for quantity, table in opened.costs.items()}
            for name, one in architectures.items()
        }
        leads = {
            name: over_random(one, [found[LARGEST]], inputs.task, better, opened.run.seed).examples
            for name, one in found.items()
            if name != LARGEST
        }
    sized = {
        name: Sized(
            name,
            costs[name],
            latency[name],
            found[name][0].score,
            leads.get(name),
            one,
            results[name][2] if name in results else None,
        )
        for name, one in models.items()
    }
    measure = found[LARGEST][1].name
    networks = [sized[name] for name in results]
    return Compressed(sized[LARGEST], networks, measure, len(examples), last)

"""Code, weights and data: what a run computes with besides options, and a folder knows it by."""

from __future__ import annotations

import inspect
import json
import math
import platform
from typing import Any

import torch

from supernet.config import TrainConfig
from supernet.data import Augment, whole_batch
from supernet.data.stored import spread
from supernet.errors import ConfigError, DataError, RunFolderError
from supernet.modules.modes import evaluating
from supernet.net.source import FromCallable, FromInstance
from supernet.pipeline.changes import ORDER
from supernet.pipeline.code import classes_of, code_of, plain_description
from supernet.pipeline.context import Run
from supernet.pipeline.inputs import Inputs
from supernet.pipeline.state import RunState
from supernet.random import derive_seed, seeded
from supernet.ranks import bytes_of_all, ranks
from supernet.space import Architecture
from supernet.task import batch_figures, checked_measures
from supernet.track.sections import IdentityRecord
from supernet.train import digest
from supernet.user_code import calling

__all__ = ["check_identity", "record_identity"]

MEASURING = ("measure", "figures", "lower_is_better")
"""Attributes of a task that say how networks are scored, and not how they are trained."""

NAMES = {
    "model": "the code of the model",
    "task": "the code of the task",
    "strategy": "the code of the strategy",
    "optimizer": "the code of the optimizer or of the schedule",
    "augmentation": "the augmentation of the data",
    "weights": "the weights of the model that was given",
    "loss": "the loss of the untrained model on fixed examples",
    "measures": "how the task measures examples",
    "scores": "what the task measures of the untrained model on fixed examples",
    "searcher": "the code of the searcher",
    "data": "the examples of the test split",
}
"""What may change, in words."""

_OF_RANKS = {
    "options": "the options, as those of a configuration file",
    "examples": "the examples or the shapes of the model",
}
"""What processes must have alike besides, in words."""

TOLERANCE = 1e-3
"""By how much a loss may differ, relative to itself: rounding on another device, and more."""

PROBES = 4
"""Architectures whose losses are compared, spread over the space."""

EXAMPLES = 32
"""On how many examples, spread over those for training."""

VARIES = "varies"
"""Instead of a number that differs from one time to the next: it says nothing of what changed."""

Parts = dict[str, dict[str, Any]]
"""By step and name, hashes or numbers that the results of the step depend on."""


def record_identity(run: Run, inputs: Inputs) -> None:
    """Write what the run computes with into its folder, where it does not stand there yet.

    The weights of a model that was given as an instance are kept too, as `initial.pt`.
    """
    if run.folder.metrics.identity is not None:
        return
    run.folder.record(IdentityRecord(**_place(run), parts=_parts(run, inputs)))
    if isinstance(run.model, FromInstance) and not run.model.fresh:
        run.folder.write_initial(run.model.model.state_dict())
        fresh = "fresh" in run.config.retrain.kinds
        run.progress.say(
            "the supernet starts from the weights of the model that was given"
            + ("; networks that are retrained from fresh weights do not" if fresh else "")
        )


def check_identity(opened: RunState, *, read_only: bool = False) -> None:
    """Check that the results in the folder are those of this model, data and code.

    Where later steps depend on what changed, they are forgotten, to be repeated. Where several
    processes work on the run, also check that they have the same.

    Args:
        opened: run that is about to use them.
        read_only: whether to forget nothing, and only say it.

    Raises:
        ConfigError: processes have other code or data.
        RunFolderError: the training of the supernet depends on what changed.
    """
    run = opened.run
    metrics = run.folder.metrics
    if ranks() > 1:
        _check_ranks(run, opened.inputs)
    if metrics.data and metrics.data.identity not in (None, opened.inputs.identity):
        raise RunFolderError(
            f"{run.folder.path} holds results of another model or of other data, though they are "
            "named alike; choose another folder"
        )
    before = metrics.identity
    if before is None:
        return
    now = _parts(run, opened.inputs)
    changed = _changed(run, before, now)
    if "train" in changed:
        raise RunFolderError(_refusal(run, changed["train"]))
    if not changed:
        return
    first = min(map(ORDER.index, changed))
    steps = [step for step in ORDER[first:] if step in metrics.names]
    names = " and ".join(NAMES[name] for step in changed for name in changed[step])
    if read_only:
        run.progress.say(f"{names} changed since, which is not applied to what is in the folder")
        return
    for step in changed:
        if changed[step] != ["searcher"]:  # scores are the same, whoever asks for them
            run.folder.drop_files(step)
    for step in ORDER[first:]:
        run.folder.drop_failures(step)  # perhaps they failed for what was mended
    run.folder.forget(steps)
    run.folder.record(IdentityRecord(**_place(run), parts=now))
    if not steps:
        return
    run.progress.say(
        f"changed since this folder was made: {names}. Repeated for that: {', '.join(steps)}"
    )


def _check_ranks(run: Run, inputs: Inputs) -> None:
    """Check that all processes have the same code and data.

    Raises:
        ConfigError: one has not.
    """
    before = {"options": digest(run.options), "examples": inputs.identity}
    parts = {"": before, **_parts(run, inputs)}
    every = [json.loads(one) for one in bytes_of_all(json.dumps(parts).encode())]
    for number, theirs in enumerate(every):
        names = [
            NAMES.get(name) or _OF_RANKS[name]
            for step, found in theirs.items()
            for name in found
            if not _same(every[0][step].get(name), found[name])
        ]
        if names:
            raise ConfigError(
                f"all processes of a run need the same code and data, but process {number} differs from "
                f"process 0 in {' and '.join(dict.fromkeys(names))}; put the same files on all machines"
            )


def _parts(run: Run, inputs: Inputs) -> Parts:
    config, task = run.config, classes_of(inputs.task)
    losses, scores = _probed(inputs, run.seed)
    parts: Parts = {
        "train": {
            "model": _model_code(run, inputs),
            "task": code_of(task, without=MEASURING),
            "strategy": code_of(classes_of(config.strategy)),
            "optimizer": _optimizer(config.train),
            "augmentation": _augmentation(inputs.augment),
            "loss": losses,
        },
        "few_shot": {"optimizer": _optimizer(config.few_shot.train)},
        "search": {
            "measures": code_of(task, only=MEASURING),
            "scores": scores,
            "searcher": code_of(classes_of(config.search.searcher)),
        },
        "retrain": {
            "optimizer": _optimizer(config.retrain.train),
            "augmentation": _augmentation(config.retrain.augment),
        },
        "test": {"data": inputs.splits.test.identity},
    }
    if isinstance(run.model, FromInstance) and not run.model.fresh:
        parts["train"]["weights"] = digest(dict(run.model.model.state_dict()))
    return parts


def _augmentation(augment: Augment | None) -> str:
    code = None if augment is None else code_of(classes_of(augment))
    return digest([plain_description(augment), code])


def _model_code(run: Run, inputs: Inputs) -> str:
    source = run.model
    makers = [source.make if isinstance(source, FromCallable) else type(source)]
    kinds = dict.fromkeys(type(module) for module in inputs.supernet.model.modules())
    return code_of([*makers, *kinds], without=("diagram", "extra_repr"))


def _optimizer(train: TrainConfig) -> str:
    with calling("the optimizer cannot be made", ConfigError, always=True):
        optimizer = train.optimizer([torch.nn.Parameter(torch.zeros(1))])
    functions = [one for one in (train.optimizer, train.schedule) if inspect.isfunction(one)]
    return code_of([type(optimizer), *functions])


def _probed(inputs: Inputs, seed: int) -> tuple[list[float | str], list[list[object]]]:
    """Return the losses of some architectures before any training, and by name what is measured.

    Raises:
        DataError: the model or the task cannot be run.
    """
    supernet, space = inputs.supernet, inputs.space
    examples = inputs.splits.train
    few = examples.select(spread(len(examples), EXAMPLES))
    batch = whole_batch(few, inputs.normalise)

    def probe(architecture: Architecture) -> dict[str, float]:
        with (
            torch.no_grad(),
            evaluating(supernet),
            seeded(derive_seed(seed, "identity")),
            supernet.route(architecture),
        ):
            loss = inputs.task.loss(supernet, batch).item()
            measures = checked_measures(inputs.task, supernet, batch)
            precise = {name: value.double() for name, value in measures.items()}
            figures = batch_figures(inputs.task, [precise])
        return {"": loss, **{name: value.item() for name, value in figures.items()}}

    found: dict[str, list[float | str]] = {}
    for number in range(PROBES):
        architecture = space[number * (space.size - 1) // (PROBES - 1)]
        doing = f"the model and the task cannot be run on {inputs.splits.name}"
        with calling(doing, DataError, always=True):
            values, again = probe(architecture), probe(architecture)
        for name, value in values.items():
            same = math.isclose(value, again[name], rel_tol=1e-5) or not math.isfinite(value)
            shown = value if math.isfinite(value) else str(value)
            found.setdefault(name, []).append(shown if same else VARIES)
    return found.pop(""), [[name, values] for name, values in sorted(found.items())]


def _changed(run: Run, before: IdentityRecord, now: Parts) -> dict[str, list[str]]:
    """Return by step the names of what differs."""
    place = _place(run)
    uncertain = set[str]()
    if before.python != place["python"]:  # compiled otherwise
        uncertain |= NAMES.keys() - {"weights", "loss", "scores", "data"}
    if before.device != place["device"]:  # where another network may be right on an example
        uncertain.add("scores")
    found: dict[str, list[str]] = {}
    for step, parts in now.items():
        if step == "few_shot" and run.config.few_shot.decision is None:
            continue
        old = before.parts.get(step, {})
        names = [
            name
            for name in sorted({*parts, *old.keys() & NAMES.keys()}, key=list(NAMES).index)
            if not _same(old.get(name), parts.get(name)) and name not in uncertain
        ]
        if names:
            found[step] = names
    return found


def _same(one: object, other: object) -> bool:
    if VARIES in (one, other):
        return True
    if isinstance(one, list) and isinstance(other, list):
        return len(one) == len(other) and all(map(_same, one, other))
    if isinstance(one, float) and isinstance(other, float):
        return math.isclose(one, other, rel_tol=TOLERANCE, abs_tol=TOLERANCE)
    return one == other


def _refusal(run: Run, names: list[str]) -> str:
    """Say what changed that the trained supernet depends on."""
    if "weights" in names:
        return (
            f"{run.folder.path} was trained from a model with other weights than the one that is given "
            "now. To go on there, give it those that it had: "
            f"model.load_state_dict(torch.load('{run.folder.initial}')); to train from those of now, "
            "choose another folder"
        )
    listed = " and ".join(NAMES[name] for name in names)
    return (
        f"{run.folder.path} was trained before this changed: {listed}. The trained supernet depends on "
        "it and is not given up. Choose another folder with --out (in Python: out=...), or put back "
        "what was there"
    )


def _place(run: Run) -> dict[str, str]:
    """Return what code is compiled for, and the kind of device that numbers are of."""
    return {
        "python": ".".join(platform.python_version_tuple()[:2]),
        "device": run.device.type,
    }

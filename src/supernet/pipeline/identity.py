"""Code, weights and data: what a run computes with besides options, and a folder knows it by."""

from __future__ import annotations

import math
import platform
from collections.abc import Mapping
from typing import Any

import torch

from supernet.errors import RunFolderError
from supernet.net.modes import evaluating
from supernet.net.source import FromCallable, FromInstance
from supernet.pipeline.changes import ORDER
from supernet.pipeline.code import code_of, described
from supernet.pipeline.context import Run
from supernet.random import derive_seed, seeded
from supernet.train import OptimizerFactory, digest

__all__ = ["check_identity", "record_identity"]

NAMES = {
    "model": "the code of the model",
    "task": "the code of the task",
    "strategy": "the code of the strategy",
    "optimizer": "the code of the optimizer",
    "augmentation": "the augmentation of the data",
    "weights": "the weights of the model that was given",
    "loss": "the loss of the untrained model on fixed examples",
    "measures": "how the task measures examples",
    "searcher": "the code of the searcher",
    "data": "the examples of the test split",
}
"""What may change, in words."""

TOLERANCE = 1e-3
"""By how much a loss may differ, relative to itself: rounding on another device, and more."""

PROBES = 4
"""Architectures whose losses are compared, spread over the space."""

Parts = dict[str, dict[str, Any]]
"""By step and name, hashes or numbers that the results of the step depend on."""


def record_identity(run: Run) -> None:
    """Write what the run computes with into its folder, where it does not stand there yet.

    The weights of a model that was given as an instance are kept too, as `initial.pt`.
    """
    if "identity" in run.folder.metrics:
        return
    run.folder.record("identity", {"python": _python(), **_parts(run)})
    if isinstance(run.model, FromInstance) and not run.model.fresh:
        run.folder.write_initial(run.model.model.state_dict())
        fresh = "fresh" in run.config.retrain.kinds
        run.progress.say(
            "the supernet starts from the weights of the model that was given"
            + ("; networks that are retrained from fresh weights do not" if fresh else "")
        )


def check_identity(run: Run, *, look: bool = False) -> None:
    """Check that the results in the folder are those of this model, data and code.

    Where later steps depend on what changed, they are forgotten, to be repeated.

    Args:
        run: about to use them.
        look: forget nothing, and only say it.

    Raises:
        RunFolderError: the training of the supernet depends on what changed.
    """
    recorded = run.folder.metrics.get("data", {}).get("identity")
    if recorded is not None and recorded != run.identity:
        raise RunFolderError(
            f"{run.folder.path} holds results of another model or of other data, though they are "
            "named alike; choose another folder"
        )
    before: Mapping[str, Any] | None = run.folder.metrics.get("identity")
    if before is None:
        return
    now = _parts(run)
    changed = _changed(before, now)
    if "train" in changed:
        raise RunFolderError(_refusal(run, changed["train"]))
    if not changed:
        return
    first = min(map(ORDER.index, changed))
    steps = [step for step in ORDER[first:] if step in run.folder.metrics]
    names = " and ".join(NAMES[name] for step in changed for name in changed[step])
    if look:
        run.progress.say(f"{names} changed since, which is not applied to what is in the folder")
        return
    for step in changed:
        if changed[step] != ["searcher"]:  # scores are the same, whoever asks for them
            run.folder.drop_files(step)
    run.folder.forget(steps)
    run.folder.record("identity", {"python": _python(), **now})
    run.progress.say(
        f"changed since this folder was made: {names}. Repeated for that: {', '.join(steps)}"
    )


def _parts(run: Run) -> Parts:
    config, task = run.config, type(run.task)
    losses, measures = _probed(run)
    parts: Parts = {
        "train": {
            "model": _model_code(run),
            "task": code_of([task], without=("measure",)),
            "strategy": code_of([type(config.strategy)]),
            "optimizer": _optimizer(config.train.optimizer),
            "augmentation": digest(described(run.splits.augment)),
            "loss": losses,
        },
        "few_shot": {"optimizer": _optimizer(config.few_shot.train.optimizer)},
        "search": {
            "measures": digest([code_of([task], only=("measure",)), measures]),
            "searcher": code_of([type(config.search.searcher)]),
        },
        "retrain": {"optimizer": _optimizer(config.retrain.train.optimizer)},
        "test": {"data": run.splits.test.identity},
    }
    if isinstance(run.model, FromInstance) and not run.model.fresh:
        parts["train"]["weights"] = digest(dict(run.model.model.state_dict()))
    return parts


def _model_code(run: Run) -> str:
    source = run.model
    makers = [source.make if isinstance(source, FromCallable) else type(source)]
    kinds = dict.fromkeys(type(module) for module in run.supernet.model.modules())
    return code_of([*makers, *kinds], without=("diagram", "extra_repr"))


def _optimizer(make: OptimizerFactory) -> str:
    return code_of([type(make([torch.nn.Parameter(torch.zeros(1))]))])


def _probed(run: Run) -> tuple[list[float | str], list[str]]:
    """Return the losses of some architectures before any training, and the names of the measures."""
    supernet, space = run.initial_supernet(), run.supernet.space
    examples = run.splits.train
    few = examples.select(torch.tensor([0, len(examples) - 1]))
    batch = (run.normalise(few.inputs), few.targets)
    losses, names = list[float | str](), set[str]()
    for number in range(PROBES):
        architecture = space[number * (space.size - 1) // (PROBES - 1)]
        with (
            torch.no_grad(),
            evaluating(supernet),
            seeded(derive_seed(run.seed, "identity")),
            supernet.route(architecture),
        ):
            loss = run.task.loss(supernet, batch).item()
            names.update(run.task.measure(supernet, batch))
        losses.append(loss if math.isfinite(loss) else str(loss))
    return losses, sorted(names)


def _changed(before: Mapping[str, Any], now: Parts) -> dict[str, list[str]]:
    """Return by step the names of what differs."""
    compiled_alike = before["python"] == _python()
    found: dict[str, list[str]] = {}
    for step, parts in now.items():
        old = before.get(step, {})
        names = [
            name
            for name in sorted({*parts, *old}, key=list(NAMES).index)
            if not _same(old.get(name), parts.get(name))
            and (compiled_alike or name in ("augmentation", "weights", "loss", "data"))
        ]
        if names:
            found[step] = names
    return found


def _same(one: object, other: object) -> bool:
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


def _python() -> str:
    """Return the version of Python that code is compiled for."""
    return ".".join(platform.python_version_tuple()[:2])

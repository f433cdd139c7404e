"""From one search to several networks: the best candidate within each bound, as files ready for use.

An architecture gets the weights that are best for it on the search split: the supernet's as they are, or
those that the run's retraining left, where it was retrained.
"""

from __future__ import annotations

import contextlib
import io
import os
import re
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import torch
from torch import nn

from supernet.config import WeightsName
from supernet.cost import Constraints, cost_of
from supernet.cost.constraint import number_text
from supernet.data import Preprocess
from supernet.errors import ConstraintError, RunFolderError
from supernet.evaluate import Candidate, CandidateTable, Provenance, Score
from supernet.files import storage_errors, write_bytes, write_json
from supernet.net.batchnorm import recalibrated
from supernet.net.export import TOLERANCE, check_formats, packed, traced, verified
from supernet.pipeline.context import Run
from supernet.pipeline.networks import (
    calibration,
    chosen,
    costs_of,
    inherited,
    preference,
    retrained,
    supernet_of,
)
from supernet.pipeline.records import Selected
from supernet.task import measured

__all__ = ["Exported", "export"]

TRAINED_FROM: dict[str, WeightsName] = {"fine_tuned": "inherited", "scratch": "fresh"}
"""By name of a network in `metrics.json`, the weights that its training started from."""


@dataclass(frozen=True)
class Exported:
    """A network that was exported.

    Attributes:
        name: of its folder.
        folder: where its files are.
        content: what `architecture.json` there holds.
    """

    name: str
    folder: Path
    content: Mapping[str, Any]


@dataclass(frozen=True)
class Network:
    """An architecture with its weights, about to be exported.

    Attributes:
        selected: the architecture.
        weights: "inherited", "fine_tuned" or "scratch".
        model: an ordinary module in evaluation mode.
        validation: its score on the search split.
    """

    selected: Selected
    weights: str
    model: nn.Module
    validation: Score


def export(
    run: Run, picks: Sequence[str] = (), *, onnx: bool = False, to: Path | None = None
) -> list[Exported]:
    """Export the best candidate within each of the bounds, or without any the chosen network of the run.

    Each gets a folder with `model.pt` (state dict), `model.pt2` (programme of PyTorch), with `onnx` also
    `model.onnx`, and `architecture.json`. Programmes take examples as the data set has them. A folder is
    written whole, and only if its programmes compute what the supernet computes (or, with retrained
    weights, the retrained network).

    Args:
        run: a search in it has ended.
        picks: bounds as in `search.constraints`, several of them joined by "and".
        onnx: whether to write ONNX too.
        to: where the folders are made; by default `exports` in the run folder.

    Raises:
        ConfigError: a package that ONNX needs is missing.
        ConstraintError: a pick cannot be read, or no candidate satisfies it.
        ExportError: a network cannot be exported, or its programme computes something else.
        RunFolderError: the folder lacks the trained supernet, the search, or the chosen network.
    """
    formats = [".pt2", ".onnx"] if onnx else [".pt2"]
    check_formats(formats)
    candidates = _candidates(run)
    found = {_name(pick): (pick, _picked(run, pick, candidates)) for pick in picks}
    target, exported = to or run.folder.exports, []
    for name in found or ["chosen"]:
        _check_free(target / name)
    for name, (pick, selected) in found.items():
        exported.append(_exported(run, target / name, _best(run, selected), formats, pick))
    if not picks:
        exported.append(_exported(run, target / "chosen", _chosen(run), formats))
    return exported


def _candidates(run: Run) -> list[Candidate]:
    """Return the candidates of the search, best first.

    Raises:
        RunFolderError: there is no trained supernet or no search, or they do not belong together.
    """
    parts = run.config.few_shot.decision is not None
    weights = (run.trained_parts() if parts else run.trained_supernet())[1]
    provenance = Provenance(**run.section("search")["protocol"])
    if provenance.weights != weights:
        raise RunFolderError(
            f"the candidates of {run.folder.path} were scored with other weights than those there now; "
            "run the step 'search' again"
        )
    with CandidateTable(run.folder.candidates) as table:
        found = [one for one in table.all(provenance) if one.status == "ok"]
    return sorted(found, key=lambda candidate: candidate.rank_key)


def _picked(run: Run, pick: str, candidates: Sequence[Candidate]) -> Selected:
    """Return the best candidate that satisfies a pick."""
    constraints = Constraints(re.split(r"\s+and\s+", pick.strip()), run.costs, run.supernet.space)
    for candidate in candidates:
        if constraints.hold(candidate.architecture):
            costs = cost_of(run.costs, candidate.architecture)
            scores = {"accuracy": candidate.accuracy, "loss": candidate.loss}
            return Selected(candidate.key, "pick", candidate.architecture, scores, costs)
    raise ConstraintError(
        f"none of the {len(candidates):,} candidates of the search satisfies {pick!r}: "
        f"{_missed(run, constraints, candidates)}. Search with it, with the weights there are: "
        f"supernet search --run {run.folder.path} --search.constraints "
        f"'[{', '.join(constraints.texts)}]'"
    )


def _missed(run: Run, constraints: Constraints, candidates: Sequence[Candidate]) -> str:
    """Say which bounds no candidate keeps to, and what is possible."""
    found = []
    for bound in constraints.bounds:
        table, lower = run.costs[bound.quantity], bound.sense == "<="
        costs = [table.cost(candidate.architecture) for candidate in candidates]
        best, end = (min(costs), "smallest") if lower else (max(costs), "largest")
        if not bound.holds(best):
            reach = " to ".join(map(number_text, table.range(run.supernet.space)))
            found.append(
                f"the {end} {bound.quantity} among them is {number_text(best)}, where the space "
                f"reaches from {reach}"
            )
    return "; ".join(found) or "some keep to each bound, but none to all of them"


def _best(run: Run, selected: Selected) -> Network:
    """Return the network of an architecture with the weights that are best on the search split."""
    model = inherited(run, selected.architecture)
    as_it_is = Network(selected, "inherited", model, run.validate(model))
    rows = run.folder.metrics.get("retrain", {}).get("candidates", [])
    row: Mapping[str, Any] = next((row for row in rows if row["key"] == selected.key), {})
    alone: Mapping[str, Score] = row.get("stand_alone", {})
    trained = {name: score for name, score in alone.items() if name in TRAINED_FROM}
    if not trained or run.config.retrain.model:  # another network, of other costs
        return as_it_is
    name = max(trained, key=lambda name: preference(trained[name]))
    if preference(trained[name]) < preference(as_it_is.validation):
        return as_it_is
    model = retrained(run, selected, TRAINED_FROM[name])
    return Network(selected, name, model, trained[name])


def _chosen(run: Run) -> Network:
    """Return the chosen network of the run, as `model.pt` there has it.

    Raises:
        RunFolderError: nothing is retrained.
    """
    if "retrain" not in run.folder.metrics:
        raise RunFolderError(
            f"{run.folder.path} has no chosen network yet; run the step 'retrain' first, or say with "
            "--pick which candidate is wanted, for instance --pick 'macs <= 50%'"
        )
    selected, weights = chosen(run)
    model = retrained(run, selected, weights)
    selected = replace(selected, costs=costs_of(run, selected, model))
    fine_tuned = "fine_tuned" if run.config.retrain.train.steps else "inherited"
    name = "scratch" if weights == "fresh" else fine_tuned
    return Network(selected, name, model, run.validate(model))


def _exported(
    run: Run, folder: Path, network: Network, formats: Sequence[str], pick: str | None = None
) -> Exported:
    """Trace, verify and write a network."""
    model, stored = network.model, run.splits.search.inputs[: run.protocol.batch_size].cpu()
    program = traced(model, stored[:1], Preprocess(run.normalise, stored))
    contents = {f"model{suffix}": packed(program, suffix) for suffix in formats}
    batches = [(stored, _expected(run, network, stored))]
    batches.append((stored[:1], _expected(run, network, stored[:1])))
    verification: dict[str, Any] = {"tolerance": TOLERANCE}
    for (name, content), suffix in zip(contents.items(), formats, strict=True):
        difference = verified(content, suffix, batches)
        verification[name] = difference and asdict(difference)
        if difference is None:
            run.progress.say(f"{name} is not verified, since onnxruntime is not installed")
    buffer = io.BytesIO()
    plain = model.cpu().to(memory_format=torch.contiguous_format)  # type: ignore[call-overload]
    torch.save(plain.state_dict(), buffer)
    contents["model.pt"] = buffer.getvalue()
    selected = network.selected
    described = {
        "key": selected.key,
        "architecture": dict(selected.architecture),
        "pick": pick,
        "weights": network.weights,
        "supernet": dict(selected.supernet),
        "validation": network.validation,
        "costs": {name: _whole(cost) for name, cost in selected.costs.items()},
        "input": {
            "dtype": str(stored.dtype).removeprefix("torch."),
            "shape": ["batch", *stored.shape[1:]],
        },
        "verification": verification,
    }
    _write(folder, contents, described)
    return Exported(folder.name, folder, described)


def _expected(run: Run, network: Network, stored: torch.Tensor) -> Any:
    """Return what the programme must return: what the supernet does for the architecture.

    With retrained weights: what the network does.
    """
    inputs = run.normalise(stored.to(run.device))
    exact = torch.backends.cudnn.flags(
        enabled=True, benchmark=False, deterministic=True, allow_tf32=False
    )
    with exact, torch.no_grad():
        if network.weights != "inherited":
            return network.model(inputs)
        architecture = network.selected.architecture
        supernet = supernet_of(run, architecture)
        measures = partial(measured, run.task, supernet)
        with supernet.route(architecture), recalibrated(supernet, calibration(run), measures):
            return supernet(inputs)


def _check_free(folder: Path) -> None:
    """Check that nothing is replaced but an export."""
    if folder.exists() and not (folder / "architecture.json").exists():
        raise RunFolderError(
            f"{folder} is there, but no export (it lacks architecture.json), so it is not replaced; "
            "move it away, or name another folder with --to"
        )


def _write(folder: Path, contents: Mapping[str, bytes], described: Mapping[str, Any]) -> None:
    """Write a folder; one that is there is replaced when the new one is whole."""
    temporary = folder.with_name(f".{folder.name}.{os.getpid()}.tmp")
    with storage_errors(folder):
        for left in folder.parent.glob(
            f".{folder.name}.[0-9]*.tmp"
        ):  # of a process that was killed
            shutil.rmtree(left)
        temporary.mkdir(parents=True)
        try:
            for name, content in contents.items():
                write_bytes(temporary / name, content)
            write_json(temporary / "architecture.json", described)
            if folder.exists():
                shutil.rmtree(folder)
            temporary.rename(folder)
        finally:
            with contextlib.suppress(FileNotFoundError):
                shutil.rmtree(temporary)


def _name(pick: str) -> str:
    """Return a pick as the name of a folder: "macs-le-3e4-and-params-le-50pct"."""
    name = pick.replace("+", "").replace("<=", "-le-").replace(">=", "-ge-").replace("%", "pct")
    return re.sub(r"-+", "-", re.sub(r"[^\w.-]+", "-", name)).strip("-.")


def _whole(cost: float) -> float:
    return int(cost) if float(cost).is_integer() else cost

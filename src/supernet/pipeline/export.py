"""From one search to several networks: the best candidate within each bound, as files ready for use.

An architecture gets the weights that are best for it on the search split: the supernet's as they are, or
those that the run's retraining left, where it was retrained. Architectures are compared by the best that
is known of them so: the score of a network that was retrained, where that is higher than the one-shot
score.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

from torch import nn

from supernet.config import WeightsName
from supernet.cost import Constraints, cost_of
from supernet.cost.constraint import number_text
from supernet.errors import ConfigError, ConstraintError, RunFolderError
from supernet.evaluate import Candidate, Preference
from supernet.failures import attempted, first_line
from supernet.files import write_json
from supernet.folders import check_ours, new_folder, recover
from supernet.net.export import ExportError, check_formats
from supernet.net.pretrained import is_pretrained, write_pretrained
from supernet.pipeline.context import Run
from supernet.pipeline.costs import divided
from supernet.pipeline.failures import none_left_error
from supernet.pipeline.networks import Networks
from supernet.pipeline.programs import Programs, programs, write_network
from supernet.pipeline.scoring import validate
from supernet.pipeline.searched import candidates_of
from supernet.pipeline.state import RunState
from supernet.reading import shown
from supernet.space import SearchSpace
from supernet.track.numbers import score as score_text
from supernet.track.records import Failed, Outcome, Score, Selected

__all__ = ["Exported", "export_networks"]

PRETRAINED = "pretrained"
"""Folder of a model of Hugging Face's transformers, as these read it."""

FILES = ("architecture.json", "model.pt", "model.pt2", "model.onnx", PRETRAINED)
"""What an export may hold."""

TRAINED_FROM: dict[str, WeightsName] = {"fine_tuned": "inherited", "scratch": "fresh"}
"""By name of a network in `metrics.json`, the weights that its training started from."""


@dataclass(frozen=True)
class Exported:
    """A network that was exported.

    Attributes:
        name: name of the network's folder.
        folder: folder that the network's files are in.
        content: content of `architecture.json` there.
    """

    name: str
    folder: Path
    content: Mapping[str, Any]


@dataclass(frozen=True)
class Network:
    """An architecture with its weights, about to be exported.

    Attributes:
        selected: selected architecture.
        weights: "inherited", "fine_tuned" or "scratch".
        model: an ordinary module in evaluation mode.
        validation: score of the network on the search split.
    """

    selected: Selected
    weights: str
    model: nn.Module
    validation: Score


def export_networks(
    opened: RunState,
    picks: Sequence[str] = (),
    *,
    onnx: bool = False,
    to: Path | None = None,
    needed: bool = True,
) -> list[Exported]:
    """Export the best candidate within each of the bounds, or without any the chosen network of the run.

    Of several, one that cannot be exported is named, and left out of what is returned.

    Each gets a folder with `model.pt` (state dict), `model.pt2` (programme of PyTorch), with `onnx` also
    `model.onnx`, and `architecture.json`. Programmes take examples as the data set has them. A folder is
    written whole, and only if its programmes compute what the supernet computes (or, with retrained
    weights, the retrained network).

    Args:
        opened: a run in which a search has ended.
        picks: bounds as in `search.constraints`, several of them joined by "and".
        onnx: whether to write ONNX too.
        to: folder in which those of the networks are made; by default `exports` in the run folder.
        needed: whether a network of which a programme cannot be made is not exported; if not, its
            weights and the programmes that can be made are written, and a warning says why others are
            not.

    Raises:
        ConfigError: a pick is no text, or a package that ONNX needs is missing.
        ConstraintError: a pick cannot be read, or no candidate satisfies it.
        ExportError: the only network cannot be exported, or its programme computes something else.
        NoNetworkError: of several networks none can be exported.
        RunFolderError: the folder lacks the trained supernet, the search, or the chosen network; or what
            is where an export would go is none, or holds other files besides.
        StorageError: a folder cannot be written; an export that was there is as it was.
    """
    if wrong := [pick for pick in picks if not isinstance(pick, str)]:
        raise ConfigError(f"a pick is a text such as 'macs <= 50%', not {shown(wrong[0])}")
    formats = [".pt2", ".onnx"] if onnx else [".pt2"]
    check_formats(formats)
    run, networks = opened.run, opened.networks(inherit=True)
    candidates = candidates_of(run, opened.shared, opened.searched)
    found = {_name(pick): (pick, _picked(opened, pick, candidates)) for pick in picks}
    target, exported = to or run.folder.exports, []
    recover(target)
    for name in found or ["chosen"]:
        check_ours(target / name, "export", FILES, "--to")
    failed: list[Failed] = []
    for name, (pick, selected) in found.items():
        work = partial(_export_best, networks, target / name, selected, formats, pick, needed)
        one = attempted(work)
        if isinstance(one, Exception):
            if len(found) == 1:
                raise one
            failed.append(Failed.of(selected.key, pick, selected.architecture, one))
            run.progress.say(f"not exported: {failed[-1].text()}")
        else:
            exported.append(one)
    if not picks:
        chosen = _chosen(opened, networks)
        exported.append(_exported(networks, target / "chosen", chosen, formats, needed=needed))
    if not exported:
        raise none_left_error(failed, "networks that were to be exported", "Nothing was written.")
    return exported


def _export_best(
    networks: Networks,
    folder: Path,
    selected: Selected,
    formats: Sequence[str],
    pick: str,
    needed: bool,
) -> Exported:
    return _exported(networks, folder, _best(networks, selected), formats, pick, needed)


def _picked(opened: RunState, pick: str, candidates: Sequence[Candidate]) -> Selected:
    """Return the candidate that satisfies a pick of which the best network is known."""
    run, tables, space = opened.run, opened.costs, opened.inputs.space
    bounds = [bound.strip() for bound in re.split(r"\sand\s", pick)]
    of_costs, of_figures = divided(bounds, opened.inputs, tables)
    constraints = Constraints(of_costs, tables, space)
    held = [
        one
        for one in candidates
        if constraints.hold(one.architecture) and of_figures.hold(one.scores)
    ]
    if held:
        rows = _retrained_rows(run)
        found = max(
            held, key=lambda one: _known(run.config.preference, rows, one)
        )  # of equal ones the first
        if found is not held[0]:
            run.progress.say(
                f"{pick}: {found.key} is the best network known, as it was retrained; by one-shot score "
                f"{held[0].key} is the best, of which no network as good is known"
            )
        costs = cost_of(tables, found.architecture)
        return replace(Selected.of(found, "pick"), costs=costs)
    if not candidates:
        raise RunFolderError(
            f"{run.folder.candidates} holds no candidates of the search; delete it and run: "
            f"supernet search --run {run.folder.path}"
        )
    scores = [one.scores for one in candidates]
    by_figures = bool(of_figures.bounds) and not any(map(of_figures.hold, scores))
    missed = of_figures.missed(scores) if by_figures else _missed(constraints, candidates, space)
    raise ConstraintError(
        f"none of the {len(candidates):,} candidates of the search satisfies {pick!r}: {missed}. Search "
        f"with it, with the weights there are: {_searching(run, bounds)}"
    )


def _searching(run: Run, bounds: Sequence[str], *more: str) -> str:
    """Return how to go on in the run folder with other bounds, and other options."""
    listed = f"[{', '.join(bounds)}]"
    if run.made_in_python:
        given = "".join(
            f", {option} {value}" for option, _, value in (m.partition(" ") for m in more)
        )
        return f"supernet.run(...) as before, with constraints={list(bounds)}{given}"
    costs = run.config.search.costs
    files = f" --search.costs '{json.dumps(costs)}'" if costs else ""
    options = "".join(f" --{option}" for option in more)
    shown = f" --search.constraints '{listed}'" if bounds else ""
    command = "run --out" if more else "search --run"
    return f"supernet {command} {run.folder.path}{files}{shown}{options}"


def _known(
    better: Preference, rows: Mapping[str, Outcome], candidate: Candidate
) -> tuple[float, float]:
    """Return the best that is known of an architecture: its one-shot score, or after retraining."""
    return max(map(better.key, [candidate.scores, *_trained(rows, candidate.key).values()]))


def _retrained_rows(run: Run) -> dict[str, Outcome]:
    """Return what is known of the networks that were retrained, by key."""
    if run.config.retrain.model:  # other networks, of other costs
        return {}
    retrain = run.folder.metrics.retrain
    return {} if retrain is None else {row.key: row for row in reversed(retrain.candidates)}


def _trained(rows: Mapping[str, Outcome], key: str) -> dict[str, Score]:
    """Return the scores of the networks that retraining left of an architecture, by their name."""
    alone = rows[key].stand_alone if key in rows else {}
    return {name: score for name, score in alone.items() if name in TRAINED_FROM}


def _missed(constraints: Constraints, candidates: Sequence[Candidate], space: SearchSpace) -> str:
    """Say which bounds no candidate keeps to, and what is possible."""
    found = []
    for bound in constraints.bounds:
        table, lower = constraints.tables[bound.quantity], bound.sense == "<="
        costs = [table.cost(candidate.architecture) for candidate in candidates]
        best, end = (min(costs), "smallest") if lower else (max(costs), "largest")
        if not bound.holds(best):
            reach = " to ".join(map(number_text, table.range(space)))
            found.append(
                f"the {end} {bound.quantity} among them is {number_text(best)}, where the space "
                f"reaches from {reach}"
            )
    return "; ".join(found) or "some keep to each bound, but none to all of them"


def _best(networks: Networks, selected: Selected) -> Network:
    """Return the network of an architecture with the weights that are best on the search split."""
    run, model = networks.run, networks.inherited(selected.architecture)
    as_it_is = Network(selected, "inherited", model, validate(run, networks.inputs, model))
    trained = _trained(_retrained_rows(run), selected.key)
    if not trained:
        return as_it_is
    key = run.config.preference.key
    name = max(trained, key=lambda name: key(trained[name]))
    if key(trained[name]) < key(as_it_is.validation):
        return as_it_is
    model = networks.retrained(selected, TRAINED_FROM[name])
    return Network(selected, name, model, trained[name])


def _chosen(opened: RunState, networks: Networks) -> Network:
    """Return the chosen network of the run, as `model.pt` there has it.

    Raises:
        RunFolderError: nothing is retrained.
    """
    run = opened.run
    if run.folder.metrics.retrain is None:
        raise RunFolderError(
            f"{run.folder.path} has no chosen network yet; run the step 'retrain' first, or say with "
            "--pick which candidate is wanted, for instance --pick 'macs <= 50%'"
        )
    selected, weights = opened.retrained.chosen, opened.retrained.weights
    model = networks.retrained(selected, weights)
    selected = replace(selected, costs=networks.costs_of(selected, model))
    return Network(
        selected, networks.trained_as(weights), model, validate(run, opened.inputs, model)
    )


def _exported(
    networks: Networks,
    folder: Path,
    network: Network,
    formats: Sequence[str],
    pick: str | None = None,
    needed: bool = True,
) -> Exported:
    """Trace, verify and write a network."""
    run, selected = networks.run, network.selected
    made = _programs(networks, network, formats, folder.name, needed)
    if warning := _warning(run, network, pick):
        run.progress.say(f"warning: {folder.name}: {warning}")
    described: dict[str, Any] = {
        "key": selected.key,
        "architecture": dict(selected.architecture),
        "pick": pick,
        "weights": network.weights,
        "supernet": dict(selected.supernet),
        "validation": network.validation,
        "figure": run.config.preference.figure or None,
        "warning": warning,
        "costs": {name: _whole(cost) for name, cost in selected.costs.items()},
        "input": made and made.takes,
        "classes": list(networks.inputs.splits.train.classes),
        "verification": made and made.verification,
    }
    with new_folder(folder, "export") as begun:
        described["pretrained"] = _write_pretrained(networks, network, begun, folder)
        write_network(begun, network.model, made)
        write_json(begun / "architecture.json", described)
    return Exported(folder.name, folder, described)


def _write_pretrained(networks: Networks, network: Network, begun: Path, folder: Path) -> bool:
    """Write a model of Hugging Face's transformers as such too; whether it is one, and can be said."""
    if not is_pretrained(network.model):
        return False
    try:
        write_pretrained(network.model, begun / PRETRAINED, *networks.inputs.example)
    except ExportError as error:
        networks.run.progress.say(f"{folder.name}: not written for transformers: {error}")
        return False
    return True


def _programs(
    networks: Networks, network: Network, formats: Sequence[str], name: str, needed: bool
) -> Programs | None:
    """Return the programmes of a network; if they are not needed, those that can be made, if any."""
    architecture, weights = network.selected.architecture, network.weights
    for count in range(len(formats), 0, -1):
        make = partial(programs, networks, architecture, weights, network.model, formats[:count])
        made = make() if needed else attempted(make)
        if not isinstance(made, Exception):
            return made
        networks.run.progress.say(
            f"warning: {name}: model{formats[count - 1]} is not written: {first_line(made)}; the "
            "weights are in model.pt"
        )
    return None


def _warning(run: Run, network: Network, pick: str | None) -> str | None:
    """Return why a network should not be used as it is, or None."""
    strategy = run.config.strategy
    if network.weights != "inherited" or strategy.one_stage:
        return None
    bounds = [] if pick is None else re.split(r"\s+and\s+", pick.strip())
    steps = () if run.config.retrain.train.steps else ("retrain.train.steps 500",)
    reached = score_text(network.validation, run.config.preference.figure)
    both = () if run.config.retrain.model else ("retrain.weights both",)  # another model has others
    return (
        f"its weights are the supernet's as they are, with {reached} on the search split, but "
        f"{type(strategy).__name__} trains them to rank networks, which are retrained before use; "
        "strategies such as sandwich train networks that are not. Retrain the best within these bounds: "
        f"{_searching(run, bounds, *steps, *both)}"
    )


def _name(pick: str) -> str:
    """Return a pick as the name of a folder: "macs-le-3e4-and-params-le-50pct"."""
    name = pick.replace("+", "").replace("<=", "-le-").replace(">=", "-ge-").replace("%", "pct")
    return re.sub(r"-+", "-", re.sub(r"[^\w.-]+", "-", name)).strip("-.")


def _whole(cost: float) -> float:
    return int(cost) if float(cost).is_integer() else cost

"""The ordinary networks of a run: with fresh or inherited weights, as they are or trained."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import Any

import torch
from torch import nn

from supernet.config import WeightsName
from supernet.cost import count_macs, count_params
from supernet.errors import RunFolderError
from supernet.evaluate import Candidate, CandidateTable, Provenance
from supernet.evaluate.batches import Batches
from supernet.net import SuperNet, derive
from supernet.net.batchnorm import explained, recalibrated
from supernet.pipeline.changes import without_neutral
from supernet.pipeline.context import Run
from supernet.pipeline.records import Selected
from supernet.space import Architecture
from supernet.task import measured
from supernet.train import digest

__all__ = [
    "calibration",
    "candidate_table",
    "candidates_of",
    "chosen",
    "costs_of",
    "identity",
    "inherited",
    "name_of",
    "preference",
    "repeat",
    "retrained",
    "retraining_supernet",
    "supernet_of",
    "untrained",
]


def retraining_supernet(run: Run, key: str) -> SuperNet:
    """Return a new supernet, built as configured for retraining, with weights for an architecture.

    Raises:
        ConfigError: the model does not take the configured arguments.
    """
    return SuperNet(run.placed(run.built("retrain", key, **run.config.retrain.model)))


def supernet_of(run: Run, architecture: Architecture) -> SuperNet:
    """Return the trained supernet that an architecture is scored with: the whole, or its part.

    Raises:
        RunFolderError: training has not ended.
    """
    label = run.config.few_shot.decision
    if label is None:
        return run.trained_supernet()[0]
    return run.trained_part(architecture[label])[0]  # type: ignore[arg-type]  # one option


def candidate_table(run: Run, *, write: bool = True) -> CandidateTable:
    """Return the table of the search.

    Args:
        run: run whose search is meant.
        write: whether rows are to be added.

    Raises:
        RunFolderError: there is none: one that is made now would hold no candidates, and yet be taken
            for that of the search.
    """
    if not run.folder.candidates.exists():
        raise RunFolderError(f"{run.folder.candidates} is missing; {repeat(run, 'search')}")
    return CandidateTable(run.folder.candidates, write=write)


def repeat(run: Run, step: str) -> str:
    """Say how a step is run again in this folder, which may be possible from Python only."""
    if run.made_in_python:
        return "call supernet.run(...) as before, which repeats what is missing"
    return f"run: supernet {step} --run {run.folder.path}"


def candidates_of(run: Run) -> list[Candidate]:
    """Return the candidates of the search that were scored on all images, best first.

    Raises:
        RunFolderError: there is no trained supernet or no search, or they do not belong together.
    """
    parts = run.config.few_shot.decision is not None
    weights = (run.trained_parts() if parts else run.trained_supernet())[1]
    provenance = Provenance(**run.section("search")["protocol"])
    if provenance.weights != weights:
        raise RunFolderError(
            f"the candidates of {run.folder.path} were scored with other weights than those there now; "
            f"delete {run.folder.candidates} and {repeat(run, 'search')}"
        )
    with candidate_table(run, write=False) as table:
        found = [one for one in table.all(provenance) if one.status == "ok"]
    return sorted(found, key=lambda candidate: candidate.rank_key)


def calibration(run: Run) -> Batches:
    """Return the training batches that statistics of batch norm were re-estimated on in the search.

    Where candidates were scored with statistics of the evaluation batch, as many as are configured.

    Raises:
        RunFolderError: the search has not ended.
    """
    protocol, train = run.section("search")["protocol"], run.splits.train
    batches = protocol["calibration_batches"] or run.protocol.calibration_batches
    count = min(len(train), protocol["batch_size"] * batches)
    return Batches(train.select(torch.arange(count)), protocol["batch_size"], run.normalise)


def untrained(run: Run, selected: Selected, weights: WeightsName) -> nn.Module:
    """Return the ordinary module of an architecture with the weights that its training starts from."""
    if weights == "inherited":
        return inherited(run, selected.architecture)
    supernet = retraining_supernet(run, selected.key)
    return run.placed(derive(supernet, selected.architecture))


def inherited(run: Run, architecture: Architecture) -> nn.Module:
    """Return the ordinary module of an architecture, in evaluation mode, with the supernet's weights.

    Its statistics of batch norm are estimated as those of candidates are, so that it computes what the
    supernet computes for the architecture in the search.

    Raises:
        RunFolderError: training or the search has not ended.
    """
    model = run.placed(derive(supernet_of(run, architecture), architecture))
    batches, measures = calibration(run), partial(measured, run.task, model)
    with explained(batches.size(0)), torch.no_grad(), recalibrated(model, batches, measures):
        state = model.state_dict()
    model.load_state_dict(state)
    return model.eval()


def name_of(selected: Selected, weights: WeightsName) -> str:
    """Return what the checkpoint of a network is called, and the stage that trains it ends with."""
    return selected.key if weights == "fresh" else f"{selected.key}-{weights}"


def identity(run: Run, weights: WeightsName) -> str:
    """Return a hash of what a retrained network depends on besides its architecture.

    Raises:
        RunFolderError: the search has not ended, and the weights are inherited.
    """
    options = without_neutral(run.options["retrain"])
    if weights == "fresh":
        return digest([options["train"], options["model"], options["augment"], run.identity])
    protocol = run.section("search")["protocol"]  # holds a hash of the supernet's weights
    return digest([options["train"], options["augment"], run.identity, protocol])


def retrained(run: Run, selected: Selected, weights: WeightsName) -> nn.Module:
    """Return the ordinary module of an architecture, in evaluation mode, as retraining left it.

    Raises:
        RunFolderError: it was not retrained to the end.
    """
    steps = run.config.retrain.train.steps
    model = untrained(run, selected, weights)
    if steps:
        checkpoint = run.folder.retrained(name_of(selected, weights))
        state = checkpoint.trained()
        unfinished = state is None or state["step"] < steps
        if state is None or unfinished or state["identity"] != identity(run, weights):
            raise RunFolderError(
                f"{checkpoint.path} is missing, unfinished or of other options; delete "
                f"{run.folder.architecture} and {repeat(run, 'retrain')}"
            )
        with checkpoint.restoring():
            model.load_state_dict(state["model"])
    return model.eval()


def chosen(run: Run) -> tuple[Selected, WeightsName]:
    """Return the chosen architecture, and which weights its network was trained from.

    Raises:
        RunFolderError: nothing is retrained.
    """
    section = run.section("retrain")
    substitutes = [Selected.from_json(row) for row in section.get("substitutes", [])]
    one = next(one for one in [*substitutes, *run.selected()] if one.key == section["chosen"])
    return one, section.get("chosen_weights", "fresh")


def costs_of(run: Run, selected: Selected, model: nn.Module) -> Mapping[str, float]:
    """Return the costs of a network as it is retrained, which may be wider than in the supernet.

    Quantities that cannot be counted on a module are left out where it is another network.
    """
    if not run.config.retrain.model:
        return selected.costs
    return {"params": count_params(model), "macs": count_macs(model, run.example)}


def preference(score: Mapping[str, Any]) -> tuple[float, float]:
    """Return what is larger for better scores: the accuracy if there is one, and minus the loss."""
    accuracy, loss = score.get("accuracy"), score.get("loss")
    worst = float("-inf") if loss is None else -loss
    return (worst if accuracy is None else accuracy, worst)

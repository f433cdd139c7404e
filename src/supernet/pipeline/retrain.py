"""The third step: train what was selected from scratch, measure the ranking, choose."""

from __future__ import annotations

import dataclasses
import io
from collections.abc import Mapping, Sequence
from typing import Any

import torch

from supernet.data import Preprocess
from supernet.evaluate import Score, kendall
from supernet.files import write_bytes, write_json
from supernet.net.export import export_program
from supernet.pipeline.context import Run
from supernet.pipeline.records import Selected
from supernet.space import Diagram
from supernet.train import Plain

__all__ = ["retrain"]


def retrain(run: Run) -> None:
    """Retrain the selected architectures; writes `architecture.json`, `model.pt`, `model.pt2`.

    The best of the top ones on the search split is chosen.
    """
    selected = run.selected()
    options, seconds = run.config.retrain, 0.0
    scores: dict[str, Score] = {}
    costs: dict[str, Mapping[str, float]] = {}
    for number, one in enumerate(selected, 1):
        run.progress.say(f"retraining {one.key} ({one.role}, {number} of {len(selected)})")
        model, checkpoint = run.derived(one), run.folder.retrained(one.key)
        stage = f"retrain-{one.key}"
        spent = run.fit(
            options.train, stage, model, Plain(), checkpoint, run.retraining, options.augment
        )
        seconds += spent["seconds"]
        scores[one.key] = run.validate(model)
        costs[one.key] = run.costs_of(one, model)
    chosen = max(
        (one for one in selected if one.role == "top"),
        key=lambda one: (_preference(scores[one.key]), -scores[one.key]["loss"]),
    )
    program = _write_chosen(run, chosen)
    rows = [
        {**dataclasses.replace(one, costs=costs[one.key]).to_json(), "validation": scores[one.key]}
        for one in selected
    ]
    run.folder.record(
        "retrain",
        {
            "seconds": round(seconds, 3),
            "steps": options.train.steps,
            "candidates": [_without_architecture(row) for row in rows],
            "chosen": chosen.key,
            "program": program,
            "ranking": _ranking(selected, scores, costs, run.seed),
        },
    )


def _ranking(
    selected: Sequence[Selected],
    scores: Mapping[str, Score],
    costs: Mapping[str, Mapping[str, float]],
    seed: int,
) -> dict[str, Any]:
    """Return how well one-shot scores, and plain costs, rank the stand-alone scores."""
    selected = list({one.key: one for one in selected}.values())  # the random one may be a top one
    truth = [_preference(scores[one.key]) for one in selected]
    correlation = kendall([_preference(one.supernet) for one in selected], truth, seed=seed)
    by_cost = {
        quantity: kendall(
            [costs[one.key][quantity] for one in selected], truth, seed=seed
        ).kendall_tau
        for quantity in ("params", "macs")
    }
    return {**dataclasses.asdict(correlation), "kendall_tau_of_costs": by_cost}


def _write_chosen(run: Run, chosen: Selected) -> dict[str, Any] | None:
    """Write weights, programme and architecture; return what the programme takes, if there is one."""
    model = run.retrained(chosen).cpu().to(memory_format=torch.contiguous_format)  # type: ignore[call-overload]
    buffer = io.BytesIO()
    torch.save(model.state_dict(), buffer)
    write_bytes(run.folder.weights, buffer.getvalue())
    takes: dict[str, Any] | None = None
    try:
        stored = run.splits.train.inputs[:1].cpu()
        program = export_program(model, stored, Preprocess(run.normalise, stored))
    except Exception as error:  # PyTorch may raise anything on a model that it cannot trace
        run.progress.say(
            f"model.pt2 is not written, since PyTorch cannot export the model: {error}"
        )
    else:
        write_bytes(run.folder.program, program)
        takes = {
            "dtype": str(stored.dtype).removeprefix("torch."),
            "shape": ["batch", *stored.shape[1:]],
        }
    write_json(
        run.folder.architecture,
        {
            "key": chosen.key,
            "architecture": dict(chosen.architecture),
            "diagram": _drawing(run, chosen),
        },
    )
    return takes


def _drawing(run: Run, chosen: Selected) -> dict[str, Any] | None:
    """Return the drawing, where the model has a method `diagram(architecture)` for it."""
    draw = getattr(run.supernet.model, "diagram", None)
    drawing = draw(chosen.architecture) if callable(draw) else None
    return drawing.to_json() if isinstance(drawing, Diagram) else None


def _preference(score: Mapping[str, float | None]) -> float:
    """Return a number that is larger for better scores: the accuracy, or else minus the loss."""
    accuracy, loss = score.get("accuracy"), score.get("loss")
    if accuracy is not None:
        return accuracy
    return float("-inf") if loss is None else -loss


def _without_architecture(row: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in row.items() if name != "architecture"}

"""The third step: train what was selected by itself, measure the ranking, choose."""

from __future__ import annotations

import dataclasses
import io
from collections.abc import Mapping, Sequence
from typing import Any

import torch

from supernet.config import WeightsName
from supernet.data import Preprocess
from supernet.evaluate import Score, kendall
from supernet.files import write_bytes, write_json
from supernet.net.export import ExportError, export_program
from supernet.pipeline.context import Run
from supernet.pipeline.networks import (
    costs_of,
    identity,
    name_of,
    preference,
    retrained,
    untrained,
)
from supernet.pipeline.records import Selected
from supernet.space import Diagram
from supernet.train import Plain

__all__ = ["retrain"]


@dataclasses.dataclass(frozen=True)
class Outcome:
    """What became of a selected architecture.

    Attributes:
        selected: with the costs of the network that was trained.
        alone: its scores on the search split, by what was scored: "inherited" (the supernet's weights
            as they are), "fine_tuned" (trained from them), "scratch" (trained from fresh ones).
        weights: what the better network was trained from.
        validation: the score of that one.
        seconds: of training.
    """

    selected: Selected
    alone: Mapping[str, Score]
    weights: WeightsName
    validation: Score
    seconds: float

    @property
    def truth(self) -> Score:
        """What a ranking is measured with: from scratch, where that is known."""
        return self.alone.get("scratch", self.validation)

    def to_json(self) -> dict[str, Any]:
        """Return plain data for `metrics.json`."""
        row = self.selected.to_json()
        del row["architecture"]
        more = {"weights": self.weights, "stand_alone": dict(self.alone)}
        return {**row, "validation": self.validation, **more}


def retrain(run: Run) -> None:
    """Retrain the selected architectures; writes `architecture.json`, `model.pt`, `model.pt2`.

    The best of the top ones on the search split is chosen, with the better weights.
    """
    selected, options = run.selected(), run.config.retrain
    outcomes = []
    for number, one in enumerate(selected, 1):
        run.progress.say(f"retraining {one.key} ({one.role}, {number} of {len(selected)})")
        outcomes.append(_outcome(run, one))
    top = [outcome for outcome in outcomes if outcome.selected.role == "top"]
    best = max(top, key=lambda outcome: preference(outcome.validation))
    program = _write_chosen(run, best.selected, best.weights)
    run.folder.record(
        "retrain",
        {
            "seconds": round(sum(outcome.seconds for outcome in outcomes), 3),
            "steps": options.train.steps,
            "weights": options.weights,
            "candidates": [outcome.to_json() for outcome in outcomes],
            "chosen": best.selected.key,
            "chosen_weights": best.weights,
            "program": program,
            "ranking": _ranking(outcomes, run.seed),
        },
    )


def _outcome(run: Run, one: Selected) -> Outcome:
    """Train an architecture from all configured weights, and score it before and after."""
    options, seconds = run.config.retrain, 0.0
    alone, trained = dict[str, Score](), dict[WeightsName, Score]()
    costs: Mapping[str, float] = one.costs
    for weights in options.kinds:
        model = untrained(run, one, weights)
        if weights == "inherited":
            trained[weights] = alone["inherited"] = run.validate(model)
        if options.train.steps:
            name = name_of(one, weights)
            spent = run.fit(
                options.train,
                f"retrain-{name}",
                model,
                Plain(),
                run.folder.retrained(name),
                identity(run, weights),
                options.augment,
            )
            seconds += spent["seconds"]
            trained[weights] = run.validate(model)
            alone["scratch" if weights == "fresh" else "fine_tuned"] = trained[weights]
        costs = costs_of(run, one, model)
    better = max(trained, key=lambda weights: preference(trained[weights]))
    priced = dataclasses.replace(one, costs=costs)
    return Outcome(priced, alone, better, trained[better], seconds)


def _ranking(outcomes: Sequence[Outcome], seed: int) -> dict[str, Any]:
    """Return how well one-shot scores, and plain costs, rank the stand-alone scores."""
    # The random architecture may be a top one.
    outcomes = list({outcome.selected.key: outcome for outcome in outcomes}.values())
    truth = [preference(outcome.truth)[0] for outcome in outcomes]
    shared = [preference(outcome.selected.supernet)[0] for outcome in outcomes]
    correlation = kendall(shared, truth, seed=seed)
    by_cost = {
        quantity: kendall(
            [outcome.selected.costs[quantity] for outcome in outcomes], truth, seed=seed
        ).kendall_tau
        for quantity in ("params", "macs")
    }
    return {**dataclasses.asdict(correlation), "kendall_tau_of_costs": by_cost}


def _write_chosen(run: Run, chosen: Selected, weights: WeightsName) -> dict[str, Any] | None:
    """Write weights, programme and architecture; return what the programme takes, if there is one."""
    model = retrained(run, chosen, weights).cpu()
    model = model.to(memory_format=torch.contiguous_format)  # type: ignore[call-overload]
    buffer = io.BytesIO()
    torch.save(model.state_dict(), buffer)
    write_bytes(run.folder.weights, buffer.getvalue())
    takes: dict[str, Any] | None = None
    try:
        stored = run.splits.train.inputs[:1].cpu()
        program = export_program(model, stored, Preprocess(run.normalise, stored))
    except ExportError as error:
        run.progress.say(f"model.pt2 is not written: {error}")
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

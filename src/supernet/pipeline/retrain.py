"""The third step: train what was selected by itself, measure the ranking, choose."""

from __future__ import annotations

import dataclasses
import io
from collections.abc import Mapping, Sequence
from typing import Any

import torch

from supernet.config import TrainConfig, WeightsName
from supernet.evaluate import Score
from supernet.files import write_bytes, write_json
from supernet.net.export import ExportError
from supernet.pipeline.baseline import draw_baselines
from supernet.pipeline.context import Run
from supernet.pipeline.networks import (
    costs_of,
    identity,
    name_of,
    preference,
    retrained,
    untrained,
)
from supernet.pipeline.programs import programs
from supernet.pipeline.ranking import ranking
from supernet.pipeline.records import Outcome, Selected
from supernet.space import Diagram
from supernet.track.worth import better_text
from supernet.train import Plain

__all__ = ["retrain"]


def retrain(run: Run) -> None:
    """Retrain the selected architectures; writes `architecture.json`, `model.pt`, `model.pt2`.

    The best of the top ones on the search split is chosen, with the better weights. Then the random
    baselines are drawn and trained.
    """
    selected, options = run.selected(), run.config.retrain
    if options.train.steps:
        run.progress.say(f"each network is trained for {_how(options.train)}")
    known = dict[str, Outcome]()
    outcomes = _outcomes(run, selected, known)
    top = [outcome for outcome in outcomes if outcome.selected.role == "top"]
    best = max(top, key=lambda outcome: preference(outcome.validation))
    baselines = draw_baselines(
        run,
        next(one for one in selected if one.key == best.selected.key),
        [outcome.selected for outcome in top],
    )
    outcomes += _outcomes(run, baselines.selected, known)
    program = _write_chosen(run, best.selected, best.weights)
    searched = run.section("search")
    better = [
        outcome.selected.key
        for outcome in outcomes
        if preference(outcome.validation)[0] > preference(best.validation)[0]
    ]
    run.folder.record(
        "retrain",
        {
            "seconds": round(sum(outcome.seconds for outcome in known.values()), 3),
            "steps": options.train.steps,
            "weights": options.weights,
            "candidates": [outcome.to_json() for outcome in outcomes],
            "chosen": best.selected.key,
            "chosen_weights": best.weights,
            "better": list(dict.fromkeys(better)),
            "baselines": baselines.to_json(),
            "program": program,
            "ranking": ranking(outcomes, searched["candidates"] - searched["failed"], run.seed),
        },
    )
    if text := better_text(run.folder.metrics):
        run.progress.say(f"warning: {text}")


def _outcomes(run: Run, selected: Sequence[Selected], known: dict[str, Outcome]) -> list[Outcome]:
    """Retrain architectures; one that is among those known, to which all are added, only once."""
    outcomes = []
    for number, one in enumerate(selected, 1):
        if one.key in known:
            costs = known[one.key].selected.costs
            again = dataclasses.replace(one, costs=costs)
            outcomes.append(dataclasses.replace(known[one.key], selected=again))
            continue
        run.progress.say(f"retraining {one.key} ({one.role}, {number} of {len(selected)})")
        known[one.key] = _outcome(run, one)
        outcomes.append(known[one.key])
    return outcomes


def _how(options: TrainConfig) -> str:
    """Say in words what of `retrain.train` may come from `train`."""
    optimizer = options.optimizer([torch.nn.Parameter(torch.zeros(1))])
    rate = optimizer.param_groups[0].get("lr")
    return (
        f"{options.steps:,} steps of {options.batch_size} examples by {type(optimizer).__name__}, "
        f"learning rate {rate} ({options.schedule})"
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


def _write_chosen(run: Run, chosen: Selected, weights: WeightsName) -> dict[str, Any] | None:
    """Write weights, programme and architecture; return what the programme takes, if there is one."""
    model = retrained(run, chosen, weights)

    def expected(stored: torch.Tensor) -> Any:
        return model(run.normalise(stored.to(run.device)))

    takes: dict[str, Any] | None = None
    try:
        made = programs(run, model, [".pt2"], expected)
    except ExportError as error:
        run.progress.say(f"model.pt2 is not written: {error}")
    else:
        write_bytes(run.folder.program, made.contents["model.pt2"])
        takes = dict(made.takes)
    buffer = io.BytesIO()
    plain = model.cpu().to(memory_format=torch.contiguous_format)  # type: ignore[call-overload]
    torch.save(plain.state_dict(), buffer)
    write_bytes(run.folder.weights, buffer.getvalue())
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

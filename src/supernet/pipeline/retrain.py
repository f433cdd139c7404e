"""The third step: train what was selected by itself, measure the ranking, choose."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch

from supernet.config import AloneConfig, WeightsName
from supernet.cost import CostTable
from supernet.evaluate import FigureBounds, Preference
from supernet.failures import OF_RUN, attempted, failure_kind, first_line
from supernet.files import write_json
from supernet.pipeline.context import Run
from supernet.pipeline.costs import problem_of
from supernet.pipeline.failures import failure_summary
from supernet.pipeline.inputs import Inputs
from supernet.pipeline.networks import Networks
from supernet.pipeline.programs import Programs, programs, write_network
from supernet.pipeline.promising import retrain_promising
from supernet.pipeline.ranking_quality import ranking_quality
from supernet.pipeline.retrained import Retrained, load_retrained
from supernet.pipeline.searched import Searched
from supernet.pipeline.shared_weights import SharedWeights
from supernet.pipeline.trials import Trials
from supernet.space import Diagram
from supernet.track.diagram import svg
from supernet.track.records import Outcome, Selected
from supernet.track.result_texts import chosen_at_random_text
from supernet.track.run_files import ChosenArchitecture
from supernet.track.sections import RetrainRecord

__all__ = ["retrain"]


def retrain(
    run: Run,
    inputs: Inputs,
    costs: Mapping[str, CostTable],
    shared: SharedWeights,
    searched: Searched,
) -> Retrained:
    """Retrain the selected architectures; writes `architecture.json`, `model.pt`, `model.pt2`.

    After the best, the probes and what these make promising, random baselines are drawn and trained.
    The best of all of them on the search split is chosen, with the better weights: each was paid for.
    Networks that fail are recorded, and left out.

    Raises:
        NoNetworkError: none of the best is left.
    """
    selected, options = searched.selected, run.config.retrain
    if options.train.steps:
        run.progress.say(f"each network is trained for {_how(options.train)}")
    networks = Networks(run, inputs, searched, shared)
    trials = Trials(networks, costs)
    outcomes, substitutes = trials.best(selected)
    promising = retrain_promising(networks, costs, trials, outcomes)
    outcomes += promising.outcomes
    if promising.evidence is not None and promising.evidence.text():
        run.progress.say(promising.evidence.text())
    of_search = [*selected, *substitutes, *promising.selected]
    better, bounds = run.config.preference, problem_of(run, inputs, costs).bounds
    found, best_found = _best(better, bounds, outcomes, of_search)
    randoms, baselines = trials.random(found, [outcome.key for outcome in outcomes])
    outcomes += randoms
    chosen, best = _best(better, bounds, outcomes, [*of_search, *baselines.networks])
    if not bounds.hold(best.validation):
        missed = bounds.missed([one.validation for one in outcomes])
        run.progress.say(
            f"warning: no network that was trained alone satisfies {' and '.join(bounds.texts)}: "
            f"{missed}; the best of them is chosen"
        )
    program = _write_chosen(networks, chosen, best.weights)
    if trials.failed:
        tried = len(trials.known) + len(trials.lost)
        run.progress.say(
            failure_summary(trials.failed, tried, "retrained networks", "metrics.json")
        )
    run.folder.record(
        RetrainRecord(
            seconds=round(sum(trials.seconds.values()), 3),
            steps=options.train.steps,
            weights=options.weights,
            candidates=tuple(outcomes),
            failed=tuple(trials.failed),
            substitutes=tuple(substitutes),
            chosen=best.key,
            chosen_weights=best.weights,
            searched=None if best is best_found else best_found.key,
            promising=tuple(promising.selected),
            evidence=promising.evidence,
            short=promising.short,
            baselines=baselines,
            program=program,
            figure=better.figure,
            ranking=ranking_quality(better, outcomes, searched.ranked, run.seed),
        )
    )
    if text := chosen_at_random_text(run.folder.metrics.retrain):
        run.progress.say(f"warning: {text}")
    return load_retrained(run)


def _best(
    better: Preference,
    bounds: FigureBounds,
    outcomes: Sequence[Outcome],
    known: Sequence[Selected],
) -> tuple[Selected, Outcome]:
    """Return the architecture of the best outcome on the search split, and this outcome.

    It keeps to the bounds on figures, if any does.
    """
    kept = [one for one in outcomes if bounds.hold(one.validation)]
    best = max(kept or outcomes, key=lambda outcome: better.key(outcome.validation))
    return next(one for one in known if one.key == best.key), best


def _how(options: AloneConfig) -> str:
    """Say in words what of `retrain.train` may come from `train`."""
    schedule = getattr(options.schedule, "__name__", options.schedule)
    ends = "" if options.patience is None else ", at most"
    optimizer = options.optimizer([torch.nn.Parameter(torch.zeros(1))])
    rate = optimizer.param_groups[0].get("lr")
    return (
        f"{options.steps:,} steps of {options.batch_size} examples by {type(optimizer).__name__}, "
        f"learning rate {rate} ({schedule}){ends}"
    )


def _write_chosen(
    networks: Networks, chosen: Selected, weights: WeightsName
) -> dict[str, Any] | None:
    """Write weights, programme and architecture; return what the programme takes, if there is one."""
    run, model = networks.run, networks.retrained(chosen, weights)
    name = networks.trained_as(weights)
    made: Programs | None = None
    try:
        made = programs(networks, chosen.architecture, name, model, [".pt2"])
    except Exception as error:  # whatever a programme of it takes: there are the network's weights
        if failure_kind(error) in OF_RUN - {"memory"}:
            raise
        run.progress.say(f"model.pt2 is not written: {error}")
    write_network(run.folder.path, model, made)
    write_json(
        run.folder.architecture,
        ChosenArchitecture(
            key=chosen.key,
            architecture=chosen.architecture,
            diagram=_drawing(run, networks.inputs, chosen),
            classes=networks.inputs.splits.train.classes,
        ).to_json(),
    )
    return None if made is None else dict(made.takes)


def _drawing(run: Run, inputs: Inputs, chosen: Selected) -> Diagram | None:
    """Return the drawing, where the model has a method `diagram(architecture)` for it."""
    draw = getattr(inputs.supernet.model, "diagram", None)
    if not callable(draw):
        return None

    def drawn() -> Diagram | None:
        drawing = draw(chosen.architecture)
        if not isinstance(drawing, Diagram):
            return None
        svg(drawing)  # as the report will
        return drawing

    found = attempted(drawn)
    if isinstance(found, Exception):
        run.progress.say(
            f"warning: the model's diagram of {chosen.key} cannot be drawn, and is left out: "
            f"{first_line(found)}. Mend the method, delete {run.folder.architecture}, and run the same "
            "command again"
        )
        return None
    return found

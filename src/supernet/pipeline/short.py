"""Short trainings of a few candidates, by a smaller model, to learn which candidates are promising.

Half of them are drawn at random from all candidates, so that they stand for these. The others are drawn
in rounds from those that may well be the best, as far as those before teach (see
`supernet.fidelity.combine`). What they reach is compared among themselves alone: it is no accuracy of
the networks as they are retrained.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence

from supernet.cost import CostTable
from supernet.evaluate import Candidate
from supernet.fidelity import FEWEST_PROBES
from supernet.pipeline.changes import without_neutral
from supernet.pipeline.context import Run
from supernet.pipeline.evidence import evidence_of
from supernet.pipeline.inputs import Inputs
from supernet.pipeline.probe_trials import ProbeTraining, ProbeTrials
from supernet.random import stream
from supernet.track.records import ShortRecord

__all__ = ["train_shortly"]

ROUND = 8
"""Networks that are drawn at once, by what is believed before."""


def train_shortly(
    run: Run,
    inputs: Inputs,
    candidates: Sequence[Candidate],
    scores: Mapping[str, Sequence[float]],
    costs: Mapping[str, CostTable],
) -> tuple[dict[int, float], ShortRecord]:
    """Train `retrain.short.networks` of the candidates as `retrain.short` says.

    What was trained before is not repeated, so a call that was interrupted goes on to the same bits.

    Args:
        run: run of the candidates.
        inputs: data and models of the run.
        candidates: the networks, `[n]`.
        scores: scores of all networks, `[n]` each, higher better, the one that the run ranks by first.
        costs: cost tables of the space, by quantity.

    Returns:
        What each that passed is worth, by the number of the candidate, and a record of it.

    Raises:
        NoNetworkError: none passed.
    """
    options = run.config.retrain.short
    train = dataclasses.replace(run.config.retrain.train, steps=options.steps)
    plain = {**without_neutral(run.options["retrain"]["train"]), "steps": options.steps}
    trials = ProbeTrials(run, inputs, ProbeTraining(train, options.model, plain))
    count = min(options.networks, len(candidates))
    order = list(range(len(candidates)))
    stream(run.seed, "short").shuffle(order)
    drawn, worth = order[: max(FEWEST_PROBES, count // 2)], dict[int, float]()
    tried = list[int]()
    while drawn and (worth or not tried):  # where all of the first fail, so would the others
        tried += drawn
        networks = [candidates[number] for number in drawn]
        reached = trials.values(networks, [1] * len(drawn), f"of {count} short trainings")
        worth |= {n: values[0] for n, values in zip(drawn, reached, strict=True) if values}
        some = min(ROUND, count - len(tried))
        if some <= 0 or len(worth) < FEWEST_PROBES:
            drawn = [number for number in order if number not in tried][: max(some, 0)]
        else:
            told = evidence_of(candidates, scores, costs, worth, run.seed, options.trust)
            drawn = told.next_probes(some, run.seed + len(tried), tried)
    trials.check(count, "retrain.short", "metrics.json")
    record = ShortRecord(
        seconds=round(trials.seconds, 3),
        steps=options.steps,
        model=options.model,
        measure=trials.measure,
        keys=tuple(candidates[number].key for number in worth),
        values=tuple(worth.values()),
        failed=tuple(trials.failed),
    )
    return worth, record

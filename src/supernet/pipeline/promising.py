"""Networks that all evidence names, retrained one after the other.

What was retrained before teaches what scores, costs and scores without training say together. Each next
one is the best candidate in a draw from what is then believed (see `supernet.fidelity.combine`), but for
the last, which is the one that is expected to be best. As long as fewer than `FEWEST_PROBES` are known,
it is the best of those scores together.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from supernet.cost import CostTable
from supernet.evaluate.resampling import Array
from supernet.fidelity import FEWEST_PROBES, together
from supernet.pipeline.costs import problem_of
from supernet.pipeline.evidence import evidence_of, evidence_record, scores_of, start_of
from supernet.pipeline.networks import Networks
from supernet.pipeline.searched import candidates_of
from supernet.pipeline.training_free import training_free
from supernet.pipeline.trials import LEAST, Trials
from supernet.track.records import EvidenceRecord, Outcome, Selected

__all__ = ["retrain_promising"]

Found = tuple[list[Selected], list[Outcome], EvidenceRecord | None]


def retrain_promising(
    networks: Networks,
    costs: Mapping[str, CostTable],
    trials: Trials,
    outcomes: Sequence[Outcome],
) -> Found:
    """Retrain `retrain.promising` of the candidates that were scored in full and not retrained yet.

    Args:
        networks: maker of the networks.
        costs: cost tables of the space, by quantity.
        trials: trainings of the run, which also say what failed.
        outcomes: outcomes of the networks that were retrained before.

    Returns:
        Those that passed, their outcomes, and what all evidence told before the last; None where none
        was asked for, or too few networks were there to learn from.
    """
    run, options = networks.run, networks.run.config.retrain
    if not options.promising:
        return [], [], None
    bounds = problem_of(run, networks.inputs, costs).bounds
    every = candidates_of(run, networks.inherits, networks.searched)
    candidates = [one for one in every if bounds.hold(one.scores)]
    place = {one.key: number for number, one in enumerate(candidates)}
    free = training_free(
        run, networks.inputs, [one.architecture for one in candidates], options.evidence
    )
    scores = {**scores_of(candidates, list(costs)), **free}
    key = run.config.preference.key
    worth = {place[one.key]: key(one.validation)[0] for one in outcomes if one.key in place}
    selected, found = list[Selected](), list[Outcome]()
    record: EvidenceRecord | None = None
    failed, left = {place[key] for key in trials.lost if key in place}, LEAST
    while len(found) < options.promising and left and len(worth) + len(failed) < len(candidates):
        known = sorted({*worth, *failed})
        if len(worth) < FEWEST_PROBES:
            number = _best(together([scores[name] for name in start_of(scores, costs)]), known)
        else:
            told = evidence_of(candidates, scores, costs, worth, run.seed)
            record = evidence_record(told, candidates, scores, costs)
            last = len(found) + 1 == options.promising
            number = _best(told.mean, known) if last else told.next_probes(1, run.seed, known)[0]
        one = Selected.of(candidates[number], "promising")
        passed = trials.outcomes([one])
        if not passed:
            failed.add(number)
            left -= 1
            continue
        worth[number] = key(passed[0].validation)[0]
        selected.append(one)
        found += passed
    return selected, found, record


def _best(values: Array, known: Sequence[int]) -> int:
    """Return the number of the highest value of a candidate that is not known."""
    left = values.copy()
    left[list(known)] = -np.inf
    return int(np.argmax(left))

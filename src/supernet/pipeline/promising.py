"""Networks that all evidence names, retrained one after the other.

What was retrained before teaches what scores, costs and scores without training say together. Each next
one is the best candidate in a draw from what is then believed (see `supernet.fidelity.combine`), but for
the last, which is the one that is expected to be best.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from supernet.config import RetrainConfig
from supernet.cost import CostTable
from supernet.errors import ConfigError
from supernet.fidelity import FEWEST_PROBES, Evidence
from supernet.pipeline.evidence import evidence_of, evidence_record, scores_of
from supernet.pipeline.networks import Networks, preference
from supernet.pipeline.searched import candidates_of
from supernet.pipeline.training_free import training_free
from supernet.pipeline.trials import LEAST, Trials
from supernet.track.records import EvidenceRecord, Outcome, Selected
from supernet.training_free import parts_of

__all__ = ["check_promising", "retrain_promising"]

Found = tuple[list[Selected], list[Outcome], EvidenceRecord | None]


def check_promising(options: RetrainConfig) -> None:
    """Check that the promising networks that are asked for can be told.

    Raises:
        ConfigError: too few networks are retrained before them, or there is no score of a name.
    """
    parts_of(options.evidence)
    before = options.top + options.probes
    if options.promising and before < FEWEST_PROBES:
        raise ConfigError(
            f"retrain.promising is {options.promising}, and is learned from {FEWEST_PROBES} networks or "
            f"more, but retrain.top and retrain.probes are {options.top} and {options.probes}; give "
            f"--retrain.probes {FEWEST_PROBES - options.top} or more, or leave it out"
        )


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
        was asked for, or too few networks are left to learn from.

    Raises:
        ConfigError: see `check_promising`.
    """
    run, options = networks.run, networks.run.config.retrain
    check_promising(options)
    if not options.promising:
        return [], [], None
    candidates = candidates_of(run, networks.inherits, networks.searched)
    place = {one.key: number for number, one in enumerate(candidates)}
    free = training_free(
        run, networks.inputs, [one.architecture for one in candidates], options.evidence
    )
    scores = {**scores_of(candidates, list(costs)), **free}
    worth = {place[one.key]: preference(one.validation)[0] for one in outcomes if one.key in place}
    if len(worth) < FEWEST_PROBES:
        run.progress.say(
            f"no promising networks are retrained: only {len(worth)} candidates were retrained without "
            f"failing, and evidence is learned from {FEWEST_PROBES} or more"
        )
        return [], [], None
    selected, found = list[Selected](), list[Outcome]()
    record: EvidenceRecord | None = None
    failed, left = {place[key] for key in trials.lost if key in place}, LEAST
    while len(found) < options.promising and left and len(worth) + len(failed) < len(candidates):
        told = evidence_of(scores, list(free), worth, run.seed)
        record = evidence_record(told, candidates, scores, list(free))
        last = len(found) + 1 == options.promising
        number = _next(told, {*worth, *failed}, last, run.seed)
        one = Selected.of(candidates[number], "promising")
        passed = trials.outcomes([one])
        if not passed:
            failed.add(number)
            left -= 1
            continue
        worth[number] = preference(passed[0].validation)[0]
        selected.append(one)
        found += passed
    return selected, found, record


def _next(told: Evidence, known: set[int], last: bool, seed: int) -> int:
    """Return the number of the candidate to retrain next."""
    if not last:
        return told.next_probes(1, seed, sorted(known))[0]
    mean = told.mean.copy()
    mean[sorted(known)] = -np.inf
    return int(np.argmax(mean))

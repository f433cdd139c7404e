"""Networks that all evidence names, retrained one after the other.

What was retrained before teaches what scores, costs and scores without training say together. Each next
one is the best candidate in a draw from what is then believed (see `supernet.fidelity.combine`), but for
the last, which is the one that is expected to be best. As long as fewer than `FEWEST_PROBES` are known,
it is the best of those scores together. Where short trainings were asked for (`retrain.short`), these
teach instead, and those that are expected to be best are retrained.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from supernet.cost import CostTable
from supernet.evaluate import Candidate
from supernet.evaluate.resampling import Array
from supernet.fidelity import FEWEST_PROBES, Evidence, together
from supernet.pipeline.costs import problem_of
from supernet.pipeline.evidence import evidence_of, evidence_record, scores_of, start_of
from supernet.pipeline.networks import Networks
from supernet.pipeline.searched import candidates_of
from supernet.pipeline.short import train_shortly
from supernet.pipeline.training_free import training_free
from supernet.pipeline.trials import LEAST, Trials
from supernet.track.records import EvidenceRecord, Outcome, Selected, ShortRecord

__all__ = ["Promising", "retrain_promising"]


@dataclass(frozen=True)
class Promising:
    """What was retrained because evidence names it.

    Attributes:
        selected: networks that passed.
        outcomes: outcome of each.
        evidence: record of what all evidence told before the last; None where none was asked for, or
            too few networks were there to learn from.
        short: record of short trainings; None where none were asked for.
    """

    selected: Sequence[Selected] = ()
    outcomes: Sequence[Outcome] = ()
    evidence: EvidenceRecord | None = None
    short: ShortRecord | None = None


def retrain_promising(
    networks: Networks,
    costs: Mapping[str, CostTable],
    trials: Trials,
    outcomes: Sequence[Outcome],
) -> Promising:
    """Retrain `retrain.promising` of the candidates that were scored in full and not retrained yet.

    Args:
        networks: maker of the networks.
        costs: cost tables of the space, by quantity.
        trials: trainings of the run, which also say what failed.
        outcomes: outcomes of the networks that were retrained before.
    """
    run, options = networks.run, networks.run.config.retrain
    if not options.promising:
        return Promising()
    problem = problem_of(run, networks.inputs, costs)
    every = candidates_of(run, networks.inherits, networks.searched)
    candidates = [one for one in every if problem.allows(one)]
    place = {one.key: number for number, one in enumerate(candidates)}
    free = training_free(
        run, networks.inputs, [one.architecture for one in candidates], options.evidence
    )
    scores = {**scores_of(candidates, list(costs)), **free}
    key = run.config.preference.key
    retrained = {place[one.key]: key(one.validation)[0] for one in outcomes if one.key in place}
    trust = options.short.trust if options.short.networks else 1.0
    adviser, short = _Adviser(candidates, scores, costs, run.seed, trust), None
    worth: Mapping[int, float] = retrained
    if options.short.networks:
        worth, short = train_shortly(run, networks.inputs, candidates, scores, costs)
    selected, found = list[Selected](), list[Outcome]()
    failed, left = {place[key] for key in trials.lost if key in place}, LEAST
    while len(found) < options.promising and left:
        known = sorted({*retrained, *failed})
        if len(known) == len(candidates):
            break
        sure = short is not None or len(found) + 1 == options.promising
        number = adviser.next(worth, known, sure)
        one = Selected.of(candidates[number], "promising")
        passed = trials.outcomes([one])
        if not passed:
            failed.add(number)
            left -= 1
            continue
        retrained[number] = key(passed[0].validation)[0]
        selected.append(one)
        found += passed
    return Promising(selected, found, adviser.record, short)


class _Adviser:
    """Says which candidate to retrain next.

    Args:
        candidates: networks, `[n]`.
        scores: scores of all networks, `[n]` each, the one that the run ranks by first.
        costs: names of the costs among them.
        seed: seed of the draws.
        trust: share of what those that teach consistently say that is taken to hold, see `combine`.

    Attributes:
        record: record of what all evidence told when it was asked last.
    """

    def __init__(
        self,
        candidates: Sequence[Candidate],
        scores: Mapping[str, Sequence[float]],
        costs: Mapping[str, CostTable],
        seed: int,
        trust: float,
    ) -> None:
        self._candidates, self._scores, self._costs = candidates, scores, costs
        self._seed, self._trust = seed, trust
        self._told: tuple[dict[int, float], Evidence] | None = None
        self.record: EvidenceRecord | None = None

    def next(self, worth: Mapping[int, float], known: Sequence[int], sure: bool) -> int:
        """Return the number of a candidate.

        Args:
            worth: worth of those that teach, by number.
            known: numbers of those that are not wanted.
            sure: whether it is the one that is expected to be best, instead of the best in a draw.
        """
        if len(worth) < FEWEST_PROBES:
            some = [self._scores[name] for name in start_of(self._scores, self._costs)]
            return _best(together(some), known)
        if self._told is None or self._told[0] != worth:
            shown = self._candidates, self._scores, self._costs
            self._told = dict(worth), evidence_of(*shown, worth, self._seed, self._trust)
            self.record = evidence_record(self._told[1], *shown)
        told = self._told[1]
        return _best(told.mean, known) if sure else told.next_probes(1, self._seed, known)[0]


def _best(values: Array, known: Sequence[int]) -> int:
    """Return the number of the highest value of a candidate that is not known."""
    left = values.copy()
    left[list(known)] = -np.inf
    return int(np.argmax(left))

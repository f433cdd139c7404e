"""How far scores can be believed where nothing is known: probes of the space, trained alone.

A pool of random networks is scored, and divided into strata of equal size: bands by multiply-adds, and
parts of each by score. As many probes are drawn from each stratum, at random, so that they cover the
range and yet stand for the pool: networks weigh alike, and pairs within a stratum, of which there are
too few, weigh more (`supernet.evaluate.pair_counts.Strata`).
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

from supernet.evaluate import Candidate, Provenance
from supernet.fidelity import FEWEST_PROBES, Worth
from supernet.pipeline.costs import problem_of
from supernet.pipeline.evidence import evidence_of, evidence_record, scores_of
from supernet.pipeline.fidelity import judged, scored
from supernet.pipeline.probe_trials import ProbeTraining, ProbeTrials, probe_training
from supernet.pipeline.state import RunState
from supernet.pipeline.training_free import training_free
from supernet.random import stream
from supernet.track.ranking import ProbeRecord, Ranking, RankingTruth

__all__ = ["ProbeOptions", "probe_strata", "rank_by_probes"]

POOL = 8
"""Networks that are scored for each probe."""


@dataclass(frozen=True)
class ProbeOptions:
    """The number of probes, and how they are trained.

    Attributes:
        probes: number of networks that are trained.
        seeds: number of trainings of each, with seeds of their own.
        twice: number of probes that are trained once more where each is trained once, to see how much
            trainings scatter.
        training: options such as `--train.steps=500` and `--model.channels=8`, in which it differs from
            the run's `retrain.train` and `retrain.model`.
    """

    probes: int = 16
    seeds: int = 1
    twice: int = 4
    training: Sequence[str] = ()

    def trainings(self, count: int) -> list[int]:
        """Return how often each of so many probes is trained, `[count]`."""
        more = min(self.twice, count) if self.seeds == 1 else 0
        again = {number * count // more for number in range(more)}
        return [self.seeds + (number in again) for number in range(count)]


def rank_by_probes(
    state: RunState, options: ProbeOptions, seed: int = 0, free: Sequence[str] = ()
) -> Ranking:
    """Train probes alone, compare their scores, and write `ranking.json`.

    What was scored or trained before is not repeated, so an interrupted call goes on.

    Args:
        state: run, of which the supernet is trained.
        options: number of probes, and how they are trained.
        seed: seed of the draw of probes, and of the resampling.
        free: names of scores without training that are compared, too, and part of the evidence.

    Raises:
        ConfigError: the options of the training cannot be read, or it has no step; there is no score
            without training of a name.
        NoNetworkError: none can be scored, or none trained.
    """
    training = probe_training(state, options.training)
    pool, protocol = _pool(state, options.probes, seed)
    found = training_free(state.run, state.inputs, [one.architecture for one in pool], free)
    count = min(options.probes, len(pool))
    strata = probe_strata(pool, max(1, count // 2))
    drawn = _drawn(strata, count, seed)
    trials = ProbeTrials(state.run, state.inputs, training)
    networks = list[Worth]()
    kept = list[int]()
    probes = [pool[index] for index in drawn]
    reached = trials.values(probes, options.trainings(count))
    for index, values in zip(drawn, reached, strict=True):
        if values:
            networks.append(Worth(pool[index].architecture, values))
            kept.append(index)
    trials.check(count)
    source = RankingTruth(
        kind="probes",
        name=f"{len(set(strata))} strata, by multiply-adds and score, of {len(pool):,} random networks",
        measures=f"{trials.measure} on the search split after {training.train.steps:,} steps alone",
        networks=len(pool),
    )
    record = ProbeRecord(
        strata=tuple(strata[index] for index in kept),
        trainings=tuple(len(one.values) for one in networks),
        seconds=round(trials.seconds, 3),
        train=training.plain,
        model=_differs(state, training),
    )
    candidates = [pool[index] for index in kept]
    some = {name: [values[index] for index in kept] for name, values in found.items()}
    evidence = None
    if len(kept) >= FEWEST_PROBES:
        scores = {**scores_of(pool, list(state.costs)), **found}
        worth = {index: one.value for index, one in zip(kept, networks, strict=True)}
        told = evidence_of(pool, scores, state.costs, worth, seed)
        evidence = evidence_record(told, pool, scores, state.costs)
    return judged(
        state, source, networks, candidates, protocol, seed, some, trials.failed, record, evidence
    )


def _differs(state: RunState, training: ProbeTraining) -> Mapping[str, Any]:
    """Return the arguments of the probes' model, nothing where it is the one that is retrained."""
    return {} if training.model == state.run.config.retrain.model else training.model


def probe_strata(pool: Sequence[Candidate], count: int) -> list[int]:
    """Return the number of the stratum of each candidate: bands by multiply-adds, parts by score.

    There are as many bands as the largest divisor of the count that is not above its root, so that the
    strata are as square as they can be, and the sizes of strata differ by at most two.
    """
    bands = max(d for d in range(1, math.isqrt(count) + 1) if count % d == 0)
    by_cost = sorted(range(len(pool)), key=lambda i: (pool[i].costs["macs"], pool[i].rank_key))
    found, number = [0] * len(pool), 0
    for band in _parts(by_cost, bands):
        for part in _parts(sorted(band, key=lambda i: pool[i].rank_key), count // bands):
            for index in part:
                found[index] = number
            number += 1
    return found


def _parts(items: Sequence[int], count: int) -> list[Sequence[int]]:
    """Return items in so many parts of equal size, but for one."""
    ends = [number * len(items) // count for number in range(count + 1)]
    return [items[start:end] for start, end in pairwise(ends)]


def _drawn(strata: Sequence[int], count: int, seed: int) -> list[int]:
    """Return the numbers of the candidates that are probes, as many of each stratum."""
    numbers = sorted(set(strata))
    found = []
    for place, stratum in enumerate(numbers):
        members = [index for index, one in enumerate(strata) if one == stratum]
        stream(seed, "rank", "probes", stratum).shuffle(members)
        found += members[: count // len(numbers) + (place < count % len(numbers))]
    return found


def _pool(state: RunState, probes: int, seed: int) -> tuple[list[Candidate], Provenance]:
    """Return random candidates of the space that the search's constraints leave, all scored."""
    problem = problem_of(state.run, state.inputs, state.costs)
    drawn = problem.sample(POOL * probes, stream(seed, "rank", "pool"))
    candidates, protocol = scored(state, drawn)
    return [one for one in candidates if one.status == "ok"], protocol

"""What all that is cheap tells of a run's candidates together, as networks trained alone teach."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence

import numpy as np

from supernet.evaluate import Candidate, Preference
from supernet.fidelity import Evidence, combine
from supernet.track.records import EvidenceRecord

__all__ = ["evidence_of", "evidence_record", "scores_of", "start_of"]

PROMISING = 10
"""Most promising networks that are named."""


def scores_of(candidates: Sequence[Candidate], counts: Sequence[str]) -> dict[str, list[float]]:
    """Return scores by name, higher better, the one that the run ranks by first; NaN where it failed."""
    nan = float("nan")
    passed = [one.status == "ok" for one in candidates]
    found: dict[str, list[float]] = {}
    if any(one.accuracy is not None for one in candidates):
        accuracies = (one.accuracy for one in candidates)
        found["accuracy"] = [nan if a is None else a for a in accuracies]
    losses = (one.loss for one in candidates)
    found["-loss"] = [nan if loss is None else -loss for loss in losses]
    if any(one.by == "loss" for one in candidates):
        found = dict(reversed(found.items()))
    for one in candidates[:1]:
        better = Preference(one.by, one.lower)
        if better.figure:
            ranked = [
                nan if (value := each.value(one.by)) is None else value for each in candidates
            ]
            found = {better.named(one.by): ranked, **found}
    found = {
        name: [one if ok else nan for one, ok in zip(values, passed, strict=True)]
        for name, values in found.items()
    }
    return {**found, **{name: [one.costs[name] for one in candidates] for name in counts}}


def start_of(scores: Mapping[str, Sequence[float]], counts: Collection[str]) -> list[str]:
    """Return what is believed before any probe: scores under shared weights and without training.

    Args:
        scores: scores of all networks by name.
        counts: names of the costs among them.
    """
    return [name for name in scores if name not in counts]


def evidence_of(
    candidates: Sequence[Candidate],
    scores: Mapping[str, Sequence[float]],
    counts: Collection[str],
    worth: Mapping[int, float],
    seed: int,
    trust: float = 1.0,
) -> Evidence:
    """Return what scores and answers tell together, see `combine`.

    Args:
        candidates: the networks, `[n]`.
        scores: scores of all networks, `[n]` each, the one that the run ranks by first.
        counts: names of the costs among them.
        worth: worth of those that were trained alone, by number.
        seed: seed of the resampling.
        trust: share of what they consistently say that is taken to hold, see `combine`.
    """
    architectures = [one.architecture for one in candidates]
    return combine(scores, worth, start_of(scores, counts), seed, architectures, trust)


def evidence_record(
    found: Evidence,
    candidates: Sequence[Candidate],
    scores: Mapping[str, Sequence[float]],
    counts: Collection[str],
) -> EvidenceRecord:
    """Return what is written down of evidence."""
    assert found.start is not None  # there is one
    best = np.argsort(-found.mean, kind="stable")[:PROMISING]
    return EvidenceRecord(
        scores=tuple(scores),
        start=" and ".join(start_of(scores, counts)),
        left_out=found.left_out,
        alone=found.start,
        over=found.over,
        best=tuple(candidates[int(index)].key for index in best),
    )

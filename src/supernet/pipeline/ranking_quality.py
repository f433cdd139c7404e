"""What the ranking by one-shot scores is worth: how it agrees with what networks are alone."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from supernet.evaluate import Preference, kendall, kendall_difference
from supernet.track.records import CostName, CostRanking, OneShotRanking, Outcome, Truth

__all__ = ["ranking_quality"]

TRUTHS: tuple[Truth, ...] = ("scratch", "fine_tuned", "inherited")
"""What one-shot scores may be compared with, the best first."""

COSTS: tuple[CostName, ...] = ("params", "macs")
"""Costs whose own ranking is compared."""


def ranking_quality(
    better: Preference, outcomes: Sequence[Outcome], population: int, seed: int
) -> OneShotRanking:
    """Return how well one-shot scores, and plain costs, rank the stand-alone scores of the probes.

    Only probes count: they are drawn at random from the candidates, so that what is found is true of all
    of these. The best do not count unless they were drawn themselves; among the best alone, a ranking
    looks worse than it is, and beside evenly spread ones better.

    Args:
        better: preference that says which scores are better.
        outcomes: outcomes of all networks that were retrained.
        population: the number of candidates that the probes were drawn from.
        seed: seed of the resampling.
    """
    probes = list({one.key: one for one in outcomes if one.probe}.values())
    kind = next((kind for kind in TRUTHS if any(kind in one.alone for one in probes)), None)
    # Training from some weights may have failed.
    probes = [one for one in probes if kind in one.alone]
    truth = [better.key(one.alone[kind])[0] for one in probes if kind]
    shared = [better.key(one.supernet)[0] for one in probes]
    found = OneShotRanking(
        truth=kind,
        population=population,
        why=None,
        correlation=kendall(shared, truth, seed=seed),
        costs={},
    )
    if not probes:
        return replace(found, why="no probes")
    if kind == "inherited" or (shared == truth and len(set(truth)) > 1):
        nothing = replace(
            found.correlation, kendall_tau=None, low=None, high=None, meaningful=False
        )
        return replace(found, why="same weights", correlation=nothing)
    costs: dict[CostName, CostRanking] = {}
    for quantity in COSTS:
        priced = [one.costs[quantity] for one in probes]
        costs[quantity] = CostRanking(
            correlation=kendall(priced, truth, seed=seed),
            difference=kendall_difference(shared, priced, truth, seed=seed),
        )
    return replace(found, costs=costs)

"""What the ranking by one-shot scores is worth: how it agrees with what networks are alone."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import Any

from supernet.evaluate import kendall, kendall_difference
from supernet.pipeline.networks import preference
from supernet.pipeline.records import Outcome

__all__ = ["ranking"]


def ranking(outcomes: Sequence[Outcome], population: int, seed: int) -> dict[str, Any]:
    """Return how well one-shot scores, and plain costs, rank the stand-alone scores of the probes.

    Only probes count: they are drawn at random from the candidates, so that what is found is true of all
    of these. The best do not count unless they were drawn themselves; among the best alone, a ranking
    looks worse than it is, and beside evenly spread ones better.

    Args:
        outcomes: outcomes of all networks that were retrained.
        population: the number of candidates that the probes were drawn from.
        seed: seed of the resampling.

    Returns:
        "truth", what one-shot scores are compared with ("scratch" where that is known, else
        "fine_tuned"); "population"; the fields of `RankCorrelation`; "costs", by quantity its own
        correlation and by how much that of one-shot scores is higher. Where none is claimed,
        "kendall_tau" is None and "why" says why: "no probes", or "same weights" where both sides are
        scores of the supernet's weights.
    """
    probes = list({one.selected.key: one for one in outcomes if one.selected.probe}.values())
    kinds = ("scratch", "fine_tuned", "inherited")
    kind = next((kind for kind in kinds if any(kind in one.alone for one in probes)), None)
    probes = [
        one for one in probes if kind in one.alone
    ]  # training from some weights may have failed
    truth = [preference(one.alone[kind])[0] for one in probes if kind]
    shared = [preference(one.selected.supernet)[0] for one in probes]
    correlation = dataclasses.asdict(kendall(shared, truth, seed=seed))
    found = {"truth": kind, "population": population, "why": None, **correlation, "costs": {}}
    if not probes:
        return {**found, "why": "no probes"}
    if kind == "inherited" or (shared == truth and len(set(truth)) > 1):
        nothing = {"kendall_tau": None, "low": None, "high": None, "meaningful": False}
        return {**found, **nothing, "why": "same weights"}
    for quantity in ("params", "macs"):
        costs = [one.selected.costs[quantity] for one in probes]
        difference = kendall_difference(shared, costs, truth, seed=seed)
        found["costs"][quantity] = {
            **dataclasses.asdict(kendall(costs, truth, seed=seed)),
            "difference": difference and dataclasses.asdict(difference),
        }
    return found

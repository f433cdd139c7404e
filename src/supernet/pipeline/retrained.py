"""Retraining as it ended: which network is chosen, and which it is compared with."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from supernet.config import WeightsName
from supernet.pipeline.context import Run
from supernet.pipeline.searched import load_searched
from supernet.track.records import Selected, verified
from supernet.track.sections import RetrainRecord

__all__ = ["Retrained", "load_retrained"]


@dataclass(frozen=True)
class Retrained:
    """What retraining led to.

    Attributes:
        chosen: best of all that were retrained, on the search split.
        weights: weights that its network was trained from.
        searched: best of those that the search selected, which random baselines are compared with: the
            chosen one, unless that is such a baseline.
        random: random baselines, each with the weights that the better of its networks was trained
            from.
        others: further weights that the chosen architecture was trained from.
    """

    chosen: Selected
    weights: WeightsName
    searched: tuple[Selected, WeightsName]
    random: Sequence[tuple[Selected, WeightsName]]
    others: Sequence[WeightsName]

    @property
    def inherits(self) -> bool:
        """Whether any of these networks started from the supernet's weights."""
        compared = [self.searched, *self.random]
        kinds = [self.weights, *self.others, *(weights for _, weights in compared)]
        return "inherited" in kinds


def load_retrained(run: Run) -> Retrained:
    """Return what retraining led to, as `metrics.json` has it.

    Raises:
        RunFolderError: nothing is retrained, or the search has not ended.
    """
    found = run.section(RetrainRecord)
    weights = found.chosen_weights
    rows = {row.key: row for row in found.candidates}
    drawn = verified(found.baselines.networks)
    named = [*verified(found.substitutes), *verified(found.promising)]
    selected = [*named, *load_searched(run).selected, *drawn]
    known = {one.key: one for one in reversed(selected)}
    chosen, searched = known[found.chosen], known[found.searched or found.chosen]
    failed = {row.weights for row in found.failed if row.key == chosen.key}
    others = [kind for kind in run.config.retrain.kinds if kind not in {weights, *failed}]
    compared = [(one, rows[one.key].weights) for one in (searched, *drawn)]
    return Retrained(chosen, weights, compared[0], compared[1:], others)

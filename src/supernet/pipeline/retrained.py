"""Retraining as it ended: which network is chosen, and which it is compared with."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from supernet.config import WeightsName
from supernet.pipeline.baseline import Baselines
from supernet.pipeline.context import Run
from supernet.pipeline.records import Selected
from supernet.pipeline.searched import load_searched

__all__ = ["Retrained", "load_retrained"]


@dataclass(frozen=True)
class Retrained:
    """What retraining led to.

    Attributes:
        chosen: best of the top architectures on the search split.
        weights: weights that its network was trained from.
        random: random baselines, each with the weights that the better of its networks was trained
            from.
        others: further weights that the chosen architecture was trained from.
    """

    chosen: Selected
    weights: WeightsName
    random: Sequence[tuple[Selected, WeightsName]]
    others: Sequence[WeightsName]

    @property
    def inherits(self) -> bool:
        """Whether any of these networks started from the supernet's weights."""
        kinds = [self.weights, *self.others, *(weights for _, weights in self.random)]
        return "inherited" in kinds


def load_retrained(run: Run) -> Retrained:
    """Return what retraining led to, as `metrics.json` has it.

    Raises:
        RunFolderError: nothing is retrained, or the search has not ended.
    """
    section = run.section("retrain")
    substitutes = [Selected.from_json(row) for row in section.get("substitutes", [])]
    selected = [*substitutes, *load_searched(run).selected]
    chosen = next(one for one in selected if one.key == section["chosen"])
    weights: WeightsName = section.get("chosen_weights", "fresh")
    rows = {row["key"]: row for row in section["candidates"]}
    drawn = Baselines.from_json(section["baselines"]).selected
    failed = {row["weights"] for row in section.get("failed", []) if row["key"] == chosen.key}
    others = [kind for kind in run.config.retrain.kinds if kind not in {weights, *failed}]
    return Retrained(chosen, weights, [(one, rows[one.key]["weights"]) for one in drawn], others)

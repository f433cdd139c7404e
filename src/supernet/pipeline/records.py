"""What steps record of architectures: those that are selected, and what became of them."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any

from supernet.config import WeightsName
from supernet.errors import DamagedFileError
from supernet.evaluate import Candidate, Score
from supernet.space import Architecture
from supernet.typed import MisfitError, typed

__all__ = ["Outcome", "Selected"]


@dataclasses.dataclass(frozen=True)
class Selected:
    """An architecture that is retrained.

    Attributes:
        key: key of the architecture.
        role: "top" (one of the best under the shared weights), "probe" (drawn at random from the
            candidates, to measure what their ranking is worth) or "random" (a baseline).
        architecture: the architecture, all its answers.
        supernet: scores under the shared weights.
        costs: costs by quantity.
        probe: whether it is among the probes; one of the best may be drawn too.
    """

    key: str
    role: str
    architecture: Architecture
    supernet: Mapping[str, float | None]
    costs: Mapping[str, float]
    probe: bool = False

    def to_json(self) -> dict[str, Any]:
        """Return plain data for `metrics.json`."""
        return {
            "key": self.key,
            "role": self.role,
            "probe": self.probe,
            "architecture": dict(self.architecture),
            "supernet": dict(self.supernet),
            **self.costs,
        }

    @classmethod
    def from_json(cls, row: Mapping[str, Any]) -> Selected:
        """Return what `to_json` wrote.

        Raises:
            DamagedFileError: the answers are not those of the key, or a cost is no number.
        """
        known = ("key", "role", "probe", "architecture", "supernet")
        key, costs = row["key"], {name: row[name] for name in row if name not in known}
        architecture = Architecture(row["architecture"])
        if architecture.key != key:
            raise DamagedFileError(
                f"metrics.json has the key {key} for {dict(architecture)}, whose key is "
                f"{architecture.key}. Put a copy of the file back; or delete it and run the same "
                "command again, which repeats the steps from the files before them"
            )
        try:
            priced = typed(costs, dict[str, float])
        except MisfitError as error:
            raise DamagedFileError(
                f"metrics.json does not hold the costs of {key}: {error}. Put a copy of it back"
            ) from error
        return cls(key, row["role"], architecture, row["supernet"], priced, row["probe"])

    @classmethod
    def of(cls, candidate: Candidate, role: str, probe: bool = False) -> Selected:
        """Return a candidate in a role."""
        scores = {"accuracy": candidate.accuracy, "loss": candidate.loss}
        architecture, costs = candidate.architecture, candidate.costs
        return cls(candidate.key, role, architecture, scores, costs, probe)


@dataclasses.dataclass(frozen=True)
class Outcome:
    """The outcome of training a selected architecture alone.

    Attributes:
        selected: selected architecture, with the costs of the network that was trained.
        alone: scores on the search split, by what was scored: "inherited" (the supernet's weights
            as they are), "fine_tuned" (trained from them), "scratch" (trained from fresh ones).
        weights: weights that the better network was trained from.
        validation: score of the better network on the search split.
        seconds: seconds of training.
    """

    selected: Selected
    alone: Mapping[str, Score]
    weights: WeightsName
    validation: Score
    seconds: float

    def to_json(self) -> dict[str, Any]:
        """Return plain data for `metrics.json`."""
        row = self.selected.to_json()
        del row["architecture"]
        more = {"weights": self.weights, "stand_alone": dict(self.alone)}
        return {**row, "validation": self.validation, **more}

"""An architecture with its scores and costs, as searchers are told of it."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field

from supernet.cost import CostTable
from supernet.errors import ConfigError
from supernet.failures import Kind
from supernet.space import Architecture
from supernet.task.preference import Preference

__all__ = ["Candidate"]


@dataclass(frozen=True)
class Candidate:
    """An architecture with its scores and costs.

    Attributes:
        key: key of the canonical form.
        architecture: the canonical form, which is what was scored.
        status: "ok"; "partial" if only a part of the images was looked at, on purpose; "failed" if
            scoring raised or a measure is not a finite number.
        loss: mean over the images, or None.
        accuracy: accuracy in 0–1, or None where the task has none.
        costs: costs by quantity, for instance {"params": ..., "macs": ...}.
        error: message of what was raised, if scoring failed.
        kind: kind of the failure; only when the candidate was just scored, as the table has no
            column for it.
        by: measure that candidates are ranked by, the loss breaking ties; of equal losses the accuracy.
        tune_seconds: time of the training before the score, or None where there was none.
        measures: all other figures of the task, by name.
        lower: figures of which lower ones are better, besides the loss.
    """

    key: str
    architecture: Architecture
    status: str
    loss: float | None
    accuracy: float | None
    costs: Mapping[str, float]
    error: str | None = None
    kind: Kind | None = field(default=None, compare=False)
    by: str = field(default="accuracy", compare=False)
    tune_seconds: float | None = field(default=None, compare=False)
    measures: Mapping[str, float] = field(default_factory=dict)
    lower: Collection[str] = field(default=(), compare=False)

    @property
    def scores(self) -> dict[str, float | None]:
        """All figures by name: accuracy, loss and others."""
        return {"accuracy": self.accuracy, "loss": self.loss, **self.measures}

    @classmethod
    def scored(
        cls,
        architecture: Architecture,
        *,
        loss: float | None = None,
        accuracy: float | None = None,
        tables: Mapping[str, CostTable] | None = None,
    ) -> Candidate:
        """Return the candidate that an architecture becomes which you scored yourself.

        Args:
            architecture: architecture that a searcher asked for.
            loss: score that it is ranked by where there is no accuracy, lower being better.
            accuracy: score that it is ranked by, higher being better.
            tables: cost tables, as `supernet.cost.measure_costs` returns them.

        Raises:
            ConfigError: neither is given.
        """
        if loss is None and accuracy is None:
            raise ConfigError("a candidate is scored by its loss or its accuracy; give one of them")
        costs = {name: table.cost(architecture) for name, table in (tables or {}).items()}
        return cls(architecture.key, architecture, "ok", loss, accuracy, costs)

    @property
    def rank_key(self) -> tuple[int, float, float, str]:
        """Sort candidates by this, best first: those scored in full, then partial ones, then failed."""
        order = ("ok", "partial", "failed").index(self.status)
        loss = float("inf") if self.loss is None or self.status == "failed" else self.loss
        accuracy = 0.0 if self.accuracy is None or self.status == "failed" else self.accuracy
        if self.by == "loss":
            return (order, loss, -accuracy, self.key)
        if self.by == "accuracy":
            return (order, -accuracy, loss, self.key)
        ranked = None if self.status == "failed" else self.value(self.by)
        return (order, float("inf") if ranked is None else -ranked, loss, self.key)

    @property
    def score(self) -> float | None:
        """What the candidate is ranked by, higher being better: a figure, or minus the loss."""
        ranked = self.value(self.by)
        return self.value("loss") if ranked is None else ranked

    def value(self, name: str) -> float | None:
        """Return a figure as a number that is higher when it is better; None where there is none."""
        value = self.scores.get(name)
        return None if value is None else Preference(self.by, self.lower).signed(name, value)

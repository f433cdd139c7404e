"""Scoring candidates into the table: each at most once per weights and protocol."""

from __future__ import annotations

from collections.abc import Mapping

from supernet.cost import CostTable, cost_of
from supernet.errors import DivergedError
from supernet.evaluate.candidates import Candidate, CandidateTable, Provenance
from supernet.evaluate.evaluator import Evaluator
from supernet.space import Architecture

__all__ = ["Scorer"]


class Scorer:
    """Turns architectures into candidates, from the table where it has them.

    Args:
        evaluator: scores what the table lacks.
        costs: the cost tables of the space.
        table: where candidates are read and written.
        weights: hash of the shared weights.
        seed: of the run, for the record.
    """

    def __init__(
        self,
        evaluator: Evaluator,
        costs: Mapping[str, CostTable],
        table: CandidateTable,
        weights: str,
        seed: int,
    ) -> None:
        self._evaluator = evaluator
        self._costs = costs
        self._table = table
        self._seed = seed
        protocol = evaluator.protocol
        recalibrates = protocol.batch_norm == "recalibrate"
        self.provenance = Provenance(
            split="search",
            images=evaluator.images,
            batch_norm=protocol.batch_norm,
            batch_size=protocol.batch_size,
            calibration_batches=protocol.calibration_batches if recalibrates else 0,
            weights=weights,
        )

    def score(self, architecture: Architecture, searcher: str, generation: int) -> Candidate:
        """Return the candidate of a canonical architecture.

        One whose loss is not a finite number is recorded as failed, and the search goes on.
        """
        known = self._table.get(architecture.key, self.provenance)
        if known is not None:
            return known
        costs = {name: int(cost) for name, cost in cost_of(self._costs, architecture).items()}
        try:
            score = self._evaluator.score(architecture)
        except DivergedError:
            candidate = Candidate(architecture.key, architecture, "failed", None, None, costs)
        else:
            accuracy = score.get("accuracy")
            candidate = Candidate(
                architecture.key, architecture, "ok", score["loss"], accuracy, costs
            )
        self._table.add(
            candidate, self.provenance, searcher=searcher, generation=generation, seed=self._seed
        )
        return candidate

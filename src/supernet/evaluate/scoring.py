"""Scoring candidates into the table: each at most once per weights and protocol."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace

import torch

from supernet.cost import CostTable, cost_of
from supernet.errors import StorageError
from supernet.evaluate.candidates import Candidate, CandidateTable, Provenance
from supernet.evaluate.evaluator import Evaluator, Score
from supernet.evaluate.parts import PartsEvaluator
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
        evaluator: Evaluator | PartsEvaluator,
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

    def score(
        self,
        architectures: Sequence[Architecture],
        searcher: str,
        generation: int,
        advance: Callable[[], None] = lambda: None,
    ) -> list[Candidate]:
        """Return the candidates of canonical architectures, in their order.

        One that raises, or whose loss is not a finite number, is recorded as failed, and the search
        goes on; when it is asked for again it is tried again.

        Args:
            architectures: all different.
            searcher: who asked for them, for the record.
            generation: when, for the record.
            advance: called after each.

        Raises:
            MemoryError: there is too little memory; what was scored is in the table.
        """
        found: dict[str, Candidate] = {}
        missing = []
        for architecture in architectures:
            known = self._table.get(architecture.key, self.provenance)
            if known is None or known.status == "failed":  # perhaps for a reason that is mended
                missing.append(architecture)
            else:
                found[known.key] = self._repriced(known)
                advance()
        for architecture, score in self._evaluator.scores(missing):
            if isinstance(score, MemoryError | torch.OutOfMemoryError | StorageError):
                raise score  # the machine's fault, not the candidate's
            candidate = self._candidate(architecture, score)
            self._table.add(
                candidate,
                self.provenance,
                searcher=searcher,
                generation=generation,
                seed=self._seed,
            )
            found[candidate.key] = candidate
            advance()
        return [found[architecture.key] for architecture in architectures]

    def _repriced(self, known: Candidate) -> Candidate:
        """Return a candidate of the table with the costs of now, which it is also stored with."""
        costs = self._costs_of(known.architecture)
        if costs == known.costs:
            return known
        candidate = replace(known, costs=costs)
        self._table.reprice(candidate)
        return candidate

    def _costs_of(self, architecture: Architecture) -> dict[str, float]:
        return {name: _exact(cost) for name, cost in cost_of(self._costs, architecture).items()}

    def _candidate(self, architecture: Architecture, score: Score | Exception) -> Candidate:
        costs = self._costs_of(architecture)
        key = architecture.key
        if isinstance(score, Exception):
            error = f"{type(score).__name__}: {score}"
            return Candidate(key, architecture, "failed", None, None, costs, error)
        return Candidate(key, architecture, "ok", score["loss"], score.get("accuracy"), costs)


def _exact(cost: float) -> float:
    """Return whole numbers as integers."""
    return int(cost) if float(cost).is_integer() else cost

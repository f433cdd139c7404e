"""Scoring candidates into the table: each at most once per weights and protocol."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace

from supernet.cost import CostTable, cost_of
from supernet.evaluate.candidate import Candidate
from supernet.evaluate.candidates import CandidateTable, Provenance
from supernet.evaluate.evaluator import Evaluator, Score
from supernet.evaluate.parts import PartsEvaluator
from supernet.evaluate.racing import DroppedCandidate
from supernet.evaluate.rows import RANK
from supernet.failures import OF_RUN, failure_kind
from supernet.ranks import ranks
from supernet.shared_work import agreed_order, breathe, shared_out
from supernet.space import Architecture

__all__ = ["Scorer"]

_SENT = ("key", "status", "loss", "accuracy", "measures", "error", "kind", "tune_seconds")
"""What other ranks are told of a candidate; numbers pass as they are, to the bit."""


class Scorer:
    """Turns architectures into candidates, from the table where it has them.

    Args:
        evaluator: scores what the table lacks.
        costs: the cost tables of the space.
        table: table that candidates are read from and written to.
        weights: hash of the shared weights.
        seed: seed of the run, for the record.
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
        self._tuned: dict[tuple[str, int], float] = {}
        self._tuning_seconds = evaluator.tuning_seconds
        protocol = evaluator.protocol
        recalibrates = protocol.batch_norm == "recalibrate"
        self.provenance = Provenance(
            split="search",
            images=evaluator.images,
            batch_norm=protocol.batch_norm,
            batch_size=protocol.batch_size,
            calibration_batches=protocol.calibration_batches if recalibrates else 0,
            weights=weights,
            tuning="" if protocol.tuning is None else protocol.tuning.text,
            precision="" if protocol.precision == "float32" else protocol.precision,
        )

    @property
    def tuned(self) -> tuple[int, float]:
        """The number of candidates asked for that were tuned, now or before, and the seconds of that."""
        return len({key for key, _ in self._tuned}), sum(self._tuned.values())

    def score(
        self,
        architectures: Sequence[Architecture],
        searcher: str,
        generation: int,
        advance: Callable[[], None] = lambda: None,
        batches: int | None = None,
    ) -> list[Candidate]:
        """Return the candidates of canonical architectures, in their order.

        One that raises, or of which a measure is not a finite number, is recorded as failed, and the
        search goes on; when it is asked for again it is tried again.

        Args:
            architectures: architectures to score, all different.
            searcher: name of the searcher that asked for them, for the record.
            generation: number of the searcher's generation, for the record.
            advance: function that is called after each candidate.
            batches: score on the first so many evaluation batches only, as partial candidates.

        Raises:
            Exception: what is not a candidate's own fault, as too little memory (see
                `supernet.failures`); what was scored is in the table.
        """
        images = self._evaluator.images_in(batches)
        provenance = replace(self.provenance, images=images)
        found: dict[str, Candidate] = {}
        missing = []
        for architecture in architectures:
            known = self._table.get(architecture.key, provenance)
            if known is None or known.status == "failed":  # perhaps for a reason that is mended
                missing.append(architecture)
            else:
                found[known.key] = self._repriced(known)
                self._claim(known, provenance, searcher, generation)
                advance()
        status = "ok" if images == self.provenance.images else "partial"
        for candidate in self._scored(missing, batches, status):
            self._add(candidate, provenance, searcher, generation)
            found[candidate.key] = candidate
            advance()
        return [found[architecture.key] for architecture in architectures]

    def race(
        self,
        architectures: Sequence[Architecture],
        searcher: str,
        generation: int,
        keep: int,
        error: float,
        advance: Callable[[], None] = lambda: None,
    ) -> list[Candidate]:
        """Like `score`, but drop what cannot be among the best `keep`; see `Evaluator.race`.

        What is dropped becomes a partial candidate. A race whose outcome is not in the table as a
        whole is run as a whole, so that it ends as it would have without an interruption.

        Args:
            architectures: architectures to score, all different.
            searcher: name of the searcher that asked for them, for the record.
            generation: number of the searcher's generation, for the record.
            keep: number of the best that are scored on all images.
            error: bound on the probability that one of the best is dropped, see
                `supernet.evaluate.racing`.
            advance: function that is called after each candidate.

        Raises:
            Exception: what is not a candidate's own fault; see `score`.
        """
        found: dict[str, Candidate] = {}
        for architecture in architectures:
            known = self._table.get(architecture.key, self.provenance) or self._table.partial(
                architecture.key, self.provenance
            )
            if known is not None and known.status != "failed":
                found[known.key] = self._repriced(known)
        if len(found) == len(architectures):
            for candidate in found.values():
                self._claim(candidate, self.provenance, searcher, generation)
                advance()
            return [found[architecture.key] for architecture in architectures]
        for architecture, fate in self._evaluator.race(architectures, keep, error, self._table.by):
            if isinstance(fate, DroppedCandidate):
                candidate = self._candidate(architecture, fate.score, "partial")
                provenance = replace(self.provenance, images=fate.images)
            else:
                candidate = self._candidate(architecture, fate, "ok")
                provenance = self.provenance
            self._add(candidate, provenance, searcher, generation)
            found[candidate.key] = candidate
            advance()
        return [found[architecture.key] for architecture in architectures]

    def _scored(
        self, missing: Sequence[Architecture], batches: int | None, status: str
    ) -> Iterator[Candidate]:
        """Yield the candidates of architectures; ranks share them out, in parts of neighbours."""
        if ranks() == 1:
            for architecture, score in self._evaluator.scores(missing, batches):
                yield self._candidate(architecture, score, status)
            return
        by_key = {one.key: one for one in missing}
        ordered = agreed_order([one.key for one in self._evaluator.order(missing, batches)])
        parts = _parts(len(ordered), ranks())

        def work(number: int) -> bytes:
            rows = []
            own = [by_key[key] for key in ordered[parts[number]]]
            for architecture, score in self._evaluator.scores(own, batches):
                found = self._candidate(architecture, score, status)
                rows.append({name: getattr(found, name) for name in _SENT})
                breathe()
            return json.dumps(rows).encode()

        for done in shared_out(len(parts), work):
            for row in json.loads(done.content):
                architecture = by_key[row["key"]]
                costs = self._costs_of(architecture)
                found = Candidate(architecture=architecture, costs=costs, **row)
                yield replace(found, by=self._table.by, lower=self._table.lower)

    def _add(
        self, candidate: Candidate, provenance: Provenance, searcher: str, generation: int
    ) -> None:
        self._table.add(
            candidate, provenance, searcher=searcher, generation=generation, seed=self._seed
        )
        self._claim(candidate, provenance, searcher, generation)

    def _claim(
        self, candidate: Candidate, provenance: Provenance, searcher: str, generation: int
    ) -> None:
        if provenance.tuning:
            self._tuned[candidate.key, provenance.images] = candidate.tune_seconds or 0.0
        if searcher != RANK:
            self._table.claim(candidate.key, provenance, searcher=searcher, generation=generation)

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

    def _candidate(
        self, architecture: Architecture, score: Score | Exception, status: str
    ) -> Candidate:
        """Return the candidate; what is not its own fault is raised."""
        costs, key = self._costs_of(architecture), architecture.key
        if isinstance(score, Exception):
            if (kind := failure_kind(score)) in OF_RUN:
                raise score
            error = f"{type(score).__name__}: {score}"
            found = Candidate(key, architecture, "failed", None, None, costs, error, kind)
        else:
            others = {name: score[name] for name in score if name not in ("loss", "accuracy")}
            accuracy = score.get("accuracy")
            found = Candidate(key, architecture, status, score["loss"], accuracy, costs)
            found = replace(found, measures=others)
        table = self._table
        return replace(found, by=table.by, lower=table.lower, tune_seconds=self._spent())

    def _spent(self) -> float | None:
        """Return the seconds of tuning since this was asked last; None where nothing is tuned."""
        before, self._tuning_seconds = self._tuning_seconds, self._evaluator.tuning_seconds
        return self._tuning_seconds - before if self.provenance.tuning else None


def _exact(cost: float) -> float:
    """Return whole numbers as integers, as far as floats are exact and databases hold integers."""
    return int(cost) if float(cost).is_integer() and abs(cost) < 2**53 else cost


def _parts(count: int, ranks: int) -> list[slice]:
    """Return neighbours that are scored by one rank, so that what they share is computed once.

    Each part is half of what is left for a rank, so parts are few, and the last ones so small that no
    rank waits long for another ("guided self-scheduling", Polychronopoulos and Kuck, 1987).
    """
    found, start = list[slice](), 0
    while start < count:
        stop = start + math.ceil((count - start) / (2 * ranks))
        found.append(slice(start, stop))
        start = stop
    return found

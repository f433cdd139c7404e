"""Random architectures that the chosen one is compared with."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from typing import Any

from supernet.cost import Constraints
from supernet.evaluate import Protocol, Scorer
from supernet.pipeline.context import Run
from supernet.pipeline.networks import candidate_table
from supernet.pipeline.records import Selected
from supernet.space import Architecture

__all__ = ["Baselines", "draw_baselines"]

TOLERANCES = (0.1, 0.2, 0.5)
"""How far the matched cost may be from the chosen one's, the first that leaves enough architectures."""


@dataclass(frozen=True)
class Baselines:
    """The random architectures of a run.

    Attributes:
        selected: random architectures, at most as many as asked for; fewer where the space holds no
            more.
        match: the cost in which they are like the chosen one; None if in none.
        tolerance: share of the chosen one's cost by which theirs may be off; None if by any.
    """

    selected: Sequence[Selected]
    match: str | None
    tolerance: float | None

    def to_json(self) -> dict[str, Any]:
        """Return plain data for `metrics.json`."""
        networks = [one.to_json() for one in self.selected]
        return {"networks": networks, "match": self.match, "tolerance": self.tolerance}

    @classmethod
    def from_json(cls, content: dict[str, Any]) -> Baselines:
        """Return what `to_json` wrote."""
        networks = [Selected.from_json(row) for row in content["networks"]]
        return cls(networks, content["match"], content["tolerance"])


def draw_baselines(
    run: Run, chosen: Selected, top: Sequence[Selected], failed: Collection[str] = ()
) -> Baselines:
    """Draw random architectures beside the chosen one, and score them under the shared weights.

    They satisfy the constraints of the search, are none of the best, and cost what the chosen one costs,
    as nearly as enough of them are found. The draw depends on the seed and on these costs alone; those
    with these keys, which failed, are passed over as though they were not in the space.

    Raises:
        RunFolderError: the search has not ended.
    """
    best = {one.key for one in top}
    match, architectures, tolerance = run.config.retrain.match, list[Architecture](), None
    for tolerance in (*TOLERANCES, None) if match else (None,):
        architectures = _drawn(run, chosen, {*best, *failed}, match, tolerance)
        if len(architectures) == run.config.retrain.baselines:
            break
    used = run.section("search")["protocol"]
    batches = used["calibration_batches"] or run.protocol.calibration_batches
    evaluator, weights = run.evaluator(Protocol(used["batch_norm"], used["batch_size"], batches))
    with candidate_table(run) as table:
        scorer = Scorer(evaluator, run.costs, table, weights, run.seed)
        candidates = scorer.score(architectures, "baseline", 0)
    selected = [Selected.of(candidate, "random") for candidate in candidates]
    return Baselines(selected, None if tolerance is None else match, tolerance)


def _drawn(
    run: Run,
    chosen: Selected,
    passed_over: Collection[str],
    match: str | None,
    tolerance: float | None,
) -> list[Architecture]:
    """Draw random architectures; all drawing of baselines is here."""
    texts = list(run.config.search.constraint_list)
    if match is not None and tolerance is not None:
        cost = run.costs[match].cost(chosen.architecture)
        texts += [f"{match} >= {cost * (1 - tolerance)}", f"{match} <= {cost * (1 + tolerance)}"]
    constraints = Constraints(texts, run.costs, run.supernet.space)
    problem = replace(run.problem, constraints=constraints)
    return problem.sample(run.config.retrain.baselines, problem.stream("baseline"), passed_over)

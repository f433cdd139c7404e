"""Random architectures that the best of the search is compared with."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace

from supernet.cost import Constraints, CostTable
from supernet.evaluate import Scorer
from supernet.pipeline.costs import problem_of
from supernet.pipeline.networks import Networks
from supernet.pipeline.scoring import evaluator, protocol_as
from supernet.pipeline.searched import candidate_table
from supernet.search import Problem
from supernet.space import Architecture
from supernet.track.records import Baselines, Selected

__all__ = ["draw_baselines"]

TOLERANCES = (0.1, 0.2, 0.5)
"""How far the matched cost may be from the one to match, the first that leaves enough architectures."""


def draw_baselines(
    networks: Networks,
    costs: Mapping[str, CostTable],
    found: Selected,
    tried: Sequence[str],
    failed: Collection[str] = (),
) -> Baselines:
    """Draw random architectures beside the best of the search, and score them under the shared weights.

    They satisfy the constraints of the search, are none of those tried before, and cost what that one
    costs, as nearly as enough of them are found. The draw depends on the seed and on these costs alone;
    those with these keys, which failed, are passed over as though they were not in the space.
    """
    run = networks.run
    problem = problem_of(run, networks.inputs, costs)
    options, architectures, tolerance = run.config.retrain, list[Architecture](), None
    match = options.match
    for tolerance in (*TOLERANCES, None) if match else (None,):
        architectures = _drawn(
            problem, options.baselines, found, {*tried, *failed}, match, tolerance
        )
        if len(architectures) == options.baselines:
            break
    shared, inputs = networks.inherits, networks.inputs
    protocol = protocol_as(run, inputs, networks.searched.protocol)
    scores = evaluator(run, inputs, shared, protocol)
    with candidate_table(run) as table:
        scorer = Scorer(scores, costs, table, shared.hash, run.seed)
        candidates = scorer.score(architectures, "baseline", 0)
    randoms = tuple(Selected.of(candidate, "random") for candidate in candidates)
    matched = None if tolerance is None else match
    return Baselines(networks=randoms, match=matched, tolerance=tolerance)


def _drawn(
    problem: Problem,
    count: int,
    found: Selected,
    passed_over: Collection[str],
    match: str | None,
    tolerance: float | None,
) -> list[Architecture]:
    """Draw random architectures; all drawing of baselines is here."""
    texts, tables = list(problem.constraints.texts), problem.constraints.tables
    if match is not None and tolerance is not None:
        cost = tables[match].cost(found.architecture)
        texts += [f"{match} >= {cost * (1 - tolerance)}", f"{match} <= {cost * (1 + tolerance)}"]
    problem = replace(problem, constraints=Constraints(texts, tables, problem.space))
    return problem.sample(count, problem.stream("baseline"), passed_over)

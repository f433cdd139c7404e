"""The finalists of a search: its best candidates, tuned and ranked again before some are selected."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from supernet.cost import CostTable
from supernet.evaluate import Candidate, CandidateTable, Protocol, Scorer
from supernet.pipeline.context import Run
from supernet.pipeline.failures import failed_candidates, failure_summary, none_left_error
from supernet.pipeline.inputs import Inputs
from supernet.pipeline.scoring import evaluator, tuning_of
from supernet.pipeline.shared_weights import SharedWeights
from supernet.track.records import Failed
from supernet.track.sections import Finalists

__all__ = ["FinalRound", "final_round"]


@dataclass(frozen=True)
class FinalRound:
    """What became of the finalists.

    Attributes:
        record: keys of the finalists, and the protocol by which they were ranked again.
        passed: finalists that did not fail, with these scores.
        failed: the others.
        scorer: scorer that ranked them.
    """

    record: Finalists
    passed: Sequence[Candidate]
    failed: Sequence[Failed]
    scorer: Scorer


def final_round(
    run: Run,
    inputs: Inputs,
    costs: Mapping[str, CostTable],
    shared: SharedWeights,
    protocol: Protocol,
    table: CandidateTable,
    candidates: Sequence[Candidate],
) -> FinalRound | None:
    """Tune the best candidates and score them again; None where that is not configured, or of none.

    Args:
        run: run that is searched in.
        inputs: data and task.
        costs: cost tables of the space, by quantity.
        shared: weights that candidates are scored and tuned with.
        protocol: protocol of the search.
        table: table of candidates.
        candidates: candidates that were scored on all images.

    Raises:
        NoNetworkError: all finalists failed.
    """
    tuning, count = tuning_of(run, inputs), run.config.evaluate.tune.finalists
    if tuning is None or count is None or not candidates:
        return None
    scores = evaluator(run, inputs, shared, replace(protocol, tuning=tuning))
    scorer = Scorer(scores, costs, table, shared.hash, run.seed)
    best = run.config.search.searcher.select(candidates, count)
    bar = run.progress.task("finalists", len(best))
    tuned = scorer.score([one.architecture for one in best], "finalist", 0, bar.advance)
    failed = [replace(one, role="finalist") for one in failed_candidates(tuned)]
    if len(failed) == len(tuned):
        raise none_left_error(
            failed,
            "finalists that were trained before they were scored",
            "With another --evaluate.tune.rate they are trained anew",
        )
    if failed:
        run.progress.say(failure_summary(failed, len(tuned), "finalists", "candidates.db"))
    record = Finalists(protocol=scorer.provenance, keys=tuple(one.key for one in best))
    return FinalRound(record, [one for one in tuned if one.status == "ok"], failed, scorer)

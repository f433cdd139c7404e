"""The second step: rank candidates with the shared weights and select what is retrained."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import replace

from supernet.cost import CostTable
from supernet.errors import DataError, SupernetError
from supernet.evaluate import Candidate, CandidateTable, Scorer
from supernet.pipeline.batch_norm import search_protocol
from supernet.pipeline.context import Run
from supernet.pipeline.costs import problem_of
from supernet.pipeline.failures import failed_candidates, failure_summary, none_left_error
from supernet.pipeline.finalists import final_round
from supernet.pipeline.inputs import Inputs
from supernet.pipeline.scoring import evaluator
from supernet.pipeline.searched import Searched
from supernet.pipeline.shared_weights import SharedWeights
from supernet.pipeline.trained import architectures_of
from supernet.search import Problem, Search, hypervolume
from supernet.space import Architecture
from supernet.space.numbers import digits
from supernet.track.numbers import tuned_text
from supernet.track.records import Failed, Selected, verified
from supernet.track.sections import SearchRecord

__all__ = ["search"]

FEW = 20
"""Candidates of which at least one must pass for a search to go on."""


def search(
    run: Run, inputs: Inputs, costs: Mapping[str, CostTable], shared: SharedWeights
) -> Searched:
    """Score candidates into `candidates.db` and select the best, and probes.

    Raises:
        ConstraintError: none that was scored keeps to the bounds on figures.
        NoNetworkError: no candidate could be scored, of the first `FEW` or of all.
        DataError: a measure of the task is no finite number for any of them, though their losses are.
    """
    log = run.stage_log("search")
    log.rewind(0)
    problem = problem_of(run, inputs, costs)
    protocol, batch_norm = search_protocol(run, inputs, shared, problem)
    scores = evaluator(run, inputs, shared, protocol)
    better, path = run.config.preference, run.folder.candidates
    with CandidateTable(path, by=better.by, lower=better.lower, tell=run.hooks.tell) as table:
        scorer = Scorer(scores, costs, table, shared.hash, run.seed)
        learned = architectures_of(run, inputs, costs, shared.trained)
        ranked, asked = _ranked(run, replace(problem, learned=learned), scorer, log.write)
        passed = [candidate for candidate in ranked if candidate.status != "failed"]
        failed = [candidate for candidate in ranked if candidate.status == "failed"]
        # A searcher may ask for others, to learn from.
        within = [one for one in passed if problem.constraints.hold(one.architecture)]
        whole = [candidate for candidate in within if candidate.status == "ok"]
        whole = problem.bounds.kept(whole)
        final = final_round(run, inputs, costs, shared, protocol, table, whole)
        pool = problem.bounds.kept(final.passed) if final else whole
        selected, lost = _select(run, problem, scorer, within, pool)
        tuned, tune_seconds = _tuned(run, final.scorer if final else scorer)
        if kept := run.folder.metrics.retrain:  # the table alone was lost: make it whole
            random = verified(kept.baselines.networks)
            scorer.score([one.architecture for one in random], "baseline", 0)
    finalists = final.record if final else None
    expected = run.config.search.searcher.expected(problem)
    if expected and asked < expected and problem.constraints.texts:
        run.progress.say(
            f"{asked:,} candidates instead of {expected:,}: no more were found that satisfy "
            f"{' and '.join(problem.constraints.texts)}"
        )
    if scores.plain_because and run.config.evaluate.memory:
        run.progress.say(f"candidates were scored one by one: {scores.plain_because}")
    if failed:
        run.progress.say(
            failure_summary(failed_candidates(failed), len(ranked), "candidates", "candidates.db")
        )
    run.folder.record(
        SearchRecord(
            seconds=log.seconds,
            candidates=len(ranked),
            partial=sum(candidate.status == "partial" for candidate in passed),
            failed=len(failed),
            failures=(*_examples(failed), *(final.failed if final else ()), *lost),
            searcher=type(run.config.search.searcher).__name__,
            space_size=digits(inputs.space.size),
            batch_norm=scores.batch_norm,
            batch_norm_report=batch_norm,
            shared=not scores.plain_because,
            hypervolume=_hypervolumes(problem, within),
            protocol=scorer.provenance,
            costs={quantity: table.digest for quantity, table in costs.items()},
            selected=tuple(selected),
            finalists=finalists,
            tuned=tuned,
            tune_seconds=tune_seconds,
            ranked_by=better.figure,
            lower_is_better=tuple(better.lower) if better.figure else (),
        )
    )
    return Searched(selected, scorer.provenance, len(passed), finalists)


def _tuned(run: Run, scorer: Scorer) -> tuple[int, float | None]:
    """Return how many candidates were tuned before they were scored, and the seconds of that; say so."""
    count, seconds = scorer.tuned
    if not count:
        return 0, None
    run.progress.say(tuned_text(scorer.provenance.tuning, count, seconds))
    return count, round(seconds, 3)


def _ranked(
    run: Run,
    problem: Problem,
    scorer: Scorer,
    write: Callable[[dict[str, float | None]], None],
) -> tuple[list[Candidate], int]:
    """Let the searcher ask until it is done.

    Returns:
        All candidates, best first, and how often one was asked for.
    """
    searcher = run.config.search.searcher
    proposals = Search(searcher, problem)
    bar = run.progress.task("search", searcher.expected(problem) or 0)
    found: dict[str, Candidate] = {}
    generation = count = 0
    while asked := proposals.ask():
        _check_any_passed(found.values(), FEW)
        told = _told(run, scorer, asked, proposals.batches, generation, bar.advance)
        proposals.tell(told)
        generation, count = generation + 1, count + len(told)
        found.update({candidate.key: candidate for candidate in told})
        within = [one for one in found.values() if problem.constraints.hold(one.architecture)]
        best = min(within or found.values(), key=lambda candidate: candidate.rank_key)
        write(
            {
                "step": generation,
                "candidates": len(found),
                "accuracy": best.accuracy,
                "loss": best.loss,
                **best.measures,
            }
        )
    _check_any_passed(found.values(), 1)
    return sorted(found.values(), key=lambda candidate: candidate.rank_key), count


def _check_any_passed(found: Collection[Candidate], least: int) -> None:
    """Check that some candidate passed, once so many were scored.

    Raises:
        DataError: none did, for the measures of the task.
        NoNetworkError: none did, for whatever reasons.
    """
    if len(found) < least or any(candidate.status != "failed" for candidate in found):
        return
    if all(candidate.kind == "measure" for candidate in found):
        raise DataError(
            f"none of the {len(found):,} candidates that were scored has finite measures, though their "
            f"losses are finite, so it is not the networks that fail but the task: "
            f"{next(iter(found)).error}. Mend that measure, and run the same command again: the trained "
            "supernet stays, and only the search is repeated"
        )
    raise none_left_error(
        failed_candidates(found),
        "candidates that were scored with the shared weights",
        "Candidates that failed are scored again by the same command. If they fail for what the "
        "training of the supernet left, train anew in another folder",
    )


def _examples(failed: Iterable[Candidate]) -> list[Failed]:
    """Return the first failure of each kind: the table has all."""
    return list({one.kind: one for one in reversed(failed_candidates(failed))}.values())[::-1]


def _told(
    run: Run,
    scorer: Scorer,
    asked: Sequence[Architecture],
    batches: int | None,
    generation: int,
    advance: Callable[[], None],
) -> list[Candidate]:
    """Score a generation: on a part of the images if so asked, as a race if so configured."""
    searcher, error = run.config.search.searcher, run.config.evaluate.race
    name = type(searcher).__name__
    if error is None or batches is not None or searcher.looks_at is None:
        return scorer.score(asked, name, generation, advance, batches)
    keep = max(run.config.retrain.top, searcher.looks_at)
    return scorer.race(asked, name, generation, keep, error, advance)


def _select(
    run: Run,
    problem: Problem,
    scorer: Scorer,
    ranked: Sequence[Candidate],
    pool: Sequence[Candidate],
) -> tuple[list[Selected], list[Failed]]:
    """Return the best and probes drawn uniformly from all candidates, and probes that failed.

    The best are not left out of the draw, so that the probes stand for all that was ranked; and more
    probes are the same ones and others.

    Args:
        run: run that is searched in, see `search`.
        problem: problem, whose random stream draws the probes.
        scorer: scores probes that a race dropped.
        ranked: candidates within the bounds on costs that did not fail, best first. Those that were
            scored in part may yet.
        pool: candidates that the best are selected from, with the scores for that.

    Raises:
        SupernetError: no candidate was scored on all images.
    """
    options = run.config.retrain
    if not pool:
        raise SupernetError(
            f"{type(run.config.search.searcher).__name__} had candidates scored on a part of the images "
            "only, or all that were scored in full failed, so none can be chosen; have more of them "
            "scored in full, or give another searcher"
        )
    known = {one.key: one for one in ranked}
    top = [known[one.key] for one in run.config.search.searcher.select(pool, options.top)]
    drawn = sorted(ranked, key=lambda candidate: candidate.key)
    problem.stream("probes").shuffle(drawn)
    probes = scorer.score([one.architecture for one in drawn[: options.probes]], "probe", 0)
    lost = [replace(one, role="probe") for one in failed_candidates(probes)]
    for one in lost:
        run.progress.say(f"failed: {one.text()}. There is one probe less for the rank correlation")
    keys = {candidate.key for candidate in probes}
    selected = [Selected.of(one, "top", one.key in keys) for one in top]
    best = {one.key for one in top}
    probed = [one for one in probes if one.key not in best and one.status == "ok"]
    return selected + [Selected.of(one, "probe", True) for one in probed], lost


def _hypervolumes(problem: Problem, candidates: Sequence[Candidate]) -> dict[str, float]:
    """Return by cost how much of the plane of accuracy and cost the candidates dominate, in 0–1.

    The plane reaches from accuracy 0 to 1, and from 0 to the largest cost in the space.
    """
    found = {}
    for quantity, table in problem.constraints.tables.items():
        largest = table.range(problem.space)[1]
        points = [
            (1 - candidate.accuracy, candidate.costs[quantity] / largest)
            for candidate in candidates
            if candidate.status == "ok" and candidate.accuracy is not None and largest > 0
        ]
        if points:
            found[quantity] = round(hypervolume(points, (1.0, 1.0 + 1e-9)), 6)
    return found

"""The parts of the report on what a ranking is worth: beside probes, and beside what is known."""

from __future__ import annotations

import math

from supernet.track import page, plots
from supernet.track.records import Score
from supernet.track.result_texts import ranking_text
from supernet.track.run_files import RunFiles
from supernet.track.sections import RetrainRecord
from supernet.track.tables import ranking_cells, ranking_heads
from supernet.track.verdict_texts import roles_by_key

__all__ = ["believed", "ranked_probes"]


def believed(run: RunFiles) -> str:
    """Say how far the scores can be believed, where `supernet rank` found out."""
    ranking = run.ranking
    if ranking is None:
        return ""
    first = next(iter(ranking.scores), "score")
    figure = plots.truth_plot(ranking.scores.get(first, ()), ranking.values, ranking.keys, first)
    table = page.table(ranking_heads(ranking), ranking_cells(ranking))
    note = f"{ranking.sentences()} ({ranking.truth.text(ranking.figures.n)}.)"
    drawn = page.figure("believed", figure) if ranking.values else ""
    return page.section("How far the scores can be believed", table + drawn, note)


def ranked_probes(run: RunFiles, retrain: RetrainRecord) -> str:
    """Show one-shot scores of retrained networks beside what they are alone, and what probes say."""
    measured = [row for row in retrain.candidates if row.supernet.get("loss") is not None]
    ranking = retrain.ranking
    if ranking.why == "same weights":
        return page.section("Ranking", "", ranking_text(ranking))
    truth = ranking.truth or "scratch"
    shared = [row.supernet for row in measured]
    trained = [row.alone.get(truth, row.validation) for row in measured]
    ranked = retrain.figure or "accuracy"
    known = all(one.get(ranked) is not None for one in [*shared, *trained])
    metric: plots.Metric = ranked if known else "loss"
    roles = roles_by_key(run)
    figure = plots.ranking_plot(
        [_of(one, metric) for one in shared],
        [_of(one, metric) for one in trained],
        [row.key for row in measured],
        [roles.get(row.key, "") for row in measured],
        metric=metric,
    )
    return page.section("Ranking", page.figure("ranking", figure), ranking_text(ranking))


def _of(found: Score, metric: plots.Metric) -> float:
    value = found[metric]
    return math.nan if value is None else value

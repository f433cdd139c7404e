"""Results as text: numbers a person can read, and the table at the end of a run."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from typing import Any

from rich.console import Console
from rich.table import Table
from rich.text import Text

from supernet.cost.quantities import LATENCY
from supernet.evaluate.resampling import Interval
from supernet.track.metrics import Metrics
from supernet.track.numbers import MISSING, cost_text, count, duration, milliseconds, percent, score
from supernet.track.ranking import Ranking
from supernet.track.records import Outcome, Score
from supernet.track.result_texts import (
    better_text,
    chosen_at_random_text,
    failed_text,
    over_random_text,
    ranking_text,
)
from supernet.track.sections import TestRecord

__all__ = [
    "STAND_ALONE",
    "compressed_table",
    "count",
    "doctor_table",
    "duration",
    "export_table",
    "latency_text",
    "milliseconds",
    "other_text",
    "percent",
    "print_table",
    "ranking_cells",
    "ranking_heads",
    "ranking_table",
    "ranking_text",
    "result_table",
    "score",
    "tested_by_key",
    "tested_text",
]

_WIDTH = 100

STAND_ALONE = {"inherited": "inherited", "fine_tuned": "fine-tuned", "scratch": "scratch"}
"""What a network alone is scored with: the supernet's weights as they are, trained from those, or
trained from fresh ones."""


def tested_text(metrics: Metrics) -> str:
    """Say whether the test split was read before in this folder, and for what.

    A network within other bounds is another result, not another reading for the same one.
    """
    bounds = None if metrics.test is None else list(metrics.test.constraints)
    others = [one for one in metrics.tested_before if bounds is not None and _bounds(one) != bounds]
    times, said = len(metrics.tested_before) - len(others), []
    if times:
        said.append(
            f"The test split was read {times} time{'s' * (times > 1)} before, with other options: test "
            "figures that choose between options are too good."
        )
    if others:
        within = sorted({" and ".join(_bounds(one)) or "none" for one in others})
        said.append(
            f"The test split was also read for networks within other bounds ({'; '.join(within)}); as "
            "long as test figures do not choose between bounds, those of this network are its own."
        )
    return " ".join(said)


def _bounds(tested: Mapping[str, Any]) -> list[str]:
    return list(tested.get("constraints", ()))


def other_text(metrics: Metrics) -> str:
    """Say what the chosen architecture reaches on the test split with the other weights, if known."""
    other = metrics.test and metrics.test.other
    if not other or not metrics.test:
        return ""
    how = "from scratch" if other.weights == "fresh" else "fine-tuned"
    return f"The chosen architecture {how}: {score(other.score, metrics.test.figure)} on the test split."


def tested_by_key(test: TestRecord | None) -> Mapping[str, Score]:
    """Return the scores of all networks that were measured on the test split, by key."""
    if test is None:
        return {}
    searched = () if test.searched is None else (test.searched,)
    return {one.key: one.score for one in (*test.random, *searched, test.chosen)}


def latency_text(content: Mapping[str, Any]) -> str:
    """Say what a measured table of latencies holds and how far it is from the truth."""
    where, held_out = content["provenance"], content["held_out"]
    if "fit" in content:
        what = f"{content['fit']['networks']} whole networks, and a table fitted to them,"
    else:
        what = f"{len(content['entries'])} options"
    lines = [
        f"{what} measured on {where['device']}, {where['precision']}, "
        f"{where['batch_size']} example(s), {where['threads']} thread(s)"
    ]
    if held_out:
        tau = held_out["kendall_tau"]
        lines.append(
            f"error on {held_out['networks']} networks measured whole, not used for the table: "
            f"{100 * held_out['mape']:.1f} % on average, bias {100 * held_out['bias']:+.1f} %, "
            f"Kendall's τ {MISSING if tau is None else f'{tau:.2f}'}"
        )
    return "\n".join(lines)


def result_table(metrics: Metrics) -> Table:
    """Return the retrained candidates, the chosen one, random architectures, and what that is worth.

    Args:
        metrics: content of `metrics.json`; steps that have not run leave dashes or no rows.
    """
    retrain = metrics.retrain
    texts = (
        over_random_text(metrics.test, retrain),
        chosen_at_random_text(retrain),
        better_text(metrics.test),
        ranking_text(retrain.ranking if retrain else None),
        failed_text(metrics),
        other_text(metrics),
        tested_text(metrics),
    )
    caption = " ".join(text for text in texts if text)
    figure = retrain.figure if retrain else ""
    title = f"Results: {figure}" if figure else "Results"
    table = Table(title=title, caption=caption, caption_justify="left", title_justify="left")
    table.add_column("candidate", overflow="fold")
    rows = retrain.candidates if retrain else ()
    timed = any(LATENCY in row.costs for row in rows)
    latency = ["latency"] if timed else []
    kinds = [kind for kind in STAND_ALONE if any(kind in row.alone for row in rows)] or ["scratch"]
    headings = ["stand-alone"] if kinds == ["scratch"] else [STAND_ALONE[kind] for kind in kinds]
    macs = "multiply-adds" if len(kinds) == 1 else "multiply-\nadds"  # more columns, less room
    for heading in ("one-shot", "parameters", macs, *latency, *headings, "test"):
        table.add_column(heading, justify="right")
    tested = tested_by_key(metrics.test)
    for row in rows:
        chosen = retrain is not None and row.key == retrain.chosen
        table.add_row(
            Text(row.key + (" (chosen)" if chosen else _role(row))),
            score(row.supernet, figure, named=False),
            count(row.costs.get("params")),
            count(row.costs.get("macs")),
            *([cost_text(LATENCY, row.costs.get(LATENCY))] if timed else []),
            *(score(row.alone.get(kind), figure, named=False) for kind in kinds),
            score(tested.get(row.key), figure, named=False),
            style="bold" if chosen else "",
        )
    return table


def export_table(contents: Sequence[Mapping[str, Any]]) -> Table:
    """Return what was exported: scores, costs, and how far programmes are from their networks.

    Args:
        contents: content of each export's `architecture.json`.
    """
    table = Table(title="Exported", title_justify="left")
    table.add_column("bounds", overflow="fold")
    table.add_column("candidate", no_wrap=True)
    quantities = list(dict.fromkeys(name for one in contents for name in one["costs"]))
    for heading in ("one-shot", *quantities, "weights", "score", "off by"):
        table.add_column(heading, justify="right")
    for one in contents:
        files = [found for found in one["verification"].values() if isinstance(found, Mapping)]
        apart = max(found["max_relative"] for found in files)
        table.add_row(
            Text(one["pick"] or "(chosen)"),
            Text(one["key"]),
            score(one["supernet"], one.get("figure") or ""),
            *(cost_text(name, one["costs"].get(name)) for name in quantities),
            STAND_ALONE[one["weights"]],
            score(one["validation"], one.get("figure") or ""),
            f"{apart:.1e}",
        )
    return table


def compressed_table(rows: Sequence[Mapping[str, Any]], measure: str, images: int) -> Table:
    """Return what compressing a model led to, the model as it was given first.

    Args:
        rows: summaries of networks, see `supernet.pipeline.Sized`.
        measure: figure that networks are compared by.
        images: number of test examples.
    """
    caption = f"Figures on {images:,} test examples; intervals hold 95 % over examples."
    table = Table(title="Compressed", caption=caption, title_justify="left", caption_justify="left")
    table.add_column("network", overflow="fold")
    quantities = list(dict.fromkeys(name for one in rows for name in one["costs"]))
    for heading in (*quantities, "latency here", measure, "better than the original by"):
        table.add_column(heading, justify="right")
    for one in rows:
        lead = None if one["lead"] is None else Interval(**one["lead"])
        table.add_row(
            Text(one["name"]),
            *(cost_text(name, one["costs"].get(name)) for name in quantities),
            milliseconds(one["latency_ms"]),
            score(one["score"], "" if measure in ("accuracy", "loss") else measure, named=False),
            MISSING if lead is None else _lead(lead, measure),
        )
    return table


def _lead(lead: Interval, measure: str) -> str:
    value, low, high = (
        f"{100 * one:+.2f}" if measure == "accuracy" else f"{one:+.4f}"
        for one in (lead.value, lead.low, lead.high)
    )
    return f"{value}{' points' if measure == 'accuracy' else ''} [{low}, {high}]"


def doctor_table(rows: Sequence[tuple[str, str, Sequence[str], Sequence[str]]]) -> Table:
    """Return what of a model is open.

    Args:
        rows: name, class, decisions that it follows, and why something of it is not open.
    """
    table = Table(title="What is open", title_justify="left")
    for heading in ("module", "class"):
        table.add_column(heading, overflow="fold")
    table.add_column("open", overflow="fold", ratio=2)
    table.add_column("not open, because", overflow="fold", ratio=3)
    for name, kind, opened, closed in rows:
        table.add_row(
            *map(Text, (name or "(the model)", kind, ", ".join(opened), "; ".join(closed)))
        )
    return table


RANKING_FIGURES = {
    "kendall_tau": "Kendall's τ",
    "spearman": "ρ",
    "partial_spearman": "ρ given counts",
    "kendall_tau_best_10": "τ in best 10 %",
    "precision_at_10": "of 10, among best 10",
    "best_rank_at_10": "of 10, best place",
}
"""Figures of a ranking that are shown, with their headings."""


def ranking_cells(ranking: Ranking) -> list[list[str]]:
    """Return the rows of the table of a ranking: each score with its figures."""
    return [
        [
            name,
            *(_value(figures.get(figure), figure) for figure in RANKING_FIGURES),
            _value(ranking.figures.over.get(name), "over"),
        ]
        for name, figures in ranking.figures.scores.items()
    ]


def ranking_heads(ranking: Ranking) -> list[str]:
    """Return the headings of the table of a ranking."""
    first = next(iter(ranking.figures.scores))
    return ["score", *RANKING_FIGURES.values(), f"τ of {first} is higher by"]


def ranking_table(ranking: Ranking) -> Table:
    """Return how well each score ranks, with intervals; below it, what of and how sure."""
    sure = f"{100 * ranking.figures.confidence:.0f} %"
    caption = f"{ranking.truth.text(ranking.figures.n)}. Intervals of {sure} over networks."
    table = Table(title="Ranking", caption=caption, caption_justify="left", title_justify="left")
    for heading in ranking_heads(ranking):
        figure = heading != "score"
        table.add_column(heading, justify="right" if figure else "left", overflow="fold")
    for cells in ranking_cells(ranking):
        table.add_row(*map(Text, cells))
    return table


def _value(interval: Interval | None, figure: str) -> str:
    if interval is None:
        return MISSING
    if figure in ("precision_at_10", "best_rank_at_10"):
        return f"{100 * interval.value:.0f} %"
    if figure not in ("kendall_tau", "over"):
        return f"{interval.value:.2f}"
    return f"{interval.value:.2f} ({interval.low:.2f} to {interval.high:.2f})"


def _role(row: Outcome) -> str:
    return "" if row.role == "top" else f" ({row.role})"


def print_table(table: Table) -> None:
    """Print to standard output; without a terminal 100 characters wide and without colour."""
    if sys.stdout.isatty():
        Console().print(table)
    else:
        Console(width=_WIDTH, color_system=None, force_terminal=False).print(table)

"""Results as text: numbers a person can read, and the table at the end of a run."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from typing import Any

from rich.console import Console
from rich.table import Table
from rich.text import Text

__all__ = [
    "count",
    "duration",
    "latency_text",
    "percent",
    "print_table",
    "ranking_text",
    "result_table",
    "score",
    "tested_text",
]

_WIDTH = 100
_MISSING = "—"


def percent(fraction: float | None) -> str:
    """Return an accuracy in 0–1 as percent with two decimals."""
    return _MISSING if fraction is None else f"{100 * fraction:.2f} %"


def count(number: float | None) -> str:
    """Return a count of parameters or multiply-adds with three digits and a unit: 1.23 M."""
    if number is None:
        return _MISSING
    for unit, size in (("", 1), ("k", 1e3), ("M", 1e6), ("G", 1e9)):
        # Half a unit of the last digit below 1000, what is left rounds up to the next unit.
        if abs(number) / size < 999.995:
            return f"{number / size:.2f} {unit}" if unit else f"{number:.0f}"
    return f"{number / 1e12:.2f} T"


def duration(seconds: float | None) -> str:
    """Return seconds as the two largest of hours, minutes and seconds."""
    if seconds is None:
        return _MISSING
    if seconds < 59.95:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes:02} min" if hours else f"{minutes} min {rest:02} s"


def milliseconds(latency: float | None) -> str:
    """Return a latency with three digits."""
    return _MISSING if latency is None else f"{latency:.3g} ms"


def score(measured: Mapping[str, Any] | None) -> str:
    """Return the accuracy, or the loss where the task has no accuracy."""
    if not measured:
        return _MISSING
    if measured.get("accuracy") is not None:
        return percent(measured["accuracy"])
    return _MISSING if measured.get("loss") is None else f"loss {measured['loss']:.4f}"


def ranking_text(ranking: Mapping[str, Any] | None) -> str:
    """Say how well one-shot scores rank stand-alone ones, and how sure that is."""
    if not ranking:
        return ""
    size = f"n = {ranking['n']}"
    if ranking.get("kendall_tau") is None:
        text = f"Rank correlation: Kendall's τ is undefined ({size})"
    else:
        text = f"Rank correlation: Kendall's τ = {ranking['kendall_tau']:.2f} ({size}"
        if ranking.get("low") is not None and ranking.get("high") is not None:
            interval = f"[{ranking['low']:.2f}, {ranking['high']:.2f}]"
            text += f", {100 * ranking['confidence']:.0f} % interval {interval}"
        text += ")"
    text += "." if ranking.get("meaningful") else ": too few to mean anything."
    if (by_cost := (ranking.get("kendall_tau_of_costs") or {}).get("macs")) is not None:
        text += f" Multiply-adds alone: τ = {by_cost:.2f}."
    return text


def tested_text(metrics: Mapping[str, Any]) -> str:
    """Say whether the test split was read before, with other options, in this folder."""
    times = len(metrics.get("tested_before", []))
    if not times:
        return ""
    return (
        f"The test split was read {times} time{'s' * (times > 1)} before, with other options: test "
        "figures that choose between options are too good."
    )


def latency_text(content: Mapping[str, Any]) -> str:
    """Say what a measured table of latencies holds and how far it is from the truth."""
    where, held_out = content["provenance"], content["held_out"]
    lines = [
        f"{len(content['entries'])} options measured on {where['device']}, {where['precision']}, "
        f"{where['batch_size']} example(s), {where['threads']} thread(s)"
    ]
    if held_out:
        tau = held_out["kendall_tau"]
        lines.append(
            f"error on {held_out['networks']} networks measured whole, not used for the table: "
            f"{100 * held_out['mape']:.1f} % on average, bias {100 * held_out['bias']:+.1f} %, "
            f"Kendall's τ {_MISSING if tau is None else f'{tau:.2f}'}"
        )
    return "\n".join(lines)


def result_table(metrics: Mapping[str, Any]) -> Table:
    """Return the retrained candidates, the chosen one and the random baseline.

    Args:
        metrics: what `metrics.json` holds; steps that have not run leave dashes or no rows.
    """
    retrain, test = metrics.get("retrain", {}), metrics.get("test", {})
    caption = f"{ranking_text(retrain.get('ranking'))} {tested_text(metrics)}".strip()
    table = Table(title="Results", caption=caption, caption_justify="left", title_justify="left")
    table.add_column("candidate", overflow="fold")
    rows = retrain.get("candidates", [])
    timed = any(row.get("latency_ms") is not None for row in rows)
    latency = ["latency"] if timed else []
    for heading in ("one-shot", "parameters", "multiply-adds", *latency, "stand-alone", "test"):
        table.add_column(heading, justify="right")
    tested = {part["key"]: part for part in (test.get("random"), test.get("chosen")) if part}
    for row in rows:
        chosen = row["key"] == retrain.get("chosen")
        table.add_row(
            Text(row["key"] + (" (chosen)" if chosen else _role(row))),
            score(row.get("supernet")),
            count(row.get("params")),
            count(row.get("macs")),
            *([milliseconds(row.get("latency_ms"))] if timed else []),
            score(row.get("validation")),
            score(tested.get(row["key"])),
            style="bold" if chosen else "",
        )
    return table


def _role(row: Mapping[str, Any]) -> str:
    return "" if row.get("role", "top") == "top" else f" ({row['role']})"


def print_table(table: Table) -> None:
    """Print to standard output; without a terminal 100 characters wide and without colour."""
    if sys.stdout.isatty():
        Console().print(table)
    else:
        Console(width=_WIDTH, color_system=None, force_terminal=False).print(table)

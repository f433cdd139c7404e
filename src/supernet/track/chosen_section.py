"""The parts of the report on the chosen architecture: its decisions with alternatives, and its costs."""

from __future__ import annotations

from supernet.cost.quantities import LATENCY
from supernet.evaluate.resampling import Interval
from supernet.evaluate.rows import Row
from supernet.space import Value
from supernet.track import page, plots
from supernet.track.candidates_section import CandidateScores
from supernet.track.diagram import svg
from supernet.track.numbers import MISSING, answer_text, cost_text, count
from supernet.track.run_files import RunFiles

__all__ = ["chosen"]

_NOTE = (
    "Explains: the share of the variance of candidates' one-shot scores. Next best: the option with the "
    "best mean one-shot score of those not chosen, and this mean less that of the chosen option (of "
    "several, of the one with the worst mean), with a 95 % interval."
)


def chosen(run: RunFiles, found: CandidateScores) -> str:
    """Return the drawing of the chosen architecture beside its decisions and costs."""
    numbers, one = _costs(run), run.architecture
    if one is None:
        return numbers
    rows = [
        [label, answer_text(answer), *_alternative(found, label, answer)]
        for label, answer in one.architecture.items()
    ]
    heads = ["decision", "choice", "explains", "next best", "difference"]
    note = _NOTE
    if found.metric == "accuracy":
        heads[-1] = "difference, points"
    if not found.effects:
        heads, rows, note = heads[:2], [row[:2] for row in rows], ""
    table = page.table(heads, rows, text=2)
    numbers = f"<div>{page.section('Decisions', table, note)}{numbers}</div>"
    if one.diagram is None:
        return numbers
    drawing = f'<div class="drawing">{svg(one.diagram)}</div>'
    drawn = page.section(one.diagram.title, drawing, f"Architecture {one.key}.")
    return page.pair(drawn, numbers, uneven=True)


def _alternative(found: CandidateScores, label: str, answer: Value) -> list[str]:
    effect = found.effects.get(label)
    share = MISSING if effect is None else f"{100 * effect.share.value:.0f} %"
    other = found.alternative(label, answer)
    if other is None:
        return [share, MISSING, MISSING]
    option, difference = other
    return [share, str(option), _difference(difference, found.metric)]


def _difference(found: Interval, metric: plots.Metric) -> str:
    size, digits = (100, 2) if metric == "accuracy" else (1, 4)
    room = size * (found.high - found.value)
    return f"{size * found.value:+.{digits}f} ± {room:.{digits}f}"


def _costs(run: RunFiles) -> str:
    retrain = run.metrics.retrain
    measured = {row.key: row.costs for row in retrain.candidates} if retrain else {}
    stored = {row.key: _priced(row) for row in run.candidates}
    rows = []
    for name, key in (
        ("chosen", run.chosen),
        *(("random baseline", key) for key in run.random if key != run.chosen),
    ):
        if key is not None and (key in measured or key in stored):
            cost = {**stored.get(key, {}), **measured.get(key, {})}
            time = cost_text(LATENCY, cost.get(LATENCY))
            rows.append([name, count(cost.get("params")), count(cost.get("macs")), time])
    heads = ["architecture", "parameters", "multiply-adds", "latency"]
    if all(row[-1] == MISSING for row in rows):
        heads, rows = heads[:-1], [row[:-1] for row in rows]
    return page.section("Costs", page.table(heads, rows)) if rows else ""


def _priced(row: Row) -> dict[str, float]:
    costs = {"params": row.params, "macs": row.macs, LATENCY: row.latency_ms}
    return {quantity: cost for quantity, cost in costs.items() if cost is not None}

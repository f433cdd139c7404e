"""One self-contained HTML page from the files of a run folder, and from nothing else."""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal
from html import escape
from pathlib import Path
from typing import Any

from supernet.cost.quantities import LATENCY
from supernet.evaluate.rows import Row
from supernet.track import page, plots
from supernet.track.diagram import svg
from supernet.track.numbers import cost_text, count, duration, score, tuned_text
from supernet.track.ranking_section import believed, ranked_probes
from supernet.track.records import Failed
from supernet.track.result_texts import (
    better_text,
    chosen_at_random_text,
    gain,
    gain_text,
    over_random_text,
)
from supernet.track.run_files import RunFiles
from supernet.track.sections import DataRecord, TestRecord
from supernet.track.tables import (
    STAND_ALONE,
    other_text,
    tested_by_key,
    tested_text,
)
from supernet.track.watch_report import watched

__all__ = ["render"]

_MISSING = "—"
_COSTS = {"macs": "multiply-adds", LATENCY: "latency in ms"}


def render(folder: Path) -> str:
    """Return the page; a part whose step has not run is left out, and a line names the step.

    Raises:
        DamagedFileError: a file of the folder cannot be read.
        RunFolderError: the folder holds no run.
    """
    run = RunFiles.read(folder)
    body = "".join(
        [
            _headline(run),
            _notes(run),
            _missing(run),
            _training(run),
            watched(run),
            _candidates(run),
            _batch_norm(run),
            _retrained(run),
            believed(run),
            _chosen(run),
            _failed(run),
            _config(run),
        ]
    )
    return page.document(run.title, body)


def _headline(run: RunFiles) -> str:
    data, search = run.metrics.data or DataRecord(), run.metrics.search
    parts = {"train": data.train, "search": data.search, "test": data.test}
    strategy = run.config.get("strategy")
    facts = [
        f"strategy {_name(strategy)}" if strategy else "",
        f"searcher {search.searcher}" if search and search.searcher is not None else "",
        *(f"{count:,} examples to {part}" for part, count in parts.items() if count is not None),
        f"{data.classes} classes" if data.classes else "",
        f"vocabulary of {data.vocabulary:,}" if data.vocabulary else "",
    ]
    facts_text = " · ".join(fact for fact in facts if fact)
    tiles = _test_tiles(run.metrics.test) if run.metrics.test else ""
    if search and search.space_size is not None:
        tiles += page.tile(_size(search.space_size), "architectures in the space")
    if search:
        failed = f", {search.failed} failed" if search.failed else ""
        tiles += page.tile(f"{search.candidates:,}", f"candidates evaluated{failed}")
    return (
        f'<header><h1>{escape(run.title)}</h1><p class="soft">{escape(facts_text)}</p></header>'
        f'<div class="tiles">{tiles}</div>'
    )


def _test_tiles(test: TestRecord) -> str:
    tiles = page.tile(score(test.chosen.score), "test, chosen architecture", main=True)
    if random := [one.score for one in test.random]:
        values = {name: [one.get(name) for one in random] for name in ("accuracy", "loss")}
        known = {name: [v for v in each if v is not None] for name, each in values.items()}
        mean = {name: sum(v) / len(v) for name, v in known.items() if len(v) == len(random)}
        many = f"mean of {len(random)} random architectures"
        tiles += page.tile(
            score(mean), f"test, {many if len(random) > 1 else 'random architecture'}"
        )
    if test.over_random is not None:
        tiles += page.tile(gain(test.over_random), gain_text(test.over_random, test))
    return tiles


def _notes(run: RunFiles) -> str:
    """Say what was changed since the run wrote it, and is shown as it is now."""
    lines = "".join(f"<li>{escape(note)}.</li>" for note in run.notes)
    return f"<section><h2>Changed files</h2><ul>{lines}</ul></section>" if lines else ""


def _missing(run: RunFiles) -> str:
    retrained = "the retrained candidates, their ranking and the chosen architecture"
    parts = (
        (run.log, "train", "the training curve"),
        (run.candidates, "search", "the candidates and the Pareto front"),
        (run.metrics.retrain, "retrain", retrained),
        (run.metrics.test, "test", "the test accuracy"),
    )
    lines = "".join(
        f"<li><code>supernet {step}</code> adds {what}.</li>"
        for content, step, what in parts
        if not content
    )
    if not lines:
        return ""
    return f'<section class="soft"><h2>Not there yet</h2><ul>{lines}</ul></section>'


def _training(run: RunFiles) -> str:
    train = [record for record in run.log if record["stage"] == "train"]
    if not train:
        return ""
    last, note = train[-1], ""
    least, most = last.get("least_trained"), last.get("most_trained")
    if least is not None and most is not None:
        note = (
            "The loss is that of the networks a step trains; where path dropout makes them smaller, it "
            f"may rise. The least trained option was used {least:.2f} times as often as the mean of its "
            f"decision, the most trained one {most:.2f} times."
        )
    warnings = run.metrics.train.warnings if run.metrics.train else ()
    note = " ".join([*(f"{warning.rstrip('.')}." for warning in warnings), note])
    figure = page.figure("training", plots.training_curves(train))
    return page.section("Training the supernet", figure, note)


def _candidates(run: RunFiles) -> str:
    metric: plots.Metric = "loss"
    if any(row.accuracy is not None for row in run.candidates):
        metric = "accuracy"
    rows = [(row, value) for row in run.candidates if (value := _measured(row, metric)) is not None]
    if not rows:
        return ""
    order = plots.candidate_scores(
        [value for _, value in rows],
        [row.generation for row, _ in rows],
        [row.key for row, _ in rows],
        metric=metric,
    )
    note = f"Scored with shared weights. {_tuned(run)}".strip()
    drawn = page.section("Candidates", page.figure("candidates", order), note)
    fronts = [_front(run, rows, quantity, metric) for quantity in _COSTS]
    return page.pair(drawn, *[front for front in fronts if front])


def _tuned(run: RunFiles) -> str:
    """Say which candidates were trained before they were scored, and how long that took."""
    search = run.metrics.search
    if search is None:
        return ""
    protocol = search.finalists.protocol if search.finalists else search.protocol
    return tuned_text(protocol.tuning, search.tuned, search.tune_seconds)


def _measured(row: Row, metric: plots.Metric) -> float | None:
    return row.accuracy if metric == "accuracy" else row.loss


def _batch_norm(run: RunFiles) -> str:
    """Say how much the treatment of batch norm changes scores and ranking, where it was looked into."""
    report = run.metrics.search and run.metrics.search.batch_norm_report
    if not report or not report.agreements:
        return ""
    rows = [
        [
            one.first,
            one.second,
            _MISSING if one.kendall_tau is None else f"{one.kendall_tau:.2f}",
            f"{one.difference:.4f}",
        ]
        for one in report.agreements
    ]
    heads = [
        "scored with",
        "and with",
        "Kendall's τ",
        f"mean difference of the {report.measure}",
    ]
    note = (
        f"How alike the same {report.architectures} random candidates are ranked under two "
        "treatments of batch norm."
    )
    return page.section("Batch norm", page.table(heads, rows, text=2), note)


def _front(
    run: RunFiles, rows: Sequence[tuple[Row, float]], quantity: str, metric: plots.Metric
) -> str:
    """Draw the scores against one cost, unless no candidate has it."""
    costs = [(row.macs if quantity == "macs" else row.latency_ms) for row, _ in rows]
    priced = [(cost, *row) for cost, row in zip(costs, rows, strict=True) if cost is not None]
    if not priced:
        return ""
    figure = plots.cost_and_score(
        [cost for cost, _, _ in priced],
        [value for _, _, value in priced],
        [row.key for _, row, _ in priced],
        quantity=_COSTS[quantity],
        chosen=run.chosen,
        metric=metric,
    )
    note = "The front: no candidate beats these."
    volume = run.metrics.search and run.metrics.search.hypervolume.get(quantity)
    if volume is not None:
        note += f" Hypervolume {volume:.4f} of 1 (accuracy 1 at no cost, up to the largest)."
    name = f"front-{quantity}"
    return page.section(f"Score and {_COSTS[quantity]}", page.figure(name, figure), note)


def _retrained(run: RunFiles) -> str:
    retrain, test = run.metrics.retrain, run.metrics.test
    if retrain is None or not retrain.candidates:
        return ""
    tested = tested_by_key(test)
    rows = retrain.candidates
    kinds = [kind for kind in STAND_ALONE if any(kind in row.alone for row in rows)]
    cells = [
        [
            row.key,
            row.role,
            score(row.supernet),
            count(row.costs.get("params")),
            count(row.costs.get("macs")),
            *(score(row.alone.get(kind)) for kind in kinds),
            score(tested.get(row.key)),
        ]
        for row in rows
    ]
    heads = ["candidate", "found by", "one-shot", "parameters", "multiply-adds"]
    heads += [STAND_ALONE[kind] for kind in kinds]
    table = page.table([*heads, "test"], cells, text=2, marked=run.chosen)
    note = (
        "One-shot: under the shared weights. Inherited: with these weights, alone. The best on the "
        "search split is chosen; the test split is read once, afterwards. "
    )
    texts = (
        over_random_text(test, retrain),
        chosen_at_random_text(retrain),
        retrain.evidence.text() if retrain.evidence else "",
        better_text(test),
        other_text(run.metrics),
        tested_text(run.metrics),
    )
    note += " ".join(text for text in texts if text)
    log = [record for record in run.log if str(record["stage"]).startswith("retrain-")]
    figures = (
        page.section("Retraining", page.figure("retraining", plots.training_curves(log)))
        if log
        else ""
    )
    return page.section("Retrained candidates", table, note) + page.pair(
        ranked_probes(run, retrain), figures
    )


def _failed(run: RunFiles) -> str:
    """List the networks that failed in each step; of candidates, one for each kind of failure."""
    metrics, search = run.metrics, run.metrics.search
    report = search and search.batch_norm_report
    steps: dict[str, Sequence[Failed]] = {
        "few_shot": metrics.few_shot.failed if metrics.few_shot else (),
        "batch norm": report.failed if report else (),
        "search": search.failures if search else (),
        "retrain": metrics.retrain.failed if metrics.retrain else (),
        "test": metrics.test.failed if metrics.test else (),
        "rank": run.ranking.failed if run.ranking else (),
    }
    rows = [
        [
            step,
            one.key,
            one.role + (f", from {one.weights} weights" if one.weights else ""),
            ", ".join(f"{label}: {_value(value)}" for label, value in one.architecture.items()),
            one.error,
        ]
        for step, failed in steps.items()
        for one in failed
    ]
    if not rows:
        return ""
    note = "These networks are left out; the run went on with the others."
    if search and search.failed:
        note += (
            f" Of the {search.failed:,} candidates that failed, one for each kind of failure is listed; "
            "all are in candidates.db."
        )
    heads = ["step", "network", "as", "architecture", "because"]
    return page.section("Failed", page.table(heads, rows, text=5), note)


def _chosen(run: RunFiles) -> str:
    numbers, chosen = _costs(run) + _times(run), run.architecture
    if chosen is None:
        return numbers
    choices = chosen.architecture
    table = page.table(["decision", "choice"], [[k, _value(v)] for k, v in choices.items()], text=2)
    numbers = f"<div>{page.section('Decisions', table)}{numbers}</div>"
    if chosen.diagram is None:
        return numbers
    drawing = f'<div class="drawing">{svg(chosen.diagram)}</div>'
    title, note = chosen.diagram.title, f"Architecture {chosen.key}."
    return page.pair(page.section(title, drawing, note), numbers)


def _costs(run: RunFiles) -> str:
    retrain = run.metrics.retrain
    measured = {row.key: row.costs for row in retrain.candidates} if retrain else {}
    stored = {row.key: _priced(row) for row in run.candidates}
    rows = []
    for name, key in (("chosen", run.chosen), *(("random", key) for key in run.random)):
        if key is not None and (key in measured or key in stored):
            cost = {**stored.get(key, {}), **measured.get(key, {})}
            time = cost_text(LATENCY, cost.get(LATENCY))
            rows.append([name, count(cost.get("params")), count(cost.get("macs")), time])
    heads = ["architecture", "parameters", "multiply-adds", "latency"]
    if all(row[-1] == _MISSING for row in rows):
        heads, rows = heads[:-1], [row[:-1] for row in rows]
    return page.section("Costs", page.table(heads, rows)) if rows else ""


def _priced(row: Row) -> dict[str, float]:
    costs = {"params": row.params, "macs": row.macs, LATENCY: row.latency_ms}
    return {quantity: cost for quantity, cost in costs.items() if cost is not None}


def _times(run: RunFiles) -> str:
    found = run.metrics
    steps = [found.train, found.few_shot, found.search, found.retrain, found.test]
    known = [step for step in steps if step is not None]
    seconds = {step.SECTION: step.seconds for step in known if step.seconds is not None}
    if not seconds:
        return ""
    longest = max(*seconds.values(), 1e-9)
    rows = "".join(
        f'<tr><td>{stage}</td><td style="width:55%"><span class="bar" '
        f'style="width:{100 * value / longest:.1f}%"></span></td>'
        f'<td class="n">{duration(value)}</td></tr>'
        for stage, value in seconds.items()
    )
    table = f'<div class="scroll"><table>{rows}</table></div>'
    return page.section("Time per stage", table, f"{duration(sum(seconds.values()))} in all.")


def _config(run: RunFiles) -> str:
    if not run.config_text:
        return ""
    return page.section("Configuration", f"<pre>{escape(run.config_text)}</pre>")


def _value(choice: Any) -> str:
    return ", ".join(map(str, choice)) if isinstance(choice, list | tuple) else str(choice)


def _name(component: Any) -> str:
    """Return the name of a configured component: a string, or a mapping with a name or class."""
    if isinstance(component, dict):
        component = component.get("name") or component.get("class_path") or "?"
    return str(component).rsplit(".", 1)[-1]


def _size(text: str) -> str:
    """Return a number of architectures, which may be beyond all floats."""
    if not (text.isascii() and text.isdigit()) or len(text) < 7:
        return text
    mantissa, exponent = f"{Decimal(text):.2e}".split("e+")
    power = exponent.translate(str.maketrans("0123456789", "⁰¹²³⁴⁵⁶⁷⁸⁹"))
    return f"{mantissa} \N{MULTIPLICATION SIGN} 10{power}"

"""One self-contained HTML page from the files of a run folder, and from nothing else."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from decimal import Decimal
from html import escape
from pathlib import Path
from typing import Any

from supernet.cost.quantities import LATENCY
from supernet.space.diagram import Diagram
from supernet.track import page, plots
from supernet.track.diagram import svg
from supernet.track.numbers import cost_text, count, duration, score
from supernet.track.reading import RunFiles
from supernet.track.tables import STAND_ALONE, alone, other_text, tested_by_key, tested_text
from supernet.track.worth import better_text, gain, gain_text, over_random_text, ranking_text

__all__ = ["render"]

_MISSING = "—"
_STAGES = ("train", "few_shot", "search", "retrain", "test")
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
            _candidates(run),
            _batch_norm(run),
            _retrained(run),
            _chosen(run),
            _failed(run),
            _config(run),
        ]
    )
    return page.document(run.title, body)


def _headline(run: RunFiles) -> str:
    data, test = run.metrics.get("data", {}), run.metrics.get("test", {})
    search = run.metrics.get("search", {})
    facts = [
        f"strategy {_name(run.config['strategy'])}" if run.config.get("strategy") else "",
        f"searcher {search['searcher']}" if "searcher" in search else "",
        *(
            f"{data[part]:,} examples to {part}"
            for part in ("train", "search", "test")
            if part in data
        ),
        f"{data['classes']} classes" if data.get("classes") else "",
        f"vocabulary of {data['vocabulary']:,}" if data.get("vocabulary") else "",
    ]
    facts_text = " · ".join(fact for fact in facts if fact)
    tiles = _test_tiles(test) if test else ""
    if "space_size" in search:
        tiles += page.tile(_size(search["space_size"]), "architectures in the space")
    if "candidates" in search:
        failed = f", {search['failed']} failed" if search.get("failed") else ""
        tiles += page.tile(f"{search['candidates']:,}", f"candidates evaluated{failed}")
    return (
        f'<header><h1>{escape(run.title)}</h1><p class="soft">{escape(facts_text)}</p></header>'
        f'<div class="tiles">{tiles}</div>'
    )


def _test_tiles(test: Mapping[str, Any]) -> str:
    tiles = page.tile(score(test.get("chosen")), "test, chosen architecture", main=True)
    random = test.get("random", [])
    if random:
        each = [one for one in ("accuracy", "loss") if random[0].get(one) is not None]
        mean = {name: sum(one[name] for one in random) / len(random) for name in each}
        many = f"mean of {len(random)} random architectures"
        tiles += page.tile(
            score(mean), f"test, {many if len(random) > 1 else 'random architecture'}"
        )
    if over := test.get("over_random"):
        tiles += page.tile(gain(over), gain_text(test))
    return tiles


def _notes(run: RunFiles) -> str:
    """Say what was changed since the run wrote it, and is shown as it is now."""
    lines = "".join(f"<li>{escape(note)}.</li>" for note in run.notes)
    return f"<section><h2>Changed files</h2><ul>{lines}</ul></section>" if lines else ""


def _missing(run: RunFiles) -> str:
    retrain, test = run.metrics.get("retrain"), run.metrics.get("test")
    parts = (
        (run.log, "train", "the training curve"),
        (run.candidates, "search", "the candidates and the Pareto front"),
        (retrain, "retrain", "the retrained candidates, their ranking and the chosen architecture"),
        (test, "test", "the test accuracy"),
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
    if "least_trained" in last:
        note = (
            "The loss is that of the networks a step trains; where path dropout makes them smaller, it "
            "may rise. The least trained option was used "
            f"{last['least_trained']:.2f} times as often as the mean of its decision, the most trained "
            f"one {last['most_trained']:.2f} times."
        )
    warnings = run.metrics.get("train", {}).get("warnings", [])
    note = " ".join([*(f"{str(warning).rstrip('.')}." for warning in warnings), note])
    figure = page.figure("training", plots.training_curves(train))
    return page.section("Training the supernet", figure, note)


def _candidates(run: RunFiles) -> str:
    metric: plots.Metric = "loss"
    if any(row["accuracy"] is not None for row in run.candidates):
        metric = "accuracy"
    rows = [row for row in run.candidates if row[metric] is not None]
    if not rows:
        return ""
    order = plots.candidate_scores(
        [row[metric] for row in rows],
        [row["generation"] for row in rows],
        [str(row["key"]) for row in rows],
        metric=metric,
    )
    drawn = page.section(
        "Candidates", page.figure("candidates", order), "Scored with shared weights."
    )
    fronts = [_front(run, rows, column, quantity, metric) for column, quantity in _COSTS.items()]
    return page.pair(drawn, *[front for front in fronts if front])


def _batch_norm(run: RunFiles) -> str:
    """Say how much the treatment of batch norm changes scores and ranking, where it was looked into."""
    report = run.metrics.get("search", {}).get("batch_norm_report") or {}
    if not report.get("agreements"):
        return ""
    rows = [
        [
            one["first"],
            one["second"],
            _MISSING if one["kendall_tau"] is None else f"{one['kendall_tau']:.2f}",
            f"{one['difference']:.4f}",
        ]
        for one in report["agreements"]
    ]
    heads = [
        "scored with",
        "and with",
        "Kendall's τ",
        f"mean difference of the {report['measure']}",
    ]
    note = (
        f"How alike the same {report['architectures']} random candidates are ranked under two "
        "treatments of batch norm."
    )
    return page.section("Batch norm", page.table(heads, rows, text=2), note)


def _front(
    run: RunFiles,
    rows: Sequence[Mapping[str, Any]],
    column: str,
    quantity: str,
    metric: plots.Metric,
) -> str:
    """Draw the scores against one cost, unless no candidate has it."""
    priced = [row for row in rows if row[column] is not None]
    if not priced:
        return ""
    figure = plots.cost_and_score(
        [row[column] for row in priced],
        [row[metric] for row in priced],
        [str(row["key"]) for row in priced],
        quantity=quantity,
        chosen=run.chosen,
        metric=metric,
    )
    note = "The front: no candidate beats these."
    volume = run.metrics.get("search", {}).get("hypervolume", {}).get(column)
    if volume is not None:
        note += f" Hypervolume {volume:.4f} of 1 (accuracy 1 at no cost, up to the largest)."
    return page.section(f"Score and {quantity}", page.figure(f"front-{column}", figure), note)


def _retrained(run: RunFiles) -> str:
    retrain = run.metrics.get("retrain", {})
    rows = retrain.get("candidates", [])
    if not rows:
        return ""
    tested = run.metrics.get("test", {})
    by_key = tested_by_key(tested)
    kinds = [kind for kind in STAND_ALONE if any(kind in alone(row) for row in rows)]
    cells = [
        [
            row["key"],
            row["role"],
            score(row.get("supernet")),
            count(row.get("params")),
            count(row.get("macs")),
            *(score(alone(row).get(kind)) for kind in kinds),
            score(by_key.get(row["key"])),
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
        over_random_text(tested, retrain),
        better_text(run.metrics),
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
    return page.section("Retrained candidates", table, note) + page.pair(_ranking(run), figures)


def _failed(run: RunFiles) -> str:
    """List the networks that failed in each step; of candidates, one for each kind of failure."""
    search = run.metrics.get("search", {})
    steps = {
        "few_shot": run.metrics.get("few_shot", {}).get("failed", []),
        "batch norm": (search.get("batch_norm_report") or {}).get("failed", []),
        "search": search.get("failures", []),
        "retrain": run.metrics.get("retrain", {}).get("failed", []),
        "test": run.metrics.get("test", {}).get("failed", []),
    }
    rows = [
        [
            step,
            one["key"],
            one["role"] + (f", from {one['weights']} weights" if one.get("weights") else ""),
            ", ".join(f"{label}: {_value(value)}" for label, value in one["architecture"].items()),
            one["error"],
        ]
        for step, failed in steps.items()
        for one in failed
    ]
    if not rows:
        return ""
    note = "These networks are left out; the run went on with the others."
    if count := search.get("failed"):
        note += (
            f" Of the {count:,} candidates that failed, one for each kind of failure is listed; all are "
            "in candidates.db."
        )
    heads = ["step", "network", "as", "architecture", "because"]
    return page.section("Failed", page.table(heads, rows, text=5), note)


def _ranking(run: RunFiles) -> str:
    retrain = run.metrics["retrain"]
    measured = [
        row
        for row in retrain["candidates"]
        if row.get("validation") and (row.get("supernet") or {}).get("loss") is not None
    ]
    ranking = retrain.get("ranking") or {}
    if ranking.get("why") == "same weights":
        return page.section("Ranking", "", ranking_text(ranking))
    truth = ranking.get("truth") or "scratch"
    shared = [row["supernet"] for row in measured]
    trained = [alone(row).get(truth, row["validation"]) for row in measured]
    accuracy = all(one.get("accuracy") is not None for one in [*shared, *trained])
    metric: plots.Metric = "accuracy" if accuracy else "loss"
    figure = plots.ranking(
        [one[metric] for one in shared],
        [one[metric] for one in trained],
        [row["key"] for row in measured],
        [bool(row.get("probe")) for row in measured],
        tau=ranking.get("kendall_tau"),
        chosen=run.chosen,
        metric=metric,
    )
    return page.section("Ranking", page.figure("ranking", figure), ranking_text(ranking))


def _chosen(run: RunFiles) -> str:
    numbers = _costs(run) + _times(run)
    if not run.architecture:
        return numbers
    choices = run.architecture.get("architecture", {})
    table = page.table(["decision", "choice"], [[k, _value(v)] for k, v in choices.items()], text=2)
    numbers = f"<div>{page.section('Decisions', table)}{numbers}</div>"
    if not run.architecture.get("diagram"):
        return numbers
    diagram: Diagram = run.architecture["diagram"]
    drawing = f'<div class="drawing">{svg(diagram)}</div>'
    return page.pair(page.section(diagram.title, drawing, f"Architecture {run.chosen}."), numbers)


def _costs(run: RunFiles) -> str:
    measured = {row["key"]: row for row in run.metrics.get("retrain", {}).get("candidates", [])}
    stored = {row["key"]: row for row in run.candidates}
    rows = []
    for name, key in (("chosen", run.chosen), *(("random", key) for key in run.random)):
        if key in measured or key in stored:
            cost = {**stored.get(key, {}), **measured.get(key, {})}
            time = cost_text(LATENCY, cost.get(LATENCY))
            rows.append([name, count(cost.get("params")), count(cost.get("macs")), time])
    heads = ["architecture", "parameters", "multiply-adds", "latency"]
    if all(row[-1] == _MISSING for row in rows):
        heads, rows = heads[:-1], [row[:-1] for row in rows]
    return page.section("Costs", page.table(heads, rows)) if rows else ""


def _times(run: RunFiles) -> str:
    seconds = {
        stage: run.metrics[stage]["seconds"]
        for stage in _STAGES
        if run.metrics.get(stage, {}).get("seconds") is not None
    }
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
    return ", ".join(map(str, choice)) if isinstance(choice, list) else str(choice)


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

"""One self-contained HTML page from the files of a run folder, and from nothing else."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape
from pathlib import Path

from supernet.track import page, plots
from supernet.track.about_section import loading, machine, space
from supernet.track.candidates_section import CandidateScores, candidates, decisions
from supernet.track.chosen_section import chosen
from supernet.track.headline import headline
from supernet.track.numbers import MISSING, answer_text, count, score
from supernet.track.ranking_section import believed, ranked_probes
from supernet.track.records import Failed
from supernet.track.result_texts import better_text, chosen_at_random_text, over_random_text
from supernet.track.run_files import RunFiles
from supernet.track.tables import STAND_ALONE, other_text, tested_by_key, tested_text
from supernet.track.verdict_texts import role_text, roles_by_key
from supernet.track.watch_report import watched

__all__ = ["render"]


def render(folder: Path) -> str:
    """Return the page; a part whose step has not run is left out, and a line names the step.

    Raises:
        DamagedFileError: a file of the folder cannot be read.
        RunFolderError: the folder holds no run.
    """
    run = RunFiles.read(folder)
    scores = CandidateScores.of(run)
    body = "".join(
        [
            headline(run),
            _notes(run),
            _missing(run),
            chosen(run, scores),
            _retrained(run),
            believed(run),
            decisions(run, scores),
            candidates(run, scores),
            _batch_norm(run),
            _training(run),
            watched(run),
            _failed(run),
            space(run, scores),
            loading(run),
            machine(run),
            _config(run),
        ]
    )
    return page.document(run.title, body)


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


def _batch_norm(run: RunFiles) -> str:
    """Say how much the treatment of batch norm changes scores and ranking, where it was looked into."""
    report = run.metrics.search and run.metrics.search.batch_norm_report
    if not report or not report.agreements:
        return ""
    rows = [
        [
            one.first,
            one.second,
            MISSING if one.kendall_tau is None else f"{one.kendall_tau:.2f}",
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
            role_text(row.role, row.probe),
            score(row.supernet, retrain.figure, named=False),
            count(row.costs.get("params")),
            count(row.costs.get("macs")),
            *(score(row.alone.get(kind), retrain.figure, named=False) for kind in kinds),
            score(tested.get(row.key), retrain.figure, named=False),
        ]
        for row in rows
    ]
    heads = ["network", "role", "one-shot", "parameters", "multiply-adds"]
    heads += [f"stand-alone, {STAND_ALONE[kind]}" for kind in kinds]
    table = page.table(
        [*heads, "test"], cells, text=2, marked=run.chosen, colours=plots.ROLE_COLOURS
    )
    named = f"Scores: {retrain.figure}. " if retrain.figure else ""
    note = (
        f"{named}One-shot score: under the shared weights, on the search split. Stand-alone score: "
        "alone, on the same split, trained from scratch, fine-tuned from the shared weights, or with "
        "these as they are (inherited); the best by it is chosen. Test score: on the test split, which "
        "is read once, afterwards. "
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
    roles = {
        f"retrain-{key}{end}": role
        for key, role in roles_by_key(run).items()
        for end in ("", "-inherited")
    }
    figures = (
        page.section("Retraining", page.figure("retraining", plots.training_curves(log, roles)))
        if log
        else ""
    )
    return page.section("Retrained networks", table, note) + page.pair(
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
            ", ".join(
                f"{label}: {answer_text(value)}" for label, value in one.architecture.items()
            ),
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


def _config(run: RunFiles) -> str:
    if not run.config_text:
        return ""
    return page.section("Configuration", page.more("config.yaml", page.code(run.config_text)))

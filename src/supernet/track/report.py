"""One self-contained HTML page from the files of a run folder, and from nothing else."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterable, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from html import escape
from pathlib import Path
from typing import Any

import plotly.graph_objects as go
import yaml
from plotly.offline import get_plotlyjs

from supernet.errors import DamagedFileError, RunFolderError
from supernet.files import read_json, write_text
from supernet.space.diagram import Diagram
from supernet.track import plots
from supernet.track.diagram import svg
from supernet.track.tables import count, duration, ranking_text, score

__all__ = ["render", "write_report"]

_FILES = ("config.yaml", "log.jsonl", "candidates.db", "architecture.json", "metrics.json")
_MISSING = "—"
_STAGES = ("train", "search", "retrain", "test")

_STYLE = """
:root{color-scheme:light dark;--page:#fbfcfd;--card:#fff;--ink:#1f2933;--soft:#66717f;
--rule:#e3e8ee;--accent:#3866b8;--mark:#eef3fb}
@media(prefers-color-scheme:dark){:root{--page:#14171c;--card:#1b1f26;--ink:#e4e8ee;
--soft:#97a3b3;--rule:#2d343e;--accent:#86aaf0;--mark:#212b3d}}
*{box-sizing:border-box}
body{margin:0;background:var(--page);color:var(--ink);font:15px/1.55 system-ui,sans-serif}
main{max-width:1080px;margin:0 auto;padding:40px 24px 64px}
h1{font-size:26px;font-weight:650;margin:0;letter-spacing:-.01em}
h2{font-size:16px;font-weight:650;margin:0 0 4px}
p{margin:0}.soft{color:var(--soft);font-size:13.5px}
section{background:var(--card);border:1px solid var(--rule);border-radius:10px;
padding:20px 24px;margin-top:20px;min-width:0}
.pair{display:grid;grid-template-columns:1fr 1fr;gap:0 20px}
@media(max-width:820px){.pair{grid-template-columns:1fr}}
.tiles{display:grid;grid-template-columns:repeat(auto-fit,minmax(160px,1fr));gap:16px;
margin-top:24px}
.tile{background:var(--card);border:1px solid var(--rule);border-radius:10px;padding:16px 20px}
.tile b{display:block;font-size:25px;font-weight:650;line-height:1.3;white-space:nowrap;
font-variant-numeric:tabular-nums}
.tile.main{border-color:var(--accent);background:var(--mark)}.tile.main b{color:var(--accent)}
.scroll{overflow-x:auto;margin-top:12px}
table{border-collapse:collapse;width:100%;font-size:14px;font-variant-numeric:tabular-nums}
th,td{text-align:left;padding:7px 14px 7px 0;border-bottom:1px solid var(--rule)}
tr:last-child td{border-bottom:0}
th{color:var(--soft);font-weight:500;font-size:13px}
td.n,th.n{text-align:right;white-space:nowrap}td:last-child,th:last-child{padding-right:0}
tr.chosen td{font-weight:650}tr.chosen td:first-child{color:var(--accent)}
.bar{display:block;height:8px;border-radius:4px;background:var(--accent);min-width:2px}
pre{margin:12px 0 0;font:13px/1.5 ui-monospace,monospace;columns:400px;column-gap:32px;
white-space:pre-wrap;overflow-wrap:anywhere}
ul{margin:8px 0 0;padding-left:18px}
.drawing{text-align:center;margin-top:16px}
.js-plotly-plot .xtick text,.js-plotly-plot .ytick text,.js-plotly-plot .y2tick text,
.js-plotly-plot .legendtext,.js-plotly-plot .infolayer>g>text{fill:var(--soft)!important}
"""


def write_report(folder: Path) -> Path:
    """Write `report.html` into a run folder and return its path.

    Raises:
        DamagedFileError: a file of the folder cannot be read.
        RunFolderError: the folder holds no run.
        StorageError: the page cannot be written.
    """
    path = folder / "report.html"
    write_text(path, render(folder))
    return path


def render(folder: Path) -> str:
    """Return the page; a part whose step has not run is left out, and a line names the step.

    Raises:
        DamagedFileError: a file of the folder cannot be read.
        RunFolderError: the folder holds no run.
    """
    run = _Run.read(folder)
    body = "".join(
        [
            _headline(run),
            _missing(run),
            _training(run),
            _candidates(run),
            _retrained(run),
            _chosen(run),
            _config(run),
        ]
    )
    return (
        '<!doctype html><html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width,initial-scale=1">'
        f"<title>{escape(run.title)}</title><style>{_STYLE}</style>"
        f"<script>{get_plotlyjs()}</script></head><body><main>{body}</main></body></html>\n"
    )


@dataclass(frozen=True)
class _Run:
    """What the files of a run folder hold; empty where a file is missing."""

    config_text: str
    config: Mapping[str, Any]
    log: Sequence[Mapping[str, Any]]
    candidates: Sequence[Mapping[str, Any]]
    architecture: Mapping[str, Any]
    metrics: Mapping[str, Any]

    @classmethod
    def read(cls, folder: Path) -> _Run:
        paths = [folder / name for name in _FILES]
        if not any(path.exists() for path in paths):
            raise RunFolderError(
                f"{folder} holds no run (none of {', '.join(_FILES)}); "
                "give the folder that `supernet run --out` wrote."
            )
        config, log, store, architecture, metrics = paths
        return cls(
            config.read_text() if config.exists() else "",
            _read_config(config),
            _read_log(log),
            _read_candidates(store),
            read_json(architecture) if architecture.exists() else {},
            read_json(metrics) if metrics.exists() else {},
        )

    @property
    def title(self) -> str:
        name = self.metrics.get("data", {}).get("name")
        return f"Architecture search on {name}" if name else "Architecture search"

    @property
    def chosen(self) -> str | None:
        """The key of the chosen architecture."""
        key: str | None = self.architecture.get("key")
        return key or self.metrics.get("retrain", {}).get("chosen")

    @property
    def random(self) -> str | None:
        """The key of the tested random architecture."""
        key: str | None = (self.metrics.get("test", {}).get("random") or {}).get("key")
        return key


def _read_config(path: Path) -> Mapping[str, Any]:
    if not path.exists():
        return {}
    try:
        content = yaml.safe_load(path.read_text())
    except yaml.YAMLError as error:
        raise DamagedFileError(f"{path} is damaged: it is no YAML ({error}).") from error
    return content if isinstance(content, dict) else {}


def _read_log(path: Path) -> list[Mapping[str, Any]]:
    """Return the records; lines torn by a killed process are left out."""
    records: list[Mapping[str, Any]] = []
    for line in path.read_text(errors="replace").splitlines() if path.exists() else ():
        try:
            record = json.loads(line)
        except ValueError:
            continue
        if isinstance(record, dict) and {"stage", "step"} <= record.keys():
            records.append(record)
    return records


def _read_candidates(path: Path) -> list[Mapping[str, Any]]:
    """Return the measured candidates that are comparable to the newest, in order of evaluation."""
    if not path.exists():
        return []
    try:
        with closing(sqlite3.connect(f"{path.resolve().as_uri()}?mode=ro", uri=True)) as store:
            store.row_factory = sqlite3.Row
            rows = [dict(row) for row in store.execute("SELECT * FROM candidates ORDER BY rowid")]
    except sqlite3.Error as error:
        raise DamagedFileError(
            f"{path} cannot be read ({error}). Run `supernet search` on this folder: "
            "it repairs what a killed process left, or says what is damaged."
        ) from error
    rows = [row for row in rows if row["status"] == "ok"]
    # Scores with other weights, images or statistics say nothing about these.
    return [row for row in rows if _protocol(row) == _protocol(rows[-1])]


def _protocol(row: Mapping[str, Any]) -> tuple[Any, ...]:
    names = ("weights", "split", "images", "batch_norm", "batch_size", "calibration_batches")
    return tuple(row[name] for name in names)


def _headline(run: _Run) -> str:
    data, test = run.metrics.get("data", {}), run.metrics.get("test", {})
    search = run.metrics.get("search", {})
    facts = [
        f"strategy {_name(run.config['strategy'])}" if run.config.get("strategy") else "",
        f"searcher {search['searcher']}" if "searcher" in search else "",
        *(
            f"{data[part]:,} images to {part}"
            for part in ("train", "search", "test")
            if part in data
        ),
        f"{data['classes']} classes" if data.get("classes") else "",
    ]
    facts_text = " · ".join(fact for fact in facts if fact)
    tiles = _test_tiles(test) if test else ""
    if "space_size" in search:
        tiles += _tile(_size(search["space_size"]), "architectures in the space")
    if "candidates" in search:
        failed = f", {search['failed']} failed" if search.get("failed") else ""
        tiles += _tile(f"{search['candidates']:,}", f"candidates evaluated{failed}")
    return (
        f'<header><h1>{escape(run.title)}</h1><p class="soft">{escape(facts_text)}</p></header>'
        f'<div class="tiles">{tiles}</div>'
    )


def _test_tiles(test: Mapping[str, Any]) -> str:
    chosen, random = test.get("chosen"), test.get("random")
    tiles = _tile(score(chosen), "test, chosen architecture", main=True)
    if random:
        tiles += _tile(score(random), "test, random architecture")
    both = [
        part["accuracy"] for part in (chosen, random) if part and part.get("accuracy") is not None
    ]
    if len(both) == 2:
        gain = f"{100 * (both[0] - both[1]):+.2f}".replace("-", "\N{MINUS SIGN}")
        tiles += _tile(gain, "points over random")
    return tiles


def _missing(run: _Run) -> str:
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


def _training(run: _Run) -> str:
    train = [record for record in run.log if record["stage"] == "train"]
    if not train:
        return ""
    return _section("Training the supernet", _figure("training", plots.training_curves(train)))


def _candidates(run: _Run) -> str:
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
    priced = [row for row in rows if row["macs"] is not None]
    front = plots.cost_and_score(
        [row["macs"] for row in priced],
        [row[metric] for row in priced],
        [str(row["key"]) for row in priced],
        chosen=run.chosen,
        metric=metric,
    )
    return _pair(
        _section("Candidates", _figure("candidates", order), "Scored with shared weights."),
        _section("Score and cost", _figure("front", front), "The front: no candidate beats these."),
    )


def _retrained(run: _Run) -> str:
    retrain = run.metrics.get("retrain", {})
    rows = retrain.get("candidates", [])
    if not rows:
        return ""
    tested = run.metrics.get("test", {})
    by_key = {part["key"]: part for part in map(tested.get, ("random", "chosen")) if part}
    cells = [
        [
            row["key"],
            row["role"],
            score(row.get("supernet")),
            count(row.get("params")),
            count(row.get("macs")),
            score(row.get("validation")),
            score(by_key.get(row["key"])),
        ]
        for row in rows
    ]
    heads = ["candidate", "found by", "one-shot", "parameters", "multiply-adds"]
    table = _table([*heads, "validation", "test"], cells, text=2, marked=run.chosen)
    note = "Trained from scratch. Validation chooses; the test split is read once, afterwards."
    log = [record for record in run.log if str(record["stage"]).startswith("retrain-")]
    figures = (
        _section("Retraining", _figure("retraining", plots.training_curves(log))) if log else ""
    )
    return _section("Retrained candidates", table, note) + _pair(_ranking(run), figures)


def _ranking(run: _Run) -> str:
    retrain = run.metrics["retrain"]
    measured = [
        row for row in retrain["candidates"] if row.get("supernet") and row.get("validation")
    ]
    parts = ("supernet", "validation")
    accuracy = all(row[part].get("accuracy") is not None for row in measured for part in parts)
    metric: plots.Metric = "accuracy" if accuracy else "loss"
    ranking = retrain.get("ranking") or {}
    figure = plots.ranking(
        [row["supernet"][metric] for row in measured],
        [row["validation"][metric] for row in measured],
        [row["key"] for row in measured],
        tau=ranking.get("kendall_tau"),
        chosen=run.chosen,
        metric=metric,
    )
    return _section("Ranking", _figure("ranking", figure), ranking_text(ranking))


def _chosen(run: _Run) -> str:
    numbers = _costs(run) + _times(run)
    if not run.architecture:
        return numbers
    choices = run.architecture.get("architecture", {})
    table = _table(["decision", "choice"], [[k, _value(v)] for k, v in choices.items()], text=2)
    numbers = f"<div>{_section('Decisions', table)}{numbers}</div>"
    if not run.architecture.get("diagram"):
        return numbers
    diagram = Diagram.from_json(run.architecture["diagram"])
    drawing = f'<div class="drawing">{svg(diagram)}</div>'
    return _pair(_section(diagram.title, drawing, f"Architecture {run.chosen}."), numbers)


def _costs(run: _Run) -> str:
    measured = {row["key"]: row for row in run.metrics.get("retrain", {}).get("candidates", [])}
    stored = {row["key"]: row for row in run.candidates}
    rows = []
    for name, key in (("chosen", run.chosen), ("random", run.random)):
        if key in measured or key in stored:
            cost = {**stored.get(key, {}), **measured.get(key, {})}
            latency = cost.get("latency_ms")
            time = _MISSING if latency is None else f"{latency:.2f} ms"
            rows.append([name, count(cost.get("params")), count(cost.get("macs")), time])
    heads = ["architecture", "parameters", "multiply-adds", "latency"]
    if all(row[-1] == _MISSING for row in rows):
        heads, rows = heads[:-1], [row[:-1] for row in rows]
    return _section("Costs", _table(heads, rows)) if rows else ""


def _times(run: _Run) -> str:
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
    return _section("Time per stage", table, f"{duration(sum(seconds.values()))} in all.")


def _config(run: _Run) -> str:
    if not run.config_text:
        return ""
    return _section("Configuration", f"<pre>{escape(run.config_text)}</pre>")


def _section(title: str, body: str, note: str = "") -> str:
    soft = f'<p class="soft">{escape(note)}</p>' if note else ""
    return f"<section><h2>{escape(title)}</h2>{soft}{body}</section>"


def _pair(*sections: str) -> str:
    shown = [section for section in sections if section]
    return f'<div class="pair">{"".join(shown)}</div>' if len(shown) > 1 else "".join(shown)


def _tile(value: str, label: str, *, main: bool = False) -> str:
    kind = "tile main" if main else "tile"
    return (
        f'<div class="{kind}"><b>{escape(value)}</b><span class="soft">{escape(label)}</span></div>'
    )


def _table(
    heads: Sequence[str],
    rows: Iterable[Sequence[str]],
    *,
    text: int = 1,
    marked: str | None = None,
) -> str:
    """Return a table whose first `text` columns are words and the others numbers."""

    def line(tag: str, cells: Sequence[str]) -> str:
        return "".join(
            f"<{tag}{'' if i < text else ' class=n'}>{escape(str(cell))}</{tag}>"
            for i, cell in enumerate(cells)
        )

    body = "".join(
        f"<tr{' class=chosen' if row[0] == marked else ''}>{line('td', row)}</tr>" for row in rows
    )
    return f'<div class="scroll"><table><tr>{line("th", heads)}</tr>{body}</table></div>'


def _figure(name: str, figure: go.Figure) -> str:
    # Plotly writes <, > and / in its JSON as \\u escapes: no label can close the script element.
    return str(
        figure.to_html(
            full_html=False,
            include_plotlyjs=False,
            div_id=name,
            config={"displaylogo": False, "displayModeBar": False, "responsive": True},
        )
    )


def _value(choice: Any) -> str:
    return ", ".join(map(str, choice)) if isinstance(choice, list) else str(choice)


def _name(component: Any) -> str:
    """Return the name of a configured component: a string, or a mapping with a name or class."""
    if isinstance(component, dict):
        component = component.get("name") or component.get("class_path") or "?"
    return str(component).rsplit(".", 1)[-1]


def _size(text: str) -> str:
    if not str(text).isdigit() or len(str(text)) < 7:
        return str(text)
    mantissa, exponent = f"{int(text):.2e}".split("e+")
    power = str(int(exponent)).translate(str.maketrans("0123456789", "⁰¹²³⁴⁵⁶⁷⁸⁹"))
    return f"{mantissa} \N{MULTIPLICATION SIGN} 10{power}"

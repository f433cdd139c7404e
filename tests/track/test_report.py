"""The page: what it shows, what it leaves out, and that nothing in it can run or be fetched."""

import json
import re
import sqlite3
from contextlib import closing
from html.parser import HTMLParser

import pytest
from plotly.offline import get_plotlyjs

from supernet.errors import DamagedFileError, RunFolderError
from supernet.track.report import render
from supernet.track.report_file import write_report

EVIL = "</script><script>alert(1)</script>"


class Page(HTMLParser):
    """The page as a browser sees it: scripts, headings, rows of tables, addresses."""

    def __init__(self, text):
        super().__init__()
        self.scripts, self.headings, self.rows, self.words = [], [], [], []
        self.addresses, self.ids, self.tag = [], [], ""
        self.feed(text)
        self.close()

    def handle_starttag(self, tag, attrs):
        self.tag = tag
        self.addresses += [value for name, value in attrs if name in ("src", "href", "xlink:href")]
        self.ids += [value for name, value in attrs if name == "id"]
        if tag == "script":
            self.scripts.append("")
        if tag == "tr":
            self.rows.append([])

    def handle_data(self, data):
        if self.tag == "script":
            self.scripts[-1] += data
        elif self.tag in ("h1", "h2"):
            self.headings.append(data)
        elif self.tag in ("td", "th"):
            self.rows[-1].append(data)
        elif self.tag != "style":
            self.words.append(data)

    def handle_endtag(self, tag):
        self.tag = ""


def page(folder):
    return Page(render(folder))


def edit(path, change):
    content = json.loads(path.read_text())
    change(content)
    path.write_text(json.dumps(content))


def figure(shown, name):
    """Return the traces of a figure, by name."""
    script = next(s for s in shown.scripts if f'newPlot( "{name}"' in " ".join(s.split()))
    start = script.index("[", script.index("newPlot"))
    data, _ = json.JSONDecoder().raw_decode(script[start:])
    return {trace["name"]: trace for trace in data}


def test_a_finished_run_shows_everything(run_folder):
    shown = page(run_folder)
    assert shown.headings == [
        "Architecture search on digits",
        "Changed files",  # a key such as "a1" is no digest of answers
        "Training the supernet",
        "Candidates",
        "Score and multiply-adds",
        "Score and latency in ms",
        "Retrained candidates",
        "Ranking",
        "Retraining",
        "The chosen cell",
        "Decisions",
        "Costs",
        "Time per stage",
        "Configuration",
    ]
    assert shown.ids == [
        "training",
        "candidates",
        "front-macs",
        "front-latency_ms",
        "ranking",
        "retraining",
    ]


def test_the_headline_compares_the_chosen_with_the_random_one(run_folder):
    words = page(run_folder).words
    for text in ("96.67 %", "93.61 %", "+3.06", "6.00 \N{MULTIPLICATION SIGN} 10¹²", "60"):
        assert text in words
    assert any(
        "strategy spos · searcher Random · 1,077 examples to train" in text for text in words
    )


def test_tables_show_candidates_decisions_and_costs(run_folder):
    rows = page(run_folder).rows
    assert ["a1", "top", "88.45 %", "61.44 k", "2.35 M", "97.22 %", "96.67 %"] in rows
    assert ["a3", "random", "70.12 %", "61.44 k", "2.35 M", "93.89 %", "93.61 %"] in rows
    assert ["cell/inputs 1", "cell k-2, cell k-1"] in rows
    assert ["chosen", "61.44 k", "2.35 M", "1.5 ms"] in rows
    assert ["train", "1 min 50 s"] in rows
    assert ["retrain", "3 min 12 s"] in rows


@pytest.mark.parametrize(
    ("until", "figures", "hints"),
    [
        ("train", ["training"], ["search", "retrain", "test"]),
        (
            "search",
            ["training", "candidates", "front-macs", "front-latency_ms"],
            ["retrain", "test"],
        ),
        (
            "retrain",
            ["training", "candidates", "front-macs", "front-latency_ms", "ranking", "retraining"],
            ["test"],
        ),
        (
            "test",
            ["training", "candidates", "front-macs", "front-latency_ms", "ranking", "retraining"],
            [],
        ),
    ],
)
def test_an_unfinished_run_says_which_step_fills_the_rest(
    make_run, tmp_path, until, figures, hints
):
    shown = page(make_run(tmp_path, until=until))
    assert shown.ids == figures
    assert [word for word in shown.words if word.startswith("supernet ")] == [
        f"supernet {step}" for step in hints
    ]


@pytest.mark.parametrize("name", ["config.yaml", "log.jsonl", "metrics.json", "candidates.db"])
def test_each_file_may_be_missing(run_folder, name):
    (run_folder / name).unlink()
    assert "The chosen cell" in page(run_folder).headings


def test_the_curve_holds_every_whole_line_of_the_log(run_folder):
    curve = figure(page(run_folder), "training")["loss"]
    assert curve["x"] == list(range(20, 1001, 20))


def test_a_latency_that_was_not_measured_has_no_column(run_folder):
    assert ["architecture", "parameters", "multiply-adds", "latency"] in page(run_folder).rows
    change_candidates(run_folder, "UPDATE candidates SET latency_ms = NULL")
    assert ["architecture", "parameters", "multiply-adds"] in page(run_folder).rows


def test_retraining_has_a_line_per_candidate(run_folder):
    assert list(figure(page(run_folder), "retraining")) == ["a0", "a1", "learning rate"]


def test_a_chosen_one_that_is_worse_than_random_is_said_so(run_folder):
    def worsen(metrics):
        metrics["test"]["over_random"]["examples"].update(value=-0.0361, low=-0.05, high=-0.02)
        metrics["test"]["better"] = ["a3"]

    edit(run_folder / "metrics.json", worsen)
    words = page(run_folder).words
    assert "\N{MINUS SIGN}3.61" in words
    assert any("random a3 (93.61 %) scored better than the chosen" in text for text in words)


def test_a_torn_line_in_the_middle_does_not_hide_the_rest(run_folder):
    log = run_folder / "log.jsonl"
    whole = {"stage": "train", "step": 1020, "loss": 0.5}
    log.write_text(log.read_text() + "\n" + json.dumps(whole) + "\n")
    assert figure(page(run_folder), "training")["loss"]["x"][-1] == 1020


def change_candidates(folder, *statements):
    with closing(sqlite3.connect(folder / "candidates.db")) as store, store:
        for statement in statements:
            store.execute(statement)


def test_only_candidates_that_compare_are_shown(run_folder):
    change_candidates(
        run_folder,
        "UPDATE candidates SET weights = 'older' WHERE key IN ('a4', 'a5')",
        "UPDATE candidates SET split = 'other' WHERE key = 'a6'",
        "UPDATE candidates SET batch_norm = 'other' WHERE key = 'a8'",
        "UPDATE candidates SET calibration_batches = 0 WHERE key = 'a9'",
        "UPDATE candidates SET status = 'failed' WHERE key = 'a7'",
        "UPDATE candidates SET status = 'failed', weights = NULL WHERE key = 'a59'",
    )
    shown = figure(page(run_folder), "candidates")["candidate"]["text"]
    keys = [text.split("<")[0] for text in shown]
    assert keys == [f"a{i}" for i in range(59) if i not in (4, 5, 6, 7, 8, 9)]


def test_a_task_without_accuracy_shows_losses(run_folder):
    change_candidates(run_folder, "UPDATE candidates SET accuracy = NULL")

    def drop(metrics):
        for row in metrics["retrain"]["candidates"]:
            row["supernet"]["accuracy"] = row["validation"]["accuracy"] = None
        metrics["test"]["chosen"]["accuracy"] = None
        metrics["test"]["random"][0]["accuracy"] = None

    edit(run_folder / "metrics.json", drop)
    shown = page(run_folder)
    best = figure(shown, "candidates")["best so far"]["y"]
    assert best == sorted(best, reverse=True)
    assert best[0] > best[-1]
    assert "loss 0.1203" in shown.words


def test_the_database_is_not_written(run_folder):
    before = (run_folder / "candidates.db").read_bytes()
    render(run_folder)
    assert (run_folder / "candidates.db").read_bytes() == before
    assert sorted(path.name for path in run_folder.glob("candidates*")) == ["candidates.db"]


def test_no_text_of_a_run_can_become_markup(make_run, tmp_path):
    plain = page(make_run(tmp_path / "plain"))
    folder = make_run(tmp_path / "evil", label=EVIL)
    change_candidates(folder, f"UPDATE candidates SET key = '{EVIL}' WHERE key = 'a1'")
    (folder / "config.yaml").write_text(f"strategy: {EVIL}\n")
    log = folder / "log.jsonl"
    log.write_text(log.read_text().replace("retrain-a1", f"retrain-{EVIL}"))

    def poison(metrics):
        metrics["data"]["name"] = metrics["search"]["searcher"] = EVIL
        metrics["search"]["space_size"] = EVIL
        metrics["search"]["selected"][1]["key"] = EVIL
        metrics["retrain"]["candidates"][1].update(key=EVIL, role=EVIL)
        metrics["test"]["chosen"]["key"] = metrics["retrain"]["chosen"] = EVIL

    def poison_drawing(chosen):
        chosen["key"] = chosen["diagram"]["title"] = EVIL
        chosen["diagram"]["nodes"][0]["label"] = EVIL
        chosen["architecture"][EVIL] = EVIL

    edit(folder / "metrics.json", poison)
    edit(folder / "architecture.json", poison_drawing)
    shown = page(folder)
    assert len(shown.scripts) == len(plain.scripts)
    assert not any(script.strip().startswith("alert") for script in shown.scripts)
    # It is shown as text wherever it was put.
    assert f"Architecture search on {EVIL}" in shown.headings
    assert EVIL in shown.headings
    assert [EVIL, EVIL] in shown.rows
    assert EVIL in shown.words
    assert figure(shown, "front-macs")["chosen"]["text"] == [
        "&lt;/script&gt;&lt;script&gt;alert(1)&lt;/script&gt;"
    ]


@pytest.mark.slow
def test_the_page_fetches_nothing_and_holds_plotly_once(run_folder):
    text = render(run_folder)
    assert page(run_folder).addresses == []
    assert text.count(get_plotlyjs()) == 1
    rest = text.replace(get_plotlyjs(), "")
    urls = set(re.findall(r"https?://[^\s\"'<>]+", rest))
    # A name space is a name, no address to fetch from.
    assert urls <= {"http://www.w3.org/2000/svg"}
    assert not re.search(r"@import|url\(", rest)


@pytest.mark.slow
def test_writing_replaces_the_page(run_folder):
    path = write_report(run_folder)
    assert path == run_folder / "report.html"
    path.write_text(path.read_text() + "an older one")
    write_report(run_folder)
    assert path.read_text() == render(run_folder)


@pytest.mark.slow
def test_the_page_goes_elsewhere_and_replaces_nothing_but_a_page(run_folder, tmp_path):
    before = sorted(run_folder.iterdir())
    path = write_report(run_folder, tmp_path / "to" / "page.html")
    write_report(run_folder, path)
    assert path.read_text() == render(run_folder)
    assert sorted(run_folder.iterdir()) == before
    for place in (path, run_folder / "report.html"):
        place.write_text("mine")
        with pytest.raises(RunFolderError, match="no report of supernet"):
            write_report(run_folder, None if place.parent == run_folder else place)
        assert place.read_text() == "mine"
    with pytest.raises(RunFolderError, match="no report"):
        write_report(run_folder, tmp_path / "to")


@pytest.mark.parametrize("name", ["config.yaml", "candidates.db", "architecture.json"])
def test_a_damaged_file_is_named(run_folder, name):
    (run_folder / name).write_text("{ [ damaged")
    with pytest.raises(DamagedFileError, match=re.escape(name)):
        render(run_folder)


@pytest.mark.parametrize("name", ["", "missing"])
def test_a_folder_without_a_run_is_refused(tmp_path, name):
    with pytest.raises(RunFolderError, match="holds no run"):
        write_report(tmp_path / name)
    assert list(tmp_path.iterdir()) == []

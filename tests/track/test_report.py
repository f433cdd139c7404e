"""The page: what it shows, what it leaves out, and that nothing in it can run or be fetched."""

import json
import os
import re
import sqlite3
import subprocess
import sys
from contextlib import closing
from html.parser import HTMLParser
from statistics import fmean

import pytest
from tests.track import figures

from supernet.errors import DamagedFileError, RunFolderError
from supernet.track.report import render
from supernet.track.report_file import write_report

EVIL = "</script><script>alert(1)</script>"
FIGURES = [
    "ranking",
    "retraining",
    "decisions",
    "candidates",
    "front-macs",
    "front-latency_ms",
    "training",
]


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


def drawing(folder, name):
    """Return the element of a figure."""
    [found] = [
        one for one in figures.tree(render(folder)).all("figure") if one.attributes["id"] == name
    ]
    return found


def figure(folder, name):
    """Return what a figure shows, read back from the drawing."""
    return figures.figure(drawing(folder, name).all("svg")[0])


def test_a_finished_run_shows_everything(run_folder):
    shown = page(run_folder)
    assert shown.headings == [
        "Architecture search on digits",
        "Changed files",  # a key such as "a1" is no digest of answers
        "The chosen cell",
        "Decisions",
        "Costs",
        "Retrained networks",
        "Ranking",
        "Retraining",
        "What each decision does to one-shot scores",
        "Candidates",
        "One-shot score and multiply-adds",
        "One-shot score and latency in ms",
        "Training the supernet",
        "Space",
        "Load the chosen network",
        "Device and versions",
        "Time per stage",
        "Configuration",
    ]
    assert shown.ids == FIGURES


def test_the_headline_compares_the_chosen_with_the_random_one(run_folder):
    words = page(run_folder).words
    for text in ("96.67 %", "93.61 %", "+3.06", "6.00 \N{MULTIPLICATION SIGN} 10¹²", "60"):
        assert text in words
    assert any(
        "strategy spos · searcher Random · 1,077 examples to train" in text for text in words
    )


def test_tables_show_candidates_decisions_and_costs(run_folder):
    rows = page(run_folder).rows
    assert [
        "a1",
        "best of the search",
        "88.45 %",
        "61.44 k",
        "2.35 M",
        "97.22 %",
        "96.67 %",
    ] in rows
    baseline = "a3 \u25cf\xa0random baseline 70.12 % 61.44 k 2.35 M 93.89 % 93.61 %"
    assert baseline in [" ".join(row) for row in rows_of(figures.tree(render(run_folder)))]
    assert ["device", "cpu, 1 thread"] in rows
    assert ["PyTorch version", "2.13.0"] in rows
    assert ["chosen", "61.44 k", "2.35 M", "1.5 ms"] in rows
    assert ["train", "1 min 50 s"] in rows
    assert ["retrain", "3 min 12 s"] in rows


@pytest.mark.parametrize(
    ("until", "figures", "hints"),
    [
        ("train", FIGURES[-1:], ["search", "retrain", "test"]),
        ("search", FIGURES[2:], ["retrain", "test"]),
        ("retrain", FIGURES, ["test"]),
        ("test", FIGURES, []),
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
    curve = figure(run_folder, "training").points["loss"]
    assert [x for x, _ in curve] == pytest.approx(list(range(20, 1001, 20)), abs=2)
    losses = [2.3 * 0.985 ** (step / 8) + 0.3 + 0.05 * (step % 3) for step in range(20, 1001, 20)]
    assert [y for _, y in curve] == pytest.approx(losses, abs=0.01)


def test_a_latency_that_was_not_measured_has_no_column(run_folder):
    assert ["architecture", "parameters", "multiply-adds", "latency"] in page(run_folder).rows
    change_candidates(run_folder, "UPDATE candidates SET latency_ms = NULL")
    assert ["architecture", "parameters", "multiply-adds"] in page(run_folder).rows


def test_retraining_has_a_line_per_candidate(run_folder):
    assert list(figure(run_folder, "retraining").points) == ["learning rate", "a0", "a1 (chosen)"]


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
    last = figure(run_folder, "training").points["loss"][-1]
    assert last == pytest.approx((1020, 0.5), abs=2)


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
    titles = figure(run_folder, "candidates").titles
    keys = [title.split(",")[0] for titles in titles.values() for title in titles]
    baseline = 3
    assert sorted(keys) == sorted(
        f"a{i}" for i in range(59) if i not in (4, 5, 6, 7, 8, 9, baseline)
    )
    assert [[title.split(",")[0] for title in titles[n]] for n in ("probe", "chosen")] == [
        ["a2"],
        ["a1"],
    ]


def test_a_task_without_accuracy_shows_losses(run_folder):
    change_candidates(run_folder, "UPDATE candidates SET accuracy = NULL")

    def drop(metrics):
        for row in metrics["retrain"]["candidates"]:
            row["supernet"]["accuracy"] = row["validation"]["accuracy"] = None
        metrics["test"]["chosen"]["accuracy"] = None
        metrics["test"]["random"][0]["accuracy"] = None

    edit(run_folder / "metrics.json", drop)
    shown = page(run_folder)
    best = [y for _, y in figure(run_folder, "candidates").points["best so far"]]
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
    assert shown.scripts == plain.scripts == []
    # It is shown as text wherever it was put.
    assert f"Architecture search on {EVIL}" in shown.headings
    assert EVIL in shown.headings
    assert any(row[:2] == [EVIL, EVIL] for row in shown.rows)
    assert EVIL in shown.words
    assert figure(folder, "front-macs").titles["chosen"][0].startswith(EVIL)


def test_the_page_fetches_nothing_and_runs_nothing(run_folder):
    text, shown = render(run_folder), page(run_folder)
    assert shown.addresses == shown.scripts == []
    urls = set(re.findall(r"https?://[^\s\"'<>]+", text))
    # A name space is a name, no address to fetch from.
    assert urls <= {"http://www.w3.org/2000/svg"}
    assert not re.search(r"@import|url\(|\son[a-z]+=", text)


def grow(folder, candidates, networks):
    """Write more candidates, and more trainings of networks, into the files of a run."""
    with closing(sqlite3.connect(folder / "candidates.db")) as store, store:
        rows = store.execute("SELECT * FROM candidates").fetchall()
        for index in range(candidates - len(rows)):
            row = [f"more {index:012}", *rows[index % len(rows)][1:]]
            store.execute(f"INSERT INTO candidates VALUES ({', '.join('?' * len(row))})", row)
    log = folder / "log.jsonl"
    lines = [
        json.dumps({"stage": f"retrain-{i}", "step": step, "loss": i + 1 / step})
        for i in range(networks)
        for step in range(20, 20_000, 20)
    ]
    log.write_text("\n".join([log.read_text(), *lines]))


def test_the_page_is_small(run_folder):
    assert len(render(run_folder)) < 100_000
    grow(run_folder, 1000, 20)
    assert len(render(run_folder)) < 200_000


@pytest.mark.slow
def test_the_page_of_a_long_run_is_small_too(run_folder):
    grow(run_folder, 10_000, 20)
    text = render(run_folder)
    assert len(text) < 300_000
    assert "2,000 of 9,997 candidates are drawn." in text


@pytest.mark.slow
def test_the_same_files_make_the_same_bytes(make_run, tmp_path):
    code = "import sys; from pathlib import Path; from supernet.track.report import render; "
    code += "sys.stdout.buffer.write(render(Path(sys.argv[1])).encode())"
    folder = make_run(tmp_path / "run")
    for seed in ("1", "2"):
        made = subprocess.run(
            [sys.executable, "-c", code, str(folder)],
            env={**os.environ, "PYTHONHASHSEED": seed},
            capture_output=True,
            check=True,
        )
        assert made.stdout.decode() == render(folder)


def rows_of(found):
    """Return the cells of all tables, row by row."""
    return [
        ["".join(o.text for o in (*c.all("span"), c)) for c in row.all("td")]
        for row in found.all("tr")
    ]


def test_alternatives_stand_beside_decisions(run_folder):
    scores = {}
    with closing(sqlite3.connect(run_folder / "candidates.db")) as store:
        for key, accuracy, answers in store.execute(
            "SELECT key, accuracy, architecture FROM candidates"
        ):
            if key != "a3":  # the random baseline
                scores[key] = (accuracy, json.loads(answers))
    chosen, other = (
        fmean(score for score, one in scores.values() if one["cell/block 1"] == option)
        for option in ("separable 3x3", "max pool 3x3")
    )
    table = rows_of(figures.tree(render(run_folder)))
    rows = {row[0]: row for row in table if len(row) == 5}
    row = rows["cell/block 1"]
    assert row[1] == "separable 3x3"
    assert row[3] == "max pool 3x3"
    assert float(row[4].split()[0]) == pytest.approx(100 * (other - chosen), abs=0.006)
    assert rows["cell/inputs 1"][1:2] + rows["cell/inputs 1"][3:] == [
        "cell k-2, cell k-1",
        "—",
        "—",
    ]


def test_options_have_their_mean_scores_and_the_chosen_are_marked(run_folder):
    found = figures.tree(render(run_folder))
    [shares] = drawing(run_folder, "decisions").all("svg")
    assert [one.text for one in shares.all("text", "name")] == ["cell/block 1", "cell/inputs 1"]
    [options] = [
        one for one in found.all("svg") if one.attributes.get("aria-label") == "cell/block 1"
    ]
    rows = options.all("g", "interval")
    assert {one.all("text")[0].text for one in rows} == {
        "separable 3x3",
        "identity",
        "max pool 3x3",
    }
    assert [one.all("text")[0].text for one in rows if "marked" in one.kinds] == ["separable 3x3"]
    assert rows[-1].title.startswith("identity: ")
    with closing(sqlite3.connect(run_folder / "candidates.db")) as store:
        [[mean]] = store.execute(
            "SELECT avg(accuracy) FROM candidates WHERE architecture LIKE '%identity%'"
        )
    assert f"{100 * mean:.2f} %" in rows[-1].title
    assert "20 candidates" in rows[-1].title


def test_answers_that_cannot_be_read_leave_the_rest(run_folder):
    change_candidates(run_folder, "UPDATE candidates SET architecture = 'none' WHERE key = 'a5'")
    assert "What each decision does to one-shot scores" in page(run_folder).headings


@pytest.mark.parametrize(
    ("model", "words"),
    [
        (None, "model = ...  # the model"),
        (
            "{class_path: supernet.zoo.Bender, init_args: {channels: 4}}",
            "Bender(channels=4, image=(1, 8, 8), classes=10)",
        ),
        (
            "{class_path: mine.Net, init_args: {a: b}}",
            "model = Net(a='b')  # and, where it asks for them, image",
        ),
        ("{class_path: 'os; import os.x'}", "model = ...  # the model"),
    ],
)
def test_code_that_loads_the_network_names_the_model(run_folder, model, words):
    (run_folder / "config.yaml").write_text(f"model: {model}\n" if model else "seed: 0\n")

    def program(metrics):
        metrics["retrain"]["program"] = {"dtype": "uint8", "shape": ["batch", 1, 8, 8]}

    edit(run_folder / "metrics.json", program)
    codes = [one.text for one in figures.tree(render(run_folder)).all("pre")]
    assert "# examples: uint8, [batch, 1, 8, 8]\noutputs = program(examples)" in codes[0]
    assert words in codes[1]
    assert "import os" not in codes[1]


@pytest.mark.parametrize(
    ("names", "call"),
    [
        (("tokens", "mask"), "program(tokens=tokens, mask=mask)"),
        (("examples_0", "examples_1"), "program(examples_0, examples_1)"),
        (("tokens", "a b\nimport os"), "program(**inputs)"),
    ],
)
def test_a_programme_of_several_inputs_is_given_all_of_them(run_folder, names, call):
    def program(metrics):
        taken = {"dtype": "int64", "shape": ["batch", 12]}
        metrics["retrain"]["program"] = dict.fromkeys(names, taken)

    edit(run_folder / "metrics.json", program)
    [code, *_] = [one.text for one in figures.tree(render(run_folder)).all("pre")]
    assert code.endswith(f"outputs = {call}")
    comments = [" ".join(f"# {name}: int64, [batch, 12]".split()) for name in names]
    assert code.splitlines()[4:-1] == comments


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


def test_a_random_baseline_that_is_chosen_is_no_candidate(run_folder):
    def choose(metrics):
        drawn = {**metrics["search"]["selected"][0], "key": "a3", "role": "random"}
        metrics["retrain"]["baselines"]["networks"] = [drawn]
        metrics["retrain"].update(chosen="a3", searched="a1")
        metrics["test"]["chosen"]["key"] = "a3"

    edit(run_folder / "metrics.json", choose)
    edit(run_folder / "architecture.json", lambda one: one.update(key="a3"))
    change_candidates(
        run_folder, "UPDATE candidates SET accuracy = 0.99, macs = 1 WHERE key = 'a3'"
    )
    titles = figure(run_folder, "candidates").titles
    assert not any(title.startswith("a3,") for one in titles.values() for title in one)
    front = figure(run_folder, "front-macs")
    assert [title.partition(":")[0] for title in front.titles["chosen"]] == ["a3"]
    assert not any(title.startswith("a3:") for title in front.titles["Pareto front"])
    words = " ".join(page(run_folder).words)
    assert "a3 (random baseline) was chosen" in words
    assert "59 candidates' one-shot accuracy" in words

"""What the report shows of a training that was watched."""

import json

import pytest
from scipy.stats import kendalltau
from tests.track.conftest import write_run
from tests.track.test_report import EVIL, page

from supernet.evaluate import Preference
from supernet.fidelity.early import EarlyWarning
from supernet.space import Architecture
from supernet.track.ranking import RankingTruth
from supernet.track.report import render
from supernet.track.run_files import RunFiles
from supernet.track.watch import (
    AloneRecord,
    MomentRecord,
    WatchedNetwork,
    WatchRecord,
    read_watch,
    write_watch,
)
from supernet.track.watch_report import known_worth, watch_taus

N = 6
TRUTH = [0.1, 0.5, 0.2, 0.6, 0.3, 0.4]
LOSSES = [[2.3] * N, [2.0, 1.0, None, 0.8, 1.9, 1.7], [1.5, 1.0, 1.4, 0.9, 1.3, 1.6]]


def record(label="a", truth=True, by="loss", accuracies=None):
    networks = tuple(
        WatchedNetwork(
            key=f"k{i}",
            architecture=Architecture({label: "xyz"[i % 3], "b": "pq"[i // 3]}),
            values=(TRUTH[i],) if truth else (),
            costs={"params": 10 + i, "macs": 100 - i},
        )
        for i in range(N)
    )
    return WatchRecord(
        by=by,
        images=50,
        batch_norm="recalibrate",
        batch_size=50,
        calibration_batches=1,
        networks=networks,
        truth=RankingTruth(kind="table", name="t", measures="m", networks=9) if truth else None,
        alone=(AloneRecord(key="k1", steps=(0, 10), losses=(2.25, 0.5)),),
        moments=tuple(
            MomentRecord(step=10 * i, losses=tuple(one), accuracies=accuracies, noise=0.1)
            for i, one in enumerate(LOSSES)
        ),
    )


@pytest.fixture
def folder(tmp_path):
    return write_run(tmp_path / "run")


def test_the_record_is_read_as_it_was_written(tmp_path):
    assert read_watch(tmp_path / "watch.json") is None
    warned = EarlyWarning("noise", "said")
    found = record()
    moments = (*found.moments[:2], MomentRecord(step=20, losses=(1.0,) * N, noise=None))
    found = WatchRecord(**{**vars(found), "moments": moments})
    write_watch(tmp_path / "watch.json", found)
    assert read_watch(tmp_path / "watch.json") == found
    assert MomentRecord(step=1, losses=(), noise=None, warnings=(warned,)).to_json()[
        "warnings"
    ] == [{"kind": "noise", "text": "said"}]


def test_taus_are_those_of_the_networks_that_have_scores():
    worth = dict(zip((f"k{i}" for i in range(N)), TRUTH, strict=True))
    taus = watch_taus(record(), worth)
    assert taus.keys() == {"truth", "last", "params", "macs"}
    assert taus["truth"][0].kendall_tau is None  # all scores are the same
    kept = [0, 1, 3, 4, 5]
    middle = [-LOSSES[1][i] for i in kept]
    expected = kendalltau(middle, [TRUTH[i] for i in kept]).statistic
    assert taus["truth"][1].kendall_tau == pytest.approx(expected)
    assert taus["truth"][1].n == 5
    last = kendalltau(middle, [-LOSSES[2][i] for i in kept]).statistic
    assert taus["last"][1].kendall_tau == pytest.approx(last)
    assert taus["last"][2].kendall_tau == pytest.approx(1)
    params = kendalltau([-one for one in LOSSES[2]], range(N)).statistic
    assert taus["params"][2].kendall_tau == pytest.approx(params)
    assert taus["macs"][2].kendall_tau == pytest.approx(-params)


def test_accuracies_rank_where_the_run_ranks_by_them():
    accuracies = (0.5, 0.1, 0.2, 0.3, 0.4, 0.6)
    both = record(by="accuracy", accuracies=accuracies)
    name, scores = both.moments[0].scores(both.preference)
    assert (name, scores) == ("accuracy", accuracies)
    assert both.moments[0].scores(Preference())[0] == "-loss"


def test_another_figure_ranks_and_is_shown_by_its_name(folder):
    plain = record(by="rmse")
    figures = [tuple(loss and loss / 2 for loss in one) for one in LOSSES]
    moments = tuple(map(with_figures, plain.moments, figures))
    found = WatchRecord(**{**vars(plain), "moments": moments, "lower_is_better": ("rmse",)})
    name, scores = found.moments[2].scores(found.preference)
    assert (name, scores) == ("-rmse", tuple(-one for one in figures[2]))
    write_watch(folder / "watch.json", found)
    assert read_watch(folder / "watch.json") == found
    text = render(folder)
    assert "of their -rmse with what" in text
    assert "mean rmse" in text
    assert f"{sum(figures[2]) / N:.3f}" in text
    damaged = WatchRecord(**{**vars(found), "moments": (with_figures(moments[0], (1.0,)),)})
    assert not damaged.fits()


def with_figures(moment, figures):
    return MomentRecord(**{**vars(moment), "figures": figures})


def test_worth_comes_from_the_table_else_from_what_was_retrained(folder):
    write_watch(folder / "watch.json", record())
    run = RunFiles.read(folder)
    assert known_worth(run, run.watch) == ("t", {f"k{i}": TRUTH[i] for i in range(N)})
    write_watch(folder / "watch.json", record(truth=False))
    run = RunFiles.read(folder)
    assert known_worth(run, run.watch) == ("", {})
    content = json.loads((folder / "metrics.json").read_text())
    for i, row in enumerate(content["retrain"]["candidates"]):
        row["key"] = f"k{i}"
    content["retrain"]["chosen"] = "k0"
    del content["search"], content["test"]
    (folder / "metrics.json").write_text(json.dumps(content))
    run = RunFiles.read(folder)
    rows = content["retrain"]["candidates"]
    expected = {f"k{i}": row["validation"]["accuracy"] for i, row in enumerate(rows)}
    assert known_worth(run, run.watch) == ("retrained networks", expected)


def test_the_report_shows_moments_and_decisions(folder):
    before = page(folder)
    assert "While the supernet trained" not in before.headings
    write_watch(folder / "watch.json", record())
    found = page(folder)
    assert {"While the supernet trained", "What decisions matter to watched networks"} <= {
        *found.headings
    }
    assert {"watched-loss", "watched-tau"} <= {*found.ids}
    [row] = [row for row in found.rows if row[:1] == ["10"]]
    assert row[1] == f"{(2.0 + 1.0 + 0.8 + 1.9 + 1.7) / 5:.3f}"
    assert row[2] == "0.500"
    [decision] = [row for row in found.rows if row[:1] == ["a"]]
    best = (1.5 + 1.4 + 0.9 + 1.6) / 4 - (1.0 + 1.3) / 2
    worst = (1.5 + 1.0 + 0.9 + 1.3) / 4 - (1.4 + 1.6) / 2
    assert decision[1] == f"y: {best:+.3g} ± 0.087 (2 networks)"
    assert decision[2] == f"z: {worst:+.3g} ± 0.087 (2 networks)"


def test_labels_cannot_run(folder):
    write_watch(folder / "watch.json", record(label=EVIL))
    text = render(folder)
    assert EVIL not in text
    assert EVIL in "".join(cell for row in page(folder).rows for cell in row)


def test_a_changed_file_is_said(folder):
    write_watch(folder / "watch.json", record())
    content = json.loads((folder / "watch.json").read_text())
    content["images"] = 51
    (folder / "watch.json").write_text(json.dumps(content))
    assert "watch.json was changed" in render(folder)

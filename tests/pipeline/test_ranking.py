"""`supernet.rank`: scores of a run beside what its networks are worth, resumed and shown."""

from __future__ import annotations

import json
import shutil
import sqlite3
from dataclasses import replace
from functools import partial
from itertools import pairwise

import numpy as np
import pytest
import torch
from scipy.stats import kendalltau
from torch import nn

import supernet as sn
from supernet.errors import (
    ConfigError,
    DamagedFileError,
    NoNetworkError,
    RunFolderError,
    SpaceError,
)
from supernet.evaluate import Candidate, Scorer, resampling
from supernet.evaluate.rank_correlation import RankCorrelation
from supernet.evaluate.resampling import Interval
from supernet.evaluate.rows import RANK
from supernet.fidelity import Truth, TruthRow
from supernet.fidelity.evidence import _quantiles
from supernet.pipeline import STEPS, execute, open_run, training_free
from supernet.pipeline.fidelity import rank_by_truth, truth_of
from supernet.pipeline.probes import ProbeOptions, probe_strata
from supernet.pipeline.ranking import rank_run
from supernet.pipeline.searched import candidates_of
from supernet.pipeline.training_free import _batch
from supernet.random import derive_seed
from supernet.space import Architecture, OneOf, SearchSpace
from supernet.track.ranking import read_ranking
from supernet.track.records import EvidenceRecord
from supernet.track.report import render
from supernet.train import Plain

OPTIONS = {
    "train.steps": 4,
    "train.batch_size": 16,
    "retrain.train.steps": 3,
    "retrain.train.batch_size": 16,
    "retrain.top": 1,
    "retrain.match": None,
    "search.searcher.count": 4,
}


class Four(nn.Module):
    """Two layers of four options each: 16 networks, of which those with three can be made to fail."""

    fails = False

    def __init__(self, classes: int = 3, bias: bool = True, labels: str = "ab"):
        super().__init__()
        self.layers = nn.Sequential(*(sn.Choice(self.options(), label=one) for one in labels))
        self.head = nn.Linear(6, classes, bias=bias)

    @staticmethod
    def options():
        kinds = (nn.Identity, nn.Tanh, nn.Sigmoid)
        made = {f"{n}": nn.Sequential(nn.Linear(6, 6), kind()) for n, kind in enumerate(kinds)}
        return {**made, "3": Failing()}

    def forward(self, x):
        return self.head(self.layers(x))

    def from_string(self, text):
        return Architecture({"a": text[0], "b": text[1]})


class Failing(nn.Module):
    def forward(self, x):
        return x * float("nan") if Four.fails else x


@pytest.fixture(autouse=True)
def quick(monkeypatch):
    monkeypatch.setattr(resampling, "RESAMPLES", 50)
    monkeypatch.setattr(Four, "fails", False)


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """Return how a run is opened that was trained and searched, and its folder and data."""
    generator = torch.Generator().manual_seed(0)
    inputs = torch.randn(120, 6, generator=generator)
    data = (inputs, inputs[:, :3].argmax(1))
    out = tmp_path_factory.mktemp("ranked") / "run"
    arguments = [f"--{name}={json.dumps(value)}" for name, value in OPTIONS.items()]
    arguments += ["--strategy=spos", "--search.searcher=random"]
    opens = partial(open_run, arguments, objects={"model": Four, "data": data}, progress=False)
    with opens(out=out) as state:
        execute(state, ["train", "search"])
    return opens, out, data


@pytest.fixture
def run(made, tmp_path):
    """Return a copy of the run, as what `supernet.run` returns, and its folder."""
    folder = tmp_path / "run"
    shutil.copytree(made[1], folder)
    again = partial(made[0], out=folder, mode="read")
    return sn.Result(Architecture({}), {}, folder, nn.Identity(), None, again), folder


TABLE = {Architecture({"a": a, "b": b}): float(f"0.{a}{b}1") for a in "0123" for b in "0123"}


def rows(folder):
    """Return who asked for each candidate, and when it was scored."""
    with sqlite3.connect(folder / "candidates.db") as store:
        found = store.execute("SELECT key, searcher, rowid, loss FROM candidates").fetchall()
    return {key: row for key, *row in found}


def test_a_ranking_is_written_and_leaves_the_run_as_it_was(run):
    result, folder = run
    before, metrics = rows(folder), (folder / "metrics.json").read_bytes()
    ranking = sn.rank(result, TABLE)
    assert ranking == read_ranking(folder / "ranking.json")
    assert ranking.figures.n == 16
    assert list(ranking.scores) == ["-loss", "accuracy", "params", "macs", "az_nas", "together"]
    assert dict(zip(ranking.keys, ranking.values, strict=True)) == {
        one.key: value for one, value in TABLE.items()
    }
    after = rows(folder)
    assert {key: after[key] for key in before} == before  # not scored twice
    assert {after[key][0] for key in after.keys() - before.keys()} == {RANK}
    losses = dict(zip(ranking.keys, ranking.scores["-loss"], strict=True))
    assert losses == {key: -row[2] for key, row in after.items() if key in losses}
    assert (folder / "metrics.json").read_bytes() == metrics
    assert len(repr(ranking)) < 1000
    assert ranking.verdict.text in repr(ranking)


def test_scores_without_training_are_compared_and_kept(run, monkeypatch, capsys):
    result, folder = run
    names = ["snip", "az_nas", "naswot"]
    ranking = sn.rank(result, TABLE, training_free=names)
    assert list(ranking.scores)[4:] == ["snip", "az_nas", "together"]
    summed = sum(_quantiles(np.array(ranking.scores[n])) for n in ("accuracy", "-loss", *names[:2]))
    assert kendalltau(summed, ranking.scores["together"]).statistic == pytest.approx(1)
    assert (
        "16 of 16 networks have no naswot: ConfigError: naswot compares" in capsys.readouterr().err
    )
    with result.again() as state:
        space, seed = state.inputs.space, derive_seed(state.run.seed, "training free")
        batch = _batch(state.run, state.inputs)
        expected = sn.training_free_scores(
            state.inputs.supernet, list(space), batch, state.inputs.task, names[:2], seed
        )
    of = dict(zip([one.key for one in space], expected["snip"], strict=True))
    assert dict(zip(ranking.keys, ranking.scores["snip"], strict=True)) == of
    assert len(batch[1]) == 32
    monkeypatch.setattr(training_free, "network_scores", None)  # all are in the file
    assert sn.rank(result, TABLE, training_free=names) == ranking
    assert list(sn.rank(result, TABLE, training_free=[]).scores) == list(ranking.scores)[:4]
    kept = json.loads((folder / "training-free.json").read_text())
    (folder / "training-free.json").write_text(json.dumps({**kept, "identity": "another"}))
    with pytest.raises(TypeError):  # of other data: computed anew
        sn.rank(result, TABLE, training_free=names)


def test_a_verdict_names_the_score_without_training_that_ranks_better(run, monkeypatch):
    worth = {one.key: value for one, value in TABLE.items()}

    def knows(supernet, architecture, parts, *_):
        return dict.fromkeys(parts, worth[architecture.key])

    monkeypatch.setattr(training_free, "network_scores", knows)
    ranking = sn.rank(run[0], TABLE, training_free=["snip"])
    assert ranking.figures.scores["snip"]["kendall_tau"].value == 1
    assert "snip" in ranking.verdict.text


@pytest.mark.parametrize(
    ("names", "words"),
    [
        (["snib"], "no score 'snib'; .*did you mean 'snip'"),
        ("snip", "is a list of names .*not 'snip'"),
        ([3], "is a list of names"),
    ],
)
def test_scores_without_training_of_no_name_are_refused(run, names, words):
    with pytest.raises(ConfigError, match=words):
        sn.rank(run[0], TABLE, training_free=names)


def search_again(made, folder, count):
    """Let the search of a run ask for so many candidates."""
    options = {**OPTIONS, "search.searcher.count": count}
    return sn.run(Four, made[2], strategy="spos", out=folder, options=options, progress=False)


@pytest.mark.slow
def test_what_was_scored_for_its_ranking_is_no_candidate_until_a_search_asks(run, made):
    result, folder = run
    ranking = sn.rank(result, TABLE)

    def of_the_search():
        with result.again() as state:
            return {one.key for one in candidates_of(state.run, state.shared, state.searched)}

    assert len(of_the_search()) == 4
    result = search_again(made, folder, 9)
    assert not (folder / "ranking.json").exists()  # the search was repeated
    kept = rows(folder)
    asked = {key for key, row in kept.items() if row[0] != RANK}
    assert 9 <= len(asked) < 16
    assert of_the_search() == asked
    assert sn.rank(result, TABLE).figures == ranking.figures
    assert rows(folder) == kept


@pytest.mark.slow
def test_fewer_are_drawn_at_random_and_more_are_the_same_and_others(run):
    result = run[0]
    ten, twelve = (sn.rank(result, TABLE, count=count) for count in (10, 12))
    assert len(ten.keys) == 10
    assert twelve.keys[:10] == ten.keys
    assert sn.rank(result, TABLE, count=10, seed=1).keys != ten.keys


@pytest.mark.slow
def test_an_interrupted_ranking_goes_on_to_the_same_end(run, monkeypatch, tmp_path):
    result, folder = run
    opened, add, added = result, Scorer._add, []

    def interrupted(self, candidate, *more):
        if len(added) == 3:
            raise KeyboardInterrupt
        added.append(candidate.key)
        add(self, candidate, *more)

    with monkeypatch.context() as patch:
        patch.setattr(Scorer, "_add", interrupted)
        with pytest.raises(KeyboardInterrupt):
            sn.rank(opened, TABLE)
    assert not (folder / "ranking.json").exists()
    kept = rows(folder)
    assert set(added) <= kept.keys()
    first = sn.rank(opened, TABLE)
    assert {key: rows(folder)[key] for key in kept} == kept
    with sqlite3.connect(folder / "candidates.db") as store:
        store.execute("DELETE FROM candidates WHERE searcher = ?", [RANK])
    assert sn.rank(opened, TABLE) == first


@pytest.mark.slow
def test_networks_that_fail_are_left_out_and_said(run, monkeypatch):
    result, folder = run
    opened = result
    monkeypatch.setattr(Four, "fails", True)
    with sqlite3.connect(folder / "candidates.db") as store:
        store.execute("DELETE FROM candidates")
    with opened.again(mode="run") as state:  # without the checks that see another model
        found = rank_by_truth(state, truth_of(state, TABLE))
        assert (found.figures.n, found.missing) == (9, 7)
        assert found.verdict.kind == "too few"
        assert "left out" in {one.kind for one in found.verdict.cautions}
        assert found.failed[0].role == "candidate"
        only = {one: value for one, value in TABLE.items() if "3" in one.values()}
        more = {**only, **dict(list(TABLE.items())[:4])}
        truth = truth_of(state, more)
        failing = {
            key: one for key, one in truth.networks.items() if "3" in one.architecture.values()
        }
        object.__setattr__(truth, "networks", failing)
        with pytest.raises(NoNetworkError, match="none is left of the 7 networks that were scored"):
            rank_by_truth(state, truth)


@pytest.mark.slow
def test_tables_are_read_as_the_model_writes_them(run, tmp_path):
    file = tmp_path / "t.csv"
    lines = [f"{one['a']}{one['b']},{value}" for one, value in TABLE.items()]
    file.write_text("\n".join(["architecture,value", *lines]))
    found = sn.rank(run[0], file)
    assert found.truth.name == str(file)
    by_keys = {one.key: value for one, value in TABLE.items()}
    assert sn.rank(run[0], by_keys).figures == found.figures


def test_the_report_shows_it_and_says_when_it_was_changed(run):
    result, folder = run
    ranking = sn.rank(result, TABLE)
    page = render(folder)
    assert "How far the scores can be believed" in page
    assert "Changed files" not in page
    path = folder / "ranking.json"
    content = json.loads(path.read_text())
    content["verdict"]["text"] = "It is <b>perfect</b>."
    path.write_text(json.dumps(content))
    changed = render(folder)
    assert "ranking.json was changed since it was written" in changed
    assert "It is &lt;b&gt;perfect&lt;/b&gt;." in changed
    with pytest.raises(DamagedFileError, match="changed since it was written"):
        read_ranking(path)
    path.write_text(json.dumps({**content, "version": 2}))
    with pytest.raises(DamagedFileError, match="version 2, written by a later supernet"):
        render(folder)
    path.write_text(json.dumps({**ranking.to_json(), "figures": 3}))
    with pytest.raises(DamagedFileError, match="at figures there is 3"):
        render(folder)


@pytest.mark.slow
def test_what_is_wrong_is_said_before_anything_is_scored(run, tmp_path):
    result, folder = run
    opened = result
    before = rows(folder)
    for arguments, words in (
        ({"truth": {"0" * 16: 1.0}}, "is the key of no architecture of this space"),
        ({"truth": {3: 1.0}}, "an architecture or the key of one is expected, not 3"),
        ({"truth": dict.fromkeys(TABLE, "good")}, "entry 1: a value is a number, not 'good'"),
        ({"truth": 7}, "a table of what networks are worth is a file"),
        ({"truth": TABLE, "count": 3}, "count is a whole number from 10"),
        ({"truth": TABLE, "seed": -1}, "seed is a whole number"),
    ):
        with pytest.raises(ConfigError, match=words):
            sn.rank(opened, **arguments)
    other = SearchSpace([OneOf("x", range(12))])
    truth = Truth.of("t", "v", [TruthRow(str(n), one, (n,)) for n, one in enumerate(other)], other)
    with pytest.raises(SpaceError, match="no decision 'x'"):
        sn.rank(opened, truth)
    assert rows(folder) == before
    with pytest.raises(RunFolderError, match="is no run folder; give one"):
        sn.rank(tmp_path / "none", TABLE)
    (folder / "supernet.pt").unlink()
    with pytest.raises(RunFolderError, match="supernet"):
        sn.rank(opened, TABLE)


@pytest.mark.slow
def test_a_run_that_was_trained_and_not_searched_is_ranked_and_then_searched(made, tmp_path):
    out = tmp_path / "run"
    opened = partial(made[0], out=out)

    with opened() as state:
        execute(state, ["train"])
    with opened() as state:
        ranking = rank_run(state, TABLE)
    assert len(rows(out)) == 16
    with opened() as state:
        execute(state, [step for step in STEPS if step != "report"])
        assert state.run.folder.metrics.search.candidates == 4
    assert sum(row[0] != RANK for row in rows(out).values()) >= 4
    assert not (out / "ranking.json").exists() or ranking == read_ranking(out / "ranking.json")


PROBES = {"probes": 12, "twice": 3, "train": {"steps": 4, "log_every": 1, "checkpoint_seconds": 0}}


def trained(folder):
    """Return the digests of the checkpoints of probes by name."""
    return {
        path.name: torch.load(path, weights_only=True)["digest"]
        for path in (folder / "probes").glob("*.pt")
        if "previous" not in path.name
    }


@pytest.mark.slow
def test_probes_are_trained_alone_some_of_them_twice(run):
    result, folder = run
    ranking = sn.rank(result, **PROBES)
    assert ranking == read_ranking(folder / "ranking.json")
    assert ranking.truth.kind == "probes"
    assert ranking.figures.n == 12
    assert sorted(ranking.probes.strata) == sorted([0, 1, 2, 3, 4, 5] * 2)
    assert sorted(ranking.probes.trainings) == [1] * 9 + [2] * 3
    assert ranking.probes.train["steps"] == 4
    assert ranking.ceiling.source == "spread"
    assert ranking.ceiling.networks == 3
    assert len(trained(folder)) == 15
    assert {f"{key}-0.pt" for key in ranking.keys} <= trained(folder).keys()
    assert len(set(trained(folder).values())) == 15  # a second training has weights of its own
    assert "12 probes, as many of each of 6 strata" in repr(ranking)
    assert "How far the scores can be believed" in render(folder)


@pytest.mark.slow
def test_probes_may_be_of_a_smaller_model(run):
    result, folder = run
    whole = sn.rank(result, **PROBES)
    assert whole.probes.model == {}
    ranking = sn.rank(result, **PROBES, model={"bias": False})
    assert ranking.probes.model == {"bias": False}
    assert ranking.keys == whole.keys
    assert ranking.values != whole.values
    for key in ranking.keys:
        kept = torch.load(folder / "probes" / f"{key}-0.pt", weights_only=True)
        assert "head.bias" not in kept["model"]


@pytest.mark.parametrize(
    ("model", "words"),
    [
        ({"labels": "abc"}, "--model makes a model whose decisions differ"),
        ({"bios": 1}, "bios"),
        ([1], 'model is a mapping such as {"channels": 8}'),
    ],
)
def test_probes_of_a_model_that_cannot_be_are_refused(run, model, words):
    with pytest.raises(ConfigError, match=words):
        sn.rank(run[0], **PROBES, model=model)


@pytest.mark.slow
def test_probes_teach_what_all_scores_tell_together(run):
    result, folder = run
    ranking = sn.rank(result, **PROBES)
    told = ranking.evidence
    assert (*told.scores, "together") == tuple(ranking.scores)
    assert told.start == "-loss and accuracy and az_nas"
    assert told.alone.n == told.left_out.n == ranking.figures.n
    assert len(set(told.best)) == 10
    assert ranking.sentences().startswith(ranking.verdict.sentences())
    assert told.text() in ranking.sentences()
    assert told.text() in render(folder)
    few = sn.rank(result, **{**PROBES, "probes": 4})
    assert few.evidence is None
    assert few.sentences() == few.verdict.sentences()


def test_what_scores_tell_together_is_said_with_how_sure_that_is():
    def correlation(value, low):
        return RankCorrelation(value, low, 0.9, 0.95, 24, True)

    told = EvidenceRecord(
        scores=("accuracy", "params"),
        start="accuracy",
        left_out=correlation(0.7, 0.4),
        alone=correlation(0.5, 0.2),
        over=Interval(0.2, 0.05, 0.35, 0.95),
        best=("k1", "k2", "k3", "k4"),
    )
    said = (
        "All evidence predicts what a left-out probe is worth with τ 0.70, accuracy alone with 0.50"
    )
    assert told.text() == f"{said} (higher by 0.05 to 0.35). Most promising: k1, k2, k3."
    unsure = replace(told, over=Interval(0.2, -0.05, 0.35, 0.95))
    assert unsure.text().startswith(f"{said}: no more, as far as can be told. Most promising: k1")
    chance = replace(told, left_out=correlation(0.7, -0.1))
    assert chance.text() == f"{said}: not beyond chance; train more probes, or for longer."
    nothing = replace(told, left_out=replace(told.left_out, kendall_tau=None))
    assert nothing.text() == ""


@pytest.mark.slow
def test_interrupted_probes_end_in_the_same_bits(run, monkeypatch):
    result, folder = run
    whole = sn.rank(result, **PROBES)
    expected = trained(folder)
    shutil.rmtree(folder / "probes")
    (folder / "ranking.json").unlink()
    backward, calls = Plain.backward, []

    def killed(self, *arguments):
        calls.append(1)
        if len(calls) % 14 == 0:  # in the midst of a fourth probe
            raise KeyboardInterrupt
        return backward(self, *arguments)

    monkeypatch.setattr(Plain, "backward", killed)
    again = None
    while again is None:
        try:
            again = sn.rank(result, **PROBES)
        except KeyboardInterrupt:
            assert not (folder / "ranking.json").exists()
    assert len(calls) < 60 + 10  # what was trained is not trained again
    assert trained(folder) == expected
    assert replace(again, probes=None) == replace(whole, probes=None)


@pytest.mark.slow
def test_probes_that_fail_are_left_out_and_all_failing_is_said(run, monkeypatch, capsys):
    result, folder = run
    backward = Plain.backward

    def diverges(self, model, *arguments):
        loss = backward(self, model, *arguments)
        return loss * float("nan") if fails(model) else loss

    failing = [nn.Tanh]

    def fails(model):
        return any(isinstance(module, tuple(failing)) for module in model.modules())

    monkeypatch.setattr(Plain, "backward", diverges)
    ranking = sn.rank(result, **PROBES)
    assert 3 < ranking.figures.n < 12
    assert {one.role for one in ranking.failed} == {"probe"}
    assert all((folder / one.file).exists() for one in ranking.failed)
    capsys.readouterr()
    assert sn.rank(result, **PROBES).failed == ranking.failed
    assert "failed before, and is not tried again" in capsys.readouterr().err
    failing.append(nn.Linear)
    shutil.rmtree(folder / "probes")
    with pytest.raises(NoNetworkError, match="none is left of the 15 trainings of 12 probes"):
        sn.rank(result, **PROBES)


@pytest.mark.slow
def test_options_of_probes_are_checked(run):
    result, folder = run
    for arguments, words in (
        ({"probes": 2}, "probes is a whole number from 3"),
        ({"seeds": 0}, "seeds is a whole number from 1"),
        ({"train": {"step": 3}}, "step"),
        ({"train": {"steps": 0}}, "retrain.train.steps is 0"),
        ({"train": 3}, 'train is a mapping such as {"steps": 500}'),
        ({"truth": TABLE, "train": {"steps": 3}}, "nothing is trained where a truth is given"),
    ):
        with pytest.raises(ConfigError, match=words):
            sn.rank(result, **arguments)
    assert not (folder / "probes").exists()


def test_strata_are_of_equal_size_by_cost_and_score():
    random = np.random.default_rng(0)
    pool = [
        Candidate(f"{n:03}", Architecture({"a": str(n)}), "ok", float(loss), None, {"macs": n // 3})
        for n, loss in enumerate(random.normal(size=96))
    ]
    strata = probe_strata(pool, 8)
    assert np.bincount(strata).tolist() == [12] * 8
    macs = np.array([one.costs["macs"] for one in pool])
    loss = np.array([one.loss for one in pool])
    cheap = np.array(strata) < 4
    assert macs[cheap].max() <= macs[~cheap].min()
    for band in ((0, 1, 2, 3), (4, 5, 6, 7)):
        of_each = [loss[np.array(strata) == number] for number in band]
        assert all(a.max() < b.min() for a, b in pairwise(of_each))
    assert probe_strata(pool, 7) == probe_strata(pool[::-1], 7)[::-1]


def test_some_probes_are_trained_twice_spread_over_all():
    assert ProbeOptions(twice=4).trainings(16) == [2, 1, 1, 1] * 4
    assert ProbeOptions(twice=0).trainings(3) == [1, 1, 1]
    assert ProbeOptions(twice=9).trainings(3) == [2, 2, 2]
    assert ProbeOptions(seeds=3).trainings(2) == [3, 3]

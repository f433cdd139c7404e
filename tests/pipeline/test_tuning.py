"""Scores after a short training as an option of a run, of its ranking, and of finalists alone."""

from __future__ import annotations

import json
import shutil
import sqlite3

import pytest
import torch
from torch import nn

import supernet as sn
from supernet.errors import ConfigError, NoNetworkError
from supernet.evaluate import Evaluator, resampling
from supernet.pipeline import execute, open_run, trials
from supernet.pipeline.ranking import rank_run
from supernet.pipeline.scoring import protocol_as
from supernet.track.ranking import read_ranking
from supernet.track.report import render


class Net(nn.Module):
    """Twelve networks, of which those without a hidden layer learn least."""

    def __init__(self, classes: int = 3, width: int = 8):
        super().__init__()
        self.a = sn.Choice({"linear": nn.Linear(6, width), "deep": deep(width)})
        self.b = sn.Choice(
            {"skip": nn.Identity(), "tanh": nn.Tanh(), "one": nn.Linear(width, width)}
        )
        self.c = sn.Choice({"skip": nn.Identity(), "norm": nn.BatchNorm1d(width)})
        self.head = nn.Linear(width, classes)

    def forward(self, x):
        return self.head(self.c(self.b(self.a(x))))


def deep(width):
    return nn.Sequential(nn.Linear(6, width), nn.ReLU())


OPTIONS = {
    "train.steps": 2,
    "train.batch_size": 16,
    "retrain.train.steps": 3,
    "retrain.train.batch_size": 16,
    "retrain.top": 2,
    "retrain.probes": 3,
    "retrain.match": None,
    "evaluate.tune.steps": 5,
    "evaluate.tune.rate": 1.0,
    "evaluate.rank_by": "loss",
}

TEXT = "5 steps of 16 examples at 1.0 of the learning rate"


@pytest.fixture(autouse=True)
def quick(monkeypatch):
    monkeypatch.setattr(resampling, "RESAMPLES", 50)


@pytest.fixture(scope="module")
def data():
    inputs = torch.randn(120, 6, generator=torch.Generator().manual_seed(0))
    return inputs, inputs[:, :3].argmax(1)


def opened(data, out, mode="run", **options):
    """Open a folder with these options."""
    given = {"strategy": "spos", "search.searcher": "exhaustive", **OPTIONS, **options}
    arguments = [
        f"--{name}={one if isinstance(one, str) else json.dumps(one)}"
        for name, one in given.items()
    ]
    objects = {"model": Net, "data": data}
    return open_run(arguments, out, objects=objects, progress=False, mode=mode)


def search(data, out, *, steps=("train", "search"), **options):
    """Run steps in a folder; return what they found."""
    with opened(data, out, **options) as state:
        execute(state, steps)
        return state.run.folder.metrics


def rows(folder, *columns):
    """Return columns of all candidates, by key and tuning."""
    with sqlite3.connect(folder / "candidates.db") as store:
        query = f"SELECT key, tuning, {', '.join(columns)} FROM candidates ORDER BY rowid"
        found = store.execute(query).fetchall()
    store.close()
    return {(key, tuning): tuple(values) for key, tuning, *values in found}


@pytest.fixture(scope="module")
def made(data, tmp_path_factory):
    """Return a folder in which all candidates were tuned, which no test changes, and what was found."""
    folder = tmp_path_factory.mktemp("tuned") / "run"
    return folder, search(data, folder)


@pytest.fixture
def copy(made, tmp_path):
    folder = tmp_path / "run"
    shutil.copytree(made[0], folder)
    return folder


def test_the_record_and_the_report_say_how_candidates_were_scored(made):
    folder, metrics = made
    found = metrics.search
    assert found.protocol.tuning == TEXT
    assert (found.tuned, found.candidates, found.shared) == (12, 12, False)
    assert 0 < found.tune_seconds < found.seconds
    spent = sum(seconds for (seconds,) in rows(folder, "tune_seconds").values())
    assert found.tune_seconds == pytest.approx(spent, abs=1e-3)
    assert f"Trained before the score: 12 networks, {TEXT} each" in render(folder)


def test_other_options_of_the_tuning_repeat_the_search_alone(made, copy, data):
    before, trained = rows(copy, "loss"), (copy / "supernet.pt").read_bytes()
    other = search(data, copy, **{"evaluate.tune.rate": 0.1})
    assert (copy / "supernet.pt").read_bytes() == trained
    assert other.train == made[1].train
    assert other.search.protocol.tuning == TEXT.replace("1.0", "0.1")
    plain = search(data, copy, **{"evaluate.tune.steps": 0}).search
    assert (plain.tuned, plain.tune_seconds, plain.protocol.tuning) == (0, None, "")
    assert not {"tuned", "tune_seconds", "finalists"} & plain.to_json().keys()
    losses = rows(copy, "loss")
    assert {key: losses[key] for key in before} == before
    assert {tuning for _, tuning in losses} == {TEXT, TEXT.replace("1.0", "0.1"), ""}
    assert len(set(losses.values())) == len(losses) == 36


def test_an_interrupted_search_goes_on_to_the_same_bits(made, copy, data):
    with sqlite3.connect(copy / "candidates.db") as store:
        store.execute("DELETE FROM candidates WHERE rowid > 5")
    store.close()
    kept = rows(copy, "loss", "tune_seconds")
    metrics = json.loads((copy / "metrics.json").read_text())
    kept_sections = {n: one for n, one in metrics.items() if n not in ("search", "digest")}
    (copy / "metrics.json").write_text(json.dumps(kept_sections))
    found = search(data, copy).search
    assert rows(copy, "loss", "accuracy") == rows(made[0], "loss", "accuracy")
    after = rows(copy, "loss", "tune_seconds")
    assert {key: after[key] for key in kept} == kept  # not tuned again
    assert found.selected == made[1].search.selected
    spent = sum(seconds for _, seconds in after.values())  # before the interruption, too
    assert found.tune_seconds == pytest.approx(spent, abs=1e-3)


def test_finalists_are_selected_by_tuned_scores_and_all_else_is_as_without(made, copy, data):
    count = 5
    found = search(data, copy, **{"evaluate.tune.finalists": count}).search
    tuned, shared = (
        {k: loss for (k, t), (loss,) in rows(copy, "loss").items() if t == one}
        for one in (TEXT, "")
    )
    assert found.protocol.tuning == ""
    assert (found.finalists.protocol.tuning, found.tuned) == (TEXT, count)
    best = sorted(shared, key=shared.get)[:count]
    assert sorted(best, key=tuned.get)[:2] != best[:2]  # or nothing could be told apart
    top = [one for one in found.selected if one.role == "top"]
    assert [one.key for one in top] == sorted(best, key=tuned.get)[:2]
    for one in found.selected:  # probes and the best are compared by the same scores
        assert one.supernet["loss"] == shared[one.key]
    assert found.tune_seconds < made[1].search.tune_seconds
    assert "Trained before the score: 5 networks" in render(copy)


@pytest.mark.slow
def test_finalists_that_all_fail_end_the_search(copy, data):
    options = {"evaluate.tune.finalists": 4, "evaluate.tune.rate": 1e30}
    with pytest.raises(NoNetworkError, match="none is left of the 4 finalists") as caught:
        search(data, copy, **options)
    assert "With another --evaluate.tune.rate" in str(caught.value)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"evaluate.tune.steps": -1}, "evaluate.tune.steps must be at least 0"),
        ({"evaluate.tune.rate": 0}, "a share of the learning rate above 0"),
        ({"evaluate.tune.finalists": 0}, "evaluate.tune.finalists must be at least 1"),
        ({"evaluate.tune.finalists": 1}, "give at least as many finalists"),
        ({"evaluate.race": 0.05}, "tune only the best with evaluate.tune.finalists"),
        (
            {"retrain.weights": "inherited", "retrain.train.steps": 0},
            "retrain.weights inherited with retrain.train.steps 0 uses them without",
        ),
    ],
)
def test_options_that_do_not_fit_are_refused(data, tmp_path, options, words):
    with pytest.raises(ConfigError, match=words):
        search(data, tmp_path / "run", **options)
    assert not (tmp_path / "run" / "supernet.pt").exists()


def ranked(data, out, **options):
    """Rank all networks of a run, of which most were scored before."""
    with opened(data, out, **options) as state:
        truth = {one: number / 10 for number, one in enumerate(state.inputs.space)}
        return rank_run(state, truth)


@pytest.mark.slow
def test_a_ranking_is_one_of_tuned_scores_also_where_nothing_was_searched(
    made, copy, data, tmp_path
):
    found = ranked(data, copy)
    losses = {key: loss for (key, _), (loss,) in rows(made[0], "loss").items()}
    assert dict(zip(found.keys, found.scores["-loss"], strict=True)) == {
        key: -loss for key, loss in losses.items()
    }
    assert (found.protocol.tuning, found.tune_seconds > 0) == (TEXT, True)
    assert f"Trained before the score: 12 networks, {TEXT} each" in found.sentences()
    assert read_ranking(copy / "ranking.json") == found
    for name in ("candidates.db", "ranking.json"):
        (copy / name).unlink()
    metrics = json.loads((copy / "metrics.json").read_text())
    kept = {n: one for n, one in metrics.items() if n not in ("search", "digest")}
    (copy / "metrics.json").write_text(json.dumps(kept))
    assert ranked(data, copy).scores == found.scores
    # Where only finalists are tuned, the ranking is that of all others.
    plain = ranked(data, copy, **{"evaluate.tune.finalists": 5})
    assert (plain.protocol.tuning, plain.tune_seconds) == ("", 0)
    assert "Trained before" not in plain.sentences()


@pytest.mark.slow
@pytest.mark.parametrize("finalists", [None, 5])
def test_a_table_that_was_lost_is_made_whole_and_later_steps_stay(copy, data, finalists):
    steps = ("search", "retrain", "test")
    options = {"evaluate.tune.finalists": finalists, "search.searcher": "random"}
    options |= {"search.searcher.count": 8}
    first = search(data, copy, steps=steps, **options)
    before = rows(copy, "loss")
    (copy / "candidates.db").unlink()
    again = search(data, copy, steps=steps, **options)
    assert (again.retrain, again.test) == (first.retrain, first.test)  # also their seconds
    after = rows(copy, "loss")
    assert after.items() <= before.items()
    random = {one.key for one in again.retrain.baselines.networks}
    assert random <= {key for key, tuning in after if (tuning == TEXT) == (finalists is None)}


@pytest.mark.slow
def test_the_next_best_finalist_takes_the_place_of_one_that_fails(copy, data, monkeypatch):
    options = {"evaluate.tune.finalists": 5, "retrain.probes": 0}
    found = search(data, copy, **options).search
    losses = rows(copy, "loss")
    best = sorted((key for key, tuning in losses if not tuning), key=lambda key: losses[key, ""])
    order = sorted(best[:5], key=lambda key: losses[key, TEXT])
    first = found.selected[0]
    assert first.key == order[0]
    train = trials.fit

    def failing(run, inputs, train_options, stage, *rest, **named):
        if first.key in stage:
            raise ConfigError("refused")
        return train(run, inputs, train_options, stage, *rest, **named)

    monkeypatch.setattr(trials, "fit", failing)
    retrain = search(data, copy, steps=("retrain",), **options).retrain
    assert [one.key for one in retrain.substitutes] == [order[2]]
    assert retrain.substitutes[0].supernet["loss"] == losses[order[2], ""][0]


@pytest.mark.slow
def test_parts_of_a_split_supernet_are_tuned_with_their_own_weights(data, tmp_path):
    split = {"few_shot.decision": "a", "few_shot.train.steps": 4, "few_shot.train.batch_size": 16}
    folder, steps = tmp_path / "run", ("train", "few_shot", "search")
    found = search(data, folder, steps=steps, **split).search
    assert (found.tuned, found.failed) == (12, 0)
    with opened(data, folder, "read", **split) as state:
        protocol = protocol_as(state.run, state.inputs, found.protocol)
        losses = rows(folder, "loss")
        for part in state.shared.parts.values():
            splits, normalise = state.inputs.splits, state.inputs.normalise
            parts = (splits.search, splits.train, normalise, protocol)
            one = Evaluator(part, state.inputs.task, *parts)
            for architecture in list(part.space)[:2]:
                assert one.score(architecture)["loss"] == losses[architecture.key, TEXT][0]


MODELS = {
    "smash": ["--model=smash", "--model.channels=2", "--model.banks=2", "--model.stages=[2,1]"],
    "others": ["--model=nasbench-macro", "--model.channels=4", "--model.stages=[2,1]"],
}


@pytest.mark.slow
@pytest.mark.parametrize("strategy", ["smash", "darts", "fairnas", "sandwich"])
def test_candidates_of_other_strategies_are_tuned(strategy, tmp_path):
    options = {
        "train.steps": 4,
        "train.batch_size": 32,
        "evaluate.tune.steps": 2,
        "split.limit": 300,
    }
    given = [f"--{name}={json.dumps(one)}" for name, one in options.items()]
    given += ["--search.searcher=random", "--search.searcher.count=3", f"--strategy={strategy}"]
    given += MODELS["smash" if strategy == "smash" else "others"]
    with open_run([*given, "--data=digits"], tmp_path / "run", progress=False) as state:
        execute(state, ["train", "search"])
        found = state.run.folder.metrics.search
    assert (found.tuned, found.failed) == (3, 0)

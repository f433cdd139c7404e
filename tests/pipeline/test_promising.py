"""`retrain.promising`: networks that all evidence names are retrained, and may be chosen."""

from __future__ import annotations

import contextlib
import json
import shutil
from dataclasses import replace

import numpy as np
import pytest
import torch
from scipy import stats
from torch import nn

import supernet as sn
from supernet.errors import ConfigError, NoNetworkError
from supernet.evaluate.rows import candidate_rows
from supernet.fidelity import Evidence
from supernet.pipeline import open_run, promising
from supernet.pipeline.training_free import _batch
from supernet.random import derive_seed
from supernet.track import RunFiles
from supernet.track.report import render
from supernet.train import Plain
from supernet.training_free import network_scores
from supernet.training_free.az_nas import log_ranks

OPTIONS = {
    "train.steps": 4,
    "train.batch_size": 16,
    "retrain.train.steps": 6,
    "retrain.train.batch_size": 16,
    "retrain.train.log_every": 1,
    "retrain.train.checkpoint_seconds": 0,
    "retrain.top": 1,
    "retrain.probes": 9,
    "retrain.promising": 3,
    "retrain.match": None,
    "search.searcher.count": 30,
}


class Wide(nn.Module):
    """Three layers of widths 1 to 4: 64 networks, the wider the better on what is to be learned."""

    def __init__(self, classes, bias=True, layers=3):
        super().__init__()
        options = (1, 2, 4, 6)
        layers = [sn.Choice({str(n): Bottleneck(6, n) for n in options}) for _ in range(layers)]
        self.layers = nn.Sequential(*layers)
        self.head = nn.Linear(6, classes, bias=bias)

    def forward(self, x):
        return self.head(self.layers(x))


class Bottleneck(nn.Sequential):
    def __init__(self, features, inner):
        super().__init__(nn.Linear(features, inner), nn.ReLU(), nn.Linear(inner, features))


def data():
    inputs = torch.randn(160, 6, generator=torch.Generator().manual_seed(0))
    return inputs, inputs[:, :3].argmax(1)


def objects():
    return {"model": Wide, "data": data()}


def searched(out, **options):
    return sn.run(
        Wide,
        data(),
        strategy="spos",
        searcher="random",
        out=out,
        options={**OPTIONS, **options},
        progress=False,
    )


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    """Return the folder of a run with three promising networks."""
    out = tmp_path_factory.mktemp("promising") / "run"
    searched(out)
    return out


def record(folder):
    return RunFiles.read(folder).metrics.retrain


def test_promising_networks_are_retrained_like_the_others_and_compared(finished):
    found = record(finished)
    roles = [one.role for one in found.candidates]
    assert roles.count("promising") == 3
    assert roles[-1] == "random"
    keys = [one.key for one in found.candidates if one.role != "probe" or not one.probe]
    assert len(set(keys)) == len(keys)  # none is another's
    assert [one.key for one in found.promising] == [
        one.key for one in found.candidates if one.role == "promising"
    ]
    best = max(
        found.candidates, key=lambda one: (one.validation["accuracy"], -one.validation["loss"])
    )
    assert found.chosen == best.key
    for one in found.promising:
        assert one.key not in {b.key for b in found.baselines.networks}
    told = found.evidence
    assert told.start == "-loss and accuracy and az_nas and naswot"
    assert set(told.scores) == {"accuracy", "-loss", "params", "macs", "az_nas", "naswot"}
    assert told.left_out.n == len({one.key for one in found.candidates[:-1]}) - 1  # not the last
    assert told.text() in render(finished)


def test_the_last_is_the_one_that_is_expected_to_be_best(finished):
    found = record(finished)
    trained = {one.key for one in found.candidates if one.role != "random"} - {
        found.promising[-1].key
    }
    assert next(key for key in found.evidence.best if key not in trained) == found.promising[-1].key


@pytest.mark.slow
def test_an_interrupted_run_ends_with_the_same_networks(finished, tmp_path, monkeypatch):
    folder = tmp_path / "run"
    backward, calls = Plain.backward, []

    def killed(self, *arguments):
        calls.append(1)
        if len(calls) % 25 == 0:
            raise KeyboardInterrupt
        return backward(self, *arguments)

    monkeypatch.setattr(Plain, "backward", killed)
    again = None
    while again is None:
        try:
            again = searched(folder)
        except KeyboardInterrupt:
            assert record(folder) is None
    first, second = record(finished), record(folder)
    assert replace(second, seconds=None) == replace(first, seconds=None)


@pytest.mark.slow
def test_other_numbers_of_them_repeat_the_retraining_alone(finished, tmp_path):
    folder = tmp_path / "run"
    shutil.copytree(finished, folder)
    before = RunFiles.read(folder).metrics
    searched(folder, **{"retrain.promising": 1})
    after = RunFiles.read(folder).metrics
    assert after.search == before.search
    assert len(after.retrain.promising) == 1
    searched(folder, **{"retrain.promising": 0})
    assert record(folder).promising == ()
    assert record(folder).evidence is None


def test_one_that_fails_gives_way_to_the_next(finished, tmp_path, monkeypatch):
    folder = tmp_path / "run"
    shutil.copytree(finished, folder)
    first = record(folder).promising[0].key
    outcomes = promising.Trials.outcomes

    def failing(self, selected):
        if selected[0].key == first and selected[0].role == "promising":
            return []
        return outcomes(self, selected)

    monkeypatch.setattr(promising.Trials, "outcomes", failing)
    searched(folder, **{"retrain.promising": 2})
    keys = [one.key for one in record(folder).promising]
    assert len(keys) == 2
    assert first not in keys


@pytest.mark.slow
def test_without_probes_it_is_the_scores_together(finished, tmp_path):
    folder = tmp_path / "run"
    shutil.copytree(finished, folder)
    searched(folder, **{"retrain.probes": 0, "retrain.promising": 2})
    found = record(folder)
    assert found.evidence is None
    rows, _ = candidate_rows(folder / "candidates.db")
    kept = json.loads((folder / "training-free.json").read_text())["scores"]
    parts = ["az_expressivity", "az_progressivity", "az_trainability", "az_complexity"]
    columns = [
        [one.accuracy for one in rows],
        [-one.loss for one in rows],
        log_ranks([[kept[one.key][part] for one in rows] for part in parts]),
        [kept[one.key]["naswot"] for one in rows],
    ]
    quantiles = [stats.norm.ppf((stats.rankdata(one) - 0.5) / len(rows)) for one in columns]
    order = np.argsort(-np.sum(quantiles, axis=0), kind="stable")
    top = found.candidates[0].key
    keys = [rows[i].key for i in order if rows[i].key != top]
    assert [one.key for one in found.promising] == keys[:2]


@pytest.mark.slow
def test_scores_without_training_are_of_the_networks_as_they_are_retrained(tmp_path):
    folder = tmp_path / "run"
    searched(folder, **{"retrain.model": {"bias": False}, "retrain.evidence": ["snip"]})
    kept = json.loads((folder / "training-free.json").read_text())["scores"]
    with open_run([], folder, progress=False, mode="read", objects=objects()) as state:
        seed = derive_seed(state.run.seed, "training free")
        batch = _batch(state.run, state.inputs)
        space = state.inputs.space
    supernet = sn.SuperNet(Wide(3, bias=False))
    for key, row in kept.items():
        one = next(one for one in space if one.key == key)
        assert row == network_scores(supernet, one, ["snip"], batch, seed=seed)


SHORT = {
    "retrain.probes": 0,
    "retrain.promising": 2,
    "retrain.short.networks": 12,
    "retrain.short.steps": 3,
    "retrain.short.model": {"bias": False},
}


@pytest.fixture(scope="module")
def taught(finished, tmp_path_factory):
    """Return the folder of a run whose evidence was learned from short trainings."""
    folder = tmp_path_factory.mktemp("taught") / "run"
    shutil.copytree(finished, folder)
    searched(folder, **SHORT)
    return folder


def test_short_trainings_teach_which_networks_are_promising(taught):
    found = record(taught)
    short = found.short
    assert len(set(short.keys)) == 12
    assert (short.steps, short.model, short.failed) == (3, {"bias": False}, ())
    for key, value in zip(short.keys, short.values, strict=True):
        kept = torch.load(taught / "probes" / f"{key}-0.pt", weights_only=True)
        assert kept["step"] == 3
        assert "head.bias" not in kept["model"]
        assert 0 <= value <= 1
    # They are the two that all evidence expects to be best, of those that were not retrained before.
    before = {one.key for one in found.candidates if one.role == "top"}
    assert found.evidence.left_out.n == 12
    expected = [key for key in found.evidence.best if key not in before][:2]
    assert [one.key for one in found.promising] == expected
    assert found.evidence.text() in render(taught)


def test_the_second_half_of_short_trainings_is_drawn_by_what_the_first_taught(
    taught, tmp_path, monkeypatch
):
    folder = tmp_path / "run"
    shutil.copytree(taught, folder)
    next_probes, asked = Evidence.next_probes, []

    def spy(self, count, seed=0, known=()):
        found = next_probes(self, count, seed, known)
        asked.append((list(known), found, self.left_out.n))
        return found

    monkeypatch.setattr(Evidence, "next_probes", spy)
    searched(folder, **{**SHORT, "retrain.promising": 1})  # repeats what is drawn, trains nothing
    ((known, drawn, lessons),) = asked
    assert (len(set(known)), len(set(drawn)), lessons) == (8, 4, 8)
    assert not set(known) & set(drawn)
    assert record(folder).short == replace(
        record(taught).short, seconds=record(folder).short.seconds
    )


@pytest.mark.slow
def test_short_trainings_that_were_interrupted_end_the_same(
    taught, finished, tmp_path, monkeypatch
):
    folder = tmp_path / "run"
    shutil.copytree(finished, folder)
    backward, calls = Plain.backward, []

    def killed(self, *arguments):
        calls.append(1)
        if len(calls) % 10 == 0:
            raise KeyboardInterrupt
        return backward(self, *arguments)

    monkeypatch.setattr(Plain, "backward", killed)
    again = None
    while again is None:
        with contextlib.suppress(KeyboardInterrupt):
            again = searched(folder, **SHORT)
    first, second = record(taught), record(folder)
    assert replace(second, seconds=None, short=None) == replace(first, seconds=None, short=None)
    assert replace(second.short, seconds=0.0) == replace(first.short, seconds=0.0)


def test_short_trainings_that_all_fail_end_the_retraining(finished, tmp_path, monkeypatch):
    folder = tmp_path / "run"
    shutil.copytree(finished, folder)

    def fails(self, model, *arguments):
        raise RuntimeError("no such operator")

    monkeypatch.setattr(Plain, "backward", fails)
    with pytest.raises(NoNetworkError, match=r"(?s)8 trainings of .*retrain\.short"):
        searched(folder, **{**SHORT, "retrain.top": 1})


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"retrain.short.networks": 7}, "retrain.short.networks is 7, but 8 are the fewest"),
        (
            {"retrain.short.networks": 8, "retrain.promising": 0},
            "nothing is asked of what they teach",
        ),
        (
            {"retrain.short.networks": 8, "retrain.short.steps": 0},
            "short.steps must be at least 1, and .*trust",
        ),
        ({**SHORT, "retrain.short.trust": 1.5}, "short.trust a share above 0, at most 1"),
        ({**SHORT, "retrain.short.model": {"bios": 1}}, "bios"),
        (
            {**SHORT, "retrain.short.model": {"layers": 2}},
            "retrain.short.model makes a model whose",
        ),
        ({"retrain.model": {"layers": 2}}, "retrain.model makes a model whose decisions differ"),
        ({"retrain.evidence": ["az_nos"]}, "no score 'az_nos'"),
        ({"retrain.promising": -1}, "retrain.promising at least 0, not .* and -1"),
    ],
)
def test_what_cannot_be_told_is_refused_before_anything_is_trained(tmp_path, options, words):
    with pytest.raises(ConfigError, match=words):
        searched(tmp_path / "run", **options)
    assert not (tmp_path / "run" / "supernet.pt").exists()

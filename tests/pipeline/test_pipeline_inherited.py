"""Retraining from the supernet's weights, from fresh ones, and from both."""

from __future__ import annotations

import json

import pytest
import torch
from torch import nn

import supernet as sn
from supernet import elastic as el
from supernet.errors import ConfigError
from supernet.pipeline.scoring import validate
from supernet.task import Classification
from supernet.track import print_table, result_table
from supernet.track.metrics import Metrics
from supernet.track.report import render

SIZE = 6


def conv(width: int, kernel: int) -> nn.Module:
    return nn.Sequential(
        nn.Conv2d(width, width, kernel, padding=kernel // 2, bias=False),
        nn.BatchNorm2d(width),
        nn.ReLU(),
    )


class Net(nn.Module):
    """Operations and inputs to choose, with batch norm between."""

    def __init__(self, classes: int = 3, width: int = 4):
        super().__init__()
        self.stem = nn.Conv2d(1, width, 3, padding=1)
        self.a = sn.Choice({"conv1": conv(width, 1), "conv3": conv(width, 3)}, label="a")
        self.b = sn.Choice([nn.Identity(), conv(width, 3)], pick=(1, 2), label="b")
        self.head = nn.Linear(width, classes)

    def forward(self, images):
        return self.head(self.b(self.a(self.stem(images))).mean((2, 3)))


class Slim(nn.Module):
    """Numbers to choose."""

    def __init__(self, classes: int = 3):
        super().__init__()
        width, kernel = el.Dimension("width", [2, 3, 4]), el.Dimension("kernel", [1, 3])
        self.stem = nn.Sequential(el.Conv2d(1, width, kernel), el.BatchNorm2d(width), nn.ReLU())
        self.head = el.Linear(width, classes)

    def forward(self, images):
        return self.head(self.stem(images).mean((2, 3)))


class Straight(nn.Module):
    """Without batch norm."""

    def __init__(self, classes: int = 3):
        super().__init__()
        self.a = sn.Choice({"linear": nn.Linear(SIZE**2, 4), "tanh": tanh()}, label="a")
        self.head = nn.Linear(4, classes)

    def forward(self, images):
        return self.head(self.a(images.flatten(1)))


def tanh() -> nn.Module:
    return nn.Sequential(nn.Linear(SIZE**2, 4), nn.Tanh())


OPTIONS = {
    "train.steps": 8,
    "train.batch_size": 16,
    "few_shot.train.steps": 4,
    "few_shot.train.batch_size": 16,
    "retrain.train.steps": 5,
    "retrain.train.batch_size": 16,
    "retrain.top": 2,
    "evaluate.batch_size": 32,
    "evaluate.calibration_batches": 2,
}


@pytest.fixture(scope="module")
def data():
    random = torch.Generator().manual_seed(0)
    labels = torch.arange(150) % 3
    images = torch.randint(0, 120, (150, 1, SIZE, SIZE), dtype=torch.uint8, generator=random)
    images[:, :, :3] += (40 * labels).to(torch.uint8)[:, None, None, None]
    return images, labels


def search(data, out, model=Net, options=None, **changes):
    arguments = {"strategy": "spos", "searcher": "exhaustive", **changes}
    if arguments["strategy"] == "darts":
        arguments["searcher"] = "learned"
    given = {**OPTIONS, **(options or {})}
    return sn.run(model, data, out=out, progress=False, options=given, **arguments)


SUPERNETS = {
    "spos": (Net, {}, {}),
    "few-shot": (Net, {}, {"few_shot.decision": "a"}),
    "elastic": (Slim, {"strategy": "sandwich"}, {}),
    "darts": (Net, {"strategy": "darts"}, {}),
    "generated": (Net, {"strategy": "smash"}, {}),
    "batch statistics in training": (Net, {"strategy": "bender"}, {}),
}


class Single(Net):
    """For methods that choose one option."""

    def __init__(self, classes: int = 3, width: int = 4):
        super().__init__(classes, width)
        self.b = sn.Choice([nn.Identity(), conv(width, 3)], label="b")


@pytest.mark.slow
@pytest.mark.parametrize("kind", SUPERNETS)
def test_what_is_derived_scores_as_the_supernet_does(kind, tmp_path, data):
    model, changes, options = SUPERNETS[kind]
    as_they_are = {
        "retrain.weights": "inherited",
        "retrain.train.steps": 0,
        "evaluate.batch_norm": "recalibrate",
    }
    if kind == "darts":
        model = Single
    result = search(data, tmp_path, model, {**as_they_are, **options}, **changes)
    rows = result.metrics["retrain"]["candidates"]
    assert rows
    for row in rows:
        assert set(row["stand_alone"]) == {"inherited"}
        assert row["validation"] == row["stand_alone"]["inherited"]
        assert row["validation"]["loss"] == pytest.approx(row["supernet"]["loss"], rel=1e-5)
        assert row["validation"]["accuracy"] == row["supernet"]["accuracy"]
    assert not list(tmp_path.glob("retrain/*"))
    assert result.metrics["retrain"]["chosen_weights"] == "inherited"
    test = result.metrics["test"]
    assert {"chosen", "random"} <= set(test)
    assert "other" not in test


def test_training_starts_from_the_weights_of_the_supernet(tmp_path, data):
    """With a learning rate of 0 it also ends with them."""
    still = {"retrain.weights": "inherited", "retrain.train.optimizer.lr": 0.0, "retrain.top": 1}
    still["retrain.train.optimizer.weight_decay"] = 0.0
    result = search(data, tmp_path, Straight, still)
    state = torch.load(tmp_path / "supernet.pt", weights_only=True)["model"]
    chosen = sn.SuperNet(Straight())
    chosen.load_state_dict(state)
    expected = sn.derive(chosen, result.architecture).state_dict()
    found = result.model.state_dict()
    assert list(found) == list(expected)
    assert all(torch.equal(found[name], expected[name]) for name in expected)
    row = result.metrics["retrain"]["candidates"][0]
    assert row["stand_alone"]["fine_tuned"] == row["stand_alone"]["inherited"]


@pytest.fixture(scope="module")
def both(tmp_path_factory, data):
    out = tmp_path_factory.mktemp("both") / "run"
    return search(data, out, options={"retrain.weights": "both"})


@pytest.mark.slow
def test_both_are_reported_and_the_better_is_chosen(both):
    section = both.metrics["retrain"]
    assert section["weights"] == "both"
    tops = []
    for row in section["candidates"]:
        alone = row["stand_alone"]
        assert set(alone) == {"inherited", "fine_tuned", "scratch"}
        assert len({score["loss"] for score in alone.values()}) == 3
        names = {"fresh": "scratch", "inherited": "fine_tuned"}
        trained = {kind: alone[name] for kind, name in names.items()}
        better = max(trained.values(), key=lambda one: (one["accuracy"], -one["loss"]))
        assert row["validation"] == better == trained[row["weights"]]
        if row["role"] == "top":
            tops += [(better["accuracy"], -better["loss"], row["key"], row["weights"])]
    assert (section["chosen"], section["chosen_weights"]) == max(tops)[2:]


@pytest.mark.slow
def test_the_result_is_the_chosen_network_with_its_weights(both, data):
    row = next(
        row
        for row in both.metrics["retrain"]["candidates"]
        if row["key"] == both.metrics["retrain"]["chosen"]
    )
    with both.again() as opened:
        score = validate(opened.run, opened.inputs, both.model)
    assert score == row["validation"]
    program = torch.export.load(both.folder / "model.pt2").module()
    torch.testing.assert_close(program(data[0]), both.model(both.normalise(data[0])))


def test_the_test_split_is_read_once_for_three_networks(both):
    test = both.metrics["test"]
    assert test["chosen"]["key"] == test["other"]["key"]
    assert {test["chosen"]["weights"], test["other"]["weights"]} == {"fresh", "inherited"}
    assert test["chosen"]["loss"] != test["other"]["loss"]
    assert {"key", "weights", "accuracy", "loss"} <= set(test["random"][0])
    assert "tested_before" not in both.metrics


def test_table_and_report_show_all_ways(both, capsys):
    print_table(result_table(Metrics.from_json(both.metrics)))
    shown = capsys.readouterr().out
    page = render(both.folder)
    for word in ("one-shot", "inherited", "fine-tuned", "scratch"):
        assert word in shown
        assert word in page
    how = "from scratch" if both.metrics["test"]["other"]["weights"] == "fresh" else "fine-tuned"
    assert f"The chosen architecture {how}: " in page
    assert f"The chosen architecture {how}: " in " ".join(shown.split())


@pytest.mark.slow
def test_what_was_trained_from_scratch_is_kept_when_both_are_wanted(tmp_path, data, both):
    first = search(data, tmp_path)
    files = {path.name: path.read_bytes() for path in (tmp_path / "retrain").iterdir()}
    second = search(data, tmp_path, options={"retrain.weights": "both"})
    assert second.metrics["train"] == first.metrics["train"]
    assert second.metrics["search"] == first.metrics["search"]
    assert second.metrics["tested_before"] == [first.metrics["test"]]
    for name, content in files.items():
        assert (tmp_path / "retrain" / name).read_bytes() == content
    rows = second.metrics["retrain"]["candidates"]
    scratch = [row["stand_alone"]["scratch"] for row in rows]
    assert scratch == [row["validation"] for row in first.metrics["retrain"]["candidates"]]
    assert rows == both.metrics["retrain"]["candidates"]


@pytest.mark.slow
def test_other_supernets_are_not_fine_tuned_further(tmp_path, data):
    """What was fine-tuned from parts is not taken for what comes from the whole."""
    fine = {"retrain.weights": "inherited"}
    one = search(data, tmp_path, options=fine)
    two = search(data, tmp_path, options={**fine, "few_shot.decision": "a"})
    kept = {row["key"]: row for row in one.metrics["retrain"]["candidates"]}
    common = [row for row in two.metrics["retrain"]["candidates"] if row["key"] in kept]
    assert common
    for row in common:
        before = kept[row["key"]]["stand_alone"]
        assert row["stand_alone"]["fine_tuned"] != before["fine_tuned"]


class Stopping(Classification):
    """A task that fails once, after so many losses; a process that dies does the same."""

    left = 10**9

    def loss(self, model, batch):
        Stopping.left -= 1
        if Stopping.left == 0:
            raise KeyboardInterrupt("stopped")
        return super().loss(model, batch)


@pytest.mark.slow
@pytest.mark.parametrize("after", [3, 8, 13])
def test_an_interrupted_run_ends_with_the_same_bits(after, tmp_path, data):
    """Within what is trained from scratch, from inherited weights, and of the next architecture."""
    steps = {"retrain.train.log_every": 1, "retrain.train.checkpoint_seconds": 0.0}
    options = {"retrain.weights": "both", **steps}

    def go(out):
        return search(data, out, options=options, task=Stopping)

    Stopping.left = 10**9
    whole = go(tmp_path / "whole")
    used = 10**9 - Stopping.left
    trainings = 2 * len({row["key"] for row in whole.metrics["retrain"]["candidates"]})
    Stopping.left = used - trainings * OPTIONS["retrain.train.steps"] + after
    with pytest.raises(KeyboardInterrupt, match="stopped"):
        go(tmp_path / "stopped")
    assert "retrain" not in json.loads((tmp_path / "stopped/metrics.json").read_text())
    Stopping.left = 10**9
    again = go(tmp_path / "stopped")
    assert 10**9 - Stopping.left < used  # it went on instead of starting anew
    for name in ("model.pt", "architecture.json"):
        one, other = (tmp_path / run / name for run in ("whole", "stopped"))
        assert one.read_bytes() == other.read_bytes()
    sections = [result.metrics["retrain"] for result in (whole, again)]
    assert sections[0]["candidates"] == sections[1]["candidates"]
    tests = [{**result.metrics["test"], "seconds": 0} for result in (whole, again)]
    assert tests[0] == tests[1]


@pytest.mark.slow_with(
    "options4-leave one of them out", "options5-leave one of them out", "options3-at least 1"
)
@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"retrain.train.steps": 0}, "fresh weights must be trained"),
        ({"retrain.train.steps": 0, "retrain.weights": "both"}, "fresh weights must be trained"),
        ({"retrain.train.steps": -1, "retrain.weights": "inherited"}, "at least 0"),
        ({"train.steps": 0}, "at least 1"),
        ({"retrain.model": {"width": 6}, "retrain.weights": "inherited"}, "leave one of them out"),
        ({"retrain.model": {"width": 6}, "retrain.weights": "both"}, "leave one of them out"),
        ({"retrain.weights": "old"}, "fresh.*inherited.*both"),
    ],
)
def test_what_cannot_be_is_refused_before_training(options, words, tmp_path, data):
    with pytest.raises(ConfigError, match=words):
        search(data, tmp_path / "run", options=options)
    assert not (tmp_path / "run/supernet.pt").exists()

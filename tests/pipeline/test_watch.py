"""Watching a training: no bit of it changes, interruptions leave no trace, warnings come in time."""

from __future__ import annotations

import json
import shutil
from itertools import product

import pytest
import torch
from torch import nn

import supernet as sn
from supernet.errors import ConfigError, DamagedFileError, SpaceError
from supernet.evaluate import Evaluator
from supernet.pipeline import execute, open_run
from supernet.pipeline.watched import moments_of, watched_examples
from supernet.space import Architecture
from supernet.strategies import SPOS
from supernet.task import Classification
from supernet.track.watch import read_watch

OPTIONS = {
    "train.steps": 20,
    "train.batch_size": 16,
    "train.log_every": 2,
    "train.checkpoint_seconds": 0.0,
    "search.searcher": "random",
    "search.searcher.count": 3,
    "retrain.train.steps": 2,
}
LEARNED = {"search.searcher": "learned", "search.searcher.count": None, "strategy": "darts"}
WATCH = {"watch.networks": 5, "watch.times": 5, "watch.images": 20}


class Net(nn.Module):
    """Two layers of three options with norms and dropout: 9 networks, of which 6 are different."""

    broken, labels = False, "ab"

    def __init__(self, classes: int = 3):
        super().__init__()
        layers = (sn.Choice(self.options(), label=label) for label in self.labels)
        self.layers = nn.Sequential(*layers)
        self.head = nn.Linear(6, classes)

    @staticmethod
    def options():
        def block(kind):
            return nn.Sequential(nn.Linear(6, 6), nn.BatchNorm1d(6), kind(), nn.Dropout(0.2))

        return {"tanh": block(nn.Tanh), "relu": block(nn.ReLU), "skip": Skip()}

    def forward(self, x):
        return self.head(self.layers(x))

    @staticmethod
    def canonical(architecture):
        """Skips come first."""
        a, b = sorted((architecture["a"], architecture["b"]))
        return Architecture({"a": a, "b": b})


class Open(Net):
    """Three layers, and all networks different."""

    labels, canonical = "abc", None


class Alike(Open):
    """Options that are all the same layer, with a little noise."""

    @staticmethod
    def options():
        return {name: Hum(number) for number, name in enumerate("pqr", 1)}


class Unlike(Open):
    """Options of which one passes nothing on."""

    @staticmethod
    def options():
        return {"p": nn.Identity(), "q": Hum(1), "none": nn.Hardtanh(0.0, 1e-9)}


class Hum(nn.Module):
    def __init__(self, number: int):
        super().__init__()
        self.number = number

    def forward(self, x):
        return x + 0.1 * torch.sin(1e4 * self.number * x.sum(1, keepdim=True))


class Skip(nn.Module):
    def forward(self, x):
        return x * float("nan") if Net.broken and not self.training else x


class Stopping(Classification):
    """A task that is stopped once, after so many losses in training."""

    left = 10**9

    def loss(self, model, batch):
        if torch.is_grad_enabled():
            Stopping.left -= 1
            if Stopping.left == 0:
                raise KeyboardInterrupt("stopped")
        return super().loss(model, batch)


@pytest.fixture(autouse=True)
def fresh(monkeypatch):
    monkeypatch.setattr(Stopping, "left", 10**9)
    monkeypatch.setattr(Net, "broken", False)


@pytest.fixture(scope="module")
def data():
    inputs = torch.randn(160, 6, generator=torch.Generator().manual_seed(0))
    return inputs, inputs[:, :3].argmax(1)


def opened(out, data, strategy="spos", model=Net, more=None, **options):
    """Return an open run folder."""
    given = {"strategy": strategy, **OPTIONS, **options}
    arguments = [
        f"--{key}={value if isinstance(value, str) else json.dumps(value)}"
        for key, value in given.items()
        if value is not None
    ]
    objects = {"model": model, "data": data, "task": Stopping(), **(more or {})}
    return open_run(arguments, out, objects=objects, progress=False)


@pytest.fixture
def train(data, tmp_path):
    """Return a function that trains in a folder of some name, and returns the folder."""

    def trained(name, **options):
        with opened(tmp_path / name, data, **options) as state:
            execute(state, ["train"])
        return tmp_path / name

    return trained


def records(folder, stage="train"):
    """Return the log of a stage without times."""
    lines = [json.loads(line) for line in (folder / "log.jsonl").read_text().splitlines()]
    timed = ("seconds", "images_per_second")
    return [
        {name: value for name, value in one.items() if name not in timed}
        for one in lines
        if one["stage"] == stage
    ]


def moments(folder):
    return read_watch(folder / "watch.json").moments


@pytest.fixture(scope="module")
def whole(data, tmp_path_factory):
    """Return the folder of a training that was watched, in one go."""
    out = tmp_path_factory.mktemp("watched") / "run"
    with opened(out, data, **WATCH) as state:
        execute(state, ["train"])
    return out


def test_moments_are_even_and_fall_on_records_of_the_log():
    assert moments_of(100, 4, 10) == [0, 30, 50, 80, 100]
    assert moments_of(100, 10, 10) == [0, *range(10, 101, 10)]
    assert moments_of(25, 3, 20) == [0, 20, 25]
    assert moments_of(4, 4, 20) == [0, 4]


def test_no_bit_of_the_training_changes(train, whole):
    plain = train("plain")
    assert (plain / "supernet.pt").read_bytes() == (whole / "supernet.pt").read_bytes()
    assert not (plain / "watch.json").exists()
    names = ("watched_loss", "watched_accuracy")
    told = records(whole)
    assert [one["step"] for one in told if "watched_loss" in one] == [4, 8, 12, 16, 20]
    without = [{k: v for k, v in one.items() if k not in names} for one in told]
    assert without == records(plain)


@pytest.mark.slow
@pytest.mark.parametrize("strategy", ["bender", "fairnas", "sandwich", "darts", "enas", "smash"])
def test_no_bit_of_any_kind_of_training_changes(strategy, train):
    both = [train(f"run{len(one)}", strategy=strategy, **one) for one in ({}, WATCH)]
    assert len({(one / "supernet.pt").read_bytes() for one in both}) == 1
    assert read_watch(both[1] / "watch.json").moments[-1].mean_loss is not None


def test_different_networks_are_scored_at_each_moment(whole):
    found = read_watch(whole / "watch.json")
    assert [one.step for one in found.moments] == [0, 4, 8, 12, 16, 20]
    assert found.images == 20
    forms = {Net.canonical(one.architecture).key for one in found.networks}
    assert forms == {one.key for one in found.networks}
    assert len(forms) == 5
    assert found.networks[0].costs.keys() == {"params", "macs"}
    for moment in found.moments:
        assert len(moment.losses) == len(moment.accuracies) == 5
        assert {round(20 * one, 6) % 1 for one in moment.accuracies} == {0.0}
        assert moment.noise > 0
    logged = {one["step"]: one for one in records(whole) if "watched_loss" in one}
    for moment in found.moments[1:]:
        assert logged[moment.step]["watched_loss"] == pytest.approx(moment.mean_loss)
        assert logged[moment.step]["watched_accuracy"] == pytest.approx(moment.mean_accuracy)


def test_scores_are_those_of_the_trained_weights(whole, data):
    """At the last step they are what plain scoring finds on the same examples."""
    found = read_watch(whole / "watch.json")
    with opened(whole, data, **WATCH) as state:
        supernet, inputs = state.trained.supernet, state.inputs
        examples = watched_examples(state.run, inputs)
        scores = Evaluator(
            supernet,
            inputs.task,
            examples,
            inputs.splits.train,
            inputs.normalise,
            found.protocol,
        )
        for network, loss in zip(found.networks, found.moments[-1].losses, strict=True):
            assert scores.score(network.architecture)["loss"] == loss
    search = {tuple(one.tolist()) for one in inputs.splits.search.inputs}
    assert {tuple(one.tolist()) for one in examples.inputs} <= search


def test_a_network_alone_is_scored_at_the_same_steps_and_trained_by_itself(whole, train):
    found = read_watch(whole / "watch.json")
    [alone] = found.alone
    assert alone.steps == (0, 4)
    macs = sorted((one.costs["macs"], one.key) for one in found.networks)
    assert alone.key == macs[2][1]
    log = records(whole, f"watch-{alone.key}")
    rates = {one["step"]: one["learning_rate"] for one in records(whole)}
    assert [one["learning_rate"] for one in log] == [rates[one["step"]] for one in log]
    both = train("both", **{**WATCH, "watch.alone": 2})
    assert len(read_watch(both / "watch.json").alone) == 2
    assert (both / "supernet.pt").read_bytes() == (whole / "supernet.pt").read_bytes()


@pytest.mark.slow_with("3", "12", "23")
@pytest.mark.parametrize("after", [3, 4 + 7, 4 + 8, 4 + 19])
def test_a_training_that_is_stopped_and_goes_on_leaves_the_same_files(after, train, whole):
    """In the training of a network alone, between moments, just after one, and at the end."""
    Stopping.left = after
    with pytest.raises(KeyboardInterrupt, match="stopped"):
        train("stopped", **WATCH)
    Stopping.left = 10**9
    out = train("stopped", **WATCH)
    for name in ("supernet.pt", "watch.json"):
        assert (out / name).read_bytes() == (whole / name).read_bytes()
    assert records(out) == records(whole)
    metrics = [json.loads((one / "metrics.json").read_text())["train"] for one in (out, whole)]
    assert metrics[0]["warnings"] == metrics[1]["warnings"]


def test_moments_after_the_checkpoint_are_forgotten(train, whole, tmp_path):
    """As where a process dies between a moment and the checkpoint at the same step."""
    Stopping.left = 4 + 7
    with pytest.raises(KeyboardInterrupt, match="stopped"):
        train("stopped", **WATCH)
    shutil.copy(whole / "watch.json", tmp_path / "stopped/watch.json")
    Stopping.left = 10**9
    out = train("stopped", **WATCH)
    assert (out / "watch.json").read_bytes() == (whole / "watch.json").read_bytes()
    assert records(out) == records(whole)


def test_watching_may_begin_and_change_in_the_middle_of_a_training(train, whole):
    Stopping.left = 11
    with pytest.raises(KeyboardInterrupt, match="stopped"):
        train("run")
    Stopping.left = 10**9
    out = train("run", **{**WATCH, "watch.images": 10})
    found = read_watch(out / "watch.json")
    assert [one.step for one in found.moments] == [12, 16, 20]
    assert found.images == 10
    assert not found.alone
    assert (out / "supernet.pt").read_bytes() == (whole / "supernet.pt").read_bytes()


def test_the_truth_of_a_table_is_kept_and_ranked_against(train, tmp_path, capsys):
    options = ("tanh", "relu", "skip")
    every = [Architecture(dict(zip("abc", one, strict=True))) for one in product(options, repeat=3)]
    table = {one: number / 100 for number, one in enumerate(every)}
    content = [{"architecture": dict(one), "value": value} for one, value in table.items()]
    (tmp_path / "truth.json").write_text(json.dumps(content))
    given = {**WATCH, "watch.alone": 0, "watch.truth": str(tmp_path / "truth.json")}
    out = train("run", model=Open, **given)
    found = read_watch(out / "watch.json")
    assert not found.alone
    assert found.truth.networks == 27
    assert {one.architecture: one.values for one in found.networks}.items() <= {
        one: (value,) for one, value in table.items()
    }.items()
    said = capsys.readouterr().err
    for one in records(out):
        assert ("watched_tau" in one) == ("watched_loss" in one)
    assert f"tau {records(out)[-1]['watched_tau']:.3f}" in said


def test_networks_that_fail_are_left_out(train, monkeypatch):
    monkeypatch.setattr(Net, "broken", True)
    out = train("run", **WATCH)
    found = read_watch(out / "watch.json")
    fail = ["skip" in one.architecture.values() for one in found.networks]
    assert 0 < sum(fail) < 5
    for moment in found.moments:
        assert [loss is None for loss in moment.losses] == fail
        assert [one is None for one in moment.accuracies] == fail
    assert all("watched_loss" in one for one in records(out) if one["step"] % 4 == 0)


class Idle(SPOS):
    """Moves no weight."""

    def backward(self, model, task, batch, moment):
        with model.route(self.draw(model.space, moment.stream("path"))):
            return task.loss(model, batch).detach()


@pytest.mark.parametrize("learns", [True, False])
def test_a_supernet_that_learns_nothing_is_warned_of_once(learns, train, tmp_path, capsys):
    given = {**WATCH, "watch.times": 2, "watch.alone": 2, "watch.images": None}
    strategy = {"strategy": SPOS() if learns else Idle()}
    out = train("run", model=Alike, strategy=None, more=strategy, **given)
    said = capsys.readouterr().err
    found = [(moment.step, one.kind) for moment in moments(out) for one in moment.warnings]
    assert found.count((10, "behind")) == (not learns)  # half of the steps, and once
    assert {kind for _, kind in found} <= {"behind", "noise", "no decision"}
    assert len({kind for _, kind in found}) == len(found)
    kept = json.loads((out / "metrics.json").read_text())["train"]["warnings"]
    assert len(kept) == len(found)
    for text in kept:
        assert said.count(f"warning: {text}") == 1


@pytest.mark.parametrize("kinds", [set(), {"noise"}])
def test_networks_that_are_alike_are_warned_of(kinds, train):
    """Options that compute nearly the same make no difference that is more than noise."""
    given = {**WATCH, "watch.alone": 0, "watch.images": None, "watch.times": 2}
    given |= {"watch.networks": 12, "evaluate.rank_by": "loss", "train.optimizer.lr": 0.3}
    out = train("run", model=Alike if kinds else Unlike, **given)
    assert {one.kind for moment in moments(out) for one in moment.warnings} == kinds


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"watch.networks": 2}, "at least 3"),
        ({"watch.networks": -1}, "at least 3"),
        ({"watch.times": 0}, "watch.times must be at least 1"),
        ({"watch.alone": 6}, "only 5 networks are watched"),
        ({"watch.images": 1}, "at least 2"),
        ({"watch.networks": 0, "watch.truth": "t.csv"}, "watch.networks is 0"),
        ({"watch.networks": 7}, "6 different networks were found"),
        ({"watch.times": 21}, "the training has 20 steps"),
        ({"watch.images": 999}, "the search split has"),
        ({"watch.truth": "none.csv"}, "none.csv"),
        (LEARNED, "learns the architecture itself"),
    ],
)
def test_what_cannot_be_watched_is_refused_before_any_training(options, words, train, tmp_path):
    with pytest.raises(ConfigError, match=words):
        train("run", **{**WATCH, **options})
    assert not (tmp_path / "run/log.jsonl").exists()


def test_a_table_of_another_space_is_refused(train, tmp_path):
    file = tmp_path / "truth.csv"
    file.write_text('architecture,value\n"{""c"": ""x""}",0.5\n')
    with pytest.raises(SpaceError, match="another space"):
        train("run", **WATCH, **{"watch.truth": str(file)})


def test_a_damaged_file_is_refused_with_what_to_do(whole, tmp_path):
    content = json.loads((whole / "watch.json").read_text())
    content.pop("digest")
    content["moments"][0]["losses"] = [1.0]
    (tmp_path / "watch.json").write_text(json.dumps(content))
    with pytest.raises(DamagedFileError, match=r"one number for each network.*Delete it"):
        read_watch(tmp_path / "watch.json")


class Wrong(Stopping):
    """Reports a mean and a figure of the whole set that are better when they are lower."""

    lower_is_better = ("wrong", "root")

    def measure(self, model, batch):
        found = super().measure(model, batch)
        return {**found, "wrong": 1 - found["accuracy"]}

    def figures(self, means):
        return {**means, "root": means["wrong"].sqrt()}


@pytest.mark.parametrize("by", ["wrong", "root"])
def test_the_figure_that_the_run_ranks_by_ranks_watched_networks(train, by):
    out = train("run", more={"task": Wrong()}, **WATCH, **{"evaluate.rank_by": by})
    found = read_watch(out / "watch.json")
    assert (found.by, found.lower_is_better) == (by, ("wrong", "root"))
    last = found.moments[-1]
    wrong = [1 - one for one in last.accuracies]
    expected = wrong if by == "wrong" else [one**0.5 for one in wrong]
    assert last.figures == pytest.approx(expected)
    name, scores = last.scores(found.preference)
    assert name == f"-{by}"
    assert scores == pytest.approx([-one for one in expected])
    assert last.noise > 0
    logged = [one["watched_figure"] for one in records(out) if "watched_figure" in one]
    assert logged[-1] == pytest.approx(sum(expected) / len(expected))


@pytest.mark.parametrize("kinds", [set(), {"noise"}])
def test_networks_that_are_alike_by_a_figure_that_is_no_mean_are_warned_of(kinds, train):
    given = {**WATCH, "watch.alone": 0, "watch.images": None, "watch.times": 2}
    given |= {"watch.networks": 12, "evaluate.rank_by": "root", "train.optimizer.lr": 0.3}
    out = train("run", model=Alike if kinds else Unlike, more={"task": Wrong()}, **given)
    assert {one.kind for moment in moments(out) for one in moment.warnings} == kinds


class Whole(Wrong):
    """Makes its figure of all 20 watched examples only."""

    def figures(self, means):
        found = super().figures(means)
        count = float(means["wrong"]) * WATCH["watch.images"]
        return (
            found
            if abs(count - round(count)) < 1e-3
            else {**found, "root": torch.tensor(torch.nan)}
        )


def test_a_figure_without_noise_is_still_held_against_a_table(train, tmp_path):
    options = ("tanh", "relu", "skip")
    every = [Architecture(dict(zip("abc", one, strict=True))) for one in product(options, repeat=3)]
    content = [{"architecture": dict(one), "value": i / 100} for i, one in enumerate(every)]
    (tmp_path / "truth.json").write_text(json.dumps(content))
    given = {**WATCH, "watch.networks": 27, "watch.truth": str(tmp_path / "truth.json")}
    more = {"task": Whole()}
    out = train("run", model=Open, more=more, **given, **{"evaluate.rank_by": "root"})
    kinds = {one.kind for moment in moments(out) for one in moment.warnings}
    assert kinds == {"no ranking"}

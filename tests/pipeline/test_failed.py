"""A network that fails is recorded with its reason, and the run goes on with the others."""

from __future__ import annotations

import json
import shutil
import sys
from dataclasses import replace
from typing import ClassVar

import pytest
import torch
from torch import nn

import supernet as sn
from supernet.errors import DataError, NoNetworkError, TooLittleMemoryError
from supernet.net.export import ExportError
from supernet.pipeline import STEPS, execute, open_run
from supernet.pipeline.networks import Networks
from supernet.pipeline.retrain import _drawing
from supernet.pipeline.searched import candidates_of
from supernet.pipeline.trials import Trials
from supernet.space import Diagram, Edge, Node
from supernet.task import Classification
from supernet.track import print_table, result_table
from supernet.track.records import Selected
from supernet.track.report import render

OPTIONS = {
    "train.steps": 4,
    "train.batch_size": 16,
    "retrain.train.steps": 6,
    "retrain.train.batch_size": 16,
    "retrain.train.log_every": 2,
    "retrain.top": 1,
    "retrain.match": None,
}


class Layer(nn.Linear):
    """A layer that fails in a way, once the class says so of its name."""

    fails: ClassVar[dict[str, str]] = {}

    def __init__(self, name: str):
        super().__init__(4, 8)
        self.name = name

    def forward(self, x):
        y, how = super().forward(x), Layer.fails.get(self.name)
        if how == "nan in training" and self.training:
            return y * float("nan")
        if how == "nan":
            return y * float("nan")
        if how == "memory" and self.training:
            return y + torch.empty(2**46)[0]
        if how == "raises":
            raise LookupError("no such key")
        return y


class Net(nn.Module):
    def __init__(self, classes: int = 2):
        super().__init__()
        self.a = sn.Choice({name: Layer(name) for name in ("x", "y", "z")}, label="a")
        self.b = sn.Choice({"relu": nn.ReLU(), "gelu": nn.GELU()}, label="b")
        self.head = nn.Linear(8, classes)

    def forward(self, x):
        return self.head(self.b(self.a(x)))


@pytest.fixture
def fails(monkeypatch):
    """Return a function that says which options fail, and how."""
    return lambda **options: monkeypatch.setattr(Layer, "fails", options)


@pytest.fixture(scope="module")
def data():
    x = torch.rand(120, 4, generator=torch.Generator().manual_seed(0))
    return x, (x[:, 0] > 0.5).long()


@pytest.fixture(scope="module")
def searched(tmp_path_factory, data):
    """A run folder in which all six candidates passed."""
    folder = tmp_path_factory.mktemp("failed") / "run"
    with opening(folder, data) as run:
        execute(run, ["train", "search"])
    return folder


@pytest.fixture
def opened(searched, tmp_path, data):
    """Return a function that opens a copy of it, with further options."""
    shutil.copytree(searched, tmp_path / "run")
    return lambda **more: opening(tmp_path / "run", data, **more)


def opening(folder, data, **more):
    options = {**OPTIONS, **{name.replace("__", "."): value for name, value in more.items()}}
    arguments = [
        f"--{name}={value if isinstance(value, str) else json.dumps(value)}"
        for name, value in options.items()
    ]
    arguments += ["--strategy=spos", "--search.searcher=exhaustive"]
    return open_run(arguments, folder, objects={"model": Net, "data": data}, progress=False)


def order(state):
    """Return the candidates by one-shot score, best first: their keys and options."""
    return [
        (one.key, one.architecture["a"])
        for one in candidates_of(state.run, state.shared, state.searched)
    ]


def trials_of(state):
    return Trials(state.networks(inherit=True), state.costs)


def keys(outcomes):
    return [one.key for one in outcomes]


def test_all_that_fail_are_named_and_the_others_pass(opened, fails, capsys):
    with opened(retrain__top=6) as state:
        execute(state, ["search"])
        every = order(state)
        fails(y="nan")
        found = trials_of(state)
        outcomes, substitutes = found.best(state.searched.selected)
    bad = {key for key, option in every if option == "y"}
    assert keys(outcomes) == [key for key, _ in every if key not in bad]
    assert substitutes == []
    assert {one.key for one in found.failed} == found.lost == bad
    for one in found.failed:
        assert (one.kind, one.weights, one.architecture["a"]) == ("numbers", "fresh", "y")
        assert "the loss is nan at step 1 of 6" in one.error
    said = capsys.readouterr().err
    assert all(f"failed: {key} (top, from fresh weights; a=y" in said for key in bad)


def test_the_next_best_takes_the_place_and_nothing_that_failed_is_tried_again(
    opened, fails, capsys
):
    with opened() as state:
        every = order(state)
        worst = every[0][1]
        sound = [key for key, option in every if option != worst]
        fails(**{worst: "raises"})
        found = trials_of(state)
        outcomes, substitutes = found.best(state.searched.selected)
        assert keys(outcomes) == [one.key for one in substitutes] == sound[:1]
        assert {one.kind for one in found.failed} == {"code"}
    capsys.readouterr()
    fails()
    with opened() as state:
        again = trials_of(state)
        assert keys(again.best(state.searched.selected)[0]) == sound[:1]
        assert again.failed == found.failed
    assert "failed before, and is not tried again" in capsys.readouterr().err
    (state.run.folder.path / found.failed[0].file).unlink()
    with opened() as state:
        assert keys(trials_of(state).best(state.searched.selected)[0]) == [every[0][0]]


@pytest.mark.slow
def test_other_options_have_it_tried_again(opened, fails):
    with opened() as state:
        fails(**{order(state)[0][1]: "nan"})
        trials_of(state).best(state.searched.selected)
        best = order(state)[0][0]
    fails()
    with opened(retrain__train__steps=5) as state:
        found = trials_of(state)
        assert keys(found.best(state.searched.selected)[0]) == [best]
        assert found.failed == []


@pytest.mark.slow
def test_where_none_is_left_all_are_named(opened, fails):
    with opened() as state:
        named = [key for key, _ in order(state)][:4]
        fails(x="nan", y="raises", z="nan")
        with pytest.raises(NoNetworkError, match=r"none is left of the 4 networks") as caught:
            trials_of(state).best(state.searched.selected)
    text = str(caught.value)
    assert all(key in text for key in named)
    assert "LookupError: no such key" in text
    assert "smaller learning rate" in text


@pytest.mark.slow
def test_too_little_memory_is_no_network_s_failure(opened, fails):
    with opened(retrain__top=6) as state:
        execute(state, ["search"])
        fails(z="memory")
        with pytest.raises(
            TooLittleMemoryError,
            match=r"'retrain'.*--retrain.train.batch_size \(now 16\).*accumulate 2 parts",
        ):
            execute(state, ["retrain"])
        assert list((state.run.folder.path / "retrain").glob("*.failed.json")) == []


@pytest.mark.slow
def test_baselines_that_fail_are_drawn_again(opened, fails):
    with opened(retrain__baselines=2) as state:
        every = order(state)
        best, kind = every[0]
        bad = next(option for _, option in every if option != kind)
        fails(**{bad: "nan"})
        found = trials_of(state)
        outcomes, _ = found.best(state.searched.selected)
        chosen = next(one for one in state.searched.selected if one.key == outcomes[0].key)
        randoms, baselines = found.random(chosen, [chosen.key])
    assert len(randoms) == 2
    assert keys(randoms) == [one.key for one in baselines.networks]
    assert best not in keys(randoms)
    assert all(one.architecture["a"] != bad for one in baselines.networks)


@pytest.mark.slow
def test_probes_that_fail_are_fewer(opened, fails):
    with opened(retrain__probes=6) as state:
        execute(state, ["search"])
        every = order(state)
        bad = next(option for _, option in every if option != every[0][1])
        fails(**{bad: "nan"})
        outcomes, _ = trials_of(state).best(state.searched.selected)
    assert len([one for one in outcomes if one.probe]) == 4


@pytest.mark.slow
def test_training_from_one_kind_of_weights_may_fail(opened, monkeypatch):
    untrained = Networks.untrained

    def spoilt(networks, one, weights):
        model = untrained(networks, one, weights)
        if weights == "fresh":
            nn.init.constant_(model.head.weight, float("nan"))
        return model

    monkeypatch.setattr(Networks, "untrained", spoilt)
    with opened(retrain__weights="both") as state:
        execute(state, ["search"])
        best, _ = order(state)[0]
        found = trials_of(state)
        outcomes, _ = found.best(state.searched.selected)
    assert keys(outcomes) == [best]
    assert outcomes[0].weights == "inherited"
    assert set(outcomes[0].alone) == {"inherited", "fine_tuned"}
    assert [(one.key, one.weights) for one in found.failed] == [(best, "fresh")]
    assert found.lost == set()


@pytest.mark.slow
def test_a_part_that_fails_is_left_out_with_its_architectures(opened, fails, capsys):
    few_shot = {"few_shot__decision": "a", "few_shot__train__steps": 2}
    with opened(**few_shot) as state:
        every = state.inputs.space
        fails(y="nan in training")
        execute(state, ["few_shot", "search"])
        (failed,) = state.run.folder.metrics.few_shot.failed
        assert (failed.key, failed.kind) == ("a = y", "numbers")
        assert failed.file == "few_shot/1.failed.json"
        assert state.run.folder.metrics.search.failed == sum(one["a"] == "y" for one in every) == 2
        assert all(
            one.architecture["a"] != "y"
            for one in candidates_of(state.run, state.shared, state.searched)
        )
        assert "loss is nan at step 1 of 2" in state.run.folder.metrics.search.failures[0].error
        weights = state.run.folder.metrics.few_shot.weights
    fails()
    capsys.readouterr()
    with opened(**few_shot) as state:
        execute(state, ["few_shot"])
        assert "few_shot: done before" in capsys.readouterr().err
        (state.run.folder.path / failed.file).unlink()
        execute(state, ["few_shot"])
        assert state.run.folder.metrics.few_shot.failed == ()
        assert state.run.folder.metrics.few_shot.weights != weights
        assert state.run.folder.metrics.search is None  # it has to be repeated


def test_treatments_of_batch_norm_are_compared_on_those_that_pass(opened, fails, capsys):
    with opened(evaluate__probes=6) as state:
        execute(state, ["train"])
        fails(y="nan")
        state.run.folder.drop_files("search")
        STEPS["search"](state)
        found = state.run.folder.metrics.search
    assert {one.role for one in found.batch_norm_report.failed} == {"batch norm probe"}
    assert found.batch_norm_report.architectures == 4
    assert (found.candidates, found.failed) == (6, 2)
    assert "2 of 6 candidates failed and are left out" in capsys.readouterr().err


@pytest.mark.slow
def test_where_all_parts_fail_they_are_named(opened, fails):
    with opened(few_shot__decision="a", few_shot__train__steps=2) as state:
        fails(x="nan in training", y="nan in training", z="nan in training")
        with pytest.raises(NoNetworkError, match=r"(?s)none is left of the 3 parts.*a = x.*a = z"):
            execute(state, ["few_shot"])


class Wrong(Classification):
    """Accuracies that are not finite."""

    for_all = True

    def measure(self, model, batch):
        found = super().measure(model, batch)
        wrong = torch.full_like(found["loss"], float("nan"))
        if not self.for_all:
            wrong[1:] = found["accuracy"][1:]
        return {**found, "accuracy": wrong}


def test_a_measure_that_is_wrong_for_all_is_named_before_training(data, tmp_path):
    with pytest.raises(
        DataError, match=r"'accuracy' of Wrong is not a finite number for any of 128"
    ):
        sn.run(Net, data, strategy="spos", out=tmp_path / "run", task=Wrong(), progress=False)
    assert not (tmp_path / "run/supernet.pt").exists()


def test_a_measure_that_is_wrong_for_all_candidates_is_told_from_a_network_s_failure(
    opened, monkeypatch
):
    with opened() as state:
        state.inputs = replace(state.inputs, task=Wrong())
        state.run.folder.drop_files("search")
        with pytest.raises(DataError, match=r"none of the 6 candidates .*the measure 'accuracy'"):
            STEPS["search"](state)


@pytest.mark.slow
def test_a_network_that_fails_on_the_test_split_has_no_result(opened, fails, capsys):
    with opened() as state:
        execute(state, ["retrain"])
        chosen = state.run.folder.metrics.retrain.chosen
        kind = next(one for key, one in order(state) if key == chosen)
        fails(**{kind: "nan"})
        STEPS["test"](state)
        found = state.run.folder.metrics.test
        assert found.chosen.to_json() == {"key": chosen, "weights": "fresh"}
        assert found.over_random is None
        assert found.failed[0].key == chosen
        fails()
        page = render(state.run.folder.path)
    assert "the loss on 24 examples is nan" in page
    said = capsys.readouterr().err
    assert "networks on the test split failed" in said
    print_table(result_table(state.run.folder.metrics))
    shown = " ".join(capsys.readouterr().out.split())
    assert chosen in shown
    assert "Failed and left out: 1 on the test split" in shown
    assert "networks failed on the test split" in shown


@pytest.mark.slow
def test_of_several_exports_one_may_fail(opened, fails, tmp_path, monkeypatch):
    exporting = sys.modules["supernet.pipeline.export"]
    with opened() as state:
        execute(state, ["search"])
        real = exporting._export_best

        def one_fails(networks, folder, *rest):
            if "params" in folder.name:
                raise ExportError("PyTorch cannot export Layer")
            return real(networks, folder, *rest)

        monkeypatch.setattr(exporting, "_export_best", one_fails)
        (one,) = exporting.export_networks(state, ["macs <= 100%", "params <= 100%"])
        assert one.name == "macs-le-100pct"
        with pytest.raises(ExportError, match="cannot export Layer"):
            exporting.export_networks(state, ["params <= 100%"])
        with pytest.raises(NoNetworkError, match=r"none is left of the 2 networks"):
            exporting.export_networks(state, ["params <= 100%", "params >= 1"])


def test_a_drawing_that_cannot_be_made_is_left_out(opened, capsys):
    cycle = Diagram(
        "d", (Node("a", "a", "input"), Node("b", "b", "output")), (Edge("a", "b"), Edge("b", "a"))
    )
    sound = Diagram("d", cycle.nodes, cycle.edges[:1])

    def fails(_):
        raise LookupError("no such option")

    with opened() as state:
        one = state.inputs.space[0]
        chosen = Selected(key=one.key, role="top", architecture=one, supernet={}, costs={})
        for draw, found in (
            (fails, None),
            (lambda _: cycle, None),
            (lambda _: sound, sound),
        ):
            state.inputs.supernet.model.diagram = draw
            assert _drawing(state.run, state.inputs, chosen) == found
    said = capsys.readouterr().err
    assert said.count("cannot be drawn, and is left out") == 2
    assert "LookupError: no such option" in said


@pytest.mark.slow
def test_a_programme_of_untouched_weights_that_is_not_the_supernet_s_is_not_written(
    opened, monkeypatch, capsys
):
    inherited = Networks.inherited

    def spoilt(networks, architecture):
        model = inherited(networks, architecture)
        nn.init.ones_(model.head.bias)
        return model

    monkeypatch.setattr(Networks, "inherited", spoilt)
    with opened(retrain__weights="inherited", retrain__train__steps=0) as state:
        execute(state, ["retrain"])
        folder = state.run.folder
        assert state.run.folder.metrics.retrain.program is None
        assert folder.weights.exists()
        assert not folder.program.exists()
    said = capsys.readouterr().err
    assert "model.pt2 is not written: the outputs of the exported programme differ" in said

"""Searching from Python: a user's own module and data, the result an ordinary model."""

from __future__ import annotations

import copy
import dataclasses
import json
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from torch import nn
from torch.utils.data import TensorDataset

import supernet as sn
import supernet.search as sn_searcher
from supernet.choice import ChoiceModule
from supernet.data import Sealed
from supernet.errors import ConfigError, DataError, RunFolderError, SpaceError
from supernet.search import NSGA2, Exhaustive, RandomNASSearch, RandomSearch
from supernet.strategies import SPOS, BenderOneShot
from supernet.task import Classification

OPTIONS = {
    "train.steps": 6,
    "train.batch_size": 16,
    "retrain.train.steps": 4,
    "retrain.train.batch_size": 16,
    "retrain.top": 2,
    "search.searcher.limit": 100,
}


class Net(nn.Module):
    def __init__(self, classes: int = 3, width: int = 4):
        super().__init__()
        self.a = sn.Choice(
            {"linear": nn.Linear(6, width), "relu": nn.Sequential(nn.Linear(6, width), nn.ReLU())}
        )
        self.b = sn.Choice([nn.Identity(), nn.Tanh(), nn.Linear(width, width)], pick=(1, 2))
        self.head = nn.Linear(width, classes)

    def forward(self, x):
        return self.head(self.b(self.a(x)))


class NeedsMore(SPOS):
    def __init__(self, more):
        super().__init__()


def examples() -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(0)
    inputs = torch.randn(120, 6, generator=generator)
    return inputs, inputs[:, :3].argmax(1)


@pytest.fixture
def data() -> tuple[torch.Tensor, torch.Tensor]:
    return examples()


def search(model, data, out, **changes):
    arguments = {"strategy": "spos", "searcher": "exhaustive", "options": OPTIONS, **changes}
    return sn.run(model, data, out=out, progress=False, **arguments)


@pytest.fixture(scope="module")
def watched(tmp_path_factory):
    """A run from an instance, repeated in its folder, with what is looked at before and within it."""
    out, model, threads = tmp_path_factory.mktemp("watched") / "run", Net(), torch.get_num_threads()
    before, opened, original = copy.deepcopy(model.state_dict()), [], Sealed.open

    def noted(self, key):
        chosen = json.loads((out / "metrics.json").read_text())["retrain"]["chosen"]
        opened.append((key, chosen))
        return original(self, key)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Sealed, "open", noted)
        torch.set_num_threads(threads + 1)  # the run uses one
        torch.manual_seed(5)
        result, _ = (search(model, examples(), out) for _ in range(2))
        drawn, left = torch.rand(3), torch.get_num_threads()
        torch.set_num_threads(threads)
    return SimpleNamespace(
        out=out,
        model=model,
        before=before,
        opened=opened,
        result=result,
        drawn=drawn,
        threads=(threads + 1, left),
    )


def test_result_is_an_ordinary_model(watched):
    result, (inputs, _) = watched.result, examples()
    assert not any(isinstance(module, ChoiceModule) for module in result.model.modules())
    assert set(result.architecture) == {"a", "b"}
    written = json.loads((watched.out / "metrics.json").read_text())
    del written["digest"]
    assert result.metrics == written
    assert result.metrics["search"]["candidates"] == 2 * 6
    weights = torch.load(watched.out / "model.pt", weights_only=True)
    result.model.load_state_dict(weights)
    program = torch.export.load(watched.out / "model.pt2").module()
    torch.testing.assert_close(program(inputs), result.model(inputs))


@pytest.mark.quick_with("function")
@pytest.mark.parametrize("kind", ["instance", "class", "function"])
def test_models_of_every_kind_give_reproducible_runs(tmp_path, data, kind):
    def model():
        return {"instance": Net(), "class": Net, "function": lambda: Net(width=5)}[kind]

    first = search(model(), data, tmp_path / "one", initial="fresh")
    torch.manual_seed(
        99
    )  # neither torch's state nor, where asked so, an instance's weights may matter
    second = search(model(), data, tmp_path / "two", initial="fresh")
    assert first.metrics["train"]["weights"] == second.metrics["train"]["weights"]
    assert first.architecture == second.architecture
    for one, two in zip(first.model.parameters(), second.model.parameters(), strict=True):
        assert torch.equal(one, two)


def test_instance_is_left_as_it_was(watched):
    before, after = watched.before, watched.model.state_dict()
    assert all(torch.equal(before[name], after[name]) for name in before)


@pytest.mark.slow
def test_data_sets_and_tensors_are_the_same(tmp_path, data):
    one = search(Net, data, tmp_path / "tensors")
    two = search(Net, TensorDataset(*data), tmp_path / "dataset")
    strip = {"seconds"}
    a, b = one.metrics["retrain"], two.metrics["retrain"]
    assert {k: v for k, v in a.items() if k not in strip} == {
        k: v for k, v in b.items() if k not in strip
    }


@pytest.mark.slow
def test_folder_is_resumed_only_with_the_same_model_and_data(tmp_path, data):
    model = Net()
    first = search(model, data, tmp_path / "run")
    again = search(model, data, tmp_path / "run")
    assert again.metrics == first.metrics
    with pytest.raises(RunFolderError, match="another configuration"):
        search(Net(width=8), data, tmp_path / "run")
    with pytest.raises(RunFolderError, match="another configuration"):
        search(model, (data[0] + 1, data[1]), tmp_path / "run")


@pytest.mark.slow
def test_run_from_python_is_not_continued_by_the_command_line(tmp_path, data, capsys):
    from supernet.cli import main

    search(Net, data, tmp_path / "run")
    assert main(["retrain", "--run", str(tmp_path / "run")]) == 2
    assert "made from Python" in capsys.readouterr().err


def test_constraints_bound_what_is_scored_and_chosen(tmp_path, data, watched):
    result = search(Net, data, tmp_path / "run", constraints=["params <= 80%"])
    rows = result.metrics["retrain"]["candidates"]
    free = watched.result.metrics["search"]["candidates"]
    assert result.metrics["search"]["candidates"] < free
    largest = 6 * 4 + 4 + 4 * 4 + 4 + 4 * 3 + 3
    assert all(row["params"] <= 0.8 * largest for row in rows)


@pytest.mark.slow
def test_wider_network_for_retraining(tmp_path, data):
    result = search(Net, data, tmp_path / "run", options={**OPTIONS, "retrain.model": {"width": 7}})
    assert result.model.head.in_features == 7


@pytest.mark.slow
def test_wrong_models_are_refused(tmp_path, data):
    with pytest.raises(SpaceError, match="no decisions"):
        search(nn.Linear(6, 3), data, tmp_path / "none")
    with pytest.raises(ConfigError, match=r"nn\.Module"):
        search(3, data, tmp_path / "three")
    with pytest.raises(ConfigError, match="unknown"):
        search("no-such-space", data, tmp_path / "name")
    with pytest.raises(ConfigError, match="instance"):
        search(Net(), data, tmp_path / "i", options={**OPTIONS, "retrain.model": {"width": 7}})


def test_test_split_is_opened_once_and_after_the_choice(watched):
    """Whatever ranks or selects runs before it is opened; the second run opens it no more."""
    ((key, chosen),) = watched.opened
    assert key == chosen


def test_caller_keeps_random_state_and_threads(watched):
    torch.manual_seed(5)
    assert torch.equal(torch.rand(3), watched.drawn)
    before, after = watched.threads
    assert after == before


@pytest.mark.slow
def test_same_names_do_not_make_the_same_search(tmp_path, data):
    class Net(nn.Module):
        def __init__(self, classes: int = 3):
            super().__init__()
            self.a = sn.Choice(
                {
                    "linear": nn.Linear(6, classes),
                    "deep": nn.Sequential(nn.Linear(6, classes), nn.Tanh()),
                }
            )

        def forward(self, x):
            return self.a(x)

    Net.__qualname__ = "Net"
    search(globals()["Net"], TensorDataset(*data), tmp_path / "run")
    with pytest.raises(RunFolderError, match="named alike"):
        search(Net, TensorDataset(*data), tmp_path / "run")
    other = TensorDataset(data[0] + 1, data[1])
    with pytest.raises(RunFolderError, match="named alike"):
        search(globals()["Net"], other, tmp_path / "run")


@pytest.mark.slow
def test_one_constraint_may_be_a_string(tmp_path, data):
    one = search(Net, data, tmp_path / "one", constraints="params <= 80%")
    two = search(Net, data, tmp_path / "two", constraints=["params <= 80%"])
    assert one.metrics["search"]["candidates"] == two.metrics["search"]["candidates"]


@pytest.mark.slow
def test_convolutions_of_every_dimension(tmp_path):
    class Video(nn.Module):
        def __init__(self, classes: int):
            super().__init__()
            self.a = sn.Choice({"c3": nn.Conv3d(1, 2, 3, padding=1), "c1": nn.Conv3d(1, 2, 1)})
            self.head = nn.Linear(2, classes)

        def forward(self, x):
            return self.head(self.a(x).mean((2, 3, 4)))

    inputs = torch.randn(60, 1, 3, 4, 4, generator=torch.Generator().manual_seed(0))
    result = search(Video, (inputs, torch.arange(60) % 3), tmp_path / "run")
    assert result.metrics["search"]["candidates"] == 2


class Halves(Classification):
    """A task of the user's own."""

    def __init__(self, factor=0.5):
        super().__init__()
        self.factor = factor

    def loss(self, model, batch):
        return self.factor * super().loss(model, batch)


def without_searcher_options():
    return {name: value for name, value in OPTIONS.items() if "searcher" not in name}


@pytest.mark.slow
def test_objects_and_classes_are_taken_as_well_as_names(tmp_path, data):
    options = without_searcher_options()
    named = search(Net, data, tmp_path / "named", searcher="random", options=options)
    for strategy, searcher in ((SPOS(), RandomSearch()), (SPOS, RandomSearch)):
        out = tmp_path / type(strategy).__name__
        given = {"strategy": strategy, "searcher": searcher, "options": options}
        result = search(Net, data, out, **given, task=Classification)
        assert result.architecture == named.architecture
        assert search(Net, data, out, **given, task=Classification).metrics == result.metrics
        with pytest.raises(RunFolderError, match="strategy"):
            search(Net, data, out, **{**given, "strategy": BenderOneShot()}, task=Classification)


@pytest.mark.slow
def test_task_of_ones_own(tmp_path, data):
    result = search(Net, data, tmp_path / "run", task=Halves(0.25))
    assert result.metrics["train"]["loss"] < 0.6  # a quarter of about log 3
    with pytest.raises(RunFolderError, match="task"):
        search(Net, data, tmp_path / "run", task=Halves(0.5))


@pytest.mark.slow
def test_another_searcher_ranks_with_the_weights_that_are_there(tmp_path, data):
    out, options = tmp_path / "run", without_searcher_options()
    first = search(Net, data, out, searcher=RandomSearch(3), options=options)
    weights = (out / "supernet.pt").read_bytes()
    second = search(Net, data, out, searcher=Exhaustive(), options=options)
    assert (out / "supernet.pt").read_bytes() == weights
    assert second.metrics["train"] == first.metrics["train"]
    assert (first.metrics["search"]["candidates"], second.metrics["search"]["candidates"]) == (
        3,
        12,
    )
    assert second.metrics["tested_before"] == [first.metrics["test"]]


@pytest.mark.slow
def test_more_to_retrain_keeps_what_was_retrained(tmp_path, data):
    out = tmp_path / "run"
    first = search(Net, data, out)
    files = {path: path.read_bytes() for path in (out / "retrain").iterdir()}
    second = search(Net, data, out, options={**OPTIONS, "retrain.top": 4})
    assert len(second.metrics["retrain"]["candidates"]) == 5
    assert all(path.read_bytes() == content for path, content in files.items())
    rows = {row["key"]: row for row in second.metrics["retrain"]["candidates"]}
    for row in first.metrics["retrain"]["candidates"]:
        if row["key"] in rows:
            assert rows[row["key"]]["validation"] == row["validation"]


@pytest.mark.slow
def test_another_retraining_does_not_go_on_from_the_one_before(tmp_path, data):
    changed = {**OPTIONS, "retrain.train.steps": 9}
    search(Net, data, tmp_path / "run")
    again = search(Net, data, tmp_path / "run", options=changed)
    new = search(Net, data, tmp_path / "new", options=changed)
    for one, two in zip(again.model.parameters(), new.model.parameters(), strict=True):
        assert torch.equal(one, two)


class Pixels(Net):
    def forward(self, x):
        return super().forward(x.mean((1, 2)))


def pictures():
    generator = torch.Generator().manual_seed(0)
    images = torch.randint(256, (120, 1, 6, 6), generator=generator, dtype=torch.uint8)
    return images, torch.arange(120) % 3


@pytest.mark.slow
def test_retraining_may_change_images_in_another_way(tmp_path):
    cut = {**OPTIONS, "retrain.augment": {"cutout": 5}}
    first = search(Pixels, pictures(), tmp_path / "run")
    again = search(Pixels, pictures(), tmp_path / "run", options=cut)
    new = search(Pixels, pictures(), tmp_path / "new", options=cut)
    assert all(again.metrics[step] == first.metrics[step] for step in ("train", "search"))
    assert new.metrics["train"]["weights"] == first.metrics["train"]["weights"]
    losses = [
        [row["validation"] for row in one.metrics["retrain"]["candidates"]]
        for one in (first, again, new)
    ]
    assert losses[0] != losses[1] == losses[2]


def test_an_augmentation_that_does_not_fit_is_refused_before_training(tmp_path, data):
    with pytest.raises(DataError, match=r"augment.crop is 6, but the images are only 6 pixels"):
        search(Pixels, pictures(), tmp_path, options={**OPTIONS, "retrain.augment": {"crop": 6}})
    with pytest.raises(DataError, match="Augmentation needs images"):
        search(Net, data, tmp_path, options={**OPTIONS, "retrain.augment": {"flip": True}})
    assert not (tmp_path / "supernet.pt").exists()


@pytest.mark.slow
def test_options_that_cannot_be_met_give_nothing_up(tmp_path, data):
    first = search(Net, data, tmp_path / "run")
    with pytest.raises(sn.SupernetError, match="params <= 1"):
        search(Net, data, tmp_path / "run", constraints="params <= 1")
    assert search(Net, data, tmp_path / "run").metrics == first.metrics


@pytest.mark.slow
def test_costs_of_a_wider_network_are_its_own(tmp_path, data):
    result = search(Net, data, tmp_path / "run", options={**OPTIONS, "retrain.model": {"width": 7}})
    key = result.metrics["retrain"]["chosen"]
    row = next(row for row in result.metrics["retrain"]["candidates"] if row["key"] == key)
    assert row["params"] == sum(parameter.numel() for parameter in result.model.parameters())
    baselines = result.metrics["retrain"]["baselines"]["networks"]
    known = [*result.metrics["search"]["selected"], *baselines]
    narrow = next(row for row in known if row["key"] == key)
    assert row["macs"] > narrow["macs"]


def test_programme_takes_stored_images_and_result_normalises(tmp_path):
    class Images(nn.Module):
        def __init__(self, classes: int):
            super().__init__()
            self.a = sn.Choice({"c3": nn.Conv2d(1, 4, 3, padding=1), "c1": nn.Conv2d(1, 4, 1)})
            self.head = nn.Linear(4, classes)

        def forward(self, x):
            return self.head(self.a(x).mean((2, 3)))

    images = torch.randint(0, 256, (60, 1, 6, 6), dtype=torch.uint8)
    result = search(Images, (images, torch.arange(60) % 3), tmp_path / "run")
    program = torch.export.load(tmp_path / "run/model.pt2").module()
    expected = result.model(result.normalise(images))
    torch.testing.assert_close(program(images), expected)


@pytest.mark.slow_with("changes6-train.optimizer")
@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"strategy": 3}, "strategy is a short name"),
        ({"searcher": nn.ReLU()}, "search.searcher is a short name"),
        ({"task": "no.such.Task"}, "no.such"),
        ({"options": {**OPTIONS, "seed": 10**30}}, "seed"),
        ({"options": {**OPTIONS, "seed": -1}}, "seed"),
        ({"options": {**OPTIONS, "train.clip": -1}}, "clip"),
        ({"options": {**OPTIONS, "train.optimizer.lr": -1}}, "train.optimizer"),
        ({"options": {**OPTIONS, "train.optimizer": "torch.optim.LBFGS"}}, "LBFGS"),
        ({"options": {**OPTIONS, "retrain.model": object()}}, "retrain.model"),
    ],
)
def test_wrong_arguments_are_named(tmp_path, data, changes, words):
    with pytest.raises(sn.SupernetError, match=words):
        search(Net, data, tmp_path / "run", **changes)
    assert not (tmp_path / "run" / "supernet.pt").exists()


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"strategy": NeedsMore}, "cannot be made without arguments"),
        ({"searcher": sn_searcher.Searcher}, "cannot be made without arguments"),
        ({"constraints": 5}, "constraints are a text or a list"),
    ],
)
def test_what_cannot_be_made_is_named(tmp_path, data, changes, words):
    options = without_searcher_options() if "searcher" in changes else OPTIONS
    with pytest.raises(ConfigError, match=words):
        search(Net, data, tmp_path / "run", **{"options": options, **changes})


@pytest.mark.parametrize("wrong", [np.zeros(3), ([1, 2, 3], ["a", "b", "c"]), {"x": 1}])
def test_what_is_no_data_is_named(tmp_path, wrong):
    with pytest.raises(DataError, match="cannot be used as data"):
        search(Net, wrong, tmp_path / "run")


@pytest.mark.slow
def test_nothing_given_is_no_default(tmp_path, data):
    with pytest.raises(ConfigError, match="model"):
        search(None, data, tmp_path / "run")
    with pytest.raises(DataError, match="NoneType"):
        search(Net, None, tmp_path / "run")


@pytest.mark.slow
def test_targets_that_do_not_fit_are_refused_before_training(tmp_path, data):
    one_hot = nn.functional.one_hot(data[1], 3)
    with pytest.raises(DataError, match="classification needs one class number"):
        search(lambda: Net(classes=3), (data[0], one_hot), tmp_path / "one-hot")
    with pytest.raises(DataError, match="cannot be run on tensors"):
        search(lambda: Net(classes=2), data, tmp_path / "few")


@pytest.mark.slow
def test_report_of_a_run_made_from_python(tmp_path, data, capsys):
    from supernet.cli import main

    search(Net, data, tmp_path / "run")
    (tmp_path / "run/report.html").unlink()
    assert main(["report", "--run", str(tmp_path / "run")]) == 0
    assert (tmp_path / "run/report.html").exists()
    assert "chosen" in capsys.readouterr().out


class Failing(Classification):
    """A task that works in training only."""

    def measure(self, model, batch):
        if torch.is_inference_mode_enabled():  # as in scoring, not in the checks before training
            raise ZeroDivisionError("a bug of the task")
        return super().measure(model, batch)


@pytest.mark.slow
def test_scoring_that_fails_for_all_says_why_and_goes_on_once_mended(tmp_path, data, monkeypatch):
    with pytest.raises(sn.SupernetError, match="a bug of the task"):
        search(Net, data, tmp_path / "run", task=Failing())
    weights = (tmp_path / "run/supernet.pt").read_bytes()
    monkeypatch.delattr(Failing, "measure")
    assert search(Net, data, tmp_path / "run", task=Failing()).metrics["search"]["failed"] == 0
    assert (tmp_path / "run/supernet.pt").read_bytes() == weights


def statuses(folder):
    import sqlite3

    with sqlite3.connect(folder / "candidates.db") as connection:
        return [row for (row,) in connection.execute("SELECT status FROM candidates")]


@pytest.mark.slow
def test_randomnas_selects_from_what_was_scored_on_all_images(tmp_path, data):
    searcher = RandomNASSearch(count=8, best=3, batches=1)
    options = {**without_searcher_options(), "evaluate.batch_size": 8}
    given = {"strategy": "randomnas", "searcher": searcher, "options": options}
    result = search(Net, data, tmp_path / "run", **given)
    search_metrics = result.metrics["search"]
    assert (search_metrics["candidates"], search_metrics["partial"]) == (8, 5)
    assert statuses(tmp_path / "run").count("partial") == 8
    assert all(row["supernet"]["accuracy"] is not None for row in search_metrics["selected"])


class Blind(nn.Module):
    def forward(self, x):
        return x * 0


class Unequal(Net):
    """Half of its networks see nothing of the inputs."""

    def __init__(self, classes: int):
        super().__init__(classes)
        blind = nn.Sequential(nn.Linear(6, 4), Blind())
        self.a = sn.Choice({"linear": nn.Linear(6, 4), "blind": blind})


@pytest.mark.slow
def test_a_race_ends_like_full_scoring(tmp_path):
    inputs = torch.randn(1500, 6, generator=torch.Generator().manual_seed(0))
    data = (inputs, inputs[:, :3].argmax(1))
    options = {**OPTIONS, "evaluate.batch_size": 12, "train.steps": 100}
    full = search(Unequal, data, tmp_path / "full", options=options)
    raced = search(Unequal, data, tmp_path / "raced", options={**options, "evaluate.race": 0.3})
    assert raced.metrics["search"]["candidates"] == full.metrics["search"]["candidates"]
    assert raced.metrics["search"]["selected"] == full.metrics["search"]["selected"]
    assert "partial" in statuses(tmp_path / "raced")
    again = search(Unequal, data, tmp_path / "raced", options={**options, "evaluate.race": 0.3})
    assert again.metrics == raced.metrics


@pytest.mark.slow
def test_several_objectives_are_retrained_along_the_front(tmp_path, data):
    searcher = NSGA2(population=6, generations=2)
    options = without_searcher_options()
    result = search(Net, data, tmp_path / "run", searcher=searcher, options=options)
    top = [row for row in result.metrics["search"]["selected"] if row["role"] == "top"]
    points = [(-row["supernet"]["accuracy"], row["macs"]) for row in top]
    assert not any(a[0] <= b[0] and a[1] < b[1] for a in points for b in points)
    assert 0 < result.metrics["search"]["hypervolume"]["macs"] < 1


@pytest.mark.slow
def test_batch_norm_is_looked_into_before_the_search(tmp_path, data):
    class Normed(Net):
        def __init__(self, classes: int):
            super().__init__(classes)
            self.head = nn.Sequential(nn.BatchNorm1d(4), nn.Linear(4, classes))

    options = {
        **OPTIONS,
        "evaluate.batch_norm": "recalibrate",
        "evaluate.batch_size": 8,
        "evaluate.calibration_batches": "converge",
        "evaluate.probes": 4,
    }
    result = search(Normed, data, tmp_path / "run", options=options)
    report = result.metrics["search"]["batch_norm_report"]
    assert report["calibration_batches"] in (1, 2, 4, 8, 16)
    assert len(report["agreements"]) > 1
    assert report["architectures"] == 4
    assert "Batch norm" in (tmp_path / "run/report.html").read_text()
    plain = search(Net, data, tmp_path / "plain", options=options)
    assert plain.metrics["search"]["batch_norm"] == "none needed"
    assert plain.metrics["search"]["batch_norm_report"]["agreements"] == []


class Remembering(SPOS):
    """A strategy with a state that decides what it draws."""

    def __init__(self):
        super().__init__()
        self.steps = 0

    def backward(self, model, task, batch, moment):
        self.steps += 1
        path = model.space[self.steps % model.space.size]
        with model.route(path):
            loss = task.loss(model, batch)
        loss.backward()
        return loss.detach()

    def state_dict(self):
        return {"steps": self.steps}

    def load_state_dict(self, state):
        self.steps = state["steps"]


@pytest.mark.slow
@pytest.mark.parametrize("strategy", [Remembering(), SPOS(sampling="cost")])
def test_an_object_serves_several_calls_and_is_left_as_it_was(tmp_path, data, strategy):
    before = dict(vars(strategy))
    first = search(Net, data, tmp_path / "run", strategy=strategy)
    assert dict(vars(strategy)) == before
    assert search(Net, data, tmp_path / "run", strategy=strategy).metrics == first.metrics


@pytest.mark.slow
def test_parts_begin_with_a_fresh_strategy_also_after_an_interruption(tmp_path, data):
    class OneOf(Net):
        def __init__(self, classes: int):
            super().__init__(classes)
            self.b = sn.Choice([nn.Identity(), nn.Tanh()])

    def parts(folder):
        return [torch.load(folder / f"few_shot/{i}.pt", weights_only=True) for i in range(2)]

    split = {**OPTIONS, "few_shot.decision": "a", "few_shot.train.steps": 5}
    search(OneOf, data, tmp_path / "whole", strategy=Remembering(), options=split)
    search(OneOf, data, tmp_path / "later", strategy=Remembering())
    search(OneOf, data, tmp_path / "later", strategy=Remembering(), options=split)
    for one, two in zip(parts(tmp_path / "whole"), parts(tmp_path / "later"), strict=True):
        assert one["learner"] == two["learner"]
        assert all(torch.equal(one["model"][name], two["model"][name]) for name in one["model"])


@pytest.mark.slow
def test_a_searcher_object_gives_way_to_a_name(tmp_path, data):
    options = without_searcher_options()
    first = search(Net, data, tmp_path / "run", searcher=RandomSearch(3), options=options)
    second = search(Net, data, tmp_path / "run", searcher="exhaustive", options=options)
    assert second.metrics["train"] == first.metrics["train"]
    assert second.metrics["search"]["candidates"] == 12


@pytest.mark.slow
def test_data_is_recognised_without_metrics(tmp_path, data):
    search(Net, data, tmp_path / "run")
    (tmp_path / "run/metrics.json").unlink()
    (tmp_path / "run/candidates.db").unlink()
    other = TensorDataset(data[0] + 1, data[1])
    search(Net, TensorDataset(*data), tmp_path / "set")
    (tmp_path / "set/metrics.json").unlink()
    with pytest.raises(RunFolderError, match="other data"):
        search(Net, other, tmp_path / "set")


@pytest.mark.slow
def test_the_random_baseline_is_none_of_those_that_were_retrained(tmp_path, data):
    """There are twelve networks: one is left for it, or none."""
    out = tmp_path / "run"
    result = search(Net, data, out, options={**OPTIONS, "retrain.top": 10, "retrain.probes": 1})
    rows = result.metrics["retrain"]["candidates"]
    assert len({row["key"] for row in rows}) == len(rows)
    assert rows[-1]["role"] == "random"
    assert [one["key"] for one in result.metrics["test"]["random"]] == [rows[-1]["key"]]
    result = search(Net, data, out, options={**OPTIONS, "retrain.top": 11, "retrain.probes": 12})
    rows = result.metrics["retrain"]["candidates"]
    assert [row["role"] for row in rows] == ["top"] * 11 + ["probe"]
    assert result.metrics["retrain"]["ranking"]["n"] == 12
    assert result.metrics["test"]["random"] == []
    assert result.metrics["test"]["over_random"] is None


class Faulty(Classification):
    def loss(self, model, batch):
        return 3.0


def test_a_faulty_loss_is_found_before_training(tmp_path, data):
    with pytest.raises(DataError, match="must return a tensor of one number"):
        search(Net, data, tmp_path / "run", task=Faulty())
    assert not (tmp_path / "run/supernet.pt").exists()


@pytest.mark.slow
def test_a_faulty_loss_is_mended_in_place(tmp_path, data):
    with pytest.raises(DataError, match="must return a tensor of one number"):
        search(Net, data, tmp_path / "run", task=Faulty())
    assert search(Net, data, tmp_path / "run").metrics["search"]["candidates"] == 12


class WholeBatch(Classification):
    """Measures something of a batch that is no mean over its examples."""

    def measure(self, model, batch):
        return {**super().measure(model, batch), "f1": torch.tensor(0.5)}


def test_a_measure_of_whole_batches_is_refused_before_training(tmp_path, data):
    with pytest.raises(DataError, match=r"the measure 'f1' of WholeBatch .* shape \[\]"):
        search(Net, data, tmp_path / "run", task=WholeBatch())
    assert not (tmp_path / "run/supernet.pt").exists()


def test_options_that_an_object_would_ignore_are_refused(tmp_path, data):
    for option in ("model.width", "task.label_smoothing"):
        with pytest.raises(ConfigError, match=f"{option} has no effect"):
            search(Net, data, tmp_path, task=Classification(), options={**OPTIONS, option: 1})


@pytest.mark.slow
def test_the_model_of_a_run_is_written_only_if_it_computes_the_same(tmp_path, data, capsys):
    class Noisy(Net):
        def forward(self, x):
            y = super().forward(x)
            return y + torch.rand_like(y)

    result = search(Noisy, data, tmp_path)
    assert "model.pt2 is not written: the outputs of the exported programme differ" in (
        capsys.readouterr().err
    )
    assert not (tmp_path / "model.pt2").exists()
    assert result.metrics["retrain"]["program"] is None
    with pytest.raises(sn.SupernetError, match="differ"):
        result.export_networks()
    for pick in (5, ["macs <= 50%"]):
        with pytest.raises(sn.SupernetError, match="a pick is a text such as"):
            result.export_networks(pick)


@pytest.mark.slow
def test_what_is_retrained_how_is_said(tmp_path, data, capsys):
    given = {"train.optimizer": "torch.optim.AdamW", "train.optimizer.lr": 0.01}
    search(Net, data, tmp_path, options={**OPTIONS, **given})
    said = capsys.readouterr().err
    assert "trained for 4 steps of 16 examples by AdamW, learning rate 0.01" in said


@pytest.mark.slow
def test_a_model_of_numbers_to_be_predicted_is_given_no_classes(tmp_path, data):
    class Squares(Classification):
        def loss(self, model, batch):
            return self.measure(model, batch)["loss"].mean()

        def measure(self, model, batch):
            return {"loss": (model(batch[0]).squeeze(1) - batch[1]).square()}

    result = search(
        lambda classes=1: Net(classes), (data[0], data[0].sum(1)), tmp_path, task=Squares()
    )
    assert result.model.head.out_features == 1


def test_a_result_is_short_and_a_table_in_notebooks(watched):
    result = watched.result
    text = repr(result)
    assert len(text) < 300
    assert f"chosen {result.metrics['retrain']['chosen']}" in text
    assert f"report: {result.report}" in text
    assert result.report.read_text().startswith("<!doctype html>")
    html = result._repr_html_()
    assert html.startswith("<pre")
    assert all(one["key"] in html for one in result.metrics["retrain"]["candidates"])
    empty = dataclasses.replace(result, metrics={})
    assert repr(empty) == f"Result(report: {result.report})"


def test_candidates_are_rows_best_first(watched):
    rows = watched.result.candidates
    space = sn.SuperNet(Net()).space
    assert len(rows) == space.size
    assert {tuple(row) for row in rows} == {
        ("key", "loss", "accuracy", "params", "macs", "decision.a", "decision.b")
    }
    assert [row["loss"] for row in rows] == sorted(row["loss"] for row in rows)
    for row in rows:
        answers = {"a": row["decision.a"], "b": tuple(row["decision.b"])}
        assert sn.Architecture(answers).key == row["key"]


def test_the_trained_supernet_scores_as_the_table_says(watched):
    result, (inputs, targets) = watched.result, examples()
    supernet, best = result.supernet, result.candidates[0]
    state = torch.load(result.folder / "supernet.pt", weights_only=True)["model"]
    assert all(torch.equal(state[name], value) for name, value in supernet.state_dict().items())
    answers = {"a": best["decision.a"], "b": tuple(best["decision.b"])}
    with torch.no_grad(), supernet.route(sn.Architecture(answers)):
        assert supernet(result.normalise(inputs)).shape == (len(targets), 3)


def test_a_run_ends_with_its_table_and_report(data, tmp_path, capsys):
    sn.run(Net, data, strategy="spos", searcher="exhaustive", options=OPTIONS, out=tmp_path / "run")
    shown = capsys.readouterr().out
    assert "stand-alone" in shown
    assert shown.splitlines()[-1] == f"report: {tmp_path / 'run' / 'report.html'}"

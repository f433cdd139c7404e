"""Runs of every task, ranked by a figure of the whole data set; and what is refused before training."""

import copy

import numpy as np
import pytest
import torch
from sklearn.utils.class_weight import compute_class_weight
from torch import nn

import supernet as sn
from supernet.errors import ConfigError, ConstraintError, DataError, RunFolderError
from supernet.evaluate import measure
from supernet.evaluate.rows import candidate_rows
from supernet.pipeline.open import open_run
from supernet.pipeline.train import check_inputs
from supernet.search import NSGA2
from supernet.task import Classification
from supernet.track import RunFiles

OPTIONS = {
    "train.steps": 20,
    "train.batch_size": 16,
    "retrain.train.steps": 10,
    "retrain.train.batch_size": 16,
    "retrain.top": 2,
    "retrain.baselines": 2,
}


class Net(nn.Module):
    """Six numbers to some, through one of three layers."""

    def __init__(self, outputs):
        super().__init__()
        layers = {"linear": nn.Linear(6, 6), "skip": nn.Identity()}
        self.a = sn.Choice({**layers, "relu": nn.Sequential(nn.Linear(6, 6), nn.ReLU())}, label="a")
        self.b = sn.Choice([nn.Identity(), nn.Tanh()], label="b")
        self.head = nn.Linear(6, outputs)

    def forward(self, x):
        return self.head(self.b(self.a(x)))


class Pixels(nn.Module):
    """An image to a class of each pixel."""

    def __init__(self, classes=3):
        super().__init__()
        convs = {f"conv{k}": nn.Conv2d(1, 4, k, padding=k // 2) for k in (1, 3, 5)}
        self.a = sn.Choice(convs, label="a")
        self.b = sn.Choice([nn.ReLU(), nn.Tanh()], label="b")
        self.head = nn.Conv2d(4, classes, 1)

    def forward(self, images):
        return self.head(self.b(self.a(images)))


def numbers(make):
    generator = torch.Generator().manual_seed(0)
    inputs = torch.randn(160, 6, generator=generator)
    return inputs, make(inputs)


def pixels():
    generator = torch.Generator().manual_seed(0)
    images = torch.randn(96, 1, 6, 6, generator=generator)
    classes = (images[:, 0] > 0.5).long() + (images[:, 0] > -0.5).long()
    classes[:, 0] = 255
    return images, classes


TASKS = {
    "classification": (Net(3), numbers(lambda x: x[:, :3].argmax(1)), "f1"),
    "multilabel": (Net(4), numbers(lambda x: (x[:, :4] > 0.4).long()), "auroc"),
    "regression": (Net(1), numbers(lambda x: x[:, 0] - 2 * x[:, 1]), "rmse"),
    "segmentation": (Pixels(), pixels(), "mean_iou"),
}


def searched(name, out, by=None, **changes):
    model, data, figure = TASKS[name]
    given = {"strategy": "spos", "searcher": "exhaustive", "task": name, **changes}
    by = by or (figure if given["task"] == name else "loss")
    options = {**OPTIONS, "evaluate.rank_by": by, **given.pop("options", {})}
    if given["task"] == "classification":
        options["task.by_class"] = True
    return sn.run(copy.deepcopy(model), data, out=out, progress=False, options=options, **given)


@pytest.mark.slow_with("classification", "multilabel", "regression")
@pytest.mark.parametrize("task", TASKS)
def test_a_run_goes_by_the_figure(tmp_path, task):
    figure, result = TASKS[task][2], searched(task, tmp_path / "run")
    sign = -1 if figure == "rmse" else 1
    rows, metrics = result.candidates, result.metrics
    assert len(rows) == 6
    assert [row[figure] for row in rows] == sorted(
        (r[figure] for r in rows), key=lambda v: -sign * v
    )
    top = [one["key"] for one in metrics["search"]["selected"] if one["role"] == "top"]
    assert top == [row["key"] for row in rows[:2]]
    retrained = metrics["retrain"]["candidates"]
    best = max(retrained, key=lambda one: sign * one["validation"][figure])
    assert metrics["retrain"]["chosen"] == best["key"]
    test = metrics["test"]
    assert test["over_random"]["measure"] == figure
    mean = sum(one[figure] for one in test["random"]) / len(test["random"])
    reference = test.get("searched") or test["chosen"]
    expected = sign * (reference[figure] - mean)
    assert test["over_random"]["examples"]["value"] == pytest.approx(expected, abs=1e-6)
    assert f"{figure} {test['chosen'][figure]:.4f}" in repr(result)
    report = result.report.read_text()
    assert f"one-shot {figure}" in report
    assert f"Scores: {figure}." in report
    assert f"{figure} {test['chosen'][figure]:.4f}" in report
    assert measure_again(result, task) == {
        name: pytest.approx(best["validation"][name], rel=1e-5) for name in best["validation"]
    }


def measure_again(result, task):
    """Return the figures of the chosen network on the search split, of the network that is returned."""
    with result.again() as opened:
        inputs = opened.inputs
        return measure(result.model, inputs.task, inputs.splits.search, inputs.normalise, 50)


@pytest.mark.slow
def test_all_figures_are_in_the_table_and_a_run_goes_on_from_it(tmp_path):
    first = searched("segmentation", tmp_path / "run")
    rows, changed = candidate_rows(tmp_path / "run" / "candidates.db")
    assert not changed
    assert all(row.figures.keys() == {"mean_iou"} and row.accuracy is not None for row in rows)
    again = searched("segmentation", tmp_path / "run", by="loss")
    assert again.metrics["train"] == first.metrics["train"]
    assert [row["loss"] for row in again.candidates] == sorted(
        row["loss"] for row in first.candidates
    )
    assert RunFiles.read(tmp_path / "run").metrics.search.ranked_by == ""


@pytest.mark.slow
def test_objectives_may_be_any_figures(tmp_path):
    searcher = NSGA2(4, 3, objectives=("rmse", "r2", "params"))
    result = searched("regression", tmp_path / "run", searcher=searcher, strategy="bender")
    rows = {row["key"]: row for row in result.candidates}
    top = [one["key"] for one in result.metrics["search"]["selected"] if one["role"] == "top"]
    for key in top:
        worse = rows[key]
        for better in rows.values():
            signs = [
                (better[n] - worse[n]) * s for n, s in (("rmse", 1), ("r2", -1), ("params", 1))
            ]
            assert not (max(signs) <= 0 and min(signs) < 0)
    with pytest.raises(ConfigError, match=r"unknown objective 'rmsee'; possible: .*rmse"):
        searched("regression", tmp_path / "other", searcher=NSGA2(objectives=("rmsee", "params")))


class Broken(Classification):
    """Measures counts and makes no figures of them."""

    def measure(self, model, batch):
        found = super().measure(model, batch)
        return {**found, "counts": torch.ones(len(batch[-1]), 3)}


class Named(Classification):
    def figures(self, means):
        return {**means, "macs": means["loss"]}


@pytest.mark.parametrize(
    ("task", "changes", "kind", "words"),
    [
        ("classification", {"task": Broken}, DataError, ["'counts' of Broken", "[batch, 3]"]),
        ("classification", {"task": Named}, ConfigError, ["'macs'"]),
        ("classification", {"by": "f2"}, ConfigError, ["'f2'", "f1", "rank_by"]),
        ("segmentation", {"options": {"evaluate.race": 0.1}}, ConfigError, ["race", "'mean_iou'"]),
        (
            "segmentation",
            {"options": {"split.augment.flip": True}},
            ConfigError,
            ["flips", "Segmentation", "--split.augment.flip false"],
        ),
        ("multilabel", {"task": "classification"}, DataError, ["multilabel"]),
        ("classification", {"task": "regression"}, DataError, ["regression", "torch.int64"]),
    ],
)
def test_what_cannot_be_ranked_is_refused_before_training(tmp_path, task, changes, kind, words):
    with pytest.raises(kind) as caught:
        searched(task, tmp_path / "run", **changes)
    for word in words:
        assert word in str(caught.value)
    assert not (tmp_path / "run" / "supernet.pt").exists()


@pytest.mark.slow
def test_a_race_by_a_mean_of_another_name(tmp_path):
    options = {"evaluate.race": 0.1, "evaluate.batch_size": 4}
    result = searched(
        "multilabel", tmp_path / "run", by="exact", options=options, searcher="evolution"
    )
    assert result.metrics["search"]["ranked_by"] == "exact"


def test_a_bound_on_a_figure_is_kept_by_what_is_selected(tmp_path):
    free = searched("segmentation", tmp_path / "run")
    values = sorted(row["accuracy"] for row in free.candidates)
    bound = f"accuracy <= {(values[2] + values[3]) / 2}"
    constraints = [bound, "params <= 95%"]
    result = searched("segmentation", tmp_path / "run", constraints=constraints)
    assert result.metrics["train"] == free.metrics["train"]
    allowed = [r for r in result.candidates if r["accuracy"] <= values[2]]
    params = max(row["params"] for row in free.candidates)
    top = [r["key"] for r in result.metrics["search"]["selected"] if r["role"] == "top"]
    expected = [row["key"] for row in allowed if row["params"] <= 0.95 * params]
    assert 0 < len(expected) < 4
    assert top == expected[:2]
    with pytest.raises(ConstraintError) as caught:
        searched("segmentation", tmp_path / "run", constraints="mean_iou >= 99.5%")
    best = max(row["mean_iou"] for row in free.candidates)
    for word in ("none of the 6 candidates", "mean_iou >= 99.5%", f"reached is {best:.6g}"):
        assert word in str(caught.value)


def test_bounds_on_what_nobody_knows_are_refused(tmp_path):
    with pytest.raises(
        ConstraintError, match=r"'mean_iuo', .*params, and .*mean_iou.*did you mean"
    ):
        searched("segmentation", tmp_path / "run", constraints="mean_iuo >= 0.5")
    assert not (tmp_path / "run" / "supernet.pt").exists()


@pytest.mark.parametrize(
    ("changes", "option"),
    [
        ({"by": "f1"}, "'f1' is one with --task.by_class true"),
        ({"constraints": "balanced_accuracy >= 0.3"}, "with --task.by_class true"),
        ({"searcher": NSGA2(4, 2, objectives=("f1", "macs"))}, "with --task.by_class true"),
        ({"by": "f11"}, "did you mean 'f1'"),
        ({"task": "multilabel", "by": "auroc", "options": {"task.bins": 0}}, "--task.bins 200"),
    ],
)
def test_figures_that_need_an_option_are_named_with_it(tmp_path, changes, option):
    model, data, _ = TASKS["multilabel" if changes.get("task") else "classification"]
    changes = dict(changes)
    options = {**changes.pop("options", {}), "evaluate.rank_by": changes.pop("by", "loss")}
    given = {"strategy": "spos", "searcher": "exhaustive", "progress": False, **changes}
    with pytest.raises((ConfigError, ConstraintError)) as caught:
        sn.run(copy.deepcopy(model), data, out=tmp_path, options=options, **given)
    assert option in str(caught.value)


class Sized(Net):
    """Has as many outputs as the data asks for."""

    def __init__(self, classes: int = 1):
        super().__init__(classes)


def rare_pixels():
    images, classes = pixels()
    classes[0, 3] = 6  # of one image, in whichever split that is
    return images, classes


@pytest.mark.parametrize(
    ("task", "model", "data", "count"),
    [
        ("multilabel", Sized, numbers(lambda x: (x[:, :4] > 0.4).float()), 4),
        ("regression", Sized, numbers(lambda x: x[:, :2]), 2),
        ("regression", Sized, numbers(lambda x: x[:, 0]), 1),
        ("segmentation", Pixels, rare_pixels(), 7),
    ],
)
def test_models_have_the_outputs_that_targets_need(tmp_path, task, model, data, count):
    objects = {"model": model, "data": data}
    with open_run(["--task", task, "--strategy", "spos"], tmp_path, objects=objects) as opened:
        head = opened.inputs.supernet.model.head
        assert len(head.weight) == count
        check_inputs(opened.run, opened.inputs)


def uneven():
    return numbers(lambda x: (x[:, 0] > 0.5).long() + (x[:, 0] > 1.5).long())


@pytest.mark.parametrize("given", ["command line", "Python"])
def test_balanced_weights_are_those_of_the_training_split(tmp_path, given):
    objects = {"model": Sized, "data": uneven()}
    arguments = ["--strategy", "spos"]
    if given == "Python":
        objects["task"] = Classification(class_weights="balanced")
    else:
        arguments += ["--task.class_weights", "balanced"]
    with open_run(arguments, tmp_path, objects=objects) as opened:
        targets = opened.inputs.splits.train.targets.numpy()
        expected = compute_class_weight("balanced", classes=np.arange(3), y=targets)
        assert opened.inputs.task.class_weights == pytest.approx(expected)


@pytest.mark.slow
def test_a_run_with_balanced_weights_is_known_again_and_is_no_other(tmp_path):
    def run(weights):
        options = {**OPTIONS, "task.class_weights": weights}
        data, given = uneven(), {"strategy": "spos", "searcher": "exhaustive", "progress": False}
        return sn.run(Sized, data, out=tmp_path, options=options, **given)

    first = run("balanced")
    assert run("balanced").metrics == first.metrics
    with pytest.raises(RunFolderError, match=r"class_weights: balanced and None"):
        run(None)


def test_balanced_weights_of_labels_are_refused_before_training(tmp_path):
    options = {"task.class_weights": "balanced"}
    with pytest.raises(ConfigError, match=r"'balanced' counts.*task multilabel"):
        searched("multilabel", tmp_path, task="classification", options=options)


@pytest.mark.slow
def test_another_figure_would_be_another_reward(tmp_path):
    options = {"strategy.interval": 4, "strategy.candidates": 4, "retrain.top": 1}

    def run(by):
        given = {"strategy": "enas", "searcher": "learned", "options": dict(options)}
        return searched("classification", tmp_path, by=by, **given)

    first = run("f1")
    with pytest.raises(RunFolderError, match=r"(?s)rank_by: f1 and loss.*trained supernet depends"):
        run("loss")
    assert run("f1").metrics == first.metrics

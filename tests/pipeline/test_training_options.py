"""How long and by what trainings go: epochs, functions as optimizers and schedules, early stopping."""

from __future__ import annotations

import json
import math

import pytest
import torch

from supernet.errors import ConfigError, DataError, RunFolderError
from supernet.parser import parse
from supernet.task import Classification

SIZE = 16


class NoAccuracy(Classification):
    def measure(self, model, batch):
        return {"loss": super().measure(model, batch)["loss"]}


def make(rate, kind=torch.optim.SGD):
    return lambda parameters: kind(parameters, lr=rate)


def lines(out, stage):
    records = map(json.loads, (out / "log.jsonl").read_text().splitlines())
    return [one for one in records if one["stage"].startswith(stage)]


def test_epochs_are_as_many_steps_as_they_take(search, tmp_path):
    options = {"train.epochs": 1.5, "retrain.train.epochs": 0.25, "retrain.train.batch_size": SIZE}
    result = search(tmp_path / "run", options=options)
    trained = result.metrics["data"]["train"]
    assert result.metrics["train"]["steps"] == round(1.5 * trained / SIZE)
    assert lines(tmp_path / "run", "train")[-1]["step"] == round(1.5 * trained / SIZE)
    assert lines(tmp_path / "run", "retrain-")[-1]["step"] == max(1, round(0.25 * trained / SIZE))
    again = search(tmp_path / "run", options=options)  # it is done, and known to be
    assert again.metrics == result.metrics


def test_the_last_of_steps_and_epochs_counts(tmp_path):
    (tmp_path / "run.yaml").write_text("train: {epochs: 3}\nretrain: {train: {steps: 7}}\n")
    config = f"--config={tmp_path / 'run.yaml'}"
    read, plain = parse("supernet run", [config])
    assert read.train.epochs == 3
    assert read.of_examples(640).train.steps == 30
    assert read.of_examples(640).retrain.train.steps == 7
    assert read.few_shot.train.epochs is None  # how long to train is not handed on
    later, _ = parse("supernet run", ["--train.steps=9"], plain)
    assert later.of_examples(640).train.steps == 9
    assert parse("supernet run", ["--train.epochs=2"], plain)[0].of_examples(640).train.steps == 20
    assert parse("supernet run", [], plain)[0].of_examples(640).train.steps == 30


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--train.steps=9", "--train.epochs=2"], "train.steps and train.epochs both say"),
        (["--retrain.train.epochs=2", "--retrain.train.steps=9"], "retrain.train.steps and"),
        (["--train.epochs=0"], "above 0, or null, not 0"),
        (["--train.epochs=inf"], "epochs"),
        (["--retrain.train.patience=0"], "at least 1, or null, not 0"),
        (["--train.schedule=cosin"], "did you mean 'cosine'"),
        (["--train.schedule=antigravity.fly"], "is Python's own"),
        (["--train.schedule=nowhere.at_all"], "cannot be imported"),
        (["--train.schedule=torch.nn.Linear"], "schedule"),
    ],
)
def test_what_cannot_be_is_refused(arguments, said):
    with pytest.raises(ConfigError, match=said):
        parse("supernet run", arguments)


WRONG = {
    "steps": -1,
    "batch_size": 0,
    "log_every": 0,
    "epochs": -1,
    "accumulate": 100,
    "warmup": 1,
    "lowest": 2,
    "clip": 0,
    "mixup": -1,
    "cutmix": -1,
    "teacher": 0,
    "ema": 1,
}


@pytest.mark.parametrize("group", ["train", "few_shot.train", "retrain.train"])
@pytest.mark.parametrize("name", WRONG)
def test_messages_name_the_option_with_its_group(group, name):
    with pytest.raises(ConfigError, match=rf"(?<![\w.]){group}\.{name}\b.*{WRONG[name]}"):
        parse("supernet run", [f"--{group}.{name}={WRONG[name]}"])


def test_patience_is_named_with_its_group():
    with pytest.raises(ConfigError, match=r"^retrain\.train\.patience is a number of records"):
        parse("supernet run", ["--retrain.train.patience=0"])


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"retrain.train.accumulate": 80, "retrain.train.batch_size": 90}, r"retrain.*only 77 exa"),
        ({"train.accumulate": 2, "strategy": "darts"}, "^train.accumulate 2 lets"),
    ],
)
def test_parts_of_batches_that_cannot_be_are_refused_by_name(options, said, search, tmp_path):
    strategy = options.pop("strategy", "spos")
    with pytest.raises(ConfigError, match=said):
        search(tmp_path / "run", strategy=strategy, searcher="random", options=options)


@pytest.mark.parametrize("task", ["regression", "multilabel", "segmentation", "language"])
@pytest.mark.parametrize("option", ["train.mixup", "retrain.train.cutmix"])
def test_tasks_that_mix_nothing_are_refused_before_data_are_read(task, option):
    with pytest.raises(ConfigError, match=rf"{option} 0\.5.*task \w+ takes no shares"):
        parse(
            "supernet run",
            ["--task", task, f"--{option}=0.5", "--data=folder", "--data.folder=nowhere"],
        )


class OneClass(Classification):
    def loss(self, model, batch):
        return torch.nn.functional.nll_loss(model(*batch[:-1]), batch[-1])


@pytest.mark.parametrize(
    ("options", "task", "kind", "said"),
    [
        ({"train.cutmix": 1.0}, None, DataError, r"leave train\.cutmix at 0, or use train\.mixup"),
        ({"retrain.train.cutmix": 1.0}, None, DataError, r"leave retrain\.train\.cutmix at 0"),
        ({"train.mixup": 1.0}, OneClass, DataError, r"OneClass.loss cannot.*train\.mixup"),
    ],
)
def test_what_cannot_be_mixed_is_refused_before_training(
    options, task, kind, said, search, tmp_path
):
    given = {} if task is None else {"task": task}
    with pytest.raises(kind, match=said):
        search(tmp_path / "run", options=options, **given)
    assert not (tmp_path / "run" / "supernet.pt").exists()


def test_functions_train_what_options_of_the_same_content_do(search, tmp_path, contents):
    named = {
        "train.optimizer": "SGD",
        "train.optimizer.lr": 0.1,
        "train.optimizer.momentum": 0.0,
        "train.optimizer.weight_decay": 0.0,
        "train.optimizer.nesterov": False,
    }
    search(tmp_path / "named", options=named)
    given = {
        "train.optimizer": make(0.1),
        "train.schedule": lambda p: (1 + math.cos(math.pi * p)) / 2,
    }
    search(tmp_path / "given", options=given)

    def losses(name):
        records = [*lines(tmp_path / name, "train"), *lines(tmp_path / name, "retrain-")]
        return [(one["stage"], one["step"], one["loss"], one["learning_rate"]) for one in records]

    assert losses("given") == losses("named")  # of retraining too, for which they hold
    search(tmp_path / "given", options=given)
    with pytest.raises(RunFolderError, match="the code of the optimizer or of the schedule"):
        search(
            tmp_path / "given", options={**given, "train.optimizer": make(0.2, torch.optim.Adam)}
        )


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"train.optimizer": lambda parameters: 1}, "must return a torch.optim.Optimizer"),
        ({"train.optimizer": lambda: None}, "cannot be made"),
        ({"train.steps": len}, "train.steps cannot be"),
        ({"train.schedule": lambda passed: "low"}, "a number of 0 or more"),
    ],
)
def test_functions_that_cannot_be_used_are_refused(options, said, search, tmp_path):
    with pytest.raises(ConfigError, match=said):
        search(tmp_path / "run", options=options)


def test_retraining_stops_early(search, tmp_path):
    options = {
        "retrain.train.steps": 4000,
        "retrain.train.patience": 2,
        "retrain.train.optimizer.lr": 3.0,
        "retrain.train.clip": None,
        "retrain.train.schedule": "constant",
        "retrain.train.log_every": 2,
    }
    result = search(tmp_path / "run", options=options)
    stages = {one["stage"] for one in lines(tmp_path / "run", "retrain-")}
    for stage in stages:
        losses = [one["search_loss"] for one in lines(tmp_path / "run", stage)]
        assert len(losses) < 2000
        assert min(losses[-2:]) >= min(losses[:-2])  # two records without a lower one
    lowest = min(min(one["search_loss"] for one in lines(tmp_path / "run", s)) for s in stages)
    chosen = result.metrics["retrain"]["candidates"]
    assert min(one["validation"]["loss"] for one in chosen) == pytest.approx(lowest)
    assert search(tmp_path / "run", options=options).metrics == result.metrics


def test_where_trainings_end_and_who_teaches_is_said(search, tmp_path, capsys):
    options = {"retrain.train.steps": 400, "retrain.train.patience": 1, "train.teacher": 0.5}
    options |= {
        "retrain.train.optimizer.lr": 5.0,
        "retrain.train.clip": None,
        "retrain.train.warmup": 0,
    }
    search(tmp_path / "run", options=options)
    said = capsys.readouterr().err
    assert "the teacher is the model as it was given" in said
    assert " of 400 steps: no lower loss on the search split in 1 records" in said


def test_a_figure_that_the_task_has_not_is_nothing_to_rank_by(search, tmp_path):
    with pytest.raises(ConfigError, match=r"rank_by is 'accuracy', but NoAccuracy has .* loss"):
        search(tmp_path, task=NoAccuracy(), options={"evaluate.rank_by": "accuracy"})

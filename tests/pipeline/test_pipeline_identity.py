"""Folders know by code, weights and data, not by names, what their results belong to."""

from __future__ import annotations

import json
import math
import os
import random
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest
import torch
from torch import nn
from torch.nn import functional as F

import supernet as sn
from supernet.data import Augment, Tensors
from supernet.errors import DataError, RunFolderError
from supernet.search import Exhaustive
from supernet.task import Classification

OPTIONS = {"train.steps": 4, "retrain.train.steps": 3, "retrain.top": 1}


class Net(nn.Module):
    def __init__(self, classes: int = 3):
        super().__init__()
        self.a = sn.Choice({"relu": nn.ReLU(), "tanh": nn.Tanh()})
        self.body, self.head = nn.Linear(4, 5), nn.Linear(5, classes)

    def forward(self, x):
        return self.head(self.a(self.body(x)))


class Mended(Net):
    def forward(self, x):
        return self.head(self.a(self.body(x)) * 2)


def named(kind: type, name: str = "Net") -> type:
    """Return the class under another name, as one that was edited has it."""
    kind.__qualname__ = kind.__name__ = name
    return kind


def points(count: int = 60) -> tuple[torch.Tensor, torch.Tensor]:
    inputs = torch.randn(count, 4, generator=torch.Generator().manual_seed(1))
    return inputs, inputs[:, :3].argmax(1)


def search(out: Path, model: object = Net, data: object = None, **changes: object) -> sn.Result:
    given = {"strategy": "spos", "searcher": "exhaustive", "options": OPTIONS, **changes}
    return sn.run(model, data or points(), out=out, progress=False, **given)


def test_an_edited_model_is_refused(tmp_path):
    first = search(tmp_path)
    before = (tmp_path / "metrics.json").read_bytes()
    with pytest.raises(RunFolderError, match=r"the code of the model and the loss.*another folder"):
        search(tmp_path, named(Mended))
    assert (tmp_path / "metrics.json").read_bytes() == before
    assert search(tmp_path).metrics == first.metrics


@pytest.mark.slow
def test_what_code_does_not_show_is_seen_in_the_loss(tmp_path):
    factor = [1.0]

    class Scaled(Net):
        def forward(self, x):
            return super().forward(x * factor[0])

    search(tmp_path, Scaled)
    factor[0] = 3.0
    with pytest.raises(
        RunFolderError, match="before this changed: the loss of the untrained model"
    ):
        search(tmp_path, Scaled)


class Plain(Classification):
    pass


class Smooth(Classification):
    def loss(self, model, batch):
        return F.cross_entropy(model(batch[0]), batch[1], label_smoothing=0.3)


class Exact(Classification):
    def measure(self, model, batch):
        return {**super().measure(model, batch), "exact": torch.ones(len(batch[1]))}


@pytest.mark.slow
def test_an_edited_loss_is_refused_and_an_edited_measure_repeats_the_search(tmp_path, capsys):
    first = search(tmp_path, task=named(Plain, "Mine"))
    with pytest.raises(RunFolderError, match="the code of the task and the loss"):
        search(tmp_path, task=named(Smooth, "Mine"))
    capsys.readouterr()
    second = search(tmp_path, task=named(Exact, "Mine"))
    said = capsys.readouterr().err
    assert "how the task measures examples and what the task measures" in said
    assert "Repeated for that: search, retrain, test" in said
    assert second.metrics["train"] == first.metrics["train"]
    assert second.metrics["test"]["chosen"]["exact"] == 1
    assert second.metrics["tested_before"] == [first.metrics["test"]]
    third = search(tmp_path, task=named(Exact, "Mine"))
    assert third.metrics == second.metrics


class Perplexity(Classification):
    lower_is_better = ("perplexity",)

    def figures(self, means):
        return {**means, "perplexity": means["loss"].exp()}


@pytest.mark.slow
def test_edited_figures_repeat_the_search_and_may_be_ranked_by(tmp_path, capsys):
    first = search(tmp_path, task=named(Plain, "Mine"))
    capsys.readouterr()
    options = {**OPTIONS, "evaluate.rank_by": "perplexity"}
    second = search(tmp_path, task=named(Perplexity, "Mine"), options=options)
    assert "Repeated for that: search, retrain, test" in capsys.readouterr().err
    assert second.metrics["train"] == first.metrics["train"]
    assert second.metrics["search"]["ranked_by"] == "perplexity"
    values = [row["perplexity"] for row in second.candidates]
    assert len(values) == len(first.candidates)
    assert values == sorted(math.exp(row["loss"]) for row in second.candidates)


@pytest.mark.slow
def test_an_edited_searcher_repeats_the_search_with_the_scores_there_are(tmp_path):
    class Edited(Exhaustive):
        def expected(self, problem):
            return super().expected(problem)

    first = search(tmp_path, searcher=named(type("Mine", (Exhaustive,), {}), "Mine"))
    created = (tmp_path / "candidates.db").read_bytes()
    second = search(tmp_path, searcher=named(Edited, "Mine"))
    assert second.metrics["tested_before"] == [first.metrics["test"]]
    assert second.metrics["train"] == first.metrics["train"]
    assert (tmp_path / "candidates.db").read_bytes() == created


@pytest.mark.slow
def test_another_test_split_repeats_the_test_alone(tmp_path):
    def source(shift: float) -> Tensors:
        inputs, targets = points(30)
        return Tensors(points(), (inputs + shift, targets))

    first, second = search(tmp_path, data=source(0)), search(tmp_path, data=source(1))
    assert second.metrics["tested_before"] == [first.metrics["test"]]
    assert all(
        second.metrics[step] == first.metrics[step] for step in ("train", "search", "retrain")
    )


@pytest.mark.slow
def test_export_does_not_write_networks_of_other_code(tmp_path):
    result = search(tmp_path)
    assert result.export_networks()
    original = Net.forward
    try:
        Net.forward = lambda self, x: 2 * original(self, x)
        with pytest.raises(RunFolderError, match="the code of the model"):
            result.export_networks()
    finally:
        Net.forward = original


@pytest.mark.slow
def test_weights_of_an_instance_are_those_that_training_begins_with(tmp_path, capsys):
    """With one step of next to no size, the supernet is what was given."""
    torch.manual_seed(0)
    model = Net()
    still = {"train.steps": 1, "train.optimizer.lr": 1e-12, "retrain.weights": "inherited"}
    options = {**OPTIONS, **still, "retrain.train.steps": 0}
    result = search(tmp_path / "given", model, options=options)
    assert "starts from the weights of the model that was given" in capsys.readouterr().err
    torch.testing.assert_close(result.model.head.weight, model.head.weight, atol=1e-6, rtol=0)
    fresh = search(tmp_path / "fresh", model, options=options, initial="fresh")
    assert not torch.allclose(fresh.model.head.weight, model.head.weight, atol=1e-3)


@pytest.mark.slow
def test_another_instance_goes_on_with_the_first_weights_only(tmp_path):
    first = search(tmp_path, Net())
    other = Net()
    with pytest.raises(RunFolderError, match=r"other weights.*initial\.pt"):
        search(tmp_path, other)
    other.load_state_dict(torch.load(tmp_path / "initial.pt", weights_only=True))
    assert search(tmp_path, other).metrics == first.metrics


@pytest.mark.slow
def test_what_cannot_be_drawn_anew_is_refused_before_training_for_fresh_weights_only(tmp_path):
    class Own(Net):
        def __init__(self):
            super().__init__()
            self.scale = nn.Parameter(torch.ones(4))

        def forward(self, x):
            return super().forward(x * self.scale)

    with pytest.raises(sn.SupernetError, match="reset_parameters"):
        search(tmp_path / "fresh", Own())
    assert not (tmp_path / "fresh" / "supernet.pt").exists()
    search(tmp_path / "own", Own(), options={**OPTIONS, "retrain.weights": "inherited"})


THRESHOLDS = {"exact": 0.2}


class Within(Classification):
    def measure(self, model, batch):
        measures = super().measure(model, batch)
        chance = model(batch[0]).softmax(1).amax(1)
        return {**measures, "exact": (chance > THRESHOLDS["exact"]).float()}


@pytest.mark.slow
def test_what_a_task_measures_is_seen_where_code_does_not_show_it(tmp_path, monkeypatch, capsys):
    first = search(tmp_path, task=Within)
    monkeypatch.setitem(THRESHOLDS, "exact", 0.99)
    second = search(tmp_path, task=Within)
    assert "changed since this folder was made: what the task measures" in capsys.readouterr().err
    assert second.metrics["train"] == first.metrics["train"]
    assert second.metrics["tested_before"] == [first.metrics["test"]]


CALLS = [0]


class Mixing(Classification):
    """Mixes by a random state that nobody seeds, and weighs by how often it was called."""

    def loss(self, model, batch):
        CALLS[0] += 1
        share = random.betavariate(0.4, 0.4) / (1 + CALLS[0])
        inputs = batch[0] * (1 - share) + batch[0].flip(0) * share
        return F.cross_entropy(model(inputs), batch[1])


@pytest.mark.slow
def test_a_loss_that_is_never_the_same_is_no_other_one(tmp_path):
    first = search(tmp_path, task=Mixing)
    assert "varies" in first.metrics["identity"]["train"]["loss"]
    assert search(tmp_path, task=Mixing).metrics == first.metrics


@dataclass(frozen=True)
class Shift(Augment):
    def __call__(self, images, generator):
        return images + 0.1


@dataclass(frozen=True)
class Shrink(Augment):
    def __call__(self, images, generator):
        return images * 0.9


@pytest.mark.slow
def test_an_edited_augmentation_of_the_data_is_refused(tmp_path):
    search(tmp_path, data=Tensors(points(), augment=named(Shift, "Mine")()))
    with pytest.raises(RunFolderError, match="the augmentation of the data"):
        search(tmp_path, data=Tensors(points(), augment=named(Shrink, "Mine")()))


@pytest.mark.slow
def test_another_searcher_is_said_once(tmp_path, capsys):
    search(tmp_path)
    capsys.readouterr()
    search(tmp_path, searcher="random", options={**OPTIONS, "search.searcher.count": 2})
    said = capsys.readouterr().err
    assert said.count("Repeated for that") == 1


@pytest.mark.slow
def test_the_optimizer_of_a_splitting_that_is_not_done_does_not_matter(tmp_path):
    own = {"few_shot.train.optimizer.class_path": "torch.optim.AdamW"}
    first = search(tmp_path)
    assert search(tmp_path, options={**OPTIONS, **own}).metrics["test"] == first.metrics["test"]


@pytest.mark.slow
def test_a_model_that_no_longer_runs_is_an_error_of_its_own(tmp_path):
    class Broken(Net):
        def forward(self, x):
            return self.head(x)

    search(tmp_path)
    with pytest.raises(DataError, match=r"cannot be run on .*RuntimeError"):
        search(tmp_path, named(Broken))


PROGRAMME = """
import sys, torch, supernet as sn
from torch import nn
from supernet.task import Classification

TAGS = {"relu", "tanh", "sigmoid", "elu"}

class Net(nn.Module):
    def __init__(self, classes):
        super().__init__()
        self.a = sn.Choice({"relu": nn.ReLU(), "tanh": nn.Tanh()})
        self.tags = {"one", "two", "three"}
        self.body, self.head = nn.Linear(4, 5), nn.Linear(5, classes)

    def forward(self, x):
        if "relu" in {"relu", "tanh", "sigmoid"} and TAGS:
            x = self.body(x)
        return self.head(self.a(x))

class Mine(Classification):
    def __init__(self):
        super().__init__()
        self.kinds = {"x", "y", "z"}
        self.reduce = lambda x: x.mean()

torch.manual_seed(0)
inputs = torch.randn(60, 4)
result = sn.run(
    Net, (inputs, inputs[:, :3].argmax(1)), task=Mine(), strategy="spos", searcher="exhaustive",
    out=sys.argv[1], progress=False,
    options={"train.steps": 4, "retrain.train.steps": 3, "retrain.top": 1},
)
"""


@pytest.mark.slow
def test_another_process_knows_the_folder_again(tmp_path):
    metrics = []
    for seed in ("1", "2"):  # from standard input there is no source to look into
        environment = {**os.environ, "PYTHONHASHSEED": seed}
        command = [sys.executable, "-", str(tmp_path / "run")]
        done = subprocess.run(
            command, input=PROGRAMME, text=True, env=environment, capture_output=True, cwd=tmp_path
        )
        assert done.returncode == 0, done.stderr
        metrics.append(json.loads((tmp_path / "run" / "metrics.json").read_text()))
    assert "train: done before" in done.stderr
    assert metrics[0] == metrics[1]

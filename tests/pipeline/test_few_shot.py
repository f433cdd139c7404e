"""Few-shot splitting as an optional step of a run."""

import json

import pytest
import torch
from torch import nn

import supernet as sn
from supernet.cli import main
from supernet.errors import ConfigError, SpaceError
from supernet.search import Exhaustive
from supernet.strategies import PDARTS, Stage


class Net(nn.Module):
    def __init__(self, classes: int = 3, width: int = 4):
        super().__init__()
        self.a = sn.Choice({"linear": nn.Linear(6, width), "deep": deep(width)})
        self.b = sn.Choice([nn.Identity(), nn.Tanh(), nn.Linear(width, width)])
        self.head = nn.Linear(width, classes)

    def forward(self, x):
        return self.head(self.b(self.a(x)))


def deep(width):
    return nn.Sequential(nn.Linear(6, width), nn.ReLU())


OPTIONS = {
    "train.steps": 6,
    "train.batch_size": 16,
    "few_shot.decision": "a",
    "few_shot.train.steps": 4,
    "few_shot.train.batch_size": 16,
    "retrain.train.steps": 4,
    "retrain.train.batch_size": 16,
    "retrain.top": 1,
}


@pytest.fixture
def data():
    inputs = torch.randn(120, 6, generator=torch.Generator().manual_seed(0))
    return inputs, inputs[:, :3].argmax(1)


def search(data, out, **options):
    given = {"strategy": "spos", "searcher": Exhaustive(), "options": {**OPTIONS, **options}}
    return sn.run(Net, data, out=out, progress=False, **given)


def scores(folder):
    import sqlite3

    with sqlite3.connect(folder / "candidates.db") as connection:
        query = "SELECT key, weights, loss FROM candidates ORDER BY rowid"
        return {(key, weights): loss for key, weights, loss in connection.execute(query)}


def test_candidates_are_scored_with_the_weights_of_their_part(tmp_path, data):
    result = search(data, tmp_path / "split")
    assert result.metrics["few_shot"]["parts"] == 2
    assert result.metrics["search"]["candidates"] == 6
    without = search(data, tmp_path / "whole", **{"few_shot.decision": None})
    assert "few_shot" not in without.metrics
    one, two = scores(tmp_path / "split"), scores(tmp_path / "whole")
    assert {key for key, _ in one} == {key for key, _ in two}
    assert not set(one.values()) & set(two.values())


@pytest.mark.slow
def test_it_is_reproducible_and_repeated_only_where_it_changed(tmp_path, data):
    first = search(data, tmp_path / "a")
    search(data, tmp_path / "b", **{"few_shot.decision": None})
    later = search(data, tmp_path / "b")  # the same supernet, split afterwards
    assert later.metrics["train"] != {}
    assert later.architecture == first.architecture
    found = scores(tmp_path / "b")
    assert all(found[key] == loss for key, loss in scores(tmp_path / "a").items())
    longer = search(data, tmp_path / "b", **{"few_shot.train.steps": 5})
    assert longer.metrics["train"] == later.metrics["train"]
    assert longer.metrics["few_shot"]["steps"] == 5
    assert len(scores(tmp_path / "b")) == 18


def test_what_cannot_be_split_is_refused_before_training(tmp_path, data):
    with pytest.raises(SpaceError, match="no decision 'c'"):
        search(data, tmp_path / "run", **{"few_shot.decision": "c"})
    assert not (tmp_path / "run/supernet.pt").exists()


@pytest.mark.slow
def test_a_missing_part_is_named(tmp_path, capsys):
    macro = ["--model=nasbench-macro", "--model.channels=2", "--model.features=4"]
    small = ["--model.stages=[1,1]", "--train.steps=3", "--few_shot.train.steps=3"]
    out = tmp_path / "run"
    options = [*macro, *small, "--strategy=spos", "--few_shot.decision=layer1"]
    assert main(["train", "--out", str(out), *options, "--search.searcher.count=4"]) == 0
    assert json.loads((out / "metrics.json").read_text())["few_shot"]["parts"] == 3
    (out / "few_shot/1.pt").unlink()
    assert main(["search", "--run", str(out)]) == 2
    assert "layer1 = mb3e3" in capsys.readouterr().err
    assert main(["train", "--run", str(out)]) == 0
    assert main(["search", "--run", str(out)]) == 0


STRATEGY = PDARTS((Stage(keep=3), Stage({"width": 5}, keep=1)), skips=None)


def test_stages_and_few_shot_do_not_go_together(data, tmp_path):
    with pytest.raises(ConfigError, match=r"few_shot\.decision splits a supernet whose options"):
        sn.run(Net, data, out=tmp_path, options=OPTIONS, strategy=STRATEGY, progress=False)


@pytest.mark.slow
def test_stages_are_trained_recorded_and_narrow_what_follows(data, tmp_path):
    options = {name: value for name, value in OPTIONS.items() if "few_shot" not in name}
    found = sn.run(Net, data, out=tmp_path, options=options, strategy=STRATEGY, progress=False)
    stages = found.metrics["train"]["stages"]
    assert [stage["steps"] for stage in stages] == [6, 6]
    assert found.metrics["train"]["seconds"] >= sum(stage["seconds"] for stage in stages)
    kept = [
        torch.load(tmp_path / name, weights_only=True)["learner"]["strategy"]["kept"]
        for name in ("stages/0.pt", "stages/1.pt", "supernet.pt")
    ]
    assert [sorted(map(len, one.values())) for one in kept] == [[2, 3], [2, 3], [1, 1]]
    assert (tmp_path / "stages/1.pt").stat().st_size != (tmp_path / "stages/0.pt").stat().st_size


def test_a_stage_that_cannot_be_built_is_named(data, tmp_path):
    wrong = PDARTS((Stage({"width": "wide"}),))
    with pytest.raises(ConfigError, match=r"strategy\.stages\[0\], with .*wide.* cannot be built"):
        sn.run(Net, data, out=tmp_path, options=OPTIONS, strategy=wrong, progress=False)

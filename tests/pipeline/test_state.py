"""What steps hand on: each is made once, and no step changes what another was given."""

from __future__ import annotations

import json

import pytest
import torch
from torch import nn

import supernet as sn
from supernet.errors import ConfigError, RunFolderError
from supernet.pipeline import STEPS, execute, open_run
from supernet.pipeline.inputs import Inputs
from supernet.pipeline.retrained import Retrained
from supernet.pipeline.searched import Searched
from supernet.pipeline.shared_weights import SharedWeights
from supernet.pipeline.trained import Trained

OPTIONS = {
    "train.steps": 3,
    "few_shot.train.steps": 2,
    "retrain.train.steps": 2,
    "retrain.top": 1,
    "search.searcher": "exhaustive",
    "strategy": "spos",
}


class Net(nn.Module):
    built = 0

    def __init__(self, classes: int = 2):
        super().__init__()
        type(self).built += 1
        self.a = sn.Choice({str(width): nn.Linear(4, 4) for width in range(3)}, label="a")
        self.norm = nn.BatchNorm1d(4)
        self.head = nn.Linear(4, classes)

    def forward(self, x):
        return self.head(self.norm(self.a(x)))


def opening(folder, **more):
    x = torch.rand(60, 4, generator=torch.Generator().manual_seed(0))
    objects = {"model": Net, "data": (x, (x[:, 0] > 0.5).long())}
    arguments = [f"--{name}={value}" for name, value in {**OPTIONS, **more}.items()]
    return open_run(arguments, folder, objects=objects, progress=False)


def weights(supernet):
    return {name: value.clone() for name, value in supernet.state_dict().items()}


def same(one, other):
    return one.keys() == other.keys() and all(torch.equal(one[name], other[name]) for name in one)


@pytest.mark.slow
@pytest.mark.parametrize("label", [None, "a"])
def test_the_initial_and_the_trained_supernet_are_two_and_no_step_changes_them(tmp_path, label):
    more = {} if label is None else {"few_shot.decision": label}
    with opening(tmp_path / "run", **more) as state:
        before = weights(state.inputs.supernet)
        execute(state, ["train"])
        trained = weights(state.trained.supernet)
        assert not same(before, trained)
        execute(state, list(STEPS))
        assert same(before, weights(state.inputs.supernet))
        assert same(before, weights(state.inputs.models.supernet()))
        assert same(trained, weights(state.trained.supernet))
        assert state.shared.trained is state.trained
        assert len(state.shared.parts) == (0 if label is None else 3)


@pytest.mark.slow
def test_what_a_step_returned_is_what_the_folder_holds_of_it(tmp_path):
    folder = tmp_path / "run"
    with opening(folder) as state:
        execute(state, list(STEPS))
    with opening(folder) as again:
        assert again.trained.hash == state.trained.hash == again.shared.hash
        assert same(weights(again.trained.supernet), weights(state.trained.supernet))
        assert again.searched == state.searched
        assert again.retrained == state.retrained


@pytest.mark.slow
def test_models_are_built_as_often_as_they_are_needed(tmp_path):
    """The initial supernet and one that is trained, each once; and one for each retrained network."""
    Net.built = 0
    with opening(tmp_path / "run") as state:
        execute(state, ["train", "search"])
    assert Net.built == 3  # one is of the check that retraining can build it
    Net.built = 0
    with opening(tmp_path / "run") as state:
        execute(state, ["train", "search"])
    assert Net.built == 1
    Net.built = 0
    with opening(tmp_path / "run", **{"search.searcher": "random"}) as state:
        execute(state, ["search"])
    assert Net.built == 2 + 1  # options have changed, and are checked before the search is given up


def test_what_is_handed_on_cannot_be_changed():
    for kind in (Inputs, Trained, SharedWeights, Searched, Retrained):
        assert kind.__dataclass_params__.frozen


def test_overwriting_begins_anew_and_leaves_what_is_not_of_the_run(search, contents, tmp_path):
    out = tmp_path / "run"
    other = {"train.steps": 20}
    search(out, options=other, strategy="fairnas").export_networks()
    (out / "notes.txt").write_text("mine")
    exported = sorted(one.name for one in (out / "exports").rglob("*"))
    search(out, overwrite=True)
    search(tmp_path / "fresh")
    assert contents(out) == contents(tmp_path / "fresh")
    assert (out / "notes.txt").read_text() == "mine"
    assert sorted(one.name for one in (out / "exports").rglob("*")) == exported
    files = {one.relative_to(out).as_posix() for one in out.rglob("*") if one.is_file()}
    fresh = tmp_path / "fresh"
    of_fresh = {one.relative_to(fresh).as_posix() for one in fresh.rglob("*") if one.is_file()}
    assert {one for one in files if not one.startswith("exports")} == {*of_fresh, "notes.txt"}


def test_overwriting_spares_folders_that_are_no_run(search, tmp_path):
    (tmp_path / "config.yaml").write_text("mine: 1\n")
    with pytest.raises(RunFolderError, match="nothing was changed"):
        search(tmp_path, overwrite=True)
    assert (tmp_path / "config.yaml").read_text() == "mine: 1\n"


def test_wrong_options_overwrite_nothing(search, contents, tmp_path):
    search(tmp_path / "run")
    before = contents(tmp_path / "run")
    with pytest.raises(ConfigError):
        search(tmp_path / "run", overwrite=True, options={"train.stepps": 3})
    assert contents(tmp_path / "run") == before


def test_overwriting_without_options_has_those_of_the_folder(search, contents, tmp_path):
    with open_run(
        ["--model=nasbench-macro", "--model.stages=[1]", "--model.channels=2", "--train.steps=3"],
        tmp_path / "run",
        progress=False,
    ) as opened:
        execute(opened, ["train"])
    with open_run([], tmp_path / "run", progress=False, anew=True) as opened:
        assert not opened.run.folder.checkpoint.path.exists()
        assert opened.run.config.train.steps == 3
        assert opened.inputs.space.size == 3


def test_names_of_classes_are_kept_with_the_network(search, tmp_path):
    result = search(tmp_path / "run")
    chosen = json.loads((tmp_path / "run" / "architecture.json").read_text())
    assert chosen["classes"] == ["0", "1", "2"]
    (exported,) = result.export_networks("macs <= 100%")
    assert json.loads((exported.folder / "architecture.json").read_text())["classes"] == [
        "0",
        "1",
        "2",
    ]

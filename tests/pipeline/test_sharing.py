"""Options that are built alike share their weights at first, as an option of a run."""

import pytest
import torch
from torch import nn

import supernet as sn
from supernet.errors import ConfigError, RunFolderError
from supernet.train import Checkpoint


class Net(nn.Module):
    """Two edges with the same options."""

    def __init__(self, classes: int = 3):
        super().__init__()
        self.edges = nn.ModuleList(
            sn.Choice([nn.Linear(6, 6), nn.Identity()], label=f"edge{i}") for i in range(2)
        )
        self.head = nn.Linear(6, classes)

    def forward(self, x):
        for edge in self.edges:
            x = edge(x)
        return self.head(x)


OPTIONS = {
    "train.steps": 8,
    "train.log_every": 1,
    "train.checkpoint_seconds": 0,
    "retrain.train.steps": 2,
    "retrain.top": 1,
    "sharing.until": 0.5,
}


@pytest.fixture
def data():
    inputs = torch.randn(120, 6, generator=torch.Generator().manual_seed(0))
    return inputs, inputs[:, :3].argmax(1)


def run(data, out, model=Net, **options):
    given = {"strategy": "spos", "searcher": "exhaustive", "progress": False}
    return sn.run(model, data, out=out, options={**OPTIONS, **options}, **given)


def edges(state):
    weights = [value for name, value in state["model"].items() if name.endswith("weight")]
    return [value for value in weights if value.shape == (6, 6)]


def test_a_run_shares_for_half_of_the_steps(data, tmp_path, monkeypatch):
    states, save = {}, Checkpoint.save

    def noted(self, state):
        if self.path.name == "supernet.pt":
            states[state["step"]] = [one.clone() for one in edges(state)]
        save(self, state)

    monkeypatch.setattr(Checkpoint, "save", noted)
    whole = run(data, tmp_path / "whole")
    same = [step for step, (one, other) in sorted(states.items()) if torch.equal(one, other)]
    assert same[:4] == [1, 2, 3, 4]  # a path may leave both as they are, so perhaps one more
    assert 8 not in same
    assert sorted(states) == list(range(1, 9))
    monkeypatch.undo()

    class Interrupted(KeyboardInterrupt):
        pass

    def cut(self, state):
        save(self, state)
        if state.get("step") == 6:
            raise Interrupted

    monkeypatch.setattr(Checkpoint, "save", cut)
    with pytest.raises(Interrupted):
        run(data, tmp_path / "cut")
    monkeypatch.undo()
    assert run(data, tmp_path / "cut").architecture == whole.architecture
    cut_off, in_one_go = (tmp_path / name / "supernet.pt" for name in ("cut", "whole"))
    assert cut_off.read_bytes() == in_one_go.read_bytes()
    with pytest.raises(RunFolderError, match=r"sharing\.until"):
        run(data, tmp_path / "cut", **{"sharing.until": 0.25})


def test_weights_that_were_given_are_not_overwritten(data, tmp_path):
    with pytest.raises(ConfigError, match="those of the model that was given would be lost"):
        run(data, tmp_path / "run", Net())
    assert not (tmp_path / "run" / "supernet.pt").exists()


@pytest.mark.parametrize("until", [-0.1, 1.5])
def test_a_share_out_of_range_is_refused(data, tmp_path, until):
    with pytest.raises(ConfigError, match=r"sharing\.until is a share of the steps in 0–1"):
        run(data, tmp_path / "run", **{"sharing.until": until})

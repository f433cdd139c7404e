"""Searching from Python: a user's own module and data, the result an ordinary model."""

from __future__ import annotations

import json

import pytest
import torch
from torch import nn
from torch.utils.data import TensorDataset

import supernet as sn
from supernet.errors import ConfigError, RunFolderError, SpaceError
from supernet.net import ChoiceModule

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


@pytest.fixture
def data() -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(0)
    inputs = torch.randn(120, 6, generator=generator)
    return inputs, inputs[:, :3].argmax(1)


def search(model, data, out, **changes):
    arguments = {"strategy": "spos", "searcher": "exhaustive", "options": OPTIONS, **changes}
    return sn.run(model, data, out=out, progress=False, **arguments)


def test_result_is_an_ordinary_model(tmp_path, data):
    result = search(Net, data, tmp_path / "run")
    assert not any(isinstance(module, ChoiceModule) for module in result.model.modules())
    assert set(result.architecture) == {"a", "b"}
    assert result.metrics == json.loads((tmp_path / "run/metrics.json").read_text())
    assert result.metrics["search"]["candidates"] == 2 * 6
    weights = torch.load(tmp_path / "run/model.pt", weights_only=True)
    result.model.load_state_dict(weights)
    program = torch.export.load(tmp_path / "run/model.pt2").module()
    torch.testing.assert_close(program(data[0]), result.model(data[0]))


@pytest.mark.parametrize("kind", ["instance", "class", "function"])
def test_models_of_every_kind_give_reproducible_runs(tmp_path, data, kind):
    def model():
        return {"instance": Net(), "class": Net, "function": lambda: Net(width=5)}[kind]

    first = search(model(), data, tmp_path / "one")
    torch.manual_seed(99)  # neither torch's state nor an instance's weights may matter
    second = search(model(), data, tmp_path / "two")
    assert first.architecture == second.architecture
    for one, two in zip(first.model.parameters(), second.model.parameters(), strict=True):
        assert torch.equal(one, two)


def test_instance_is_left_as_it_was(tmp_path, data):
    model = Net()
    before = {name: value.clone() for name, value in model.state_dict().items()}
    search(model, data, tmp_path / "run")
    after = model.state_dict()
    assert all(torch.equal(before[name], after[name]) for name in before)


def test_data_sets_and_tensors_are_the_same(tmp_path, data):
    one = search(Net, data, tmp_path / "tensors")
    two = search(Net, TensorDataset(*data), tmp_path / "dataset")
    strip = {"seconds"}
    a, b = one.metrics["retrain"], two.metrics["retrain"]
    assert {k: v for k, v in a.items() if k not in strip} == {
        k: v for k, v in b.items() if k not in strip
    }


def test_folder_is_resumed_only_with_the_same_model_and_data(tmp_path, data):
    first = search(Net(), data, tmp_path / "run")
    again = search(Net(), data, tmp_path / "run")
    assert again.metrics == first.metrics
    with pytest.raises(RunFolderError, match="another configuration"):
        search(Net(width=8), data, tmp_path / "run")
    with pytest.raises(RunFolderError, match="another configuration"):
        search(Net(), (data[0] + 1, data[1]), tmp_path / "run")


def test_run_from_python_is_not_continued_by_the_command_line(tmp_path, data, capsys):
    from supernet.cli import main

    search(Net, data, tmp_path / "run")
    assert main(["retrain", "--run", str(tmp_path / "run")]) == 2
    assert "made from Python" in capsys.readouterr().err


def test_constraints_bound_what_is_scored_and_chosen(tmp_path, data):
    result = search(Net, data, tmp_path / "run", constraints=["params <= 80%"])
    rows = result.metrics["retrain"]["candidates"]
    free = search(Net, data, tmp_path / "free")
    assert result.metrics["search"]["candidates"] < free.metrics["search"]["candidates"]
    largest = 6 * 4 + 4 + 4 * 4 + 4 + 4 * 3 + 3
    assert all(row["params"] <= 0.8 * largest for row in rows)


def test_wider_network_for_retraining(tmp_path, data):
    result = search(Net, data, tmp_path / "run", options={**OPTIONS, "retrain.model": {"width": 7}})
    assert result.model.head.in_features == 7


def test_wrong_models_are_refused(tmp_path, data):
    with pytest.raises(SpaceError, match="no decisions"):
        search(nn.Linear(6, 3), data, tmp_path / "none")
    with pytest.raises(ConfigError, match=r"nn\.Module"):
        search(3, data, tmp_path / "three")
    with pytest.raises(ConfigError, match="unknown"):
        search("no-such-space", data, tmp_path / "name")
    with pytest.raises(ConfigError, match="instance"):
        search(Net(), data, tmp_path / "i", options={**OPTIONS, "retrain.model": {"width": 7}})


def test_test_split_is_opened_once_and_after_the_choice(tmp_path, data, monkeypatch):
    """Whatever ranks or selects runs before the test split is opened."""
    from supernet.data import Sealed

    opened: list[str] = []
    original = Sealed.open

    def watched(self, key):
        metrics = json.loads((tmp_path / "run/metrics.json").read_text())
        opened.append(metrics["retrain"]["chosen"])
        assert key == opened[-1]
        return original(self, key)

    monkeypatch.setattr(Sealed, "open", watched)
    search(Net, data, tmp_path / "run")
    assert len(opened) == 1
    search(Net, data, tmp_path / "run")
    assert len(opened) == 1


def test_caller_keeps_random_state_and_threads(tmp_path, data):
    torch.manual_seed(5)
    expected = torch.rand(3)
    torch.manual_seed(5)
    threads = torch.get_num_threads()
    search(Net, data, tmp_path / "run", options={**OPTIONS, "threads": threads + 1})
    assert torch.get_num_threads() == threads
    assert torch.equal(torch.rand(3), expected)


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


def test_one_constraint_may_be_a_string(tmp_path, data):
    one = search(Net, data, tmp_path / "one", constraints="params <= 80%")
    two = search(Net, data, tmp_path / "two", constraints=["params <= 80%"])
    assert one.metrics["search"]["candidates"] == two.metrics["search"]["candidates"]


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

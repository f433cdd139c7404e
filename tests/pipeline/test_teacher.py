"""A model that is trained already teaches its smaller networks, with labels or without."""

import copy

import pytest
import torch
from torch import nn

import supernet as sn
from supernet.errors import ConfigError

OPTIONS = {
    "train.steps": 60,
    "train.batch_size": 32,
    "train.log_every": 10,
    "train.optimizer.lr": 0.02,
    "train.checkpoint_seconds": 0,
    "retrain.weights": "inherited",
    "retrain.train.steps": 20,
    "retrain.top": 1,
    "search.searcher.count": 8,
    "strategy.distil": False,
}


class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.body = nn.Sequential(nn.Linear(6, 32), nn.ReLU(), nn.Linear(32, 32), nn.ReLU())
        self.head = nn.Linear(32, 3)

    def forward(self, x):
        return self.head(self.body(x))


@pytest.fixture(scope="module")
def trained():
    """Return a model that knows what the labels should be, data, and data with random labels."""
    torch.manual_seed(0)
    inputs = torch.randn(600, 6)
    labels = (inputs[:, :3] * inputs[:, 3:]).argmax(1)
    model = Net()
    optimizer = torch.optim.Adam(model.parameters(), 0.01)
    for _ in range(300):
        optimizer.zero_grad()
        nn.functional.cross_entropy(model(inputs), labels).backward()
        optimizer.step()
    return model.eval(), inputs, labels


def search(trained, out, labels=None, **options):
    model, inputs, known = trained
    space = sn.convert(copy.deepcopy(model), inputs[:2])
    return sn.run(
        space,
        (inputs, known if labels is None else labels),
        strategy="sandwich",
        searcher="random",
        out=out,
        options={**OPTIONS, **options},
        progress=False,
    )


def agreement(result, trained):
    model, inputs, _ = trained
    with torch.no_grad():
        return float((result.model(inputs).argmax(1) == model(inputs).argmax(1)).float().mean())


def test_without_labels_networks_learn_what_the_model_says(trained, tmp_path):
    wrong = torch.randint(3, (600,), generator=torch.Generator().manual_seed(1))
    taught = search(trained, tmp_path / "taught", wrong, **{"train.teacher": 1.0})
    misled = search(trained, tmp_path / "misled", wrong)
    assert agreement(taught, trained) > 0.75
    assert agreement(misled, trained) < 0.6


def test_interrupted_and_resumed_it_ends_with_the_same_bits(trained, tmp_path):
    def stop(record, step):
        if record["stage"] == "train" and step == 30:
            raise KeyboardInterrupt

    model, inputs, labels = trained
    whole = search(trained, tmp_path / "whole", **{"train.teacher": 0.7})
    space = sn.convert(copy.deepcopy(model), inputs[:2])
    given = {"strategy": "sandwich", "searcher": "random", "progress": False}
    options = {**OPTIONS, "train.teacher": 0.7}
    with pytest.raises(KeyboardInterrupt):
        sn.run(
            space, (inputs, labels), out=tmp_path / "cut", options=options, on_record=stop, **given
        )
    cut = sn.run(space, (inputs, labels), out=tmp_path / "cut", options=options, **given)
    assert cut.architecture == whole.architecture
    for name, value in whole.model.state_dict().items():
        assert torch.equal(value, cut.model.state_dict()[name]), name


@pytest.mark.parametrize("share", [0, -0.5, 1.5])
def test_other_shares_are_refused(share, trained, tmp_path):
    with pytest.raises(ConfigError, match="share of the loss"):
        search(trained, tmp_path, **{"train.teacher": share})

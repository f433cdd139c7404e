"""A small run from Python, and what it leaves behind."""

from __future__ import annotations

import json

import pytest
import torch
from torch import nn

import supernet as sn

OPTIONS = {
    "train.steps": 12,
    "train.batch_size": 16,
    "train.log_every": 2,
    "train.checkpoint_seconds": 0,
    "retrain.train.steps": 4,
    "retrain.train.log_every": 2,
    "retrain.top": 2,
}


class Net(nn.Module):
    def __init__(self, classes: int = 3, width: int = 4):
        super().__init__()
        self.a = sn.Choice(
            {"linear": nn.Linear(6, width), "relu": nn.Sequential(nn.Linear(6, width), nn.ReLU())}
        )
        self.b = sn.Choice([nn.Identity(), nn.Tanh(), nn.Linear(width, width)])
        self.head = nn.Linear(width, classes)

    def forward(self, x):
        return self.head(self.b(self.a(x)))


def _instead(name, given):
    """Return whether epochs are given instead of steps."""
    return name.endswith(".steps") and name.removesuffix("steps") + "epochs" in given


@pytest.fixture
def search():
    """Return a function that runs a search of six networks in a folder."""
    generator = torch.Generator().manual_seed(0)
    inputs = torch.randn(120, 6, generator=generator)
    data = inputs, inputs[:, :3].argmax(1)

    def run(out, **changes):
        given = changes.pop("options", {})
        options = {name: one for name, one in OPTIONS.items() if not _instead(name, given)} | given
        arguments = {"strategy": "spos", "searcher": "exhaustive", "progress": False, **changes}
        return sn.run(Net, data, out=out, options=options, **arguments)

    return run


@pytest.fixture
def contents():
    """Return a function that returns what the files of a run hold, without times."""

    def read(out):
        metrics = json.loads((out / "metrics.json").read_text())
        del metrics["digest"]
        for section in metrics.values():
            if isinstance(section, dict):
                section.pop("seconds", None)
        files = ("supernet.pt", "model.pt")
        return metrics, *((out / name).read_bytes() for name in files)

    return read

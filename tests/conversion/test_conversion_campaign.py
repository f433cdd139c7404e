"""A sample of the models that `python -m benchmarks.models` converts and checks, and its checks."""

from __future__ import annotations

import pytest
import torch
from benchmarks.models import of_torch, own
from benchmarks.models.check import checked
from torch import nn

QUICK = {"u-net": own, "graph attention": own, "rotary, half the head": own, "checkpoint": of_torch}
RIGHT = [
    "detector",
    "hourglass",
    "language",
    "causal convolutions",
    "quantised",
    "own linear layer",
]


@pytest.mark.quick_with("graph attention", "checkpoint")
@pytest.mark.parametrize("name", QUICK)
def test_quick_ones(name):
    assert checked(QUICK[name].MODELS[name], draws=1).kind == "right"


@pytest.mark.slow
@pytest.mark.parametrize("name", RIGHT)
def test_others(name):
    assert checked(own.MODELS[name]).kind == "right"


@pytest.mark.slow
def test_refusals_name_what_is_in_the_way():
    found = checked(own.MODELS["routed experts"])
    assert found.kind == "refused"
    assert "torch.where(best == place)" in found.detail


def test_what_is_wrong_is_seen(monkeypatch):
    monkeypatch.setattr("benchmarks.models.check.count_params", lambda model: 1)
    found = checked(
        lambda: (nn.Sequential(nn.Linear(6, 16), nn.Linear(16, 5)), (torch.ones(2, 6),))
    )
    assert found.kind == "wrong"
    assert found.detail.startswith("params of the smallest: the table says ")


def test_an_unexpected_error_is_seen(monkeypatch):
    def broken(*_):
        raise RuntimeError("of the conversion")

    monkeypatch.setattr("benchmarks.models.check.convert", broken)
    found = checked(lambda: (nn.Linear(6, 5), (torch.ones(2, 6),)))
    assert found.kind == "traceback"
    assert found.detail.endswith("of the conversion")


def test_a_model_that_fails_by_itself_is_left_out():
    found = checked(lambda: (nn.Linear(6, 5), (torch.ones(2, 7),)))
    assert found.kind == "left out"
    assert "RuntimeError" in found.detail

"""Whole networks that cannot be run are left out of a measurement, and named."""

import pytest
import torch
from torch import nn

import supernet as sn
from supernet.cost.fitted_latency import runnable
from supernet.errors import NoNetworkError


class Raises(nn.Module):
    def forward(self, x):
        raise LookupError("no such table")


class Greedy(nn.Module):
    def forward(self, x):
        return x + torch.empty(2**46)[0]


def chain(bad):
    options = {"bad": bad, "tanh": nn.Tanh(), "relu": nn.ReLU()}
    return sn.SuperNet(nn.Sequential(sn.Choice(options, label="a"), nn.Linear(3, 2)))


def test_networks_that_raise_are_left_out_and_named():
    supernet = chain(Raises())
    every = list(supernet.space)
    passed, failed = runnable(supernet, every, [torch.zeros(2, 3)], 2)
    assert passed == [one for one in every if one["a"] != "bad"]
    (bad,) = [one for one in every if one["a"] == "bad"]
    assert failed == [f"{bad.key} {{'a': 'bad'}}: LookupError: no such table"]
    with pytest.raises(NoNetworkError, match=r"of 3 only 2 can .*no such table"):
        runnable(supernet, every, [torch.zeros(2, 3)], 3)


def test_too_little_memory_is_not_theirs():
    supernet = chain(Greedy())
    with pytest.raises(RuntimeError, match="can't allocate memory"):
        runnable(supernet, list(supernet.space), [torch.zeros(2, 3)], 1)

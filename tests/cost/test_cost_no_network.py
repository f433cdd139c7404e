"""A cost and a constraint are looked up: no network is copied or run, no data touched."""

import copy
import random

import pytest
import torch
from torch import nn
from torch.utils._python_dispatch import TorchDispatchMode

import supernet as sn
from supernet.cost import Constraints, build_latency_table, cost_of, measure_costs
from supernet.data import Loader
from supernet.zoo import Bender


class NoTensors(TorchDispatchMode):
    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        raise AssertionError(f"{func} was computed")


@pytest.mark.slow
def test_constraints_copy_no_network_and_compute_nothing(monkeypatch):
    supernet = sn.SuperNet(Bender((1, 6, 6), 4, 3, (1, 1), blocks=2))
    x = torch.randn(1, 1, 6, 6)
    tables = measure_costs(supernet, x)
    tables["latency_ms"] = build_latency_table(supernet, x, warmup=0, repeats=1)
    space, stream = supernet.space, random.Random(0)
    sample = [space.sample(stream) for _ in range(1000)]

    def forbidden(*_, **__):
        raise AssertionError("a network or data was used")

    monkeypatch.setattr(copy, "deepcopy", forbidden)
    monkeypatch.setattr(copy, "copy", forbidden)
    monkeypatch.setattr(nn.Module, "__call__", forbidden)
    monkeypatch.setattr(nn.Module, "parameters", forbidden)
    monkeypatch.setattr(nn.Module, "modules", forbidden)
    monkeypatch.setattr(Loader, "batch", forbidden)
    texts = ["macs <= 70%", "params <= 80%", "latency_ms <= 90%"]
    with NoTensors():
        constraints = Constraints(texts, tables, space)
        held = [constraints.hold(architecture) for architecture in sample]
        costs = [cost_of(tables, architecture) for architecture in sample]

    assert 0 < sum(held) < 1000
    limits = {name: tables[name].range(space)[1] for name in tables}
    shares = {"macs": 0.7, "params": 0.8, "latency_ms": 0.9}
    assert held == [
        all(cost[name] <= share * limits[name] for name, share in shares.items()) for cost in costs
    ]

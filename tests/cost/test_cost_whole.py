"""Latency tables of open numbers, with clocks that compute the time; no real time is asserted."""

import json
import warnings
import weakref
from functools import partial

import pytest
import torch
from torch import nn

from supernet import elastic as el
from supernet.choice import Choice
from supernet.conversion import Widths, convert
from supernet.cost import (
    Constraints,
    LatencyTable,
    UncountedWarning,
    build_latency_table,
    count_macs,
    count_params,
    load_table,
    measure_costs,
)
from supernet.cost import fitted_latency as whole
from supernet.errors import ConfigError
from supernet.net import SuperNet, derive

X = torch.randn(1, 1, 10, 10)


class Net(nn.Module):
    """Open resolution, widths, kernels and depth, and a choice."""

    def __init__(self, resolutions=(6, 8, 10)):
        super().__init__()
        width = el.Dimension("width", [4, 6, 8])
        self.resize = el.Resolution(el.Dimension("side", resolutions))
        self.stem = el.Conv2d(1, width, 3)
        self.blocks = el.depth([self._block(width, i) for i in range(3)], [1, 2, 3], "depth")
        self.head = Choice({"one": nn.Linear(1, 3), "two": nn.Linear(1, 3)}, label="head")

    @staticmethod
    def _block(width, place):
        return el.Conv2d(width, width, el.Dimension(f"kernel{place}", [1, 3, 5]))

    def forward(self, x):
        return self.head(self.blocks(self.stem(self.resize(x))).mean((1, 2, 3))[:, None])


@pytest.fixture
def net():
    torch.manual_seed(0)
    return SuperNet(Net())


def convolutions(call):
    return sum(isinstance(module, nn.Conv2d) for module in call.func.modules())


def seconds(call):
    """Take 1 ms, 0.2 ns a multiply-add, 3 ns a parameter, and 0.5 ms a layer."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UncountedWarning)
        macs = count_macs(call.func, *(x[:1] for x in call.args))
    layers = 5e-4 * convolutions(call)
    return 1e-3 + 2e-10 * macs + 3e-9 * count_params(call.func) + layers


def build(supernet, *batch, **options):
    options = {"warmup": 0, "repeats": 1, "timer": seconds, **options}
    return build_latency_table(supernet, *(batch or (X,)), **options)


def truth(supernet, architecture, x=X):
    return 1e3 * seconds(partial(derive(supernet, architecture).eval(), x))


def test_what_is_a_sum_of_costs_and_options_is_found(net):
    """The time of a layer is an amount of the depth: 30 networks say it for 702."""
    table = build(net, held_out=20)

    assert isinstance(table, LatencyTable)
    assert table.content["fit"]["networks"] == 2 * (2 + 2 + 2 + 2 + 2 * 3 + 1)
    assert table.held_out["networks"] == 20
    assert table.held_out["mape"] < 2e-3
    assert table.held_out["kendall_tau"] > 0.98
    assert table.content["uncorrected"]["mape"] > 10 * table.held_out["mape"]
    for network in (*table.extremes(net.space), net.space[100], net.space[600]):
        assert table.cost(network) == pytest.approx(truth(net, network), rel=5e-3)


@pytest.mark.slow
def test_a_time_by_multiply_adds_alone_is_their_table_in_other_units(net):
    macs = measure_costs(net, X)["macs"]

    def timer(call):
        return 1e-9 * count_macs(call.func, *call.args)

    table = build(net, timer=timer)
    assert table.content["fit"]["macs"] == pytest.approx(1e-6, rel=1e-3)
    assert table.range(net.space) == pytest.approx(
        tuple(1e-6 * end for end in macs.range(net.space)), rel=1e-3
    )


@pytest.mark.slow
def test_no_amount_is_negative_and_every_option_has_one(net):
    def timer(call):
        """The wider, the faster."""
        return 1e-3 * (10 - call.func.stem.out_channels)

    content = build(net, timer=timer).content
    amounts = [entry["amount"] for entry in content["entries"]]
    named = {tuple(path.items()) for entry in content["entries"] for path in entry["paths"]}
    assert min(amounts) >= 0
    assert content["fixed"]["amount"] >= 0
    for decision in net.space.decisions:
        assert {((decision.label, option),) for option in decision.options} <= named
    assert content["held_out"]["mape"] < 1e-2


def test_the_networks_hold_both_ends_and_follow_the_seed(net):
    macs = measure_costs(net, X)["macs"]
    first = whole._draw(net.space, macs, 40, 0)

    assert tuple(first[:2]) == macs.extremes(net.space)
    assert len(first) == len(set(first)) == 40
    assert first == whole._draw(net.space, macs, 40, 0)
    assert first != whole._draw(net.space, macs, 40, 1)
    shallow = sum(network["depth"] == 1 for network in first)
    assert shallow >= 6  # of 40 uniform draws 1.7 on average


@pytest.mark.slow
def test_a_machine_that_becomes_slower_between_groups_does_not_matter(net, monkeypatch):
    monkeypatch.setattr(whole, "GROUP", 4)
    calls = []

    def timer(call):
        calls.append(call)
        return seconds(call) * (1 + (len(calls) - 3) // 5)  # five calls a group, after two

    table = build(net, timer=timer, held_out=20)
    assert table.held_out["mape"] < 2e-3
    assert len({id(call.func) for call in calls[2:7]}) == 5


@pytest.mark.slow
def test_few_networks_are_held_at_once(net, monkeypatch):
    alive = weakref.WeakSet()

    def timer(call):
        alive.add(call.func)
        most.append(len(alive))
        return 1e-3

    most = []
    monkeypatch.setattr(whole, "GROUP", 4)
    build(net, timer=timer, fit=16, held_out=4)
    assert max(most) <= 2 * 4 + 1
    monkeypatch.setattr(whole, "BYTES", 1)
    most.clear()
    build(net, timer=timer, fit=16, held_out=4)
    assert max(most) <= 2 * 2 + 1


@pytest.mark.slow
def test_slow_networks_are_measured_in_fewer_rounds(net):
    options = {"fit": 6, "held_out": 2, "warmup": 1, "repeats": 30, "timer": lambda _: 2.0}
    assert build(net, **options, limit=1e9).provenance["repeats"] == 30
    assert build(net, **options, limit=200.0).provenance["repeats"] == 200 // (9 * 2) - 1
    assert build(net, **options, limit=0.0).provenance["repeats"] == 3


def test_a_small_space_is_divided_between_the_fit_and_the_error():
    width = el.Dimension("width", [2, 3, 4, 6, 8, 10])
    supernet = SuperNet(nn.Sequential(el.Conv2d(1, width, 3), el.Conv2d(width, 2, 3)))
    table = build(supernet)
    assert table.content["fit"]["networks"] == 4
    assert table.held_out["networks"] == 2

    one = SuperNet(el.Conv2d(1, el.Dimension("width", [4]), 3))
    table = build(one)
    assert table.held_out is None
    assert table.cost({"width": 4}) == pytest.approx(truth(one, one.space[0]))


def test_a_clock_that_always_says_nothing_gives_a_table_of_nothing(net):
    table = build(net, timer=lambda _: 0.0, fit=10)
    assert table.range(net.space) == (0.0, 0.0)


@pytest.mark.slow
def test_a_table_in_a_file_serves_constraints(net, tmp_path):
    table = build(net)
    table.save(tmp_path / "latency.json")
    json.loads((tmp_path / "latency.json").read_text())
    loaded = load_table(tmp_path / "latency.json", net.space, input_shape=(1, 10, 10))

    assert [loaded.cost(net.space[i]) for i in range(50)] == [
        table.cost(net.space[i]) for i in range(50)
    ]
    limit = sum(loaded.range(net.space)) / 2
    bounds = Constraints([f"latency_ms <= {limit}"], {"latency_ms": loaded}, net.space)
    held = [bounds.hold(net.space[i]) for i in range(0, 700, 20)]
    assert any(held)
    assert not all(held)


@pytest.mark.slow
def test_a_converted_model():
    torch.manual_seed(0)
    model = nn.Sequential(
        nn.Conv2d(3, 8, 3), nn.BatchNorm2d(8), nn.ReLU(), nn.Conv2d(8, 16, 3), nn.ReLU(),
        nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(16, 5),
    )  # fmt: skip
    x = torch.randn(2, 3, 12, 12)
    supernet = SuperNet(convert(model.eval(), x, rules=[Widths(multiple=1)]))
    table = build(supernet, x)

    assert supernet.space.size > 8
    assert table.held_out["mape"] < 2e-3
    assert table.provenance["batch_size"] == 2


@pytest.mark.slow
def test_a_real_build():
    torch.manual_seed(0)
    supernet = SuperNet(Net())
    table = build_latency_table(supernet, X, warmup=1, repeats=3, fit=8, held_out=4)

    assert all(table.cost(supernet.space[i]) > 0 for i in range(0, 700, 50))
    assert len(table.held_out["measured"]) == 4
    assert min(table.held_out["measured"]) > 0
    assert table.provenance["repeats"] == 3


def test_a_table_needs_two_networks(net):
    with pytest.raises(ConfigError, match=r"fit \(1\) must be at least 2"):
        build(net, fit=1)
    with pytest.raises(ConfigError, match=r"fit \(-1\)"):
        build(net, fit=-1)

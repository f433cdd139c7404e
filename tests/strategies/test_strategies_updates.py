import pytest
import torch
from torch import nn

from supernet.choice import Choice
from supernet.cost import measure_costs
from supernet.data import Examples, Loader
from supernet.errors import ConfigError
from supernet.net import SuperNet, split_supernet
from supernet.random import stream
from supernet.strategies import (
    DARTS,
    SPOS,
    BenderOneShot,
    FairNAS,
    RandomNAS,
    TrainingContext,
    UpdateCounts,
)
from supernet.task import Classification
from supernet.train import Moment

BATCH = torch.ones(64, 4), torch.arange(64) % 2


def make():
    torch.manual_seed(0)
    return SuperNet(
        nn.Sequential(
            Choice({str(i): nn.Sequential(*[nn.Linear(4, 4)] * i) for i in range(1, 5)}, label="a"),
            Choice({"x": nn.Linear(4, 2), "y": nn.Linear(4, 2)}, label="b"),
        )
    )


def setting(supernet):
    return TrainingContext(1, measure_costs(supernet, torch.zeros(1, 4)))


def run(strategy, steps, supernet=None):
    supernet = supernet or make()
    counted = UpdateCounts(strategy)
    counted.prepare(supernet, setting(supernet))
    for step in range(steps):
        counted.backward(supernet, Classification(), BATCH, Moment(step, steps, 3))
    return counted, supernet


def test_passes_are_counted_by_option():
    counted, supernet = run(FairNAS(), 5)
    assert counted.passes(supernet) == {
        "a": dict.fromkeys("1234", 5),
        "b": {"x": 10, "y": 10},
    }
    assert counted.metrics() == {"least_trained": 1.0, "most_trained": 1.0}


@pytest.mark.parametrize("strategy", [SPOS(), RandomNAS()])
def test_a_single_path_trains_one_option_of_each_decision(strategy):
    counted, supernet = run(strategy, 40)
    passes = counted.passes(supernet)
    assert [sum(counts.values()) for counts in passes.values()] == [40, 40]
    expected = min(4 * count / 40 for count in passes["a"].values())
    worst = min(expected, min(2 * count / 40 for count in passes["b"].values()))
    assert counted.metrics()["least_trained"] == pytest.approx(worst, abs=1e-4)


def test_ghost_batches_are_passes():
    counted, supernet = run(BenderOneShot(vanish=0.0, ghost_size=16), 3)
    assert set(counted.passes(supernet)["a"].values()) == {3 * 4}


def test_counting_changes_nothing_and_goes_on_from_its_state():
    counted, supernet = run(SPOS(), 10)
    plain = make()
    for step in range(10):
        SPOS().backward(plain, Classification(), BATCH, Moment(step, 10, 3))
    for one, two in zip(supernet.parameters(), plain.parameters(), strict=True):
        assert torch.equal(one.grad, two.grad)
    again = UpdateCounts(SPOS())
    again.prepare(supernet, setting(supernet))
    again.load_state_dict(counted.state_dict())
    assert again.passes(supernet) == counted.passes(supernet)


def test_scoring_is_not_counted():
    counted, supernet = run(SPOS(), 4)
    before = counted.passes(supernet)
    supernet(BATCH[0], supernet.space[0])
    assert counted.passes(supernet) == before


def costs_drawn(strategy, count=1000):
    supernet = make()
    strategy.prepare(supernet, setting(supernet))
    table = setting(supernet).costs["macs"]
    random = stream(0, "draws")
    return [table.cost(strategy.draw(supernet.space, random)) for _ in range(count)]


@pytest.mark.slow
def test_cost_uniform_draws_every_bin_equally_often():
    # depths 1 to 4 cost 16 multiply-adds each, and 8 more: bins around 24, 40, 56, 72
    drawn = costs_drawn(SPOS("cost", low=16, high=80, bins=4))
    counts = [drawn.count(cost) for cost in (24, 40, 56, 72)]
    assert sum(counts) == 1000
    assert all(200 < count < 300 for count in counts)
    narrow = costs_drawn(SPOS("cost", low=16, high=48, bins=2))
    assert set(narrow) == {24, 40}


def test_an_empty_bin_gives_the_closest_path():
    assert set(costs_drawn(SPOS("cost", low=57, high=66, bins=1, tries=60), 50)) == {56}


@pytest.mark.slow
def test_bounds_follow_from_the_space_by_default():
    assert set(costs_drawn(SPOS("cost"))) == {24, 40, 56, 72}


@pytest.mark.parametrize("arguments", [{"bins": 0}, {"tries": 0}, {"low": 3, "high": 3}])
def test_contradicting_bins_are_refused(arguments):
    with pytest.raises(ConfigError, match="at least 1"):
        SPOS("cost", **arguments)


def test_an_unknown_quantity_is_named():
    with pytest.raises(ConfigError, match=r"'energy'.*macs, params"):
        SPOS("cost", quantity="energy").prepare(make(), setting(make()))


@pytest.mark.parametrize(
    "bounds", [{"low": 1e12}, {"high": -5.0}, {"low": 1e5, "high": 1e6}, {"low": float("nan")}]
)
def test_bounds_that_no_architecture_meets_are_refused(bounds):
    with pytest.raises(ConfigError, match="in this space from 24 to 72"):
        SPOS("cost", **bounds).prepare(make(), setting(make()))


def test_a_part_leaves_out_the_bins_that_it_does_not_reach():
    whole = make()
    part = split_supernet(whole, "a", "4")  # costs 72 only
    for strategy in (SPOS("cost", low=16, high=80, bins=4), SPOS("cost", low=16, high=40, bins=2)):
        strategy.prepare(part, TrainingContext(1, setting(whole).costs, part=True))
        drawn = {strategy.draw(part.space, stream(0, i))["b"] for i in range(20)}
        assert drawn == {"x", "y"}


def test_passes_that_only_move_the_architecture_are_not_counted():
    supernet = make()
    examples = Examples(torch.ones(64, 4), torch.arange(64) % 2, ("a", "b"))
    loader = Loader(examples, 16, 0, purpose="search")
    counted = UpdateCounts(DARTS())
    counted.prepare(supernet, TrainingContext(1, setting(supernet).costs, search=loader))
    for step in range(3):
        counted.backward(supernet, Classification(), BATCH, Moment(step, 3, 3))
    assert set(counted.passes(supernet)["a"].values()) == {3}

import pytest
import torch
from coupled_models import BATCH, Factors, at, moved, ready, values
from torch import nn

from supernet.choice import Choice
from supernet.cost import ExpectedCost, measure_costs
from supernet.errors import ConfigError
from supernet.strategies import Alpha, FBNet
from supernet.task import Classification


def test_the_loss_is_the_cross_entropy_times_the_costs_logarithm(monkeypatch):
    strategy = FBNet(scale=0.2, exponent=0.6, alpha=Alpha(warmup=0.0))
    supernet = ready(strategy)
    alphas = list(strategy.alphas.values())
    draw = strategy.draw(at(3), "alpha")
    with supernet.route(strategy.soft(draw)):
        entropy = Classification().loss(supernet, strategy.search_batch(at(3)))
    latency = ExpectedCost(measure_costs(supernet, BATCH[0][:1])["macs"], supernet.space)(draw)
    expected = torch.autograd.grad(entropy * 0.2 * torch.log(latency) ** 0.6, alphas)
    steps = []
    monkeypatch.setattr(strategy, "move_alpha", steps.append)

    strategy.alpha_step(supernet, Classification(), BATCH, at(3))

    for found, gradient in zip(steps[0], expected, strict=True):
        assert gradient.abs().sum() > 0
        torch.testing.assert_close(found, gradient)


def test_without_a_cost_the_loss_is_the_cross_entropy(monkeypatch):
    strategy = FBNet(cost=None)
    supernet = ready(strategy)
    with supernet.route(strategy.routing(supernet, at(3))):
        loss = Classification().loss(supernet, strategy.search_batch(at(3)))
    expected = torch.autograd.grad(loss, list(strategy.alphas.values()))
    steps = []
    monkeypatch.setattr(strategy, "move_alpha", steps.append)
    strategy.alpha_step(supernet, Classification(), BATCH, at(3))
    assert all(map(torch.equal, steps[0], expected))


def test_the_cheaper_of_equal_options_wins():
    class Slow(nn.Linear):
        def forward(self, x):
            return super().forward(super().forward(x))

    slow = Slow(4, 4)
    nn.init.eye_(slow.weight)
    fast = nn.Linear(4, 4)
    nn.init.eye_(fast.weight)
    nn.init.zeros_(slow.bias), nn.init.zeros_(fast.bias)
    model = nn.Sequential(Choice({"slow": slow, "fast": fast}, label="speed"), nn.Linear(4, 3))
    strategy = FBNet(alpha=Alpha(1e-2))
    supernet = ready(strategy, model)
    for step in range(60):
        strategy.alpha_step(supernet, Classification(), BATCH, at(step, 60))
    assert strategy.learned(supernet)[0]["speed"] == "fast"
    assert strategy.probabilities()["speed"][1] > 0.55


def test_all_options_run_with_weights_that_sum_to_one():
    strategy = FBNet()
    supernet = ready(strategy)
    for gate in strategy.routing(supernet, at(2)).values():
        assert float(gate.weights.detach().sum()) == pytest.approx(1)
        assert (gate.weights > 0).all()
    strategy.backward(supernet, Classification(), BATCH, at(2))
    assert all(p.grad is not None for p in supernet.parameters())


def test_the_weights_learn_under_a_draw_of_their_own():
    strategy = FBNet(cost=None)
    supernet = ready(strategy, Factors(1, 2, 3))
    learned = strategy.routing(supernet, at(2))["pick"].weights
    trained = strategy.weight_routing(supernet, at(2))["pick"].weights
    assert not trained.requires_grad
    assert not torch.equal(learned, trained)
    torch.manual_seed(7)
    assert torch.equal(trained, strategy.weight_routing(supernet, at(2))["pick"].weights)
    assert not torch.equal(trained, strategy.weight_routing(supernet, at(3))["pick"].weights)
    other = at(2, seed=5)
    assert not torch.equal(trained, strategy.weight_routing(supernet, other)["pick"].weights)


def test_the_temperature_is_the_papers():
    strategy = FBNet()
    found = [strategy.temperature(at(epoch, 91)) for epoch in (0, 1, 45, 90)]
    assert found == pytest.approx([5 * 0.956**epoch for epoch in (0, 1, 45, 90)], rel=2e-3)


def test_weights_warm_up_alone():
    strategy = FBNet()
    supernet = ready(strategy)
    before = values(strategy)
    strategy.backward(supernet, Classification(), BATCH, at(0))
    assert not moved(strategy, before)
    strategy.backward(supernet, Classification(), BATCH, at(1))
    assert moved(strategy, before) == set(before)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"temperature": 0.0}, "must be positive"),
        ({"last_temperature": 0.0}, "must be positive"),
        ({"scale": 0.0}, "scale multiplies the loss"),
    ],
)
def test_numbers_out_of_range_are_refused(arguments, message):
    with pytest.raises(ConfigError, match=message):
        FBNet(**arguments)


def test_costs_without_a_positive_logarithm_are_refused():
    class Same(nn.Module):
        def __init__(self):
            super().__init__()
            options = {"linear": nn.Linear(4, 4), "none": nn.Identity()}
            self.pick = Choice(options, label="pick")

        def forward(self, x):
            return self.pick(x)

    with pytest.raises(ConfigError, match="FBNet takes the logarithm of macs, which is 0"):
        ready(FBNet(), Same())
    ready(FBNet(cost=None), Same())

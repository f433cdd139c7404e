import pytest
import torch
from coupled_models import BATCH, Factors, at, calls, ready
from torch import nn

from supernet.errors import ConfigError
from supernet.net import Choice, SuperNet
from supernet.strategies import DARTS, Alpha, DARTSMinus, Setting
from supernet.task import Classification


class Step(nn.Module):
    """A choice with a skip that has weights, as between shapes."""

    def __init__(self, name="skip_connect"):
        super().__init__()
        self.pick = Choice({"linear": nn.Linear(4, 3), name: nn.Linear(4, 3)}, label="pick")

    def forward(self, x):
        return self.pick(x)


@pytest.mark.parametrize("name", ["skip", "skip_connect", "identity"])
@pytest.mark.parametrize(("step", "beta"), [(0, 1.0), (5, 0.5), (10, 0.0)])
def test_it_is_darts_plus_beta_times_the_skip(name, step, beta):
    ours, darts = DARTSMinus(), DARTS()
    start = {"pick": [0.4, -0.8]}
    supernet = ready(ours, Step(name), start=start)
    ready(darts, Step(name), start=start)
    output = supernet(BATCH[0], ours.routing(supernet, at(step)))
    plain = supernet(BATCH[0], darts.routing(supernet, at(step)))
    skip = supernet.model.pick.options[1](BATCH[0])
    torch.testing.assert_close(output, plain + beta * skip)
    assert ours.beta(at(step)) == pytest.approx(beta)


def test_the_weight_step_has_the_auxiliary_skip_too():
    strategy = DARTSMinus(alpha=Alpha(learning_rate=1e-9))
    supernet = ready(strategy)
    for step, beta in ((0, 1.0), (10, 0.0)):
        weights = strategy.weight_routing(supernet, at(step))["first"].weights
        softmax = torch.softmax(strategy.alphas["first"].detach(), 0)
        torch.testing.assert_close(weights, softmax + torch.tensor([0, 0, beta]))
        assert not weights.requires_grad


def test_alpha_gets_the_gradient_of_the_softmax_only():
    strategy = DARTSMinus()
    supernet = ready(strategy, start={"first": [0.3, 0.1, -0.5]})
    weights = strategy.routing(supernet, at(2))["first"].weights
    (gradient,) = torch.autograd.grad(weights[2], strategy.alphas["first"])
    p = torch.softmax(torch.tensor([0.3, 0.1, -0.5]), 0)
    torch.testing.assert_close(gradient, p[2] * (torch.tensor([0.0, 0, 1]) - p))
    assert strategy.learned(supernet)[0]["first"] == "a"  # the auxiliary skip does not count


def test_decisions_without_a_skip_are_as_in_darts_and_the_skip_runs_once():
    strategy = DARTSMinus()
    supernet = ready(strategy)
    routing = strategy.routing(supernet, at(0))
    for label in ("inner", "outer"):
        torch.testing.assert_close(routing[label].weights, strategy.probabilities()[label])
    supernet(BATCH[0], routing)
    assert calls(supernet.model.first) == [1, 1, 1]


def test_a_space_without_skips_is_refused_but_not_a_part_of_one():
    supernet = SuperNet(Factors(1, 2))
    with pytest.raises(ConfigError, match="no decision has an option named skip or skip_connect"):
        DARTSMinus().prepare(supernet, Setting(1, {}, search=object()))
    strategy = DARTSMinus()
    strategy.prepare(supernet, Setting(1, {}, part=True, search=object()))
    weights = strategy.routing(supernet, at(0))["pick"].weights
    torch.testing.assert_close(weights, strategy.probabilities()["pick"])


def test_a_negative_beta_is_refused():
    with pytest.raises(ConfigError, match="auxiliary is the weight of a skip"):
        DARTSMinus(auxiliary=-0.5)


def test_it_learns():
    strategy = DARTSMinus(alpha=Alpha(learning_rate=0.1))
    supernet = ready(strategy)
    before = torch.cat([a.detach().clone() for a in strategy.alphas.values()])
    strategy.backward(supernet, Classification(), BATCH, at(0))
    after = torch.cat([a.detach() for a in strategy.alphas.values()])
    torch.testing.assert_close((after - before).abs(), torch.full((7,), 0.1), rtol=0.01, atol=0.0)

import pytest
import torch
from coupled_models import BATCH, Factors, at, moved, ready, values

from supernet.cost import ExpectedCost, measure_costs
from supernet.errors import ConfigError
from supernet.random import generator
from supernet.strategies import SNAS, Alpha, CostPenalty, TrainingContext
from supernet.strategies.snas import concrete
from supernet.task import Classification
from supernet.zoo import DARTS

ALPHA = torch.tensor([1.0, 0.0, -1.0])


def test_a_draw_is_positive_and_sums_to_one_and_is_nearly_one_hot_when_cold():
    for step in range(50):
        warm = concrete(ALPHA, 1.0, generator(1, step))
        cold = concrete(ALPHA, 1e-3, generator(1, step))
        assert (warm > 0).all()
        assert float(warm.sum()) == pytest.approx(1)
        assert warm.argmax() == cold.argmax()
        assert float(cold.max()) == pytest.approx(1, abs=0.05)


def test_the_largest_entry_is_drawn_as_often_as_softmax_says():
    draws, counts = 3000, torch.zeros(3)
    for step in range(draws):
        counts[concrete(ALPHA, 0.5, generator(1, step)).argmax()] += 1
    expected = draws * torch.softmax(ALPHA, 0)
    assert ((counts - expected) ** 2 / expected).sum() < 18.4  # once in 10,000 by chance


def test_a_draw_passes_the_gradient_of_softmax():
    alpha = ALPHA.clone().requires_grad_()
    z = concrete(alpha, 0.5, generator(1, 2))
    (gradient,) = torch.autograd.grad(z[0], alpha)
    z = z.detach()
    torch.testing.assert_close(gradient, z[0] * (torch.tensor([1.0, 0, 0]) - z) / 0.5)


@pytest.mark.parametrize("cost", [None, "macs"])
def test_weights_and_alpha_learn_from_one_pass_over_the_training_batch(cost):
    strategy = SNAS(cost=cost and CostPenalty(cost, 0.7, 50.0), alpha=Alpha(0.1))
    supernet = ready(strategy)
    strategy.search_loader = None  # a use of the search split would fail
    before, alphas = values(strategy), list(strategy.alphas.values())
    with supernet.route(strategy.routing(supernet, at(3))):
        task_loss = Classification().loss(supernet, BATCH)
    loss = task_loss
    if cost:
        table = measure_costs(supernet, BATCH[0][:1])["macs"]
        p = {label: torch.softmax(alpha, 0) for label, alpha in strategy.alphas.items()}
        loss = loss + 0.7 * (ExpectedCost(table, supernet.space)(p) - 50) / 50
    weights = list(supernet.parameters())
    expected = torch.autograd.grad(loss, [*alphas, *weights])
    before_calls = [module.calls for module in supernet.modules() if hasattr(module, "calls")]

    found = strategy.backward(supernet, Classification(), BATCH, at(3))

    assert found == task_loss.detach()
    for weight, gradient in zip(weights, expected[len(alphas) :], strict=True):
        torch.testing.assert_close(weight.grad, gradient)
    for (label, alpha), gradient in zip(strategy.alphas.items(), expected, strict=False):
        step = torch.sign(gradient + 1e-3 * before[label])  # Adam's first step
        torch.testing.assert_close(alpha, before[label] - 0.1 * step, rtol=0, atol=1e-3)
        assert alpha.grad is None
    calls = [module.calls for module in supernet.modules() if hasattr(module, "calls")]
    assert calls == [n + 1 for n in before_calls]


def test_warmup_trains_weights_only():
    strategy = SNAS(alpha=Alpha(warmup=0.5))
    supernet = ready(strategy)
    before = values(strategy)
    strategy.backward(supernet, Classification(), BATCH, at(4))
    assert not moved(strategy, before)
    assert all(p.grad is not None for p in supernet.parameters())
    strategy.backward(supernet, Classification(), BATCH, at(5))
    assert moved(strategy, before) == set(before)


def test_the_temperature_falls_linearly():
    strategy = SNAS()
    found = [strategy.temperature(at(step)) for step in (0, 5, 10)]
    assert found == pytest.approx([1, 0.515, 0.03])


@pytest.mark.parametrize("arguments", [{"temperature": -1.0}, {"last_temperature": 0.0}])
def test_temperatures_must_be_positive(arguments):
    with pytest.raises(ConfigError, match="must be positive"):
        SNAS(**arguments)


def test_a_draw_depends_on_seed_and_step_only():
    strategy = SNAS()
    supernet = ready(strategy, Factors(1, 2, 3))

    def weights(step, seed=4, state=0):
        torch.manual_seed(state)
        return strategy.routing(supernet, at(step, seed=seed))["pick"].weights

    assert torch.equal(weights(3), weights(3, state=8))
    assert not torch.equal(weights(3), weights(4))
    assert not torch.equal(weights(3), weights(3, seed=5))


def test_noise_is_always_finite(monkeypatch):
    monkeypatch.setattr(torch.Tensor, "exponential_", lambda self, **_: self.zero_())
    assert concrete(ALPHA, 0.1, generator(1)).isfinite().all()


def test_it_needs_no_search_split():
    strategy = SNAS()
    supernet = ready(strategy)
    strategy.prepare(supernet, TrainingContext(1, {}))
    assert strategy.backward(supernet, Classification(), BATCH, at(0)).isfinite()


def test_the_defaults_are_the_authors():
    strategy = SNAS()
    assert strategy.alpha == Alpha(3e-4, (0.5, 0.999), 1e-3, spread=0.01, mean=1.0, clip=10.0)
    assert strategy.rule == "strongest"


@pytest.mark.slow
def test_all_edges_are_kept_with_their_strongest_operation_none_included():
    """The authors' `genotype_edge_all`: an argmax for each of the edges."""
    strategy = SNAS()
    model = DARTS((1, 8, 8), cells=3, channels=2, nodes=3, edges="all")
    supernet = ready(strategy, model, inputs=torch.randn(16, 1, 8, 8))
    with torch.no_grad():
        for alpha in strategy.alphas.values():
            alpha.normal_()
    (found,) = strategy.learned(supernet)
    operations = {label: value for label, value in found.items() if ".from" in label}
    assert len(operations) == 2 * (2 + 3 + 4)
    for label, value in operations.items():
        best = int(strategy.alphas[label].argmax())
        assert value == supernet.space.decision(label).options[best]
    assert "none" in operations.values()

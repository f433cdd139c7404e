"""The β-decay of β-DARTS, beside DARTS and the formula."""

import math

import pytest
import torch
from coupled_models import BATCH, Factors, Mean, at, ready, values

from supernet.errors import ConfigError
from supernet.strategies import DARTS, Alpha, BetaDARTS
from supernet.task import Classification
from supernet.zoo import DARTS as Cells

START = {"first": [0.5, -1.0, 2.0], "inner": [0.3, 0.0], "outer": [-0.7, 0.1]}


@pytest.mark.parametrize(("step", "factor"), [(0, 0.0), (5, 0.5), (10, 1.0)])
def test_the_regulariser_and_its_gradient_are_those_of_the_formula(step, factor):
    strategy = BetaDARTS(weight=8.0)
    ready(strategy, start=START)
    found = strategy.regulariser(at(step, 11))
    totals = {label: sum(math.exp(a) for a in alphas) for label, alphas in START.items()}
    mean = sum(math.log(total) for total in totals.values()) / 3
    assert found.item() == pytest.approx(8 * factor * mean)
    gradients = torch.autograd.grad(found, list(strategy.alphas.values()))
    for label, gradient in zip(strategy.alphas, gradients, strict=True):
        betas = [math.exp(a) / totals[label] for a in START[label]]
        assert gradient.tolist() == pytest.approx([8 * factor / 3 * beta for beta in betas])


@pytest.mark.parametrize(("step", "weight"), [(0, 50.0), (7, 50.0), (10, 50.0), (7, 0.0)])
def test_alpha_follows_the_gradient_of_darts_and_beta(step, weight):
    """Seen in the step that α is moved by; the weights' gradients are those of DARTS."""
    seen, weights = [], []
    for strategy in (DARTS(), BetaDARTS(weight=weight)):
        supernet = ready(strategy, start=START)
        strategy.move_alpha = seen.append
        strategy.backward(supernet, Classification(), BATCH, at(step, 11))
        weights.append([p.grad for p in supernet.parameters()])
    for label, plain, decayed in zip(strategy.alphas, *seen, strict=True):
        beta = torch.tensor(START[label]).softmax(0)
        torch.testing.assert_close(decayed, plain + weight * step / 10 / 3 * beta)
    for one, other in zip(*weights, strict=True):
        assert torch.equal(one, other)


@pytest.mark.slow
def test_what_leads_is_held_back():
    """One option gives a smaller loss in every step; the regulariser bounds its lead."""
    leads = {}
    for weight in (0.0, 1.0):
        strategy = BetaDARTS(Alpha(0.02, (0.5, 0.999), weight_decay=0.0), weight=weight)
        supernet = ready(strategy, Factors(1.0, 1.2, 1.4), start={"pick": [0.0, 0.0, 0.0]})
        for step in range(200):
            strategy.alpha_step(supernet, Mean(), BATCH, at(step, 200))
        p = strategy.probabilities()["pick"].detach()
        leads[weight] = float(p.max() - p.min())
    assert leads[1.0] < 0.5 * leads[0.0]


@pytest.mark.slow
def test_edges_that_are_not_learned_are_not_regularised():
    strategy = BetaDARTS()
    model = Cells((1, 8, 8), channels=4, cells=3, nodes=2)
    images = torch.linspace(-1, 1, 8 * 64).reshape(8, 1, 8, 8)
    supernet = ready(strategy, model, inputs=images)
    before = values(strategy)
    strategy.backward(supernet, Classification(), (images, torch.arange(8) % 3), at(10, 11))
    for label, alpha in strategy.alphas.items():
        assert torch.equal(alpha, before[label]) == label.endswith(".edges")
    learned = [label for label in strategy.alphas if not label.endswith(".edges")]
    logs = [torch.logsumexp(strategy.alphas[label], 0) for label in learned]
    assert strategy.regulariser(at(10, 11)).item() == pytest.approx(
        50 * sum(logs).item() / len(learned)
    )


def test_a_negative_weight_is_refused():
    with pytest.raises(ConfigError, match=r"strategy\.weight .* at least 0, not -1"):
        BetaDARTS(weight=-1.0)

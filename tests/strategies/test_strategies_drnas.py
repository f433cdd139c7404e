import math

import pytest
import torch
from coupled_models import BATCH, Factors, Mean, at, ready, values
from torch import nn
from torch.distributions import Dirichlet, kl_divergence

from supernet.choice import Choice, InputChoice
from supernet.errors import ConfigError, DivergedError
from supernet.net import SuperNet
from supernet.strategies import Alpha, DrNAS, Stage, TrainingContext
from supernet.task import Classification
from supernet.train import Schedule

START = {"pick": [1.0, -0.5, 0.0]}
CONCENTRATION = torch.tensor([2.0, float(torch.exp(torch.tensor(-0.5))), 1.0])  # elu + 1


def draws(strategy, supernet, count):
    moments = [at(step, count) for step in range(count)]
    gates = [strategy.weight_routing(supernet, moment)["pick"] for moment in moments]
    return torch.stack([gate.weights for gate in gates])


@pytest.mark.slow
def test_draws_lie_in_the_simplex_and_have_the_moments_of_the_dirichlet():
    strategy = DrNAS()
    supernet = ready(strategy, Factors(1, 2, 3), start=START)
    found = draws(strategy, supernet, 3000)
    assert (found > 0).all()
    torch.testing.assert_close(found.sum(1), torch.ones(3000))
    exact = Dirichlet(CONCENTRATION)
    error = (exact.variance / 3000).sqrt()
    assert ((found.mean(0) - exact.mean).abs() < 4 * error).all()
    torch.testing.assert_close(found.var(0), exact.variance, rtol=0.1, atol=0)


def test_what_is_derived_has_the_largest_mean():
    strategy = DrNAS()
    supernet = ready(strategy, Factors(1, 2, 3), start=START)
    mean = CONCENTRATION / CONCENTRATION.sum()
    torch.testing.assert_close(strategy.probabilities()["pick"].detach(), mean)
    assert strategy.learned(supernet)[0]["pick"] == "0"


def test_the_gradient_reaches_every_alpha():
    strategy = DrNAS()
    supernet = ready(strategy)
    with supernet.route(strategy.routing(supernet, at(3))):
        loss = Classification().loss(supernet, BATCH)
    for gradient in torch.autograd.grad(loss, list(strategy.alphas.values())):
        assert (gradient != 0).all()
        assert gradient.isfinite().all()


@pytest.mark.slow
def test_the_mean_gradient_is_that_of_the_expectation():
    """For a linear loss the expectation is that under the mean, whose gradient is known."""
    strategy, factors = DrNAS(), torch.tensor([2.0, -1.0, 4.0])
    supernet = ready(strategy, Factors(*factors), start=START)
    alpha = strategy.alphas["pick"]
    (exact,) = torch.autograd.grad((strategy.probabilities()["pick"] * factors).sum(), alpha)
    found = []
    for step in range(2000):
        weights = strategy.routing(supernet, at(step, 2000))["pick"].weights
        found.append(torch.autograd.grad((weights * factors).sum(), alpha)[0])
    samples = torch.stack(found)
    error = samples.std(0) / 2000**0.5
    assert ((samples.mean(0) - exact).abs() < 4 * error).all()


def test_regularisers():
    none, kl = DrNAS(), DrNAS(divergence=0.5)
    loss = torch.tensor(2.0)
    for strategy in (none, kl):
        ready(strategy, Factors(1, 2, 3), start=START)
    assert none.alpha_loss(loss, at(0)) == loss
    divergence = kl_divergence(Dirichlet(CONCENTRATION), Dirichlet(torch.ones(3)))
    torch.testing.assert_close(kl.alpha_loss(loss, at(0)).detach(), loss + 0.5 * divergence)


def test_a_draw_depends_on_seed_and_step_only_and_leaves_torchs_state_alone():
    strategy = DrNAS()
    supernet = ready(strategy, Factors(1, 2, 3), start=START)

    def weights(step, seed=4, state=0):
        torch.manual_seed(state)
        before = torch.get_rng_state()
        found = strategy.routing(supernet, at(step, seed=seed))["pick"].weights
        assert torch.equal(torch.get_rng_state(), before)
        return found

    assert torch.equal(weights(3), weights(3, state=8))
    assert not torch.equal(weights(3), weights(4))
    assert not torch.equal(weights(3), weights(3, seed=5))
    trained = strategy.weight_routing(supernet, at(3))["pick"].weights
    assert not torch.equal(weights(3), trained)
    assert not trained.requires_grad


def test_very_low_alphas_stay_finite():
    strategy = DrNAS()
    supernet = ready(strategy, Factors(1, 2, 3), start={"pick": [-90.0, 0.0, -90.0]})
    weights = strategy.routing(supernet, at(0))["pick"].weights
    (gradient,) = torch.autograd.grad(weights[1], strategy.alphas["pick"])
    assert weights.isfinite().all()
    assert gradient.isfinite().all()
    assert strategy.learned(supernet)[0]["pick"] == "1"


def test_alpha_that_is_not_finite_is_an_error_of_ours():
    strategy = DrNAS()
    supernet = ready(strategy, Factors(1, 2), start={"pick": [float("nan"), 0.0]})
    with pytest.raises(DivergedError, match="DrNAS: the architecture parameters are not finite"):
        strategy.routing(supernet, at(0))


def test_alpha_lies_on_the_cpu_and_weights_where_the_model_is():
    strategy, supernet = DrNAS(), SuperNet(Factors(1, 2)).to("meta")
    strategy.prepare(supernet, TrainingContext(0, {}, search=object()))
    assert strategy.alphas["pick"].device.type == "cpu"
    assert strategy.routing(supernet, at(0))["pick"].weights.device.type == "meta"


def test_it_learns():
    strategy = DrNAS(alpha=Alpha(learning_rate=0.1))
    supernet = ready(strategy)
    before = values(strategy)
    strategy.backward(supernet, Classification(), BATCH, at(0))
    for label, alpha in strategy.alphas.items():
        assert ((alpha.detach() - before[label]).abs() > 0.05).all()
    assert all(p.grad is not None for p in supernet.parameters())


def test_a_negative_divergence_is_refused():
    with pytest.raises(ConfigError, match="divergence is a weight, at least 0, not -1"):
        DrNAS(divergence=-1.0)


class Node(nn.Module):
    """Two of three edges enter a node, each with a choice of three operations."""

    def __init__(self):
        super().__init__()
        edges = {
            name: Choice({op: nn.Linear(4, 3) for op in "abc"}, label=f"from{name}")
            for name in "012"
        }
        self.node = InputChoice(edges, pick=2, label="edges")

    def forward(self, x):
        return self.node([x, x, x])


def test_edges_are_ranked_by_softmax_or_by_the_mean():
    alphas = {"from0": [3.0, 2.3, 1.3], "from1": [0.0, -1.0, -1.0], "from2": [-0.5, -1.0, -1.4]}
    expected = {}
    for rank in ("softmax", "mean"):
        strengths = []
        for given in alphas.values():
            c = [a + 1 if a > 0 else math.exp(a) for a in given]
            weights = [math.exp(a) for a in given] if rank == "softmax" else c
            strengths.append(max(weights) / sum(weights))
        order = sorted(range(3), key=lambda i: -strengths[i])
        expected[rank] = tuple(sorted(str(i) for i in order[:2]))
    assert expected == {"softmax": ("0", "1"), "mean": ("1", "2")}
    for rank, edges in expected.items():
        strategy = DrNAS(rank=rank)
        supernet = ready(strategy, Node(), start=alphas)
        (found,) = strategy.learned(supernet)
        assert found["edges"] == edges
        assert all(found[f"from{edge}"] == "a" for edge in edges)


def test_one_cosine_spans_both_stages():
    schedule = Schedule("cosine")
    optimizer = torch.optim.SGD([nn.Parameter(torch.zeros(1))], lr=0.1)
    theirs = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, 50)
    for stage in range(2):
        strategy = DrNAS(stages=(Stage(keep=2),))
        strategy._stage = stage
        for epoch in range(25):
            rate = 0.1 * strategy.rate(schedule, at(epoch, 26))
            assert rate == pytest.approx(optimizer.param_groups[0]["lr"])
            optimizer.step()
            theirs.step()
        assert strategy.rate(schedule, at(25, 26)) == pytest.approx((0.5, 0.0)[stage])
    assert DrNAS().rate(schedule, at(5)) == pytest.approx(0.5)


def test_alpha_and_its_optimizer_go_on_into_the_next_stage():
    stages = (Stage(keep=2),)
    first, second = DrNAS(Alpha(0.1), stages=stages), DrNAS(Alpha(0.1), stages=stages)
    supernet = ready(first, Factors(1, 2, 3), start=START)
    first.alpha_step(supernet, Mean(), BATCH, at(0))
    state = first.state_dict()
    other = SuperNet(Factors(1, 2, 3))
    second.prepare(other, TrainingContext(4, {}, search=first.search_loader, before=state, stage=1))
    assert torch.equal(second.alphas["pick"], first.alphas["pick"])
    assert second.kept["pick"] == (0, 2)
    (moments,) = second._optimizer.state_dict()["state"].values()
    (before,) = state["optimizer"]["state"].values()
    assert torch.equal(moments["exp_avg"], before["exp_avg"])
    assert second.rate(Schedule(), at(0)) == pytest.approx(0.5)


def test_an_unknown_rank_is_refused():
    with pytest.raises(ConfigError, match="ranks edges by softmax or mean, not 'median'"):
        DrNAS(rank="median")

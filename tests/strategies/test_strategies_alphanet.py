import math

import numpy as np
import pytest
import torch
from elastic_models import BATCH, MOMENT, made
from scipy.special import rel_entr, softmax
from torch.nn import functional as F

from supernet.errors import ConfigError
from supernet.strategies import AlphaNet, Attentive
from supernet.strategies.alphanet import alpha_divergence
from supernet.task import Classification, Task

STUDENT = np.array([[1.0, -2.0, 0.5, 3.0], [0.0, 0.1, -0.2, 0.0], [4.0, -4.0, 0.0, 1.0]])
TEACHER = np.array([[-1.0, 2.0, 0.3, 0.0], [0.1, 0.0, -0.1, 0.2], [-5.0, 3.0, 2.0, 0.0]])
UNCLIPPED = math.inf


def found(alpha, clip, student=STUDENT, teacher=TEACHER):
    """Return the divergences and their gradient in the student's logits."""
    logits = torch.tensor(student, requires_grad=True)
    log_p = torch.tensor(teacher).log_softmax(1)
    values = alpha_divergence(logits.log_softmax(1), log_p, alpha, clip)
    (gradient,) = torch.autograd.grad(values.sum(), logits)
    return values.detach().numpy(), gradient.numpy()


def literal(q, p, alpha, clip=UNCLIPPED):
    """Return the divergence of two distributions, class by class as the paper writes it."""
    if alpha == 1:
        return rel_entr(p, q).sum()
    if alpha == 0:
        return rel_entr(q, p).sum()
    weights = [min((b / a) ** alpha, clip) for a, b in zip(q, p, strict=True)]
    total = sum(a * w for a, w in zip(q, weights, strict=True))
    return (total - 1) / (alpha * (alpha - 1))


@pytest.mark.parametrize("alpha", [-1.0, -0.5, 0.0, 0.5, 1.0, 2.0])
def test_without_clipping_it_is_the_alpha_divergence_and_its_derivative(alpha):
    values, gradient = found(alpha, UNCLIPPED)
    q, p = softmax(STUDENT, 1), softmax(TEACHER, 1)
    np.testing.assert_allclose(
        values, [literal(a, b, alpha) for a, b in zip(q, p, strict=True)], rtol=1e-9
    )
    assert (values > 0).all()
    for row, column in np.ndindex(*STUDENT.shape):  # differences, of the literal formula
        step = np.zeros(STUDENT.shape[1])
        step[column] = 1e-5
        up, down = (literal(softmax(STUDENT[row] + sign * step), p[row], alpha) for sign in (1, -1))
        assert gradient[row, column] == pytest.approx((up - down) / 2e-5, rel=1e-5, abs=1e-7)


def test_the_divergence_at_1_is_the_limit_of_those_near_it():
    near, gradient_near = found(1 - 1e-6, UNCLIPPED)
    values, gradient = found(1.0, UNCLIPPED)
    np.testing.assert_allclose(values, near, rtol=1e-4)
    np.testing.assert_allclose(gradient, gradient_near, rtol=1e-4)


@pytest.mark.parametrize("alpha", [-1.0, 2.0])
def test_importance_weights_are_clipped_in_the_value_and_in_the_gradient(alpha):
    q, p = softmax(STUDENT, 1), softmax(TEACHER, 1)
    values, gradient = found(alpha, 5.0)
    weights = np.minimum((p / q) ** alpha, 5.0)
    assert (weights == 5).any()
    expected = [literal(a, b, alpha, 5.0) for a, b in zip(q, p, strict=True)]
    np.testing.assert_allclose(values, expected, rtol=1e-9)
    by_hand = np.zeros_like(q)
    for row, column in np.ndindex(*q.shape):  # d log q_c / d logit_j = [c = j] - q_j
        for other in range(q.shape[1]):
            slope = (other == column) - q[row, column]
            by_hand[row, column] -= q[row, other] * weights[row, other] / alpha * slope
    np.testing.assert_allclose(gradient, by_hand, rtol=1e-9, atol=1e-12)


def test_the_divergence_at_1_is_not_clipped():
    assert found(1.0, 0.1)[0] == pytest.approx(found(1.0, UNCLIPPED)[0])


def test_of_every_example_the_larger_divergence_counts():
    strategy = AlphaNet()
    student = torch.tensor(STUDENT, requires_grad=True)
    teacher = torch.tensor(TEACHER)
    distance = strategy.distance(Classification(), student, teacher)
    low, high = found(-1.0, 5.0), found(1.0, 5.0)
    larger = low[0] > high[0]
    assert distance.item() == pytest.approx(np.maximum(low[0], high[0]).mean())
    distance.backward()
    expected = np.where(larger[:, None], low[1], high[1]) / len(STUDENT)
    np.testing.assert_allclose(student.grad.numpy(), expected, rtol=1e-9, atol=1e-12)


def test_both_divergences_win_somewhere():
    """Else one of them would be enough."""
    sure, unsure = np.array([[6.0, 0.0, 0.0]]), np.array([[0.0, 0.0, 0.0]])
    near, other = np.array([[0.0, 0.0, 0.3]]), np.array([[0.0, 0.0, 0.6]])
    pairs = [(a, b) for a in (sure, unsure, near, other) for b in (sure, unsure, near, other)]
    wins = [found(-1.0, 5.0, a, b)[0] > found(1.0, 5.0, a, b)[0] for a, b in pairs]
    assert any(wins)
    assert not all(wins)


@pytest.mark.parametrize("scale", [1e3, -1e3])
def test_distributions_that_are_sure_give_finite_numbers(scale):
    student = torch.tensor([[scale, 0.0, -scale]], requires_grad=True)
    teacher = torch.tensor([[-scale, 0.0, scale]])
    distance = AlphaNet().distance(Classification(), student, teacher)
    distance.backward()
    assert distance.isfinite()
    assert student.grad.isfinite().all()
    assert student.grad.abs().sum() > 0


@pytest.mark.parametrize("attention", [Attentive(1), Attentive(2)])
def test_gradients_are_those_of_labels_for_the_largest_and_of_the_divergence_for_others(attention):
    strategy, supernet = made(AlphaNet, attention=attention)
    middle = strategy.middle(supernet, Classification(), BATCH, MOMENT)
    strategy.backward(supernet, Classification(), BATCH, MOMENT)
    gradients = [p.grad.clone() for p in supernet.parameters()]
    x, y = BATCH
    smallest, largest = strategy._ends
    teacher = supernet(x, largest)
    total, log_p = F.cross_entropy(teacher, y), teacher.detach().log_softmax(1)
    for one in (smallest, *middle):
        log_q = supernet(x, one).log_softmax(1)
        low, high = (alpha_divergence(log_q, log_p, alpha, 5.0) for alpha in (-1.0, 1.0))
        total = total + torch.where(low > high, low, high).mean()
    expected = torch.autograd.grad(total / 4, list(supernet.parameters()))
    for mine, right in zip(gradients, expected, strict=True):
        torch.testing.assert_close(mine, right)


def test_tasks_without_probabilities_are_refused():
    class Regression(Task):
        def loss(self, model, batch):
            return model(batch[0]).square().mean()

        def measure(self, model, batch):
            return {"loss": model(batch[0]).square().mean(1)}

    strategy, supernet = made(AlphaNet)
    with pytest.raises(ConfigError, match=r"Regression does not say .* log_probabilities"):
        strategy.backward(supernet, Regression(), BATCH, MOMENT)


@pytest.mark.parametrize(
    "wrong", [{"alpha_min": 2.0}, {"alpha_max": -3.0}, {"clip": 0.0}, {"alpha_min": math.nan}]
)
def test_what_makes_no_divergence_is_refused(wrong):
    with pytest.raises(ConfigError, match=r"alpha_min .* at most alpha_max .* clip"):
        AlphaNet(**wrong)

"""Learning from a teacher: the loss is that of the formula, and nothing else changes."""

import copy

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from supernet.errors import ConfigError
from supernet.task import Classification, Taught


class Asked(nn.Module):
    """A teacher that counts how often it is asked."""

    def __init__(self):
        super().__init__()
        self.layer, self.times = nn.Linear(5, 3), 0

    def forward(self, x):
        self.times += 1
        return self.layer(x)


@pytest.fixture
def setting():
    torch.manual_seed(0)
    return nn.Linear(5, 3), Asked(), (torch.randn(7, 5), torch.arange(7) % 3)


@pytest.mark.parametrize("share", [0.25, 1.0])
def test_the_loss_is_that_of_the_formula(share, setting):
    model, teacher, batch = setting
    taught = Taught(Classification(), teacher, share)
    found = taught.loss(model, batch)
    found.backward()
    gradient = model.weight.grad.clone()
    model.zero_grad()
    z, t = model(batch[0]), teacher.layer(batch[0]).detach()
    by_teacher = -(t.softmax(1) * z.log_softmax(1)).sum(1).mean()
    expected = (1 - share) * F.cross_entropy(z, batch[1]) + share * by_teacher
    torch.testing.assert_close(found, expected)
    expected.backward()
    torch.testing.assert_close(gradient, model.weight.grad)
    assert teacher.layer.weight.grad is None


def test_a_batch_is_said_once_and_another_anew(setting):
    model, teacher, batch = setting
    taught = Taught(Classification(), teacher, 0.5)
    first = [taught.loss(model, batch) for _ in range(3)]
    assert teacher.times == 1
    assert torch.equal(first[0], first[2])
    other = (batch[0] + 1, batch[1].clone())
    taught.loss(model, other)
    assert teacher.times == 2
    assert not torch.equal(taught.loss(model, batch), taught.loss(model, other))


def test_labels_are_not_looked_at_where_the_teacher_says_all(setting):
    model, teacher, (x, labels) = setting
    taught = Taught(Classification(), teacher, 1.0)
    unlabelled = torch.full_like(labels, -1)
    assert torch.equal(taught.loss(model, (x, labels)), taught.loss(model, (x, unlabelled)))


def test_measures_are_the_tasks(setting):
    model, teacher, batch = setting
    plain, taught = Classification(), Taught(Classification(), teacher, 0.5)
    for name, value in plain.measure(model, batch).items():
        assert torch.equal(value, taught.measure(model, batch)[name])
    z, t = torch.randn(2, 7, 3).unbind()
    assert torch.equal(plain.distance(z, t), taught.distance(z, t))
    assert torch.equal(plain.log_probabilities(z), taught.log_probabilities(z))


def test_a_teacher_of_other_classes_is_refused(setting):
    model, _, batch = setting
    taught = Taught(Classification(), nn.Linear(5, 4), 0.5)
    with pytest.raises(ConfigError, match=r"\(7, 3\).*\(7, 4\)"):
        taught.loss(model, batch)


def test_the_teacher_stays_as_it_is(setting):
    model, teacher, batch = setting
    before = copy.deepcopy(teacher.layer.state_dict())
    optimizer = torch.optim.SGD(model.parameters(), 0.5)
    taught = Taught(Classification(), teacher, 1.0)
    for _ in range(200):
        optimizer.zero_grad()
        taught.loss(model, (batch[0], batch[1].clone())).backward()
        optimizer.step()
    assert all(
        torch.equal(value, before[name]) for name, value in teacher.layer.state_dict().items()
    )
    said = teacher.layer(batch[0]).softmax(1)
    torch.testing.assert_close(model(batch[0]).softmax(1), said, atol=0.05, rtol=0)

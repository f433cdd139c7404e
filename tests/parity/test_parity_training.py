"""The training loop gives the weights that a loop written by hand in plain PyTorch gives."""

import copy
import math

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from supernet.choice import Choice
from supernet.data import Augment, Digits, Loader
from supernet.net import SuperNet
from supernet.random import derive_seed, stream
from supernet.strategies import SPOS
from supernet.task import Classification
from supernet.train import Fit, Plain

STEPS, SEED, WARMUP = 12, 7, 0.25


def make_model():
    torch.manual_seed(0)
    return nn.Sequential(
        nn.Conv2d(1, 8, 3, padding=1),
        nn.BatchNorm2d(8),
        nn.ReLU(),
        nn.Dropout(0.2),
        nn.AvgPool2d(4),
        nn.Flatten(),
        nn.Linear(32, 10),
    )


OPTIMIZERS = {
    "sgd": lambda p: torch.optim.SGD(p, lr=0.1, momentum=0.9, weight_decay=1e-3),
    "adamw": lambda p: torch.optim.AdamW(p, lr=0.01, weight_decay=0.1),
}


def make_loader():
    return Loader(Digits().load().train, 64, SEED, Augment(crop=1))


def rate(step):
    """Linear warm-up from just above zero, then a cosine."""
    progress = step / (STEPS - 1)
    if progress < WARMUP:
        return (progress + 0.01) / (WARMUP + 0.01)
    return 0.5 * (1 + math.cos(math.pi * (progress - WARMUP) / (1 - WARMUP)))


def by_hand(model, optimizer, clip, loss_of):
    loader = make_loader()
    peak = optimizer.param_groups[0]["lr"]
    model.train()
    for step in range(STEPS):
        optimizer.param_groups[0]["lr"] = peak * rate(step)
        inputs, targets = loader.batch(step)
        torch.manual_seed(derive_seed(SEED, "torch", step))
        optimizer.zero_grad(set_to_none=True)
        loss_of(step, inputs, targets).backward()
        if clip:
            nn.utils.clip_grad_norm_(model.parameters(), clip)
        optimizer.step()


def by_fit(model, optimizer, clip, learner):
    fit = Fit(STEPS, optimizer, "cosine", WARMUP, clip, 5, 1e9, SEED)
    fit.run(model, learner, Classification(label_smoothing=0.1), make_loader())


def assert_same(first, second):
    for name, value in first.state_dict().items():
        assert torch.equal(value, second.state_dict()[name]), name


@pytest.mark.parametrize("name", OPTIMIZERS)
@pytest.mark.parametrize("clip", [None, 0.5])
def test_plain_training(name, clip):
    ours, theirs = make_model(), make_model()
    by_fit(ours, OPTIMIZERS[name], clip, Plain())

    def loss(_, inputs, targets):
        return F.cross_entropy(theirs(inputs), targets, label_smoothing=0.1)

    by_hand(theirs, OPTIMIZERS[name](theirs.parameters()), clip, loss)
    assert_same(ours, theirs)


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_single_path_training(name):
    """The supernet is an ordinary network whose middle layer is another one at every step."""
    ours = make_model()
    torch.manual_seed(1)
    options = [nn.Conv2d(8, 8, kernel, padding=kernel // 2) for kernel in (1, 3, 5)]
    layers, middle = list(copy.deepcopy(ours)), nn.ModuleList(copy.deepcopy(options))
    supernet = SuperNet(nn.Sequential(*list(ours)[:3], Choice(options), *list(ours)[3:]))
    by_fit(supernet, OPTIMIZERS[name], None, SPOS())

    theirs = nn.Sequential(*layers[:3], middle, *layers[3:])
    picks = []

    def loss(step, inputs, targets):
        # Of three equally likely architectures, the one that the seed draws.
        picks.append(stream(SEED, "path", step).randrange(3))
        for layer in layers[:3]:
            inputs = layer(inputs)
        inputs = middle[picks[-1]](inputs)
        for layer in layers[3:]:
            inputs = layer(inputs)
        return F.cross_entropy(inputs, targets, label_smoothing=0.1)

    by_hand(theirs, OPTIMIZERS[name](theirs.parameters()), None, loss)
    assert len(set(picks)) > 1
    values = zip(supernet.state_dict().values(), theirs.state_dict().values(), strict=True)
    assert all(torch.equal(one, other) for one, other in values)

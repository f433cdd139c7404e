"""A ghost batch is a batch: training on ghosts equals accumulating gradients over small batches."""

import copy

import torch
from torch import nn
from torch.nn import functional as F

from supernet.choice import Choice
from supernet.data import Digits, Normalise
from supernet.net import SuperNet
from supernet.strategies import BenderOneShot
from supernet.task import Classification
from supernet.train import Moment


def test_ghosts_without_dropout_are_accumulated_gradients():
    digits = Digits().load().train
    images, targets = Normalise.of(digits)(digits.inputs)[:60], digits.targets[:60]
    torch.manual_seed(0)
    options = [
        nn.Sequential(nn.Conv2d(1, 8, k, padding=k // 2), nn.BatchNorm2d(8), nn.ReLU())
        for k in (1, 3)
    ]
    head = nn.Linear(8, 10)
    twin = copy.deepcopy((options, head))

    model = nn.Sequential(Choice(options), nn.AdaptiveAvgPool2d(1), nn.Flatten(), head)
    strategy = BenderOneShot(vanish=0.5, ghost_size=20)
    loss = strategy.backward(SuperNet(model), Classification(), (images, targets), Moment(0, 10, 0))

    (first, second), linear = twin
    total = 0.0
    for part, labels in zip(images.split(20), targets.split(20), strict=True):
        logits = linear((first(part) + second(part)).mean((2, 3)))
        share = F.cross_entropy(logits, labels) / 3
        share.backward()
        total += share.item()
    torch.testing.assert_close(loss, torch.tensor(total))
    pairs = zip(
        [*options[0].parameters(), *options[1].parameters(), *head.parameters()],
        [*first.parameters(), *second.parameters(), *linear.parameters()],
        strict=True,
    )
    for ours, theirs in pairs:
        torch.testing.assert_close(ours.grad, theirs.grad, rtol=1e-4, atol=1e-6)
    for ours, theirs in zip(options[0][1].buffers(), first[1].buffers(), strict=True):
        torch.testing.assert_close(ours, theirs)

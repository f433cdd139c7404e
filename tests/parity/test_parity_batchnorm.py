"""A candidate's score is that of a network built on its own and calibrated by PyTorch itself."""

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from supernet.choice import Choice
from supernet.data import Digits, Normalise
from supernet.evaluate import Evaluator, Protocol
from supernet.net import SuperNet
from supernet.space import Architecture
from supernet.task import Classification


def build(kernels, momentum=0.1):
    """Return stem, one block per kernel, and head."""
    torch.manual_seed(0)
    stem = nn.Sequential(nn.Conv2d(1, 8, 3, padding=1), nn.BatchNorm2d(8, momentum=momentum))
    blocks = [
        nn.Sequential(
            nn.Conv2d(8, 8, k, padding=k // 2), nn.BatchNorm2d(8, momentum=momentum), nn.ReLU()
        )
        for k in kernels
    ]
    head = nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Dropout(0.5), nn.Linear(8, 10))
    return stem, blocks, head


@pytest.mark.parametrize("chosen", [0, 1, 2])
def test_recalibrated_scores(chosen):
    digits = Digits().load().train
    train, search = digits.select(torch.arange(200)), digits.select(torch.arange(200, 300))
    normalise = Normalise.of(train)

    stem, blocks, head = build((1, 3, 5))
    supernet = SuperNet(nn.Sequential(stem, Choice(blocks, label="block"), head))
    for step in range(6):  # running statistics of mixed paths, which must not matter
        supernet(normalise(train.inputs[:50]) * step, supernet.space[step % 3])
    protocol = Protocol("recalibrate", 60, 3)
    evaluator = Evaluator(supernet, Classification(), search, train, normalise, protocol)
    found = evaluator.score(Architecture({"block": str(chosen)}))

    stem, blocks, head = build((1, 3, 5), momentum=None)
    network = nn.Sequential(stem, blocks[chosen], head)
    network.train()
    head.eval()  # no dropout while statistics are collected
    with torch.no_grad():
        for batch in normalise(train.inputs[:180]).split(60):
            network(batch)
        network.eval()
        logits = torch.cat([network(batch) for batch in normalise(search.inputs).split(50)])
    losses = F.cross_entropy(logits, search.targets, reduction="none")
    assert found["loss"] == losses.double().mean().item()
    assert found["accuracy"] == (logits.argmax(1) == search.targets).double().mean().item()

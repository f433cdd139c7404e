"""Small models with choices, on which strategies are checked; inputs are images [batch, 1, 8, 8]."""

from __future__ import annotations

import torch
from torch import nn
from torch.nn import functional as F

from supernet.choice import Choice, InputChoice
from supernet.elastic import SuperKernel

__all__ = ["Kernels", "Nested", "Tiny"]


class Tiny(nn.Module):
    """Two choices of operations after a choice of inputs; every option that runs is used.

    Args:
        outputs: numbers for each image; the model returns [batch, outputs].
    """

    def __init__(self, outputs: int = 10) -> None:
        super().__init__()
        self.stem = nn.Conv2d(1, 8, 3, padding=1)
        self.join = InputChoice({"fine": _conv(8, 1), "coarse": _conv(8, 1)}, pick=(1, 2))
        self.first = Choice({"conv3": _conv(8, 3), "conv5": _conv(8, 5), "skip": nn.Identity()})
        self.second = Choice({"conv3": _conv(8, 3), "pool": nn.AvgPool2d(3, 1, 1)}, pick=(1, 2))
        self.head = nn.Linear(8, outputs)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        """Return [batch, outputs]."""
        fine = self.stem(images)
        coarse = F.interpolate(F.avg_pool2d(fine, 2), scale_factor=2)
        features = self.second(self.first(self.join([fine, coarse])))
        logits: torch.Tensor = self.head(features.mean((2, 3)))
        return logits


class Nested(nn.Module):
    """Decisions with one answer each: one lies in an option of another, two places share one.

    Args:
        outputs: numbers for each image; the model returns [batch, outputs].
    """

    def __init__(self, outputs: int = 10) -> None:
        super().__init__()
        inner = Choice({"conv1": _conv(8, 1), "conv3": _conv(8, 3)}, label="inner")
        self.stem = nn.Conv2d(1, 8, 3, padding=1)
        self.outer = Choice({"deep": nn.Sequential(_conv(8, 3), inner), "flat": _conv(8, 5)})
        self.twice = nn.Sequential(
            *(Choice({"conv": _conv(8, 3), "skip": nn.Identity()}, label="twice") for _ in "ab")
        )
        self.head = nn.Linear(8, outputs)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        """Return [batch, outputs]."""
        features = self.twice(self.outer(self.stem(images)))
        logits: torch.Tensor = self.head(features.mean((2, 3)))
        return logits


class Kernels(nn.Module):
    """Superkernels, one of which can be left out.

    Args:
        outputs: numbers for each image; the model returns [batch, outputs].
    """

    def __init__(self, outputs: int = 10) -> None:
        super().__init__()
        self.stem = nn.Conv2d(1, 4, 3, padding=1)
        self.layers = nn.Sequential(SuperKernel(4, 6, stride=2), SuperKernel(6, 6))
        self.head = nn.Linear(6, outputs)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        """Return [batch, outputs]."""
        logits: torch.Tensor = self.head(self.layers(self.stem(images)).mean((2, 3)))
        return logits


def _conv(channels: int, kernel: int) -> nn.Sequential:
    return nn.Sequential(
        nn.ReLU(),
        nn.Conv2d(channels, 8, kernel, padding=kernel // 2, bias=False),
        nn.BatchNorm2d(8),
    )

"""Search around a model of your own: two open questions, 30 lines."""

from __future__ import annotations

import sys

import torch
from torch import nn

import supernet as sn


def conv(width: int, kernel: int) -> nn.Module:
    return nn.Sequential(
        nn.Conv2d(width, width, kernel, padding=kernel // 2, bias=False),
        nn.BatchNorm2d(width),
        nn.ReLU(),
    )


class Net(nn.Module):
    """An ordinary module; `classes` is filled in from the data."""

    def __init__(self, classes: int) -> None:
        super().__init__()
        self.stem = nn.Conv2d(1, 16, 3, padding=1)
        self.first = sn.Choice({"conv3": conv(16, 3), "conv5": conv(16, 5), "skip": nn.Identity()})
        self.second = sn.Choice(
            {"conv3": conv(16, 3), "conv1": conv(16, 1), "pool": nn.AvgPool2d(3, 1, 1)}, pick=(1, 2)
        )
        self.head = nn.Linear(16, classes)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        return self.head(self.second(self.first(self.stem(images))).mean((2, 3)))


if __name__ == "__main__":
    result = sn.run(
        Net,
        data="digits",
        strategy="spos",
        searcher="exhaustive",
        constraints=["macs <= 80%"],
        out=sys.argv[1] if len(sys.argv) > 1 else "runs/own",
        options={"train.steps": 300, "retrain.train.steps": 300, "retrain.top": 2},
    )
    print(dict(result.architecture))
    print(f"test accuracy {result.metrics['test']['chosen']['accuracy']:.4f}")
    print(result.model)

"""A CNN of your own, searched by a metric of your own: the class among the two likeliest."""

from __future__ import annotations

import sys

import torch
from torch import nn

import supernet as sn
from supernet.task import Classification, outputs_of


class Net(nn.Module):
    """Two convolutions, of which kernel and activation are open."""

    def __init__(self, classes: int, width: int = 16) -> None:
        super().__init__()
        kernels = {f"conv{k}": nn.Conv2d(1, width, k, padding=k // 2) for k in (1, 3, 5)}
        self.first = sn.Choice(kernels, label="first")
        self.activation = sn.Choice({"relu": nn.ReLU(), "gelu": nn.GELU()}, label="activation")
        second = nn.Conv2d(width, 2 * width, 3, stride=2, padding=1, bias=False)
        self.second = nn.Sequential(second, nn.BatchNorm2d(2 * width))
        self.head = nn.Linear(2 * width, classes)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        hidden = self.activation(self.first(images))
        return self.head(self.second(hidden).relu().mean((2, 3)))


class TopTwo(Classification):
    """Also measures of each example whether its class is among the two likeliest."""

    def measure(self, model: nn.Module, batch: tuple) -> dict[str, torch.Tensor]:
        likeliest = outputs_of(model, batch).topk(2).indices
        found = (likeliest == batch[-1][:, None]).any(1).float()
        return {**super().measure(model, batch), "top_two": found}


if __name__ == "__main__":
    result = sn.run(
        Net,
        data="digits",
        task=TopTwo,
        strategy="spos",
        searcher="exhaustive",
        out=sys.argv[1] if len(sys.argv) > 1 else "runs/own-metric",
        options={"train.steps": 300, "retrain.train.steps": 300, "evaluate.rank_by": "top_two"},
    )
    print(dict(result.architecture), result.metrics["test"]["chosen"])

"""A model that is trained already, for half of its multiply-adds."""

from __future__ import annotations

import sys

import torch
from torch import nn

import supernet as sn
from supernet.data import Digits, Normalise, Tensors
from supernet.zoo.resnet import ResNet


def trained(images: torch.Tensor, labels: torch.Tensor) -> nn.Module:
    """Train a small ResNet; take your own model with its weights instead."""
    torch.manual_seed(0)
    model = ResNet(image=(1, 8, 8), widths=(16, 32), blocks=2)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.05, momentum=0.9, weight_decay=5e-4)
    for _ in range(200):
        batch = torch.randint(len(images), (64,))
        optimizer.zero_grad()
        nn.functional.cross_entropy(model(images[batch]), labels[batch]).backward()
        optimizer.step()
    return model.eval()


if __name__ == "__main__":
    digits = Digits().load().train
    images, labels = Normalise.of(digits)(digits.inputs), digits.targets
    test = images[1400:], labels[1400:]  # which the model has not seen
    images, labels = images[:1400], labels[:1400]
    result = sn.run(
        sn.convert(trained(images, labels), images[:2]),
        Tensors((images, labels), test),
        strategy="sandwich",
        searcher="evolution",
        constraints=["macs <= 50%"],
        out=sys.argv[1] if len(sys.argv) > 1 else "runs/compressed",
        options={
            "train.steps": 300,
            "train.optimizer.lr": 0.02,
            "train.teacher": 0.9,
            "retrain.weights": "inherited",
            "retrain.train.steps": 100,
            "retrain.train.optimizer.lr": 0.01,
        },
    )
    print(result.metrics["test"]["chosen"])
    print(result.model)

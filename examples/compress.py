"""A model that is trained already, for half and a quarter of its multiply-adds."""

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
    found = sn.compress(
        trained(images, labels),
        Tensors((images, labels), test),
        ["macs <= 50%", "macs <= 25%"],
        out=sys.argv[1] if len(sys.argv) > 1 else "runs/compressed",
        options={"train.epochs": 8, "retrain.train.epochs": 4},
    )
    for one in (found.original, *found.networks):
        print(one.name, one.score["accuracy"], one.lead, one.costs["macs"], one.folder)
    print(found.networks[-1].model)

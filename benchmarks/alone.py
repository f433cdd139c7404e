"""What an architecture is worth: its accuracy after training alone, on real images that are small."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import torch
from torch import nn
from torch.nn.functional import avg_pool2d

from supernet.config import TrainConfig
from supernet.data import Idx
from supernet.net import SuperNet, derive
from supernet.pipeline import RunState, open_run, settings
from supernet.pipeline.models import placed
from supernet.pipeline.scoring import validate
from supernet.pipeline.training import fit
from supernet.space import Architecture
from supernet.train import Plain

__all__ = ["FASHION", "accuracy", "opened", "trained"]

FASHION = "/usr/share/datasets/fashion-mnist"
"""Where the Debian package dataset-fashion-mnist has it."""


@contextmanager
def opened(folder: Path, arguments: list[str]) -> Iterator[RunState]:
    """Open a run on the training images of Fashion-MNIST, halved to 14×14."""
    images = Idx(FASHION).load().train
    halves = avg_pool2d(images.inputs.float(), 2).round().to(torch.uint8)
    data = {"data": (halves, images.targets)}
    with open_run(arguments, folder, objects=data, progress=False) as opened, settings(opened.run):
        yield opened


def accuracy(opened: RunState, architecture: Architecture, seed: int) -> float:
    """Train an architecture alone as `retrain.train` says; return its accuracy on the search split."""
    name = f"alone-{seed}-{architecture.key}"
    run = opened.run
    model = trained(opened, architecture, run.config.retrain.train, name)
    found = validate(run, opened.inputs, model)["accuracy"]
    run.folder.retrained(name).path.unlink(missing_ok=True)
    return float(found or 0.0)


def trained(
    opened: RunState, architecture: Architecture, options: TrainConfig, name: str
) -> nn.Module:
    """Return an architecture's network after training alone; its checkpoint of this name is kept."""
    run, inputs = opened.run, opened.inputs
    supernet = SuperNet(placed(inputs.models.built("alone", name), run.device))
    model = derive(supernet, architecture)
    fit(run, inputs, options, name, model, Plain(), run.folder.retrained(name))
    return model.eval()

"""What an architecture is worth: its accuracy after training alone, on real images that are small."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import torch
from torch.nn.functional import avg_pool2d

from supernet.data import Idx
from supernet.net import SuperNet, derive
from supernet.pipeline.context import Run
from supernet.pipeline.open import open_run, settings
from supernet.space import Architecture
from supernet.train import Plain

__all__ = ["accuracy", "opened"]

FASHION = "/usr/share/datasets/fashion-mnist"
"""Where the Debian package dataset-fashion-mnist has it."""


@contextmanager
def opened(folder: Path, arguments: list[str]) -> Iterator[Run]:
    """Open a run on the training images of Fashion-MNIST, halved to 14×14."""
    images = Idx(FASHION).load().train
    halves = avg_pool2d(images.inputs.float(), 2).round().to(torch.uint8)
    data = {"data": (halves, images.targets)}
    with open_run(arguments, folder, objects=data, progress=False) as run, settings(run):
        yield run


def accuracy(run: Run, architecture: Architecture, seed: int) -> float:
    """Train an architecture alone as `retrain.train` says; return its accuracy on the search split."""
    name = f"alone-{seed}-{architecture.key}"
    model = derive(SuperNet(run._placed(run._model("alone", name))), architecture)
    checkpoint = run.folder.retrained(name)
    run.fit(run.config.retrain.train, name, model, Plain(), checkpoint)
    found = run.validate(model.eval())["accuracy"]
    checkpoint.path.unlink(missing_ok=True)
    return float(found or 0.0)

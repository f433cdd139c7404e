"""What an architecture is worth: its accuracy after training alone."""

from __future__ import annotations

from supernet.net import SuperNet, derive
from supernet.pipeline.context import Run
from supernet.space import Architecture
from supernet.train import Plain

__all__ = ["accuracy"]


def accuracy(run: Run, architecture: Architecture, seed: int) -> float:
    """Train an architecture alone as `retrain.train` says; return its accuracy on the search split."""
    name = f"alone-{seed}-{architecture.key}"
    model = derive(SuperNet(run._placed(run._model("alone", name))), architecture)
    checkpoint = run.folder.retrained(name)
    run.fit(run.config.retrain.train, name, model, Plain(), checkpoint)
    found = run.validate(model.eval())["accuracy"]
    checkpoint.path.unlink(missing_ok=True)
    return float(found or 0.0)

"""Forward passes in which nothing is dropped, while all else is as in training."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from torch import nn
from torch.nn.modules.dropout import _DropoutNd

from supernet.ops import DropPath

__all__ = ["dropping", "undropped"]


def dropping(model: nn.Module) -> list[nn.Module]:
    """Return the modules of a model that drop features or paths in training."""
    return [module for module in model.modules() if isinstance(module, _DropoutNd | DropPath)]


@contextmanager
def undropped(modules: Sequence[nn.Module]) -> Iterator[None]:
    """Within the block these modules drop nothing."""
    before = [module.training for module in modules]
    try:
        for module in modules:
            module.__dict__["training"] = False
        yield
    finally:
        for module, training in zip(modules, before, strict=True):
            module.__dict__["training"] = training

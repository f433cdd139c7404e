"""Which numbers no mask can stand for, see `supernet.elastic.masks`.

Channels that are off must not be felt. Linear layers and convolutions do not read them; batch norm and
activations keep channels apart. But a layer norm divides by the number of channels, heads by their size,
and sides of images, numbers of groups and modules of one's own do with a number what they please.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from torch import nn

from supernet.elastic.masks import MIXING
from supernet.elastic.size import Dimension
from supernet.elastic.spec import dimensions_of

__all__ = ["unmasked"]

APART: tuple[type[nn.Module], ...] = (
    *(nn.BatchNorm1d, nn.BatchNorm2d, nn.BatchNorm3d),
    *(nn.InstanceNorm1d, nn.InstanceNorm2d, nn.InstanceNorm3d),
    *(nn.GroupNorm, nn.PReLU, nn.Embedding),
)
"""Layers that keep channels apart, or groups of them of which each is on or off as a whole."""


def unmasked(model: nn.Module, labels: Mapping[Any, str]) -> dict[str, str]:
    """Return the decisions between numbers that no mask can stand for, and why.

    Args:
        model: model whose modules that depend on numbers are looked at.
        labels: labels of the decisions, by choice.
    """
    found: dict[str, str] = {}
    for name, module in model.named_modules():
        for dimension, reason in _obstacles(name, module):
            if len(dimension.values) > 1:
                found.setdefault(labels[dimension], reason)
    return found


def _obstacles(name: str, module: nn.Module) -> Iterator[tuple[Dimension, str]]:
    """Yield what of a module's dimensions cannot be weighed, and why."""
    ordinary = getattr(type(module), "_ordinary", None)
    if ordinary in APART:
        return
    if ordinary not in MIXING:
        kind = getattr(ordinary or type(module), "__name__", "module")
        for dimension in dimensions_of(module):
            yield dimension, f"{name or 'the model'} ({kind}) does not only read its channels"
    elif len(getattr(module, "transforms", ())):
        for dimension in module.kernel.dimensions:  # type: ignore[union-attr]
            yield dimension, f"smaller kernels of {name or 'the model'} pass through matrices"

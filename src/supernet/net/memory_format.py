"""The memory format in which the convolutions of a model are fastest, where it is safe.

On CPUs the gradient of a 1×1 convolution with a stride is wrong with channels last if fewer than eight
channels enter, and may end the process: oneDNN writes beyond its buffer there (its issue 6035; seen with
torch 2.13 on CPUs with AVX2).
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import nn

from supernet.choice.routing import Gate
from supernet.elastic.spec import dimensions_of

__all__ = ["memory_format"]

FEWEST = 8
"""Channels that must enter a 1×1 convolution with a stride for its gradient to be right."""


def memory_format(model: nn.Module, device: torch.device) -> torch.memory_format:
    """Return channels last, but on CPUs not for models with a narrow 1×1 convolution with a stride."""
    if device.type != "cpu":
        return torch.channels_last
    with _smallest(model):
        narrow = any(_is_narrow(module) for module in model.modules())
    return torch.contiguous_format if narrow else torch.channels_last


def _is_narrow(module: nn.Module) -> bool:
    if not isinstance(module, nn.Conv2d) or max(module.stride) == 1:
        return False
    _, entering, *kernel = module.weight.shape
    return entering < FEWEST and kernel == [1, 1]


@contextmanager
def _smallest(model: nn.Module) -> Iterator[None]:
    """Let every open number of a model be the smallest that it can be."""
    dimensions = {d for module in model.modules() for d in dimensions_of(module)}
    before = {dimension: dimension.gate for dimension in dimensions}
    try:
        for dimension in dimensions:
            dimension.set_gate(Gate((0,)))
        yield
    finally:
        for dimension, gate in before.items():
            dimension.set_gate(gate)

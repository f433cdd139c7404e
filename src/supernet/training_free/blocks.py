"""What the blocks of a network hand on to each other: feature maps, and gradients between them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import nn
from torch.nn import functional as F

from supernet.errors import ConfigError
from supernet.modules.calls import called
from supernet.modules.hooks import hooked
from supernet.modules.nested import tensors

__all__ = ["as_map", "between", "blocks_of", "features_of"]


def blocks_of(model: nn.Module) -> list[nn.Module]:
    """Return the blocks that follow each other in a network.

    They are the members of its longest `nn.Sequential` or `nn.ModuleList`, of those that lie in the
    fewest other modules.

    Raises:
        ConfigError: there is none with two members.
    """
    level = [model]
    while level:
        found, inner = [], list[nn.Module]()
        while level:
            module = level.pop(0)
            if isinstance(module, nn.Sequential | nn.ModuleList):
                found.append(module)
                level += module.children()
            else:
                inner += module.children()
        longest = max(found, key=len, default=None)
        if longest is not None and len(longest) > 1:
            return list(longest)
        level = inner
    raise ConfigError(
        "the parts of az_nas compare what blocks hand on to each other: put the blocks that follow "
        "each other into an nn.Sequential or nn.ModuleList, or use another score, such as snip"
    )


@dataclass
class _Feature:
    """What was last handed on at a place between blocks."""

    value: torch.Tensor | None = None


def features_of(
    model: nn.Module, blocks: Sequence[nn.Module], inputs: Sequence[Any]
) -> list[torch.Tensor]:
    """Run a model, and return what entered its first block and what each block returned, with graphs.

    Of several tensors the first is taken; blocks that were not called, and tokens, are left out.
    """
    kept = {block: _Feature() for block in blocks}
    entered = _Feature()

    # What follows gets a copy: it may change what it is given in place, as a ReLU can.
    def enter(module: nn.Module, given: tuple[object, ...]) -> tuple[object, ...]:
        entered.value = next(tensors(given), None)
        return tuple(one.clone() if isinstance(one, torch.Tensor) else one for one in given)

    def leave(module: nn.Module, given: object, output: object) -> object:
        kept[module].value = next(tensors(output), None)
        return output.clone() if isinstance(output, torch.Tensor) else None

    with hooked(blocks[:1], enter), hooked(blocks, leave=leave):
        called(model, inputs)
    values = [place.value for place in (entered, *kept.values())]
    return [value for value in values if value is not None and value.is_floating_point()]


def as_map(feature: torch.Tensor) -> torch.Tensor:
    """Return a feature as a map `[batch, channels, height, width]`.

    Tokens `[batch, tokens, channels]` become a map of width 1, vectors `[batch, channels]` one of one
    position.
    """
    if feature.ndim == 3:
        feature = feature.transpose(1, 2)
    return feature[(...,) + (None,) * (4 - feature.ndim)]


def between(
    entering: torch.Tensor, leaving: torch.Tensor, sent: torch.Tensor
) -> torch.Tensor | None:
    """Return the mean over positions of the gradient that arrives times the one that was sent.

    Where a block changes height and width, positions that become one are channels of one position.

    Args:
        entering: feature that entered a block.
        leaving: feature that it returned.
        sent: gradient that is sent back through it, of the shape of `leaving`.

    Returns:
        The matrix `[channels entering, channels leaving]`; None if the block passes the gradient on as
        it is, or if none arrives.
    """
    if not leaving.requires_grad or not entering.requires_grad:
        return None
    (arrived,) = torch.autograd.grad(leaving, entering, sent, retain_graph=True, allow_unused=True)
    if arrived is None or (arrived.shape == sent.shape and bool((arrived == sent).all())):
        return None
    maps = as_map(arrived), as_map(sent)
    size = tuple(min(one.shape[axis] for one in maps) for axis in (2, 3))
    rows = [_rows(one, *size) for one in maps]
    return rows[0].T @ rows[1] / len(rows[1])


def _rows(feature: torch.Tensor, height: int, width: int) -> torch.Tensor:
    """Return a map as `[batch · height · width, channels]`, with the places within one as channels."""
    b, c, h, w = feature.shape
    down, across = -(-h // height), -(-w // width)
    padded = F.pad(feature, (0, across * width - w, 0, down * height - h))
    cut = padded.reshape(b, c, height, down, width, across)
    return cut.permute(0, 2, 4, 1, 3, 5).reshape(b * height * width, c * down * across)

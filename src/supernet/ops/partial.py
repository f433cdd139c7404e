"""Computing with a part of the channels, and dropping whole paths."""

from __future__ import annotations

from typing import cast

import torch
from torch import nn

__all__ = ["DropPath", "PartialChannels"]


class PartialChannels(nn.Module):
    """The first 1/k of the channels through a module, the others past it, then a channel shuffle.

    Xu et al., "PC-DARTS: Partial Channel Connections for Memory-Efficient Architecture Search" (ICLR
    2020). The shuffle takes a channel of each of k groups in turn, so that the next partial module
    reads other channels.

    Args:
        module: keeps the number of channels, which is 1/k of those that enter.
        parts: k.
        stride: of the module; with 2, a 2×2 maximum pooling halves the other channels.
    """

    def __init__(self, module: nn.Module, parts: int, stride: int = 1) -> None:
        super().__init__()
        self.module = module
        self.parts = parts
        self.bypass = nn.MaxPool2d(2, ceil_mode=True) if stride == 2 else nn.Identity()

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Map `[b, c, h, w]` to `[b, c, h / stride, w / stride]`; k divides c."""
        width = x.shape[1] // self.parts
        y = torch.cat((self.module(x[:, :width]), self.bypass(x[:, width:])), dim=1)
        groups = y.view(y.shape[0], self.parts, width, *y.shape[2:])
        return groups.transpose(1, 2).flatten(1, 2)


class DropPath(nn.Module):
    """A module whose output is zero for some images while training; the others' is scaled up.

    Larsson et al., "FractalNet" (ICLR 2017).

    Args:
        module: the path.
        probability: of an image to be dropped, in [0, 1).
    """

    def __init__(self, module: nn.Module, probability: float) -> None:
        super().__init__()
        self.module = module
        self.probability = probability

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Map `[b, ...]` as the module does."""
        y = cast(torch.Tensor, self.module(x))
        if not self.training:
            return y
        keep = 1 - self.probability
        kept = torch.rand(y.shape[0], *[1] * (y.ndim - 1), device=y.device) < keep
        return y * (kept / keep)

"""Computing with a part of the channels, and dropping whole paths."""

from __future__ import annotations

import math
from typing import cast

import torch
from torch import nn

__all__ = ["DropEdge", "DropPath", "FadingDropout", "PartialChannels"]


class PartialChannels(nn.Module):
    """The first 1/k of the channels through a module, the others past it, then a channel shuffle.

    Xu et al., "PC-DARTS: Partial Channel Connections for Memory-Efficient Architecture Search" (ICLR
    2020). The shuffle takes a channel of each of k groups in turn, so that the next partial module
    reads other channels.

    Args:
        module: keeps the number of channels, which is 1/k of those that enter.
        parts: k, the number of parts of the channels.
        stride: stride of the module; with 2, a 2×2 maximum pooling halves the other channels.
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

    Larsson et al., "FractalNet" (ICLR 2017). The training loop lets the probability rise linearly from
    0 to its last value over a run, as Zoph et al. (CVPR 2018) do ("scheduled drop path"); in a loop
    that does not call `set_progress` it has the last value throughout.

    Args:
        module: module of the path.
        probability: probability that an image is dropped at the end of training, in [0, 1).
        rises: whether the probability rises to that, instead of being the same throughout.
    """

    def __init__(self, module: nn.Module, probability: float, rises: bool = True) -> None:
        super().__init__()
        self.module = module
        self.rises = rises
        self.last_probability = self.probability = probability

    def set_progress(self, progress: float) -> None:
        """Set the probability of a moment of training, from 0 at the first step to 1 at the last."""
        self.probability = (progress if self.rises else 1.0) * self.last_probability

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Map `[b, ...]` as the module does."""
        y = cast(torch.Tensor, self.module(x))
        if not self.training or not self.last_probability:
            return y
        keep = 1 - self.probability
        kept = torch.rand(y.shape[0], *[1] * (y.ndim - 1), device=y.device) < keep
        return y * (kept / keep)


class DropEdge(DropPath):
    """An edge of a cell: dropped whole in a search network; in a derived one, if it computes something.

    In a search network the module holds a choice, and the mixture of an image is zero as a whole, as in
    the code of SNAS and RobustDARTS: dropped one by one, the operations would learn from noise that the
    skip has not. A derived network has one operation in its place, which is dropped unless it is an
    identity, as in the code of DARTS.
    """

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Map `[b, ...]` as the module does."""
        return x if isinstance(self.module, nn.Identity) else super().forward(x)


class FadingDropout(nn.Module):
    """Dropout behind the skips of a search network, which fades while the search goes on.

    Chen et al., "P-DARTS" (ICCV 2019): it keeps skips from winning early, when they are what learns
    fastest. Of 25 epochs, the paper's code lets the probability fall linearly in the first 10, in which
    α rests, and then exponentially:

        rate · (1 - t)  for t < 0.4,   rate · exp(-5 (t - 0.4))  from there on.

    Args:
        rate: the probability at the start, in [0, 1).
    """

    def __init__(self, rate: float) -> None:
        super().__init__()
        self.rate = self.probability = rate

    def set_progress(self, progress: float) -> None:
        """Set the probability of a moment of training, from 0 at the first step to 1 at the last."""
        fading = 1 - progress if progress < 0.4 else math.exp(-5 * (progress - 0.4))
        self.probability = self.rate * fading

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Return `x` with some of its numbers zero and the others scaled up, in training."""
        return nn.functional.dropout(x, self.probability, self.training)

"""A branch of convolutions whose inner channels may be fewer, with shared weights.

Guo et al. (ECCV 2020), channel search: a weight is as large as the widest choice needs, and a narrower
one takes its leading channels. The gradient of a slice is zero elsewhere, not missing: momentum and
weight decay also move the channels that a step does not use. Batch norms are not shared: those of
different widths see different inputs (Yu et al., "Slimmable Neural Networks", ICLR 2019).
"""

from __future__ import annotations

import copy
from collections.abc import Sequence
from typing import cast

import torch
from torch import nn
from torch.nn import functional as F

__all__ = ["Narrow"]

Pair = tuple[int, int]


class Narrow(nn.Module):
    """Convolutions with the leading channels of shared weights, each followed by its own batch norm.

    Args:
        convolutions: convolutions without bias, shared with the branch's other widths.
        widths: channels that each of them returns, of those it has at most.
        active: for each convolution, whether a ReLU follows.
        affine: whether batch norm learns a scale and an offset.
    """

    def __init__(
        self,
        convolutions: nn.ModuleList,
        widths: Sequence[int],
        active: Sequence[bool],
        affine: bool,
    ) -> None:
        super().__init__()
        self.convolutions = convolutions
        self.norms = nn.ModuleList(nn.BatchNorm2d(width, affine=affine) for width in widths)
        self.active = tuple(active)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Map `[b, channels, h, w]` through all layers, as `plain()` would."""
        for convolution, norm, active in self._layers():
            groups, weight = self._cut(convolution, x.shape[1], norm.num_features)
            x = norm(
                F.conv2d(x, weight, None, convolution.stride, convolution.padding, groups=groups)
            )
            x = F.relu(x) if active else x
        return x

    def plain(self) -> nn.Module:
        """Return ordinary layers that compute the same, with copies of the weights that are used."""
        layers: list[nn.Module] = []
        channels = cast(nn.Conv2d, self.convolutions[0]).in_channels
        for convolution, norm, active in self._layers():
            groups, weight = self._cut(convolution, channels, norm.num_features)
            own = nn.Conv2d(
                channels,
                norm.num_features,
                cast(Pair, convolution.kernel_size),
                cast(Pair, convolution.stride),
                cast(Pair, convolution.padding),
                groups=groups,
                bias=False,
                device=weight.device,
                dtype=weight.dtype,
            )
            own.weight.data.copy_(weight.data)
            layers += [own, copy.deepcopy(norm), *([nn.ReLU()] if active else [])]
            channels = norm.num_features
        return nn.Sequential(*layers).train(self.training)

    def _layers(self) -> list[tuple[nn.Conv2d, nn.BatchNorm2d, bool]]:
        return list(zip(self.convolutions, self.norms, self.active, strict=True))  # type: ignore[arg-type]

    @staticmethod
    def _cut(convolution: nn.Conv2d, entering: int, leaving: int) -> tuple[int, torch.Tensor]:
        """Return the groups and the weight for fewer channels; a depthwise one stays depthwise."""
        if convolution.groups > 1:
            return entering, convolution.weight[:entering]
        return 1, convolution.weight[:leaving, :entering]

"""An input size that is open: images are resized to the side that was decided.

Yu et al., "BigNAS" (ECCV 2020), and Cai et al., "Once-for-All" (ICLR 2020), let one set of weights work
at several input sizes. The size changes what everything after it costs, fixed layers included, so
`supernet.cost.measure_costs` counts the whole network at each.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import nn
from torch.nn import functional as F

from supernet.elastic.size import Dimension

__all__ = ["Resize", "Resolution"]


class Resize(nn.Module):
    """Resize images to a square, bilinearly and without aliasing; those of that size stay as they are.

    Args:
        side: side of the square, in pixels.
    """

    def __init__(self, side: int) -> None:
        super().__init__()
        self.side = side

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        """Map `[b, channels, height, width]` to `[b, channels, side, side]`."""
        return _resized(images, self.side)


class Resolution(nn.Module):
    """Resize images to a square whose side is open.

    It stands at the start of a model, outside of all choices. What follows must work for every side, for
    instance convolutions with an average over all pixels at the end.

    Args:
        side: side of the square, in pixels.
    """

    def __init__(self, side: Dimension) -> None:
        super().__init__()
        self.side = side

    @property
    def dimensions(self) -> list[Dimension]:
        """The side."""
        return [self.side]

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        """Map `[b, channels, height, width]` to `[b, channels, side, side]`."""
        return _resized(images, self.side.now)

    def entering(self, *inputs: Any) -> tuple[Any, ...]:
        """Return the inputs: they are the same for every side."""
        return inputs

    def plain(self) -> nn.Module:
        """Return a module that resizes to the side that the gate says."""
        return Resize(self.side.now).train(self.training)


def _resized(images: torch.Tensor, side: int) -> torch.Tensor:
    if images.shape[-2:] == (side, side):
        return images
    return F.interpolate(images, size=(side, side), mode="bilinear", antialias=True)

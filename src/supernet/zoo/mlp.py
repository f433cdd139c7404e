"""Networks of linear layers, for rows of a table and other inputs that are a vector.

No paper: the usual residual network for tables, as in Gorishniy et al., "Revisiting Deep Learning Models
for Tabular Data" (NeurIPS 2021), with its sizes and parts left open. A linear layer brings the features
to a width; as many blocks follow as the depth says; the classes, or numbers, are read off the last.
A block is layer norm, a linear layer to a multiple of the width, an activation, dropout and a linear
layer back, and adds its input or not. Width, depth and multiples are open sizes, activation and skip
connection are choices. With w widths, r ratios and a activations there are w · Σ_depth (2 · r · a)^depth
networks.

Different from the paper's ResNet: layer norm instead of batch norm, as statistics of a batch that were
averaged over widths fit none; and the skip connection is a choice.
"""

from __future__ import annotations

import math
from typing import cast

import torch
from torch import nn

from supernet import elastic
from supernet.choice import Choice
from supernet.elastic import Dimension, ScaledSize
from supernet.errors import SpaceError
from supernet.ops import Zero
from supernet.space import Architecture, Diagram
from supernet.zoo.arguments import check_positive
from supernet.zoo.chain import chain

__all__ = ["MLP"]

_ACTIVATIONS: dict[str, type[nn.Module]] = {
    "relu": nn.ReLU,
    "gelu": nn.GELU,
    "silu": nn.SiLU,
    "tanh": nn.Tanh,
}
"""Activations by name."""

NONE, SKIP = "none", "skip"


class Block(nn.Module):
    """Two linear layers around an activation, after a layer norm; the input is added or not.

    Args:
        width: width of the layers, the features of each example.
        label: label of the block, with which those of its decisions begin.
        ratios: ratios to choose from, the hidden width over the width.
        activations: names of the activations to choose from.
        dropout: probability with which a hidden feature is dropped.
    """

    def __init__(
        self,
        width: Dimension,
        label: str,
        ratios: tuple[float, ...],
        activations: tuple[str, ...],
        dropout: float,
    ) -> None:
        super().__init__()
        hidden = ScaledSize(width, Dimension(f"{label}.ratio", ratios))
        self.norm = elastic.LayerNorm(width)
        self.expand = elastic.Linear(width, hidden)
        self.activation = Choice(
            {name: _ACTIVATIONS[name]() for name in activations}, label=f"{label}.activation"
        )
        self.dropout = nn.Dropout(dropout)
        self.reduce = elastic.Linear(hidden, width)
        self.skip = Choice({NONE: Zero(), SKIP: nn.Identity()}, label=f"{label}.skip")

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Map `[batch, width]` to the same shape."""
        hidden = self.dropout(self.activation(self.expand(self.norm(x))))
        return cast(torch.Tensor, self.reduce(hidden) + self.skip(x))


class MLP(nn.Module):
    """A network of linear layers of open width, depth, hidden widths, activations and skip connections.

    Inputs of several axes, such as images, are taken as one row of numbers. Without classes, as where
    numbers are predicted, there is one output. Small, for 8×8 grey images: `image=(1, 8, 8),
    widths=(16, 24, 32), ratios=(1, 2), depths=(1, 2)`.

    Args:
        image: shape of an input; of the rows of a table (features,).
        classes: number of classes, or of numbers to be predicted.
        widths: widths of the layers to choose from.
        ratios: ratios to choose from, the hidden width of a block over the width.
        depths: depths to choose from, in blocks.
        activations: activations of a block to choose from: "relu", "gelu", "silu", "tanh".
        dropout: probability with which a hidden feature is dropped.

    Raises:
        SpaceError: a number is out of range, or an activation is unknown.
    """

    def __init__(
        self,
        image: tuple[int, ...] = (16,),
        classes: int = 1,
        widths: tuple[int, ...] = (32, 64, 128),
        ratios: tuple[float, ...] = (1, 2),
        depths: tuple[int, ...] = (1, 2, 3),
        activations: tuple[str, ...] = ("relu", "gelu", "silu"),
        dropout: float = 0.1,
    ) -> None:
        super().__init__()
        check_positive(image=image, classes=classes, widths=widths, depths=depths)
        if min(ratios, default=0) <= 0 or not 0 <= dropout < 1:
            raise SpaceError(
                f"ratios {ratios} must be positive and some, and dropout {dropout} from 0 to below 1"
            )
        if not activations or not set(activations) <= _ACTIVATIONS.keys():
            raise SpaceError(
                f"activations are some of {', '.join(_ACTIVATIONS)}, not "
                f"{', '.join(activations) or 'none'}"
            )
        width = Dimension("width", widths)
        self.stem = elastic.Linear(math.prod(image), width)
        blocks = [
            Block(width, f"block{i}", ratios, activations, dropout) for i in range(max(depths))
        ]
        self.blocks = elastic.depth(blocks, depths, "depth")
        self.norm = elastic.LayerNorm(width)
        self.classifier = elastic.Linear(width, classes)

    def forward(self, rows: torch.Tensor) -> torch.Tensor:
        """Map rows `[batch, features]`, or inputs `[batch, ...]`, to outputs `[batch, classes]`."""
        x = self.blocks(self.stem(rows.flatten(1)))
        return cast(torch.Tensor, self.classifier(self.norm(x).relu()))

    def diagram(self, architecture: Architecture) -> Diagram:
        """Return the drawing of the blocks that run."""
        layers = {"stem": f"to {architecture['width']} numbers"}
        for place in range(int(cast(int, architecture["depth"]))):
            ratio, activation, skip = (
                architecture[f"block{place}.{name}"] for name in ("ratio", "activation", "skip")
            )
            added = ", skip" if skip == SKIP else ""
            layers[f"block{place}"] = f"ratio {ratio}, {activation}{added}"
        return chain("The blocks", layers)

"""The block of a transformer whose width, heads and hidden width are open."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import nn

from supernet import elastic
from supernet.elastic import Dimension, ScaledSize
from supernet.ops import DropPath

__all__ = ["Block"]


class Block(nn.Module):
    """Attention between tokens, then a hidden layer for each; both after a layer norm, and added.

    Args:
        width: width of the tokens, the numbers of each.
        label: label of the block, with which those of its decisions begin.
        heads: numbers of heads to choose from.
        head: width of a head, numbers of each token in it.
        ratios: ratios to choose from, the hidden width over the width.
        causal: whether a token sees only those before it and itself.
        dropout: probability with which a number of what is added is dropped.
        drop_path: probability that one of the two is dropped for an example, at the end of training.
    """

    def __init__(
        self,
        width: Dimension,
        label: str,
        heads: Sequence[int],
        head: int,
        ratios: Sequence[float],
        causal: bool = False,
        dropout: float = 0.0,
        drop_path: float = 0.0,
    ) -> None:
        super().__init__()
        hidden = ScaledSize(width, Dimension(f"{label}.ratio", ratios))
        count = Dimension(f"{label}.heads", heads)
        attention = nn.Sequential(
            elastic.LayerNorm(width),
            elastic.SelfAttention(width, count, head, causal),
            nn.Dropout(dropout),
        )
        layers = nn.Sequential(
            elastic.LayerNorm(width),
            elastic.Linear(width, hidden),
            nn.GELU(),
            elastic.Linear(hidden, width),
            nn.Dropout(dropout),
        )
        self.attention = DropPath(attention, drop_path)
        self.layers = DropPath(layers, drop_path)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Map `[b, tokens, width]` to the same shape."""
        x = x + self.attention(x)
        y: torch.Tensor = x + self.layers(x)
        return y

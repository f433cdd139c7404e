"""Learned tokens of elastic width, as vision transformers have them.

Dosovitskiy et al., "An Image is Worth 16x16 Words" (ICLR 2021): a class token before the others, and a
vector for each place that is added. A narrower network takes the leading numbers of each.
"""

from __future__ import annotations

import torch
from torch import nn

from supernet.elastic.layers import Embedding
from supernet.elastic.size import Size

__all__ = ["ClassToken", "Positions"]

DEVIATION = 0.02
"""Of the normal distribution, cut at ±2, that learned tokens start from."""


class Tokens(nn.Module):
    """Learned vectors, one for each of some places.

    Args:
        count: number of the places.
        width: size of a vector.
    """

    places: torch.Tensor

    def __init__(self, count: int, width: Size | int) -> None:
        super().__init__()
        self.vectors = Embedding(count, width)
        self.register_buffer("places", torch.arange(count), persistent=False)
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Draw the vectors anew."""
        nn.init.trunc_normal_(self.vectors.weight, std=DEVIATION)


class ClassToken(Tokens):
    """A learned token before the others, in which a transformer gathers what it says of all.

    Args:
        width: width of the tokens, the numbers of each.
    """

    def __init__(self, width: Size | int) -> None:
        super().__init__(1, width)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Map `[b, tokens, width]` to `[b, 1 + tokens, width]`."""
        token = self.vectors(self.places).expand(x.shape[0], 1, -1)
        return torch.cat((token, x), dim=1)


class Positions(Tokens):
    """A learned vector for each place, added to the token there.

    Args:
        count: number of the tokens.
        width: width of the tokens, the numbers of each.
    """

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Map `[b, tokens, width]` to the same shape."""
        added: torch.Tensor = x + self.vectors(self.places)
        return added

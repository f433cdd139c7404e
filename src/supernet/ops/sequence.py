"""Operations on sequences that see no padding.

All take features `[b, length, width]` and a mask `[b, length]`, true where a sequence has a token, and
return features of the same shape, zero at padded positions. Padding stands at the end: what an operation
returns elsewhere is the same whatever the number of padded positions. So there is no batch norm here,
whose statistics would include them or change with their number; layer norm treats each position alone.
"""

from __future__ import annotations

import math

import torch
from torch import nn

__all__ = ["Attention", "BidirectionalGRU", "Convolution", "Pooling", "masked_mean"]


class Convolution(nn.Module):
    """A convolution over positions, layer norm and ReLU; zeros stand around a sequence.

    Args:
        width: number of features of a position.
        kernel: positions that are read, an odd number.
    """

    def __init__(self, width: int, kernel: int) -> None:
        super().__init__()
        self.convolution = nn.Conv1d(width, width, kernel, padding=kernel // 2, bias=False)
        self.norm = nn.LayerNorm(width)

    def forward(self, x: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
        """Map `[b, length, width]` to the same shape."""
        y = self.convolution(_blank(x, mask).transpose(1, 2)).transpose(1, 2)
        return _blank(self.norm(y).relu(), mask)


class Pooling(nn.Module):
    """A pooling of stride 1 over three positions.

    Args:
        kind: "max", over the positions with a token, or "avg", in which other positions count as zeros.
    """

    def __init__(self, kind: str) -> None:
        super().__init__()
        self.empty = -math.inf if kind == "max" else 0.0
        self.pool = nn.MaxPool1d(3, 1, 1) if kind == "max" else nn.AvgPool1d(3, 1, 1)

    def forward(self, x: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
        """Map `[b, length, width]` to the same shape."""
        x = x.masked_fill(~mask.unsqueeze(2), self.empty)
        return _blank(self.pool(x.transpose(1, 2)).transpose(1, 2), mask)


class BidirectionalGRU(nn.Module):
    """The sum of a GRU that reads from the first token on and one that reads from the last token back.

    Padding follows the tokens, so neither sees any before its last token: the second reads the tokens in
    reverse and then the padding. (Packed sequences would do the same, but cannot be exported.)

    Args:
        width: number of features, and of numbers in the hidden states.
    """

    def __init__(self, width: int) -> None:
        super().__init__()
        self.onward = nn.GRU(width, width, batch_first=True)
        self.back = nn.GRU(width, width, batch_first=True)

    def forward(self, x: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
        """Map `[b, length, width]` to the same shape."""
        position = mask.long().cumsum(1)
        # its own inverse on the tokens; where there is padding, the first token is read once more
        reverse = (position[:, -1:] - position).unsqueeze(2).expand_as(x)
        onward, _ = self.onward(x)
        back, _ = self.back(x.gather(1, reverse))
        return _blank(onward + back.gather(1, reverse), mask)


class Attention(nn.Module):
    """Attention of all tokens to all tokens, with several heads; layer norm follows.

    Queries, keys and values pass through ReLU, as in TextNAS's published code.

    Args:
        width: number of features, a multiple of the number of heads.
        heads: number of heads.
    """

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.query = nn.Linear(width, width)
        self.key = nn.Linear(width, width)
        self.value = nn.Linear(width, width)
        self.norm = nn.LayerNorm(width)

    def forward(self, x: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
        """Map `[b, length, width]` to the same shape."""
        query, key, value = (
            layer(x).relu().unflatten(2, (self.heads, -1)).transpose(1, 2)  # [b, heads, length, d]
            for layer in (self.query, self.key, self.value)
        )
        scores = query @ key.transpose(2, 3) / math.sqrt(query.shape[3])
        # The least number instead of minus infinity: a sequence without tokens gives no NaN.
        least = torch.finfo(scores.dtype).min
        weights = scores.masked_fill(~mask[:, None, None, :], least).softmax(3)
        y = (weights @ value).transpose(1, 2).flatten(2)
        return _blank(self.norm(y), mask)


def masked_mean(x: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
    """Return the mean over the tokens, `[b, width]`; zeros for a sequence that has none."""
    return _blank(x, mask).sum(1) / mask.sum(1, keepdim=True).clamp(min=1)


def _blank(x: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
    """Return the features with zeros at padded positions."""
    return x.masked_fill(~mask.unsqueeze(2), 0.0)

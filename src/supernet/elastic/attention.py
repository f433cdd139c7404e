"""Multi-head attention whose heads and widths are open.

Chen et al., "AutoFormer" (ICCV 2021), weight entanglement: one weight for queries, keys and values, of
which a smaller attention takes the leading heads, and of each the leading numbers.
"""

from __future__ import annotations

import torch
from torch import nn
from torch.nn import functional as F

from supernet.elastic.layers import Elastic, Linear, copied
from supernet.net.dimension import Scaled, Size, as_size

__all__ = ["Attention", "SelfAttention"]


class Attention(nn.Module):
    """Self-attention of torch's own layers, what `SelfAttention` amounts to.

    Args:
        width: of the tokens.
        heads: their number.
        head: numbers of a head.
        causal: whether a token sees only those before it and itself.
    """

    def __init__(self, width: int, heads: int, head: int, causal: bool = False) -> None:
        super().__init__()
        self.queries = nn.Linear(width, heads * head)
        self.keys = nn.Linear(width, heads * head)
        self.values = nn.Linear(width, heads * head)
        self.out = nn.Linear(heads * head, width)
        self.heads = heads
        self.causal = causal

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Map `[b, tokens, width]` to the same shape."""
        y = _attend(self.queries(x), self.keys(x), self.values(x), self.heads, self.causal)
        found: torch.Tensor = self.out(y)
        return found


class SelfAttention(Elastic):
    """Self-attention with open width and number of heads.

    Args:
        width: of the tokens.
        heads: their number.
        head: numbers of a head.
        causal: whether a token sees only those before it and itself.
    """

    def __init__(
        self, width: Size | int, heads: Size | int, head: int, causal: bool = False
    ) -> None:
        super().__init__()
        self.width, self.count = as_size(width), as_size(heads)
        inner = Scaled(self.count, head)
        self.queries = Linear(width, inner)
        self.keys = Linear(width, inner)
        self.values = Linear(width, inner)
        self.out = Linear(inner, width)
        self.head = head
        self.causal = causal
        self.open(self.width, self.count)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Map `[b, tokens, width]` to the same shape."""
        y = _attend(self.queries(x), self.keys(x), self.values(x), self.count.now, self.causal)
        found: torch.Tensor = self.out(y)
        return found

    def entering(self, x: torch.Tensor) -> tuple[torch.Tensor]:
        """Return the leading part of a largest input."""
        return (x[..., : self.width.now],)

    def plain(self) -> nn.Module:
        """Return the attention of the size that the gates say."""
        layer = Attention(self.width.now, self.count.now, self.head, self.causal)
        layer.to(self.out.weight)
        for name in ("queries", "keys", "values", "out"):
            setattr(layer, name, getattr(self, name).plain())
        return copied(layer, self)


def _attend(
    queries: torch.Tensor, keys: torch.Tensor, values: torch.Tensor, heads: int, causal: bool
) -> torch.Tensor:
    """Return softmax(QKᵀ / √head) V of all heads, `[b, tokens, heads · head]`."""
    batch, tokens, inner = queries.shape
    q, k, v = (
        x.reshape(batch, tokens, heads, inner // heads).transpose(1, 2)
        for x in (queries, keys, values)
    )
    return F.scaled_dot_product_attention(q, k, v, is_causal=causal).transpose(1, 2).flatten(2)

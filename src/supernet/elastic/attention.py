"""Multi-head attention whose heads and widths are open.

Chen et al., "AutoFormer" (ICCV 2021), weight entanglement: one weight for queries, keys and values, of
which a smaller attention takes the leading heads, and of each the leading numbers.

Shapes: `[b, tokens, width]` in and out; within, queries, keys and values are `[b, heads, tokens,
head]`.
"""

from __future__ import annotations

import torch
from torch import nn
from torch.nn import functional as F

from supernet.elastic.composed import ProductSize
from supernet.elastic.layers import Linear
from supernet.elastic.module import ElasticLayer
from supernet.elastic.size import Size, as_size
from supernet.elastic.spec import ElasticSpec, make_elastic

__all__ = ["Attention", "SelfAttention"]


class Attention(nn.Module):
    """Self-attention of torch's own layers.

    Args:
        width: width of the tokens, the numbers of each.
        heads: number of heads.
        head: width of a head, numbers of each token in it.
        causal: whether a token sees only those before it and itself, as in a language model.
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
        """Map `[b, tokens, width]` to the same shape, by softmax(QKᵀ / √head) V of every head."""
        q, k, v = (
            layer(x).unflatten(2, (self.heads, -1)).transpose(1, 2)
            for layer in (self.queries, self.keys, self.values)
        )
        y = F.scaled_dot_product_attention(q, k, v, is_causal=self.causal)
        found: torch.Tensor = self.out(y.transpose(1, 2).flatten(2))
        return found


class SelfAttention(ElasticLayer, Attention):
    """Self-attention with open width, number of heads, and numbers of a head.

    Args:
        width: width of the tokens, the numbers of each.
        heads: number of heads.
        head: width of a head, numbers of each token in it.
        causal: whether a token sees only those before it and itself, as in a language model.
    """

    _ordinary = Attention

    def __init__(
        self, width: Size | int, heads: Size | int, head: Size | int, causal: bool = False
    ) -> None:
        size, count, inner = as_size(width), as_size(heads), ProductSize(heads, head)
        Attention.__init__(self, size.largest, count.largest, as_size(head).largest, causal)
        self.queries = Linear(size, inner)
        self.keys = Linear(size, inner)
        self.values = Linear(size, inner)
        self.out = Linear(inner, size)
        make_elastic(self, ElasticSpec({}, {"heads": count}, (size, inner)))
        self.leads = ((-1, size),)

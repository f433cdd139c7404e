"""Causal transformers of open width, heads, MLP ratios and depth: language models like GPT.

The network is that of Radford et al., "Language Models are Unsupervised Multitask Learners" (2019),
GPT-2: learned positions, layer norm before attention and MLP and at the end, GELU. What is open is what
Chen et al., "AutoFormer: Searching Transformers for Visual Recognition" (ICCV 2021) open, with their
weight entanglement: the width of the whole network, its depth, and in each block the number of heads
and the ratio of the MLP. A head has the same size in all of them. With W widths, H numbers of heads and
R ratios there are W · Σ_depths (H·R)^depth networks; by default 3 · (9⁴ + 9⁵ + 9⁶), about 1.8 million.

Different from GPT-2: the output has weights of its own, since sub-networks are cut out as ordinary
layers with a copy each; GELU is exact; linear layers start as PyTorch starts them, embeddings with
GPT-2's deviation of 0.02.
"""

from __future__ import annotations

from itertools import pairwise
from typing import cast

import torch
from torch import nn

from supernet import elastic
from supernet.elastic import Dimension
from supernet.errors import SpaceError
from supernet.space import Architecture, Diagram, Edge, Node
from supernet.zoo.arguments import check_positive
from supernet.zoo.transformer import Block

__all__ = ["GPT"]


class GPT(nn.Module):
    """A causal transformer whose width, heads, MLP ratios and depth are open.

    Small: `widths=(32, 48, 64), heads=(2, 3, 4), head=16, ratios=(1, 2, 3), depths=(2, 3, 4),
    dropout=0`.

    Args:
        vocabulary: number of tokens.
        context: largest number of tokens that it looks at.
        widths: widths of the tokens to choose from.
        heads: numbers of heads of a block's attention to choose from.
        head: features of a head.
        ratios: ratios to choose from, features within a block's MLP over the width.
        depths: numbers of blocks to choose from.
        dropout: probability that a feature is dropped after the embedding, each attention and each
            MLP.

    Raises:
        SpaceError: a number is out of range.
    """

    def __init__(
        self,
        vocabulary: int,
        context: int,
        widths: tuple[int, ...] = (192, 288, 384),
        heads: tuple[int, ...] = (2, 4, 6),
        head: int = 64,
        ratios: tuple[float, ...] = (2, 3, 4),
        depths: tuple[int, ...] = (4, 5, 6),
        dropout: float = 0.2,
    ) -> None:
        super().__init__()
        check_positive(vocabulary=vocabulary, context=context, widths=widths, heads=heads)
        check_positive(head=head, depths=depths)
        if min(ratios, default=0) <= 0:
            raise SpaceError(f"ratios are positive numbers, at least one, not {tuple(ratios)}")
        if not 0 <= dropout < 1:
            raise SpaceError(f"dropout is a probability in [0, 1), not {dropout}")
        self.context = context
        width = Dimension("width", widths)
        self.tokens = elastic.Embedding(vocabulary, width)
        self.positions = elastic.Embedding(context, width)
        for embedding in (self.tokens, self.positions):
            nn.init.normal_(embedding.weight, std=0.02)
        self.dropout = nn.Dropout(dropout)
        self.blocks = elastic.depth(
            [
                Block(width, f"block{number}", heads, head, ratios, True, dropout)
                for number in range(max(depths))
            ],
            depths,
            label="depth",
        )
        self.norm = elastic.LayerNorm(width)
        self.output = elastic.Linear(width, vocabulary)

    def forward(self, tokens: torch.Tensor) -> torch.Tensor:
        """Map tokens `[batch, length]` to logits of the next ones, `[batch, length, vocabulary]`.

        Raises:
            SpaceError: there are more tokens than the context.
        """
        length = tokens.shape[1]
        if length > self.context:
            raise SpaceError(
                f"{length} tokens are more than the context of {self.context}; give the last ones"
            )
        places = torch.arange(length, device=tokens.device)
        x = self.dropout(self.tokens(tokens) + self.positions(places))
        return cast(torch.Tensor, self.output(self.norm(self.blocks(x))))

    def diagram(self, architecture: Architecture) -> Diagram:
        """Return the drawing of the blocks that run."""
        blocks = [
            Node(
                f"block{number}",
                f"{architecture[f'block{number}.heads']} heads, "
                f"MLP × {architecture[f'block{number}.ratio']}",
                "operation",
            )
            for number in range(int(cast(int, architecture["depth"])))
        ]
        nodes = [Node("input", "tokens", "input"), *blocks, Node("output", "next", "output")]
        edges = [Edge(a.id, b.id) for a, b in pairwise(nodes)]
        title = f"The blocks, of width {architecture['width']}"
        return Diagram(title, tuple(nodes), tuple(edges))

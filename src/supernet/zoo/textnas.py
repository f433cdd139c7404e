"""The space of TextNAS: networks that read text.

Wang et al., "TextNAS: A Neural Architecture Search Space Tailored for Text Representation" (AAAI 2020).
A chain of layers of one width, on embedded tokens. Each layer applies one of eight operations to the
output of one of the `window` layers before it, and adds the outputs of any of all layers before it. A
learned weighted sum of the outputs of all layers is averaged over the tokens and classified. The space
has 8 · Π_{i≥1} 8 · min(i, window) · 2^i architectures.

Tokens are numbers of words; 0 is padding, which stands at the end. It changes nothing: every operation
is given the mask (`supernet.ops.sequence`).

What the abstract leaves open follows the authors' example in microsoft/nni: 24 layers of width 256, a
window of 5, 4 heads, poolings over three positions, softmax weights in the final sum, which is of the
layers alone. The network that it publishes is in this space (the test of this file holds it). Different:
layer norm instead of batch norm over positions, since the statistics of a batch depend on its padding;
small sines and cosines of a token's position are added to its embedding; embeddings are learned instead
of read from GloVe. Not compared with the text of the paper.
"""

from __future__ import annotations

import math
from typing import cast

import torch
from torch import nn

from supernet.choice import Choice, InputChoice
from supernet.errors import SpaceError
from supernet.ops import Zero
from supernet.ops.sequence import Attention, BidirectionalGRU, Convolution, Pooling, masked_mean
from supernet.space import Architecture, Diagram, Edge, Node
from supernet.zoo.arguments import check_positive

__all__ = ["TextNAS"]

NONE, SKIP = "none", "skip"


class Embedding(nn.Module):
    """Words and their positions, projected to the width of the layers.

    Both are small at first (of norm about 1), so that words soon move away from where they began.

    Args:
        vocabulary: number of words, padding included.
        size: size of a word's vector, an even number.
        width: width of the layers, the features of each token.
        dropout: probability with which a feature is dropped.
    """

    frequencies: torch.Tensor

    def __init__(self, vocabulary: int, size: int, width: int, dropout: float) -> None:
        super().__init__()
        self.words = nn.Embedding(vocabulary, size, padding_idx=0)
        steps = torch.arange(0, size, 2) / size
        self.register_buffer("frequencies", torch.exp(-math.log(10_000) * steps), persistent=False)
        self.dropout = nn.Dropout(dropout)
        self.project = nn.Linear(size, width)
        self.norm = nn.LayerNorm(width)
        self.scale = size**-0.5
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Draw the embeddings of words anew; that of padding is zero."""
        nn.init.normal_(self.words.weight, std=self.scale)
        with torch.no_grad():
            self.words.weight[0] = 0

    def forward(self, tokens: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
        """Map `[b, length]` to `[b, length, width]`."""
        angles = mask.cumsum(1).unsqueeze(2) * self.frequencies
        x = self.words(tokens) + self.scale * torch.cat([angles.sin(), angles.cos()], 2)
        return cast(torch.Tensor, self.norm(self.project(self.dropout(x))).relu())


class Layer(nn.Module):
    """An operation on one of the last states, plus any of all states.

    Args:
        index: number of the layer from 0, which is the number of layers before it; the first reads
            the embedding.
        window: number of layers before it that it may apply the operation to.
        width: width of all states, the features of each token.
        heads: number of heads of the attention.
        dropout: probability with which a feature of the operation's output is dropped.
    """

    def __init__(self, index: int, window: int, width: int, heads: int, dropout: float) -> None:
        super().__init__()
        label = f"layer{index}"
        names = [str(source) for source in in_sight(index, window)]
        self.window = window
        self.input = InputChoice(names, label=f"{label}.input") if len(names) > 1 else None
        self.operation = Choice(operations(width, heads), label=f"{label}.operation")
        self.dropout = nn.Dropout(dropout)
        self.skips = nn.ModuleList(
            Choice({NONE: Zero(), SKIP: nn.Identity()}, label=f"{label}.skip{source}")
            for source in range(index)
        )
        self.norm = nn.LayerNorm(width)

    def forward(self, states: list[torch.Tensor], mask: torch.Tensor) -> torch.Tensor:
        """Map all states, `[b, length, width]` each, to a further one; the first is the embedding's."""
        first, *before = states
        seen = before[-self.window :] or [first]
        x = seen[0] if self.input is None else self.input(seen)
        total = self.dropout(self.operation(x, mask))
        for skip, state in zip(self.skips, before, strict=True):
            total = total + skip(state)
        return cast(torch.Tensor, self.norm(total))


class WeightedSum(nn.Module):
    """`Σ_i softmax(w)_i · x_i` with learned weights, equal at first."""

    def __init__(self, terms: int) -> None:
        super().__init__()
        self.weights = nn.Parameter(torch.empty(terms))
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Let all weights be equal."""
        nn.init.zeros_(self.weights)

    def forward(self, x: list[torch.Tensor]) -> torch.Tensor:
        """Return the sum of tensors of one shape."""
        return (torch.stack(x, -1) * self.weights.softmax(0)).sum(-1)


class TextNAS(nn.Module):
    """The network of TextNAS with all its choices, for tokens `[batch, length]`.

    Small: `layers=6, width=32, embedding=32`.

    Args:
        vocabulary: number of words, padding (0) included.
        classes: number of classes.
        layers: number of layers (published: 24).
        width: width of the layers, the features of each token (published: 256).
        window: number of layers before a layer that it may apply its operation to (published: 5).
        embedding: size of the embedding of a word, an even number (published: 300, of GloVe).
        heads: number of heads of the attention (published: 4).
        dropout: probability that a feature is dropped after the embedding and each operation
            (published: 0.5).

    Raises:
        SpaceError: a number is out of range, or `heads` does not divide `width`.
    """

    def __init__(
        self,
        vocabulary: int,
        classes: int = 2,
        layers: int = 24,
        width: int = 256,
        window: int = 5,
        embedding: int = 300,
        heads: int = 4,
        dropout: float = 0.5,
    ) -> None:
        super().__init__()
        check_positive(vocabulary=vocabulary, classes=classes, layers=layers, width=width)
        check_positive(window=window, embedding=embedding, heads=heads)
        if width % heads or embedding % 2:
            raise SpaceError(
                f"width {width} must be a multiple of heads {heads}, and embedding {embedding} even"
            )
        if not 0 <= dropout < 1:
            raise SpaceError(f"dropout is a probability in [0, 1), not {dropout}")
        self.window = window
        self.embedding = Embedding(vocabulary, embedding, width, dropout)
        self.layers = nn.ModuleList(
            Layer(index, window, width, heads, dropout) for index in range(layers)
        )
        self.combine = WeightedSum(layers)
        self.classifier = nn.Linear(width, classes)

    def forward(self, tokens: torch.Tensor) -> torch.Tensor:
        """Map tokens `[batch, length]` to logits `[batch, classes]`; 0 is padding, at the end only."""
        mask = tokens != 0
        states = [self.embedding(tokens, mask)]
        for layer in self.layers:
            states.append(layer(states, mask))
        return cast(torch.Tensor, self.classifier(masked_mean(self.combine(states[1:]), mask)))

    def diagram(self, architecture: Architecture) -> Diagram:
        """Return the drawing of the layers, what they read, and their skip connections."""
        nodes, edges = [Node("input", "tokens", "input")], list[Edge]()
        for index in range(len(self.layers)):
            label, operation, output = f"layer{index}", f"{index}.operation", str(index)
            sources = in_sight(index, self.window)
            read = architecture.get(f"{label}.input", str(sources[0]) if sources else "input")
            nodes.append(Node(operation, str(architecture[f"{label}.operation"]), "operation"))
            nodes.append(Node(output, f"layer {index}", "sum"))
            edges += [Edge(str(read), operation), Edge(operation, output), Edge(output, "output")]
            edges += [
                Edge(str(source), output)
                for source in range(index)
                if architecture[f"{label}.skip{source}"] == SKIP
            ]
        nodes.append(Node("output", "classes", "output"))
        return Diagram(
            "The layers; the classes follow from all of them", tuple(nodes), tuple(edges)
        )


def in_sight(index: int, window: int) -> range:
    """Return the numbers of the layers that a layer may apply its operation to."""
    return range(max(0, index - window), index)


def operations(width: int, heads: int) -> dict[str, nn.Module]:
    """Return the eight operations; each takes features and a mask."""
    return {
        **{f"conv{kernel}": Convolution(width, kernel) for kernel in (1, 3, 5, 7)},
        "avg3": Pooling("avg"),
        "max3": Pooling("max"),
        "gru": BidirectionalGRU(width),
        "attention": Attention(width, heads),
    }

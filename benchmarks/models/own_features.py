"""Models of features, graphs and points, written as people write them, each in a few lines."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from typing import Any

import torch
from torch import nn
from torch.nn import functional as F

from benchmarks.models.check import Built

__all__ = ["MODELS"]

Tensor = torch.Tensor


class Autoencoder(nn.Module):
    """An encoder, a code of two parts, a decoder; in training the code is drawn."""

    def __init__(self, variational: bool) -> None:
        super().__init__()
        self.variational = variational
        self.encoder = nn.Sequential(nn.Linear(12, 32), nn.ReLU(), nn.Linear(32, 16))
        self.mean, self.log_variance = nn.Linear(16, 8), nn.Linear(16, 8)
        self.decoder = nn.Sequential(nn.Linear(8, 32), nn.ReLU(), nn.Linear(32, 12))

    def forward(self, x: Tensor) -> Any:
        y = self.encoder(x)
        mean, log_variance = self.mean(y), self.log_variance(y)
        if self.variational and self.training:
            mean = mean + torch.randn_like(mean) * (0.5 * log_variance).exp()
        return self.decoder(mean), mean, log_variance


class GraphConvolution(nn.Module):
    """Nodes and an adjacency matrix."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.second, self.head = nn.Linear(6, 16), nn.Linear(16, 32), nn.Linear(32, 5)

    def forward(self, x: Tensor, adjacency: Tensor) -> Any:
        x = (adjacency @ self.first(x)).relu()
        return self.head((adjacency @ self.second(x)).relu().mean(1))


class GraphAttention(nn.Module):
    """Nodes that attend to their neighbours, as in GAT."""

    def __init__(self, heads: int = 4, size: int = 8) -> None:
        super().__init__()
        self.heads, self.size = heads, size
        self.project = nn.Linear(6, heads * size, bias=False)
        self.left = nn.Parameter(torch.randn(heads, size))
        self.right = nn.Parameter(torch.randn(heads, size))
        self.head = nn.Linear(heads * size, 5)

    def forward(self, x: Tensor, adjacency: Tensor) -> Any:
        b, n, _ = x.shape
        h = self.project(x).view(b, n, self.heads, self.size)
        left, right = (h * self.left).sum(-1), (h * self.right).sum(-1)
        scores = F.leaky_relu(left[:, :, None] + right[:, None], 0.2)
        scores = scores.masked_fill((adjacency == 0)[..., None], -1e9).softmax(2)
        y = torch.einsum("bnmh,bmhs->bnhs", scores, h)
        return self.head(y.reshape(b, n, self.heads * self.size).relu().mean(1))


class Coupling(nn.Module):
    """Invertible layers of halves, as in RealNVP."""

    def __init__(self, size: int = 6, layers: int = 3) -> None:
        super().__init__()
        self.half = size // 2
        self.scales = nn.ModuleList(_mlp(self.half, 32, self.half) for _ in range(layers))
        self.shifts = nn.ModuleList(_mlp(self.half, 32, self.half) for _ in range(layers))

    def forward(self, x: Tensor) -> Any:
        total = x.new_zeros(len(x))
        for scale, shift in zip(self.scales, self.shifts, strict=True):
            a, b = x[:, : self.half], x[:, self.half :]
            s = scale(a).tanh()
            x = torch.cat([b * s.exp() + shift(a), a], 1)
            total = total + s.sum(1)
        return x, total


def _mlp(*sizes: int) -> nn.Sequential:
    layers: list[nn.Module] = []
    for entering, leaving in itertools.pairwise(sizes):
        layers += [nn.Linear(entering, leaving), nn.ReLU()]
    return nn.Sequential(*layers[:-1])


class SoftExperts(nn.Module):
    """All experts, weighed by a gate."""

    def __init__(self) -> None:
        super().__init__()
        self.stem, self.gate = nn.Linear(6, 32), nn.Linear(32, 4)
        self.experts = nn.ModuleList(_mlp(32, 48, 32) for _ in range(4))
        self.head = nn.Linear(32, 5)

    def forward(self, x: Tensor) -> Any:
        x = self.stem(x).relu()
        weights = self.gate(x).softmax(-1)
        y = torch.stack([expert(x) for expert in self.experts], 1)
        return self.head(x + (weights[..., None] * y).sum(1))


class RoutedExperts(SoftExperts):
    """Only the best expert of each example: sizes depend on the data."""

    def forward(self, x: Tensor) -> Any:
        x = self.stem(x).relu()
        best = self.gate(x).argmax(-1)
        y = torch.zeros_like(x)
        for place, expert in enumerate(self.experts):
            chosen = torch.where(best == place)[0]
            y[chosen] = expert(x[chosen])
        return self.head(x + y)


class WideAndDeep(nn.Module):
    """Embeddings of categories beside numbers, with factorised crossings."""

    def __init__(self) -> None:
        super().__init__()
        self.tables = nn.ModuleList(nn.Embedding(9, 16) for _ in range(3))
        self.dense, self.deep = nn.Linear(5, 16), _mlp(64, 32, 16)
        self.head = nn.Linear(17, 1)

    def forward(self, numbers: Tensor, categories: Tensor) -> Any:
        found = [table(categories[:, place]) for place, table in enumerate(self.tables)]
        found.append(self.dense(numbers))
        stacked = torch.stack(found, 1)
        crossed = 0.5 * (stacked.sum(1).square() - stacked.square().sum(1)).sum(-1, keepdim=True)
        return self.head(torch.cat([self.deep(torch.cat(found, 1)), crossed], 1))


class Points(nn.Module):
    """A set of points, as in PointNet."""

    def __init__(self) -> None:
        super().__init__()
        self.each, self.head = _mlp(3, 32, 64), _mlp(64, 32, 5)

    def forward(self, points: Tensor) -> Any:
        return self.head(self.each(points).amax(1))


class HyperLinear(nn.Module):
    """Weights that another network makes."""

    def __init__(self) -> None:
        super().__init__()
        self.width = 16
        self.maker, self.stem, self.head = nn.Linear(4, 16 * 16), nn.Linear(6, 16), nn.Linear(16, 5)

    def forward(self, x: Tensor, context: Tensor) -> Any:
        weight = self.maker(context).view(-1, self.width, self.width)
        return self.head(torch.bmm(weight, self.stem(x)[..., None])[..., 0].relu())


class RootMeanSquare(nn.Module):
    """A norm whose scale is made from the width."""

    def __init__(self, width: int = 32) -> None:
        super().__init__()
        self.stem, self.head = nn.Linear(6, width), nn.Linear(width, 5)
        self.scale, self.weight = width**0.5, nn.Parameter(torch.ones(width))

    def forward(self, x: Tensor) -> Any:
        return self.head(F.normalize(self.stem(x), dim=-1) * self.scale * self.weight)


class Literal(nn.Module):
    """A number in the code that counts channels."""

    def __init__(self) -> None:
        super().__init__()
        self.stem, self.middle, self.head = nn.Linear(6, 32), nn.Linear(32, 24), nn.Linear(24, 5)

    def forward(self, x: Tensor) -> Any:
        y = self.stem(x).reshape(-1, 4, 8).softmax(-1).reshape(-1, 32)
        return self.head(self.middle(y).relu())


class Sorting(nn.Module):
    """Features in their order, which is no width."""

    def __init__(self) -> None:
        super().__init__()
        self.stem, self.middle, self.head = nn.Linear(6, 16), nn.Linear(16, 16), nn.Linear(16, 5)

    def forward(self, x: Tensor) -> Any:
        return self.head(self.middle(self.stem(x).sort(-1)[0]).relu())


class Quantised(nn.Module):
    """The nearest of a codebook, as in VQ-VAE."""

    def __init__(self) -> None:
        super().__init__()
        self.encoder, self.decoder = _mlp(6, 32, 16), _mlp(16, 32, 6)
        self.codes = nn.Embedding(10, 16)

    def forward(self, x: Tensor) -> Any:
        z = self.encoder(x)
        distances = (z[:, None] - self.codes.weight[None]).square().sum(-1)
        codes = self.codes(distances.argmin(-1))
        return self.decoder(z + (codes - z).detach()), codes


class Iterated(nn.Module):
    """One block, several times: weights shared along depth."""

    def __init__(self) -> None:
        super().__init__()
        self.stem, self.block, self.head = nn.Linear(6, 32), _mlp(32, 48, 32), nn.Linear(32, 5)

    def forward(self, x: Tensor) -> Any:
        x = self.stem(x)
        for _ in range(3):
            x = x + self.block(x)
        return self.head(x)


class Branching(nn.Module):
    """Code that depends on values."""

    def __init__(self) -> None:
        super().__init__()
        self.stem, self.head = nn.Linear(6, 16), nn.Linear(16, 5)

    def forward(self, x: Tensor) -> Any:
        x = self.stem(x)
        return self.head(-x if x.sum() > 0 else x)


class Attributes(nn.Module):
    """An own linear layer that keeps its sizes as attributes which its code reads."""

    def __init__(self) -> None:
        super().__init__()
        self.stem, self.own, self.head = nn.Linear(6, 32), OwnLinear(32, 24), nn.Linear(24, 5)

    def forward(self, x: Tensor) -> Any:
        return self.head(self.own(self.stem(x)).relu())


class OwnLinear(nn.Module):
    """A linear layer that checks what it takes."""

    def __init__(self, entering: int, leaving: int) -> None:
        super().__init__()
        self.in_features, self.out_features = entering, leaving
        self.weight = nn.Parameter(torch.randn(leaving, entering) / entering**0.5)

    def forward(self, x: Tensor) -> Any:
        if x.shape[-1] != self.in_features:
            raise ValueError(f"{self.in_features} features are needed, not {x.shape[-1]}")
        return x @ self.weight.t()


def _graph() -> tuple[Tensor, Tensor]:
    return torch.randn(2, 7, 6), (torch.rand(2, 7, 7) > 0.5).float() + torch.eye(7)


MODELS: dict[str, Callable[[], Built]] = {
    "perceptron": lambda: (_mlp(6, 32, 32, 5), (torch.randn(2, 6),)),
    "autoencoder": lambda: (Autoencoder(variational=False), (torch.randn(2, 12),)),
    "variational autoencoder": lambda: (Autoencoder(variational=True), (torch.randn(2, 12),)),
    "graph convolution": lambda: (GraphConvolution(), _graph()),
    "graph attention": lambda: (GraphAttention(), _graph()),
    "coupling": lambda: (Coupling(), (torch.randn(2, 6),)),
    "soft experts": lambda: (SoftExperts(), (torch.randn(2, 6),)),
    "routed experts": lambda: (RoutedExperts(), (torch.randn(2, 6),)),
    "wide and deep": lambda: (WideAndDeep(), (torch.randn(2, 5), torch.randint(9, (2, 3)))),
    "points": lambda: (Points(), (torch.randn(2, 20, 3),)),
    "hypernetwork": lambda: (HyperLinear(), (torch.randn(2, 6), torch.randn(2, 4))),
    "scale from the width": lambda: (RootMeanSquare(), (torch.randn(2, 6),)),
    "numbers in the code": lambda: (Literal(), (torch.randn(2, 6),)),
    "sorting": lambda: (Sorting(), (torch.randn(2, 6),)),
    "quantised": lambda: (Quantised(), (torch.randn(2, 6),)),
    "iterated": lambda: (Iterated(), (torch.randn(2, 6),)),
    "branching": lambda: (Branching(), (torch.randn(2, 6),)),
    "own linear layer": lambda: (Attributes(), (torch.randn(2, 6),)),
}

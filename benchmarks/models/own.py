"""Models of many kinds, written as people write them, each in a few lines."""

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


def _block(entering: int, leaving: int, stride: int = 1) -> nn.Sequential:
    conv = nn.Conv2d(entering, leaving, 3, stride, 1, bias=False)
    return nn.Sequential(conv, nn.BatchNorm2d(leaving), nn.ReLU())


class UNet(nn.Module):
    """Downward, upward, and concatenations between."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.second = _block(3, 16), _block(16, 32, 2)
        self.middle = _block(32, 64, 2)
        self.up2, self.up1 = nn.ConvTranspose2d(64, 32, 2, 2), nn.ConvTranspose2d(32, 16, 2, 2)
        self.back2, self.back1 = _block(64, 32), _block(32, 16)
        self.head = nn.Conv2d(16, 4, 1)

    def forward(self, x: Tensor) -> Any:
        a = self.first(x)
        b = self.second(a)
        y = self.back2(torch.cat([self.up2(self.middle(b)), b], 1))
        return self.head(self.back1(torch.cat([self.up1(y), a], 1)))


class Generator(nn.Module):
    """Noise to images, as in DCGAN."""

    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Linear(10, 32 * 4 * 4)
        self.body = nn.Sequential(
            nn.BatchNorm2d(32),
            nn.ConvTranspose2d(32, 16, 4, 2, 1),
            nn.BatchNorm2d(16),
            nn.ReLU(),
            nn.ConvTranspose2d(16, 3, 4, 2, 1),
            nn.Tanh(),
        )

    def forward(self, z: Tensor) -> Any:
        return self.body(self.first(z).view(-1, 32, 4, 4))


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


class Siamese(nn.Module):
    """One encoder for two inputs."""

    def __init__(self) -> None:
        super().__init__()
        self.encoder = nn.Sequential(_block(3, 16), _block(16, 32, 2), nn.AdaptiveAvgPool2d(1))
        self.head = nn.Sequential(nn.Linear(64, 32), nn.ReLU(), nn.Linear(32, 1))

    def forward(self, x: Tensor, y: Tensor) -> Any:
        a, b = self.encoder(x).flatten(1), self.encoder(y).flatten(1)
        return self.head(torch.cat([(a - b).abs(), a * b], 1))


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


class StateSpace(nn.Module):
    """A diagonal linear recurrence along time, as in S4D."""

    def __init__(self, width: int = 16, state: int = 4) -> None:
        super().__init__()
        self.stem, self.head = nn.Linear(6, width), nn.Linear(width, 5)
        self.decay = nn.Parameter(torch.rand(width, state))
        self.enter = nn.Parameter(torch.randn(width, state))
        self.leave = nn.Parameter(torch.randn(width, state))
        self.skip = nn.Parameter(torch.ones(width))

    def forward(self, x: Tensor) -> Any:
        x = self.stem(x)
        state = x.new_zeros(x.shape[0], *self.decay.shape)
        found = []
        for step in range(x.shape[1]):
            state = state * self.decay.sigmoid() + x[:, step, :, None] * self.enter
            found.append((state * self.leave).sum(-1) + self.skip * x[:, step])
        return self.head(torch.stack(found, 1).relu().mean(1))


class Detector(nn.Module):
    """Two scales, with heads for classes and boxes that both share."""

    def __init__(self, classes: int = 3, anchors: int = 2) -> None:
        super().__init__()
        self.classes, self.anchors = classes, anchors
        self.first, self.second = _block(3, 16, 2), _block(16, 32, 2)
        self.lateral1, self.lateral2 = nn.Conv2d(16, 24, 1), nn.Conv2d(32, 24, 1)
        self.tower = _block(24, 24)
        self.scores = nn.Conv2d(24, anchors * classes, 3, padding=1)
        self.boxes = nn.Conv2d(24, anchors * 4, 3, padding=1)

    def forward(self, x: Tensor) -> Any:
        a = self.first(x)
        b = self.second(a)
        top = self.lateral2(b)
        levels = [self.lateral1(a) + F.interpolate(top, scale_factor=2.0), top]
        scores, boxes = [], []
        for level in map(self.tower, levels):
            scores.append(self.scores(level).permute(0, 2, 3, 1).reshape(len(x), -1, self.classes))
            boxes.append(self.boxes(level).permute(0, 2, 3, 1).reshape(len(x), -1, 4))
        return {"scores": torch.cat(scores, 1), "boxes": torch.cat(boxes, 1)}


class SqueezeExcite(nn.Module):
    """Channels weighed by what they hold on the whole."""

    def __init__(self) -> None:
        super().__init__()
        self.stem, self.conv = _block(3, 32), _block(32, 32)
        self.squeeze, self.excite = nn.Conv2d(32, 8, 1), nn.Conv2d(8, 32, 1)
        self.head = nn.Linear(32, 5)

    def forward(self, x: Tensor) -> Any:
        y = self.conv(self.stem(x))
        gate = self.excite(self.squeeze(y.mean((2, 3), keepdim=True)).relu()).sigmoid()
        return self.head((y * gate).mean((2, 3)))


class Efficient(nn.Module):
    """Efficient channel attention: a convolution along channels."""

    def __init__(self) -> None:
        super().__init__()
        self.stem, self.conv = _block(3, 32), nn.Conv1d(1, 1, 3, padding=1, bias=False)
        self.head = nn.Linear(32, 5)

    def forward(self, x: Tensor) -> Any:
        y = self.stem(x)
        gate = self.conv(y.mean((2, 3))[:, None]).sigmoid()[:, 0, :, None, None]
        return self.head((y * gate).mean((2, 3)))


class Dense(nn.Module):
    """Every layer takes what all before it gave."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Conv2d(3, 16, 3, padding=1)
        self.convs = nn.ModuleList(_block(16 + 8 * place, 8) for place in range(3))
        self.norm, self.head = nn.BatchNorm2d(40), nn.Linear(40, 5)

    def forward(self, x: Tensor) -> Any:
        x = self.stem(x)
        for conv in self.convs:
            x = torch.cat([x, conv(x)], 1)
        return self.head(self.norm(x).relu().mean((2, 3)))


class Hourglass(nn.Module):
    """A recursion of halved images with skips."""

    def __init__(self, depth: int = 2) -> None:
        super().__init__()
        self.before, self.skip, self.after = _block(16, 16), _block(16, 16), _block(16, 16)
        self.inner = Hourglass(depth - 1) if depth > 1 else _block(16, 16)

    def forward(self, x: Tensor) -> Any:
        y = self.after(self.inner(self.before(F.max_pool2d(x, 2))))
        return self.skip(x) + F.interpolate(y, scale_factor=2.0)


class Shuffle(nn.Module):
    """Channels cut into halves and shuffled, as in ShuffleNetV2."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = _block(3, 32)
        self.branch = nn.Sequential(
            nn.Conv2d(16, 16, 1), nn.Conv2d(16, 16, 3, padding=1, groups=16), nn.BatchNorm2d(16)
        )
        self.head = nn.Linear(32, 5)

    def forward(self, x: Tensor) -> Any:
        a, b = self.stem(x).chunk(2, 1)
        y = torch.cat([a, self.branch(b)], 1)
        n, c, h, w = y.shape
        y = y.view(n, 2, c // 2, h, w).transpose(1, 2).reshape(n, c, h, w)
        return self.head(y.relu().mean((2, 3)))


class Inverted(nn.Module):
    """Inverted residuals in a row, as in MobileNetV2."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = _block(3, 16)
        self.blocks = nn.Sequential(*(InvertedBlock(16) for _ in range(3)))
        self.head = nn.Linear(16, 5)

    def forward(self, x: Tensor) -> Any:
        return self.head(self.blocks(self.stem(x)).mean((2, 3)))


class InvertedBlock(nn.Module):
    """A wide depthwise convolution between two narrow ones."""

    def __init__(self, width: int) -> None:
        super().__init__()
        wide = 4 * width
        self.body = nn.Sequential(
            *(nn.Conv2d(width, wide, 1, bias=False), nn.BatchNorm2d(wide), nn.ReLU6()),
            *(nn.Conv2d(wide, wide, 3, padding=1, groups=wide), nn.BatchNorm2d(wide), nn.ReLU6()),
            *(nn.Conv2d(wide, width, 1, bias=False), nn.BatchNorm2d(width)),
        )

    def forward(self, x: Tensor) -> Any:
        return x + self.body(x)


class Causal(nn.Module):
    """Dilated causal convolutions with gates, as in WaveNet."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Conv1d(4, 16, 1)
        self.convs = nn.ModuleList(nn.Conv1d(16, 32, 2, dilation=2**n) for n in range(3))
        self.skips = nn.ModuleList(nn.Conv1d(16, 24, 1) for _ in range(3))
        self.mixes = nn.ModuleList(nn.Conv1d(16, 16, 1) for _ in range(3))
        self.head = nn.Conv1d(24, 5, 1)

    def forward(self, x: Tensor) -> Any:
        x, total = self.stem(x), None
        for place, (conv, skip, mix) in enumerate(
            zip(self.convs, self.skips, self.mixes, strict=True)
        ):
            a, b = conv(F.pad(x, (2**place, 0))).chunk(2, 1)
            y = a.tanh() * b.sigmoid()
            total = skip(y) if total is None else total + skip(y)
            x = x + mix(y)
        return self.head(total.relu())


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


class NonLocal(nn.Module):
    """Attention among the positions of an image."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = _block(3, 32)
        self.theta, self.phi, self.g = (nn.Conv2d(32, 16, 1) for _ in range(3))
        self.back, self.head = nn.Conv2d(16, 32, 1), nn.Linear(32, 5)

    def forward(self, x: Tensor) -> Any:
        x = self.stem(x)
        b, _, h, w = x.shape
        theta, phi, g = (layer(x).flatten(2) for layer in (self.theta, self.phi, self.g))
        scores = (theta.transpose(1, 2) @ phi).softmax(-1)
        y = (g @ scores.transpose(1, 2)).view(b, -1, h, w)
        return self.head((x + self.back(y)).mean((2, 3)))


class Block(nn.Module):
    """Attention and two layers, as in GPT; heads are attributes."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.heads, self.scale = heads, (width // heads) ** -0.5
        self.norm1, self.norm2 = nn.LayerNorm(width), nn.LayerNorm(width)
        self.qkv, self.out = nn.Linear(width, 3 * width), nn.Linear(width, width)
        self.mlp = nn.Sequential(
            nn.Linear(width, 2 * width), nn.GELU(), nn.Linear(2 * width, width)
        )
        self.register_buffer("mask", torch.ones(16, 16).tril().bool())

    def forward(self, x: Tensor) -> Any:
        b, n, _ = x.shape
        q, k, v = self.qkv(self.norm1(x)).chunk(3, -1)
        q, k, v = (y.view(b, n, self.heads, -1).transpose(1, 2) for y in (q, k, v))
        scores = (q @ k.transpose(-2, -1)) * self.scale
        scores = scores.masked_fill(~self.mask[:n, :n], float("-inf")).softmax(-1)
        x = x + self.out((scores @ v).transpose(1, 2).reshape(b, n, -1))
        return x + self.mlp(self.norm2(x))


class Language(nn.Module):
    """A small GPT whose head shares the embedding's weights."""

    def __init__(self) -> None:
        super().__init__()
        self.words, self.places = nn.Embedding(20, 32), nn.Parameter(torch.zeros(16, 32))
        self.blocks = nn.ModuleList(Block(32, 4) for _ in range(3))
        self.norm, self.head = nn.LayerNorm(32), nn.Linear(32, 20, bias=False)
        self.head.weight = self.words.weight

    def forward(self, x: Tensor) -> Any:
        y = self.words(x) + self.places[: x.shape[1]]
        for block in self.blocks:
            y = block(y)
        return self.head(self.norm(y))


class RootMeanSquare(nn.Module):
    """A norm whose scale is made from the width."""

    def __init__(self, width: int = 32) -> None:
        super().__init__()
        self.stem, self.head = nn.Linear(6, width), nn.Linear(width, 5)
        self.scale, self.weight = width**0.5, nn.Parameter(torch.ones(width))

    def forward(self, x: Tensor) -> Any:
        return self.head(F.normalize(self.stem(x), dim=-1) * self.scale * self.weight)


class Rotary(nn.Module):
    """Rotary positions of a part of each head; the whole here, so that a slice is empty."""

    def __init__(self, width: int = 32, heads: int = 4, rotated: int = 8) -> None:
        super().__init__()
        self.heads, self.rotated = heads, rotated
        self.qkv, self.out = nn.Linear(6, 3 * width), nn.Linear(width, 5)
        frequencies = 1.0 / 100 ** (torch.arange(0, rotated, 2) / rotated)
        self.register_buffer("frequencies", frequencies)

    def turned(self, x: Tensor) -> Tensor:
        turns = torch.outer(torch.arange(x.shape[2]), self.frequencies)
        turns = torch.cat([turns, turns], -1)
        own, rest = x[..., : self.rotated], x[..., self.rotated :]
        half = self.rotated // 2
        other = torch.cat([-own[..., half:], own[..., :half]], -1)
        return torch.cat([own * turns.cos() + other * turns.sin(), rest], -1)

    def forward(self, x: Tensor) -> Any:
        b, n, _ = x.shape
        q, k, v = self.qkv(x).chunk(3, -1)
        q, k, v = (y.view(b, n, self.heads, -1).transpose(1, 2) for y in (q, k, v))
        y = F.scaled_dot_product_attention(self.turned(q), self.turned(k), v, is_causal=True)
        return self.out(y.transpose(1, 2).reshape(b, n, -1))


class Cached(nn.Module):
    """A table of positions that is made anew for another length, and kept."""

    def __init__(self) -> None:
        super().__init__()
        self.stem, self.head = nn.Linear(6, 32), nn.Linear(32, 5)
        self.block = nn.Linear(32, 32)
        self.kept: Tensor | None = None

    def forward(self, x: Tensor) -> Any:
        x = self.stem(x)
        if self.kept is None or self.kept.shape[0] != x.shape[1]:
            self.kept = torch.linspace(0, 1, x.shape[1] * x.shape[2]).view(x.shape[1], x.shape[2])
        return self.head(self.block(x + self.kept).relu().mean(1))


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


class FeatureWise(nn.Module):
    """Channels scaled and moved by what another input says, as in FiLM."""

    def __init__(self) -> None:
        super().__init__()
        self.stem, self.conv = _block(3, 24), _block(24, 24)
        self.film, self.head = nn.Linear(4, 48), nn.Linear(24, 5)

    def forward(self, x: Tensor, context: Tensor) -> Any:
        scale, move = self.film(context)[..., None, None].chunk(2, 1)
        return self.head((self.conv(self.stem(x)) * (1 + scale) + move).relu().mean((2, 3)))


class Pyramid(nn.Module):
    """Pooled at several sizes, as in PSPNet."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = _block(3, 32)
        self.pools = nn.ModuleList(
            nn.Sequential(nn.AdaptiveAvgPool2d(size), nn.Conv2d(32, 8, 1)) for size in (1, 2, 4)
        )
        self.head = nn.Conv2d(32 + 24, 5, 1)

    def forward(self, x: Tensor) -> Any:
        x = self.stem(x)
        size = x.shape[-2:]
        parts = [F.interpolate(pool(x), size, mode="bilinear") for pool in self.pools]
        return self.head(torch.cat([x, *parts], 1))


class Upsampling(nn.Module):
    """Channels that become pixels, as in ESPCN."""

    def __init__(self) -> None:
        super().__init__()
        self.body = nn.Sequential(_block(3, 32), _block(32, 16), nn.Conv2d(16, 12, 3, padding=1))

    def forward(self, x: Tensor) -> Any:
        return F.pixel_shuffle(self.body(x), 2)


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


def _image(channels: int = 3, side: int = 8) -> Tensor:
    return torch.randn(2, channels, side, side)


def _graph() -> tuple[Tensor, Tensor]:
    return torch.randn(2, 7, 6), (torch.rand(2, 7, 7) > 0.5).float() + torch.eye(7)


MODELS: dict[str, Callable[[], Built]] = {
    "perceptron": lambda: (_mlp(6, 32, 32, 5), (torch.randn(2, 6),)),
    "u-net": lambda: (UNet(), (_image(),)),
    "generator": lambda: (Generator(), (torch.randn(2, 10),)),
    "discriminator": lambda: (
        nn.Sequential(
            *(nn.Conv2d(3, 16, 4, 2, 1), nn.LeakyReLU(0.2), nn.Conv2d(16, 32, 4, 2, 1)),
            *(nn.BatchNorm2d(32), nn.LeakyReLU(0.2), nn.Conv2d(32, 1, 2), nn.Flatten()),
        ),
        (_image(),),
    ),
    "autoencoder": lambda: (Autoencoder(variational=False), (torch.randn(2, 12),)),
    "variational autoencoder": lambda: (Autoencoder(variational=True), (torch.randn(2, 12),)),
    "siamese": lambda: (Siamese(), (_image(), _image())),
    "graph convolution": lambda: (GraphConvolution(), _graph()),
    "graph attention": lambda: (GraphAttention(), _graph()),
    "coupling": lambda: (Coupling(), (torch.randn(2, 6),)),
    "soft experts": lambda: (SoftExperts(), (torch.randn(2, 6),)),
    "routed experts": lambda: (RoutedExperts(), (torch.randn(2, 6),)),
    "state space": lambda: (StateSpace(), (torch.randn(2, 5, 6),)),
    "detector": lambda: (Detector(), (_image(),)),
    "squeeze and excite": lambda: (SqueezeExcite(), (_image(),)),
    "channel attention": lambda: (Efficient(), (_image(),)),
    "dense": lambda: (Dense(), (_image(),)),
    "hourglass": lambda: (
        nn.Sequential(_block(3, 16), Hourglass(), nn.Conv2d(16, 5, 1)),
        (_image(),),
    ),
    "shuffle": lambda: (Shuffle(), (_image(),)),
    "inverted residuals": lambda: (Inverted(), (_image(),)),
    "causal convolutions": lambda: (Causal(), (torch.randn(2, 4, 12),)),
    "wide and deep": lambda: (WideAndDeep(), (torch.randn(2, 5), torch.randint(9, (2, 3)))),
    "points": lambda: (Points(), (torch.randn(2, 20, 3),)),
    "hypernetwork": lambda: (HyperLinear(), (torch.randn(2, 6), torch.randn(2, 4))),
    "non-local": lambda: (NonLocal(), (_image(),)),
    "language": lambda: (Language(), (torch.randint(20, (2, 9)),)),
    "scale from the width": lambda: (RootMeanSquare(), (torch.randn(2, 6),)),
    "rotary, the whole head": lambda: (Rotary(), (torch.randn(2, 5, 6),)),
    "rotary, half the head": lambda: (Rotary(rotated=4), (torch.randn(2, 5, 6),)),
    "cached positions": lambda: (Cached(), (torch.randn(2, 5, 6),)),
    "numbers in the code": lambda: (Literal(), (torch.randn(2, 6),)),
    "sorting": lambda: (Sorting(), (torch.randn(2, 6),)),
    "quantised": lambda: (Quantised(), (torch.randn(2, 6),)),
    "iterated": lambda: (Iterated(), (torch.randn(2, 6),)),
    "branching": lambda: (Branching(), (torch.randn(2, 6),)),
    "feature-wise": lambda: (FeatureWise(), (_image(), torch.randn(2, 4))),
    "pyramid": lambda: (Pyramid(), (_image(),)),
    "upsampling": lambda: (Upsampling(), (_image(),)),
    "own linear layer": lambda: (Attributes(), (torch.randn(2, 6),)),
}

"""Models of sequences, written as people write them, each in a few lines."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import nn
from torch.nn import functional as F

from benchmarks.models.check import Built

__all__ = ["MODELS"]

Tensor = torch.Tensor


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


MODELS: dict[str, Callable[[], Built]] = {
    "state space": lambda: (StateSpace(), (torch.randn(2, 5, 6),)),
    "causal convolutions": lambda: (Causal(), (torch.randn(2, 4, 12),)),
    "language": lambda: (Language(), (torch.randint(20, (2, 9)),)),
    "rotary, the whole head": lambda: (Rotary(), (torch.randn(2, 5, 6),)),
    "rotary, half the head": lambda: (Rotary(rotated=4), (torch.randn(2, 5, 6),)),
    "cached positions": lambda: (Cached(), (torch.randn(2, 5, 6),)),
}

"""Models of PyTorch's own layers: transformers, attention, recurrent layers."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import nn
from torch.utils.checkpoint import checkpoint

from benchmarks.models.check import Built

__all__ = ["MODELS"]


class Encoder(nn.Module):
    """Words to classes by a `TransformerEncoder`."""

    def __init__(self, **options: Any) -> None:
        super().__init__()
        self.words = nn.Embedding(11, 32)
        layer = nn.TransformerEncoderLayer(32, 4, 48, batch_first=True, **options)
        self.encoder = nn.TransformerEncoder(layer, 2, enable_nested_tensor=False)
        self.head = nn.Linear(32, 5)

    def forward(self, x: torch.Tensor) -> Any:
        return self.head(self.encoder(self.words(x)).mean(1))


class Translation(nn.Module):
    """`nn.Transformer` between embeddings."""

    def __init__(self) -> None:
        super().__init__()
        self.source, self.target = nn.Embedding(11, 32), nn.Embedding(13, 32)
        self.transformer = nn.Transformer(32, 4, 2, 2, 48, batch_first=True)
        self.head = nn.Linear(32, 13)

    def forward(self, x: torch.Tensor, y: torch.Tensor) -> Any:
        mask = nn.Transformer.generate_square_subsequent_mask(y.shape[1])
        return self.head(self.transformer(self.source(x), self.target(y), tgt_mask=mask))


class Decoder(nn.Module):
    """A `TransformerDecoder` of two sequences."""

    def __init__(self) -> None:
        super().__init__()
        self.memory, self.own = nn.Linear(6, 32), nn.Linear(6, 32)
        layer = nn.TransformerDecoderLayer(32, 4, 48, batch_first=True)
        self.decoder = nn.TransformerDecoder(layer, 2)
        self.head = nn.Linear(32, 5)

    def forward(self, x: torch.Tensor, y: torch.Tensor) -> Any:
        return self.head(self.decoder(self.own(x), self.memory(y)))


class Attention(nn.Module):
    """`MultiheadAttention` between two layers."""

    def __init__(self, batch_first: bool = True, **options: Any) -> None:
        super().__init__()
        self.batch_first = batch_first
        self.stem = nn.Linear(6, 32)
        self.attention = nn.MultiheadAttention(32, 4, batch_first=batch_first, **options)
        self.head = nn.Linear(32, 5)

    def forward(self, x: torch.Tensor) -> Any:
        x = self.stem(x)
        x = x if self.batch_first else x.transpose(0, 1)
        y = (x + self.attention(x, x, x, need_weights=False)[0]).relu()
        return self.head(y.mean(1 if self.batch_first else 0))


class Recurrent(nn.Module):
    """A recurrent layer between an embedding and a classifier."""

    def __init__(self, kind: type[nn.RNNBase], **options: Any) -> None:
        super().__init__()
        self.words = nn.Embedding(11, 16)
        self.recurrent = kind(16, 24, batch_first=True, **options)
        wide = 24 * (2 if options.get("bidirectional") else 1)
        self.first, self.head = nn.Linear(wide, 32), nn.Linear(32, 5)

    def forward(self, x: torch.Tensor) -> Any:
        y, _ = self.recurrent(self.words(x))
        return self.head(self.first(y[:, -1]).relu())


class Cells(nn.Module):
    """A recurrent cell, stepped by hand."""

    def __init__(self, kind: type[nn.RNNCellBase]) -> None:
        super().__init__()
        self.stem, self.cell, self.head = nn.Linear(6, 16), kind(16, 24), nn.Linear(24, 5)

    def forward(self, x: torch.Tensor) -> Any:
        x, state = self.stem(x), None
        for step in range(x.shape[1]):
            state = self.cell(x[:, step], state)
        return self.head(state[0] if isinstance(state, tuple) else state)


class Checkpointed(nn.Module):
    """A block that is computed again in the backward pass."""

    def __init__(self, reentrant: bool) -> None:
        super().__init__()
        self.reentrant = reentrant
        self.stem = nn.Conv2d(3, 32, 3, padding=1)
        self.block = nn.Sequential(nn.Conv2d(32, 32, 3, padding=1), nn.ReLU())
        self.head = nn.Linear(32, 5)

    def forward(self, x: torch.Tensor) -> Any:
        x = self.stem(x)
        y = (
            checkpoint(self.block, x, use_reentrant=self.reentrant)
            if self.training
            else self.block(x)
        )
        return self.head((x + y).mean((2, 3)))


class Adaptive(nn.Module):
    """Torch's adaptive softmax over classes."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Linear(6, 32)
        self.head = nn.AdaptiveLogSoftmaxWithLoss(32, 20, [5, 10])

    def forward(self, x: torch.Tensor) -> Any:
        return self.head.log_prob(self.stem(x).relu())


class Bilinear(nn.Module):
    """A bilinear layer of two branches."""

    def __init__(self) -> None:
        super().__init__()
        self.left, self.right = nn.Linear(6, 16), nn.Linear(6, 24)
        self.both, self.head = nn.Bilinear(16, 24, 32), nn.Linear(32, 5)

    def forward(self, x: torch.Tensor) -> Any:
        return self.head(self.both(self.left(x).relu(), self.right(x).relu()).relu())


class Bags(nn.Module):
    """Sums of embeddings."""

    def __init__(self) -> None:
        super().__init__()
        self.words = nn.EmbeddingBag(11, 32, mode="sum")
        self.head = nn.Sequential(nn.Linear(32, 48), nn.ReLU(), nn.Linear(48, 5))

    def forward(self, x: torch.Tensor) -> Any:
        return self.head(self.words(x))


def _normed(weigh: Callable[..., Any]) -> nn.Module:
    """Return layers whose weights are parametrised."""
    return nn.Sequential(
        weigh(nn.Linear(6, 32)), nn.ReLU(), weigh(nn.Linear(32, 32)), nn.ReLU(), nn.Linear(32, 5)
    )


def _mixed(rank: int) -> nn.Module:
    """Return layers of images of this rank, with norms of all kinds."""
    conv = (nn.Conv1d, nn.Conv2d, nn.Conv3d)[rank - 1]
    back = (nn.ConvTranspose1d, nn.ConvTranspose2d, nn.ConvTranspose3d)[rank - 1]
    norm = (nn.InstanceNorm1d, nn.InstanceNorm2d, nn.InstanceNorm3d)[rank - 1]
    batch = (nn.BatchNorm1d, nn.BatchNorm2d, nn.BatchNorm3d)[rank - 1]
    return nn.Sequential(
        *(conv(3, 16, 3, padding=1), norm(16), nn.PReLU(16)),
        *(conv(16, 32, 3, stride=2, padding=1), nn.GroupNorm(4, 32), nn.GELU()),
        *(conv(32, 32, 3, padding=1, groups=32), batch(32), nn.Dropout(0.1), nn.ReLU()),
        *(back(32, 16, 2, stride=2), nn.ELU(), conv(16, 2, 1)),
    )


def _words(*sizes: int) -> torch.Tensor:
    return torch.randint(11, sizes)


def _image(rank: int = 2) -> torch.Tensor:
    return torch.randn(2, 3, *(8,) * rank)


MODELS: dict[str, Callable[[], Built]] = {
    "TransformerEncoder": lambda: (Encoder(), (_words(2, 7),)),
    "TransformerEncoder, norm first": lambda: (Encoder(norm_first=True), (_words(2, 7),)),
    "TransformerEncoder, gelu, no bias": lambda: (
        Encoder(activation="gelu", bias=False),
        (_words(2, 7),),
    ),
    "Transformer": lambda: (Translation(), (_words(2, 7), _words(2, 5))),
    "TransformerDecoder": lambda: (Decoder(), (torch.randn(2, 5, 6), torch.randn(2, 7, 6))),
    "MultiheadAttention": lambda: (Attention(), (torch.randn(2, 7, 6),)),
    "MultiheadAttention, batch second": lambda: (
        Attention(batch_first=False),
        (torch.randn(2, 7, 6),),
    ),
    "MultiheadAttention, extra keys": lambda: (
        Attention(add_bias_kv=True, add_zero_attn=True),
        (torch.randn(2, 7, 6),),
    ),
    "LSTM": lambda: (Recurrent(nn.LSTM), (_words(2, 7),)),
    "LSTM, two ways": lambda: (
        Recurrent(nn.LSTM, num_layers=2, bidirectional=True),
        (_words(2, 7),),
    ),
    "LSTM, projected": lambda: (
        nn.Sequential(nn.Linear(6, 16), _First(nn.LSTM(16, 24, proj_size=8)), nn.Linear(8, 5)),
        (torch.randn(2, 7, 6),),
    ),
    "GRU": lambda: (Recurrent(nn.GRU), (_words(2, 7),)),
    "RNN": lambda: (Recurrent(nn.RNN), (_words(2, 7),)),
    "LSTMCell": lambda: (Cells(nn.LSTMCell), (torch.randn(2, 4, 6),)),
    "GRUCell": lambda: (Cells(nn.GRUCell), (torch.randn(2, 4, 6),)),
    "checkpoint": lambda: (Checkpointed(reentrant=False), (_image(),)),
    "checkpoint, reentrant": lambda: (Checkpointed(reentrant=True), (_image(),)),
    "AdaptiveLogSoftmax": lambda: (Adaptive(), (torch.randn(2, 6),)),
    "Bilinear": lambda: (Bilinear(), (torch.randn(2, 6),)),
    "EmbeddingBag": lambda: (Bags(), (_words(2, 7),)),
    "weight norm": lambda: (
        _normed(nn.utils.parametrizations.weight_norm),
        (torch.randn(2, 6),),
    ),
    "spectral norm": lambda: (
        _normed(nn.utils.parametrizations.spectral_norm),
        (torch.randn(2, 6),),
    ),
    "weight norm by hooks": lambda: (_normed(nn.utils.weight_norm), (torch.randn(2, 6),)),
    "sequences": lambda: (_mixed(1), (_image(1),)),
    "images": lambda: (_mixed(2), (_image(2),)),
    "volumes": lambda: (_mixed(3), (_image(3),)),
    "scripted": lambda: (
        nn.Sequential(
            nn.Linear(6, 32),
            torch.jit.script(nn.Sequential(nn.Linear(32, 32), nn.ReLU())),
            nn.Linear(32, 5),
        ),
        (torch.randn(2, 6),),
    ),
    "traced": lambda: (
        nn.Sequential(
            nn.Linear(6, 32),
            torch.jit.trace(nn.Linear(32, 32), torch.randn(2, 32)),
            nn.Linear(32, 5),
        ),
        (torch.randn(2, 6),),
    ),
    "lazy": lambda: (_lazy(), (torch.randn(2, 6),)),
    "complex": lambda: (Complex(), (torch.randn(2, 8, 6),)),
}


class _First(nn.Module):
    """The first of what a layer returns."""

    def __init__(self, layer: nn.Module) -> None:
        super().__init__()
        self.layer = layer

    def forward(self, x: torch.Tensor) -> Any:
        return self.layer(x)[0]


def _lazy() -> nn.Module:
    model = nn.Sequential(nn.LazyLinear(32), nn.ReLU(), nn.LazyLinear(5))
    model(torch.randn(2, 6))
    return model


class Complex(nn.Module):
    """Mixing by a Fourier transform, as FNet does."""

    def __init__(self) -> None:
        super().__init__()
        self.stem, self.norm = nn.Linear(6, 32), nn.LayerNorm(32)
        self.block, self.head = nn.Linear(32, 32), nn.Linear(32, 5)

    def forward(self, x: torch.Tensor) -> Any:
        x = self.stem(x)
        x = self.norm(x + torch.fft.fft2(x).real)
        return self.head((x + self.block(x).relu()).mean(1))

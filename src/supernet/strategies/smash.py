"""SMASH: Brock et al., "SMASH: One-Shot Model Architecture Search through HyperNetworks" (ICLR 2018).

A hypernetwork H generates weights of an architecture from its encoding c. Every step draws an
architecture, each decision by itself, generates its weights `W = H(c, z)` and trains H, together with
everything that is not generated, by the ordinary loss. Candidates are scored with generated weights.
Such weights are far from trained ones: only the ranking of the scores means something.

A layer's weight `[out, in]` is cut into tiles, and H is a fully convolutional network on the grid of
them, `[1, channels, out / tile, in / tile]`, that returns tile² numbers at each place: a DenseNet of
weight-normalised 3×3 convolutions with leaky ReLU of slope 0.02, as in the paper. In the memory-bank
space a column of the grid is then a bank that is read, as in the paper, if a tile is as wide as a bank.

Noise z has one channel. In training it is drawn anew at every step from (seed, step); candidates are
scored with z = 0, so that a score is a function of the weights and the architecture.

Differences from the authors' code:
- The encoding works for every space: one channel for each option of each decision, 1 where it runs, -1
  where it does not, 0 where the decision is not reached. The paper's holds, at the places of a layer,
  its own reads, writes, kernel, dilation, ... only. What tells layers and tiles apart is learned, an
  embedding for each tile; in the paper it is the position on one grid of all layers.
- A grid for each layer, since layers of any space do not line up. H does not see across layers but by
  the encoding.
- One dense block in place of three, and weights are divided by the square root of `in`.
- No share of the units is annealed, and no kernel size: a space has no notion of them.
- The optimizer is the run's, with weight decay on H too, which the paper's leaves out.
- Candidates are scored with re-estimated statistics of batch norm.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from itertools import groupby

import torch
from torch import nn
from torch.nn import functional as F
from torch.nn.utils.parametrizations import weight_norm

from supernet.errors import ConfigError
from supernet.net import SuperNet
from supernet.net.generated import GeneratedSuperNet, Hypernetwork, Running, designated
from supernet.random import generator
from supernet.space import Sampling, SearchSpace
from supernet.strategies.base import Strategy, TrainingContext
from supernet.strategies.spos import train_path
from supernet.task import Batch, Task
from supernet.train import Moment

__all__ = ["SMASH", "DenseHypernetwork", "Encoder"]

SLOPE = 0.02
"""Of leaky ReLU on negative numbers."""


class SMASH(Strategy):
    """Random architectures with generated weights.

    Args:
        layers: pattern of the layers whose weights are generated, see
            `supernet.net.generated.designated`; None for all that can be and lie in an option.
        tile: side of the square of weights that the hypernetwork returns at each place.
        embedding: numbers that are learned for each tile.
        growth: channels that each layer of the hypernetwork adds.
        depth: layers of the hypernetwork before its last.
        sampling: set that an architecture is uniform over: the answers of each of its "decisions"
            by itself, or all "architectures".

    Raises:
        ConfigError: a number is too small.
    """

    adds = True
    noise = True
    """Whether the hypernetwork is given noise in training."""

    def __init__(
        self,
        layers: str | None = None,
        tile: int = 8,
        embedding: int = 8,
        growth: int = 10,
        depth: int = 8,
        sampling: Sampling = "decisions",
    ) -> None:
        if min(tile, embedding, growth) < 1 or depth < 0:
            raise ConfigError(
                f"tile {tile}, embedding {embedding} and growth {growth} must be at least 1, and depth "
                f"{depth} at least 0"
            )
        self.layers = layers
        self.tile = tile
        self.embedding = embedding
        self.growth = growth
        self.depth = depth
        self.sampling: Sampling = sampling

    def build(self, model: nn.Module) -> SuperNet:
        """Return the supernet with a hypernetwork.

        Raises:
            ConfigError: there is nothing to generate, or something that cannot be generated.
        """
        shared = SuperNet(model)
        layers = designated(shared, self.layers)
        encoder, noise = self.encoder(shared, layers), int(self.noise)
        sizes = self.tile, self.embedding, self.growth, self.depth
        return GeneratedSuperNet(model, DenseHypernetwork(layers, encoder, noise, *sizes))

    def encoder(self, supernet: SuperNet, layers: Mapping[str, nn.Module]) -> Encoder:
        """Return what tells the hypernetwork of the architecture."""
        return AnswerEncoder(supernet.space)

    def prepare(self, supernet: SuperNet, setting: TrainingContext) -> None:
        """Check that the supernet has a hypernetwork.

        Raises:
            ConfigError: it has none.
        """
        _hypernetwork(supernet)

    def backward(self, model: SuperNet, task: Task, batch: Batch, moment: Moment) -> torch.Tensor:
        """Add the gradients of one drawn architecture."""
        architecture = model.space.sample(moment.stream("path"), self.sampling)
        with _hypernetwork(model).noisy(generator(moment.seed, "noise", moment.step)):
            return train_path(model, architecture, task, batch)


class Encoder(nn.Module, ABC):
    """Encodes an architecture for each of its layers.

    Attributes:
        channels: numbers in an encoding.
    """

    channels: int

    @abstractmethod
    def forward(self, running: Running, layers: Sequence[int]) -> torch.Tensor:
        """Return `[layers, channels]`."""


class AnswerEncoder(Encoder):
    """The answers to all decisions, the same for all layers.

    Args:
        space: space whose options are encoded.
    """

    def __init__(self, space: SearchSpace) -> None:
        super().__init__()
        self.fields = [(d.label, option) for d in space.decisions for option in d.options]
        self.channels = len(self.fields)

    def forward(self, running: Running, layers: Sequence[int]) -> torch.Tensor:
        """Return 1 for options that run, -1 for others, 0 where a decision is not reached."""
        code = [
            0.0 if label not in running else 1.0 if option in running[label] else -1.0
            for label, option in self.fields
        ]
        return torch.tensor(code).expand(len(layers), -1)


class DenseHypernetwork(Hypernetwork):
    """The fully convolutional hypernetwork; its size does not depend on the number of architectures.

    Args:
        layers: layers whose weights are generated, see `Hypernetwork`.
        encoder: encoder that turns an architecture into channels.
        noise: number of channels of noise that join the encoding.
        tile: side of the square of weights that is returned at each place, see `SMASH`.
        embedding: size of the vector that is learned for each tile, see `SMASH`.
        growth: channels that each layer adds, see `SMASH`.
        depth: number of layers before the last, see `SMASH`.
    """

    def __init__(
        self,
        layers: Mapping[str, nn.Module],
        encoder: Encoder,
        noise: int,
        tile: int,
        embedding: int,
        growth: int,
        depth: int,
    ) -> None:
        super().__init__(layers)
        self.encoder = encoder
        self.noise = noise
        self.tile = tile
        self.grids = [(-(-shape[0] // tile), -(-shape[1] // tile)) for shape in self.shapes]
        self.embeddings = nn.ModuleList(TileEmbedding(embedding, *grid) for grid in self.grids)
        width = encoder.channels + noise + embedding
        self.dense = nn.ModuleList(_conv(width + i * growth, growth, 3) for i in range(depth))
        self.last = _conv(width + depth * growth, tile**2, 1)
        self._generator: torch.Generator | None = None

    def forward(self, running: Running, layers: Sequence[int]) -> list[torch.Tensor]:
        """Return the weights of some layers in an architecture; layers of equal grids pass together."""
        weights: dict[int, torch.Tensor] = {}
        if not layers:
            return []
        layers_by_grid = sorted(layers, key=self.grids.__getitem__)
        codes = iter(self.encoder(running, layers_by_grid))
        for grid, group in groupby(layers_by_grid, self.grids.__getitem__):
            numbers = list(group)
            tiles = torch.stack([self.embeddings[number]() for number in numbers])
            code = torch.stack([next(codes) for _ in numbers]).to(tiles)[:, :, None, None]
            x = torch.cat([code.expand(-1, -1, *grid), self._draw(tiles), tiles], 1)
            for layer in self.dense:
                x = torch.cat([x, layer(F.leaky_relu(x, SLOPE))], 1)
            matrices = F.pixel_shuffle(self.last(F.leaky_relu(x, SLOPE)), self.tile).squeeze(1)
            for number, matrix in zip(numbers, matrices, strict=True):
                shape = self.shapes[number]
                weight = matrix[: shape[0], : shape[1]] / shape[1] ** 0.5
                weights[number] = weight.reshape(shape)
        return [weights[number] for number in layers]

    @contextmanager
    def noisy(self, noise: torch.Generator) -> Iterator[None]:
        """Draw noise within the block; it is zero elsewhere."""
        self._generator = noise
        try:
            yield
        finally:
            self._generator = None

    def _draw(self, tiles: torch.Tensor) -> torch.Tensor:
        shape = (len(tiles), self.noise, *tiles.shape[2:])
        if self._generator is None:
            return tiles.new_zeros(shape)
        return torch.randn(shape, generator=self._generator).to(tiles)


class TileEmbedding(nn.Module):
    """What is learned of the tiles of a layer, `[channels, rows, columns]`."""

    def __init__(self, channels: int, rows: int, columns: int) -> None:
        super().__init__()
        self.values = nn.Parameter(torch.randn(channels, rows, columns))

    def forward(self) -> torch.Tensor:
        """Return the embedding of each tile."""
        return self.values


def _conv(channels_in: int, channels_out: int, kernel: int) -> nn.Module:
    conv = nn.Conv2d(channels_in, channels_out, kernel, padding=kernel // 2, bias=False)
    nn.init.kaiming_normal_(conv.weight, SLOPE)
    normed: nn.Module = weight_norm(conv)
    return normed


def _hypernetwork(supernet: SuperNet) -> DenseHypernetwork:
    hypernetwork = getattr(supernet, "hypernetwork", None)
    if not isinstance(hypernetwork, DenseHypernetwork):
        raise ConfigError(
            "smash trains a supernet whose weights are generated, not a "
            f"{type(supernet).__name__}; make it by the strategy's build(model)"
        )
    return hypernetwork

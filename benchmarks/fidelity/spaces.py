"""The two small spaces of which every network is trained alone, by `benchmarks.fidelity.own_truths`."""

from __future__ import annotations

from typing import cast

import torch
from torch import nn

from supernet.choice import Choice

__all__ = ["SPACES", "SmallCell", "SmallChain"]

SIDE = 14
"""Height and width that images are brought to."""

EDGES = ((1, 0), (2, 0), (2, 1))
"""Node and source of the edges of a cell."""


class SmallCell(nn.Module):
    """Three stages of one cell of three nodes, with four operations on each edge: 64 networks.

    A node is the sum of what enters it, as in NAS-Bench-201; stages share one architecture. Images of
    28×28 are scaled to 14×14 by means.
    """

    def __init__(self, image: tuple[int, int, int] = (1, 14, 14), classes: int = 10) -> None:
        super().__init__()
        channels = 8
        layers: list[nn.Module] = [*_smaller(image), _conv(image[0], channels, 3)]
        for stage in range(3):
            if stage:
                layers.append(_conv(channels, 2 * channels, 3, stride=2))
                channels *= 2
            layers.append(_Cell(channels))
        self.layers = nn.Sequential(*layers)
        self.classifier = nn.Linear(channels, classes)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        """Map images `[batch, channels, height, width]` to logits `[batch, classes]`."""
        return cast(torch.Tensor, self.classifier(self.layers(images).mean((2, 3))))


class _Cell(nn.Module):
    def __init__(self, channels: int) -> None:
        super().__init__()
        self.edges = nn.ModuleList(
            Choice(
                {
                    "skip": nn.Identity(),
                    "conv1": _conv(channels, channels, 1),
                    "conv3": _conv(channels, channels, 3),
                    "pool": nn.AvgPool2d(3, 1, 1, count_include_pad=False),
                },
                label=f"{node}<-{source}",
            )
            for node, source in EDGES
        )

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        middle = self.edges[0](x)
        return cast(torch.Tensor, self.edges[1](x) + self.edges[2](middle))


class SmallChain(nn.Module):
    """Four layers, each without a residual and one of three convolutions: 81 networks.

    The second and the fourth halve height and width; the third doubles the channels. Images of 28×28 are
    scaled to 14×14 by means.
    """

    def __init__(self, image: tuple[int, int, int] = (1, 14, 14), classes: int = 10) -> None:
        super().__init__()
        channels = 8
        layers: list[nn.Module] = [*_smaller(image), _conv(image[0], channels, 3)]
        for number, (wider, stride) in enumerate(((1, 1), (1, 2), (2, 1), (1, 2))):
            inner = channels * wider
            layers.append(
                Choice(
                    {
                        "conv1": _conv(channels, inner, 1, stride=stride),
                        "separable5": nn.Sequential(
                            _conv(channels, channels, 5, stride=stride, groups=channels),
                            _conv(channels, inner, 1),
                        ),
                        "conv3": _conv(channels, inner, 3, stride=stride),
                    },
                    label=f"layer{number}",
                )
            )
            channels = inner
        self.layers = nn.Sequential(*layers)
        self.classifier = nn.Linear(channels, classes)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        """Map images `[batch, channels, height, width]` to logits `[batch, classes]`."""
        return cast(torch.Tensor, self.classifier(self.layers(images).mean((2, 3))))


SPACES = {"cell": SmallCell, "chain": SmallChain}


def _smaller(image: tuple[int, int, int]) -> list[nn.Module]:
    return [nn.AvgPool2d(2)] if image[1] > SIDE else []


def _conv(
    channels_in: int, channels_out: int, kernel: int, *, stride: int = 1, groups: int = 1
) -> nn.Module:
    return nn.Sequential(
        nn.ReLU(),
        nn.Conv2d(
            channels_in, channels_out, kernel, stride, kernel // 2, groups=groups, bias=False
        ),
        nn.BatchNorm2d(channels_out),
    )

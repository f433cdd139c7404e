"""The space of NAS-Bench-201, which is the topology space of NATS-Bench.

Dong and Yang, "NAS-Bench-201: Extending the Scope of Reproducible Neural Architecture Search" (ICLR
2020); Dong et al., "NATS-Bench" (TPAMI 2021). A cell has four nodes; every earlier node is connected to
every later one by one of five operations, and a node is the sum of what enters it. Three stages of five
cells share one architecture; a residual block of stride 2 between stages doubles the channels. The
5^6 = 15,625 architectures are 5,425 different networks (`isomorphism.py`; papers quote 6,466, by a
coarser rule). Parameters and multiply-adds are the published ones, but for the classifier's bias, which
the benchmark counts as one multiply-add per class.

As in the benchmark's supernets, and unlike in its 15,625 networks, the batch norms of the cells learn no
scale and offset unless `affine` is set. Different from those supernets: batch norm keeps running
statistics, and the pooling of the residual blocks also covers the last row and column of images of odd
size.
"""

from __future__ import annotations

import re
from typing import cast

import torch
from torch import nn

from supernet.choice import Choice
from supernet.choice.mixture import shared
from supernet.errors import SpaceError
from supernet.ops import Zero, pool
from supernet.space import Architecture, Diagram, Edge, Node
from supernet.zoo.arguments import check_halvings, check_positive
from supernet.zoo.isomorphism import EDGES, NONE, OPERATIONS, representative

__all__ = ["NASBench201"]

LABELS = tuple(f"{node}<-{source}" for node, source in EDGES)
"""The decisions, in the published order."""


class Cell(nn.Module):
    """Four nodes and the choices between them; keeps the shape `[b, channels, h, w]`."""

    def __init__(self, channels: int, affine: bool) -> None:
        super().__init__()
        self.edges = nn.ModuleList(
            Choice(_operations(channels, affine), label=label) for label in LABELS
        )

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Return the last node."""
        nodes: dict[int, torch.Tensor] = {0: x}
        with shared(self.edges):
            for (node, source), edge in zip(EDGES, self.edges, strict=True):
                y = edge(nodes[source])
                nodes[node] = nodes[node] + y if node in nodes else y
        return nodes[3]


class Reduction(nn.Module):
    """Residual block that doubles the channels and halves height and width, rounded up."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            _relu_conv(channels, 2 * channels, 3, stride=2),
            _relu_conv(2 * channels, 2 * channels, 3),
        )
        self.shortcut = nn.Sequential(
            nn.AvgPool2d(2, ceil_mode=True), nn.Conv2d(channels, 2 * channels, 1, bias=False)
        )

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Map `[b, channels, h, w]` to `[b, 2 · channels, h / 2, w / 2]`."""
        return cast(torch.Tensor, self.shortcut(x) + self.layers(x))


class NASBench201(nn.Module):
    """The NAS-Bench-201 network with a choice of five operations on each edge of its cells.

    Small, for 8×8 grey images: `image=(1, 8, 8), channels=4, cells=1`.

    Args:
        image: channels, height and width of the images.
        classes: number of classes.
        channels: channels of the first stage; doubled in each further one (published: 16).
        cells: number of cells in a stage (published: 5).
        stages: number of stages (published: 3).
        affine: whether the batch norms within cells learn a scale and an offset (published:
            the networks' do, the supernets' do not).

    Raises:
        SpaceError: a number is not positive, or the image is too small for so many stages.
    """

    def __init__(
        self,
        image: tuple[int, int, int] = (3, 32, 32),
        classes: int = 10,
        channels: int = 16,
        cells: int = 5,
        stages: int = 3,
        affine: bool = False,
    ) -> None:
        super().__init__()
        check_positive(image=image, classes=classes, channels=channels, cells=cells, stages=stages)
        check_halvings(image, (2,) * (stages - 1))
        self.stem = nn.Sequential(
            nn.Conv2d(image[0], channels, 3, padding=1, bias=False), nn.BatchNorm2d(channels)
        )
        layers: list[nn.Module] = []
        for stage in range(stages):
            if stage:
                layers.append(Reduction(channels))
                channels *= 2
            layers += [Cell(channels, affine) for _ in range(cells)]
        self.layers = nn.Sequential(*layers)
        self.head = nn.Sequential(nn.BatchNorm2d(channels), nn.ReLU())
        self.classifier = nn.Linear(channels, classes)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        """Map images `[batch, channels, height, width]` to logits `[batch, classes]`."""
        features = self.head(self.layers(self.stem(images)))
        return cast(torch.Tensor, self.classifier(features.mean((2, 3))))

    def canonical(self, architecture: Architecture) -> Architecture:
        """Return the representative of all architectures whose cell has the same graph of operations.

        Equal are cells as networks of their own: the representative may have its operations on other
        edges, and `none` where an edge has no effect. It is the cheapest of its class. See
        `isomorphism.py` for what counts as equal.
        """
        cell = representative([str(architecture[label]) for label in LABELS])
        return Architecture(dict(zip(LABELS, cell, strict=True)))

    def diagram(self, architecture: Architecture) -> Diagram:
        """Return the drawing of the cell that all cells share, without its `none`."""
        nodes = [Node("0", "input", "input"), Node("1", "1", "sum"), Node("2", "2", "sum")]
        nodes.append(Node("3", "output", "output"))
        edges: list[Edge] = []
        for label, (node, source) in zip(LABELS, EDGES, strict=True):
            if architecture[label] != NONE:
                nodes.append(Node(label, str(architecture[label]), "operation"))
                edges += [Edge(str(source), label), Edge(label, str(node))]
        return Diagram("The cell that all cells share", tuple(nodes), tuple(edges))

    @staticmethod
    def to_string(architecture: Architecture) -> str:
        """Return the published form, `|op~0|+|op~0|op~1|+|op~0|op~1|op~2|`."""
        parts: dict[int, str] = {}
        for label, (node, source) in zip(LABELS, EDGES, strict=True):
            parts[node] = parts.get(node, "|") + f"{architecture[label]}~{source}|"
        return "+".join(parts.values())

    @staticmethod
    def from_string(text: str) -> Architecture:
        """Return the architecture that a published string describes.

        Raises:
            SpaceError: the string has another form or an unknown operation.
        """
        names = re.findall(r"\|?([^|~+]+)~\d\|", text)
        if len(names) == len(LABELS) and set(names) <= set(OPERATIONS):
            architecture = Architecture(dict(zip(LABELS, names, strict=True)))
            if NASBench201.to_string(architecture) == text:
                return architecture
        raise SpaceError(
            f"{text!r} is no cell of NAS-Bench-201; write |a~0|+|b~0|c~1|+|d~0|e~1|f~2| "
            f"with operations of {', '.join(OPERATIONS)}"
        )


def _relu_conv(
    channels_in: int, channels_out: int, kernel: int, *, stride: int = 1, affine: bool = True
) -> nn.Module:
    return nn.Sequential(
        nn.ReLU(),
        nn.Conv2d(channels_in, channels_out, kernel, stride, kernel // 2, bias=False),
        nn.BatchNorm2d(channels_out, affine=affine),
    )


def _operations(channels: int, affine: bool) -> dict[str, nn.Module]:
    modules = (
        Zero(),
        nn.Identity(),
        _relu_conv(channels, channels, 1, affine=affine),
        _relu_conv(channels, channels, 3, affine=affine),
        pool("avg"),
    )
    return dict(zip(OPERATIONS, modules, strict=True))

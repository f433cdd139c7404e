"""The cell space of DARTS, which most differentiable methods are compared in.

Liu, Simonyan and Yang, "DARTS: Differentiable Architecture Search" (ICLR 2019). Cells of two kinds,
normal and reduction; all cells of a kind share one architecture. A cell reads the two cells before it
and has nodes, each the sum of two operations on two different earlier states; it concatenates its nodes.
Reduction cells stand at one and two thirds of the depth, halve the image and double the channels.

The question "which two edges" is asked at each node, and the question "which operation" on each edge;
an operation exists where its edge is chosen. In the mixture of the search network all edges are on.
Methods differ in how many edges they keep (`edges`): FairDARTS from none to two, SNAS all. A node
without edges is zero, where FairDARTS's code leaves it, and the edges that read it, out of a network
that is trained alone.

`none` is an option of every edge, since the mixture gives it weight and a searcher may want it. The
derivation rule `edges` never takes it, and no published architecture has it. With it the space has
180 · 8^8 cells of a kind; 180 · 7^8, about 1e9, is the number in the paper.

With `affine`, as in the published networks that are trained alone, batch norms learn a scale and an
offset, and pooling has no batch norm; without, as in the published search network, it has one.

Trained alone, published networks have an auxiliary classifier after the second reduction, whose loss
counts 0.4 (`supernet.task.Classification`), and drop paths with a probability that rises from 0.

Different from the paper: this probability rises by the step instead of by the epoch; images may have
odd and other sizes than 32×32, and what the auxiliary classifier pools then is chosen here.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, cast

import torch
from torch import nn
from torch.nn import functional

from supernet.choice import InputChoice
from supernet.errors import SpaceError
from supernet.ops import DropEdge, FactorizedReduce, FadingDropout, PartialChannels, Zero
from supernet.space import Architecture, Diagram
from supernet.zoo.arguments import check_halvings, check_positive
from supernet.zoo.darts_operations import OPERATIONS, MixedOperation
from supernet.zoo.darts_presets import BY_EDGE, PRESETS
from supernet.zoo.genotype import (
    KINDS,
    architecture_of,
    cells_of,
    drawing,
    read_genotype,
    sorted_cells,
    write_genotype,
)

__all__ = ["DARTS"]


@dataclass(frozen=True)
class Style:
    """What makes the edges of a network; see the arguments of `DARTS`.

    Attributes:
        operations: names of the operations on an edge, by the edge's label.
    """

    operations: Mapping[str, tuple[str, ...]]
    affine: bool
    partial: int
    drop_path: float
    drop_path_rises: bool
    skip_dropout: float

    def edge(self, label: str, channels: int, stride: int) -> nn.Module:
        """Return an edge's choice of operations: `[b, channels, h, w]` to `[b, channels, ...]`."""
        width = channels // self.partial
        options = {name: self._option(name, width, stride) for name in self.operations[label]}
        edge: nn.Module = MixedOperation(options, label, (width, stride, self.affine))
        if self.partial > 1:
            edge = PartialChannels(edge, self.partial, stride)
        return DropEdge(edge, self.drop_path, self.drop_path_rises) if self.drop_path else edge

    def _option(self, name: str, channels: int, stride: int) -> nn.Module:
        module = OPERATIONS[name](channels, stride, self.affine)
        if isinstance(module, nn.Identity) and self.skip_dropout:
            module = nn.Sequential(module, FadingDropout(self.skip_dropout))
        return module


class Cell(nn.Module):
    """A cell; its output has `nodes · channels` channels.

    Args:
        kind: kind of the cell, "normal" or "reduce".
        widths: channels of the two cells before.
        channels: channels of each node.
        halved: whether the cell before is a reduction, so that the one before it has larger images.
        style: style of the edges.
        picks: least and most edges that may enter each node.
    """

    def __init__(
        self,
        kind: str,
        widths: tuple[int, int],
        channels: int,
        halved: bool,
        style: Style,
        picks: Sequence[tuple[int, int]],
    ) -> None:
        super().__init__()
        fit = FactorizedReduce if halved else _relu_pointwise
        self.before = fit(widths[0], channels, affine=style.affine)
        self.previous = _relu_pointwise(widths[1], channels, affine=style.affine)
        self.nodes = nn.ModuleList()
        for node, pick in enumerate(picks):
            edges = {
                str(state): style.edge(
                    f"{kind}.node{node}.from{state}",
                    channels,
                    2 if kind == "reduce" and state < 2 else 1,
                )
                for state in range(node + 2)
            }
            zeros = None if pick[0] else Zero(2 if kind == "reduce" else 1)
            self.nodes.append(InputChoice(edges, pick, f"{kind}.node{node}.edges", zeros))

    def forward(self, before: torch.Tensor, previous: torch.Tensor) -> torch.Tensor:
        """Map the outputs of the two cells before to this cell's output."""
        states = [self.before(before), self.previous(previous)]
        for node in self.nodes:
            states.append(node(states))
        return torch.cat(states[2:], dim=1)


class AuxiliaryHead(nn.Module):
    """A classifier in the middle of a network, which helps to train what lies before it.

    Maps of 8×8, those of the paper, are pooled to 2×2 and give one vector of 768 features; of larger
    ones the mean of several is classified.
    """

    training_only = True

    def __init__(self, channels: int, classes: int) -> None:
        super().__init__()
        self.pointwise = nn.Conv2d(channels, 128, 1, bias=False)
        self.pointwise_norm = nn.BatchNorm2d(128)
        self.square = nn.Conv2d(128, 768, 2, bias=False)
        self.square_norm = nn.BatchNorm2d(768)
        self.classifier = nn.Linear(768, classes)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Map the output of a cell, `[b, channels, h, w]`, to logits `[b, classes]`."""
        x = functional.relu(x)
        if min(x.shape[2:]) >= 8:
            x = functional.avg_pool2d(x, 5, stride=3)
        else:
            x = functional.adaptive_avg_pool2d(x, 2)
        x = functional.relu(self.pointwise_norm(self.pointwise(x)))
        x = functional.relu(self.square_norm(self.square(x)))
        return cast(torch.Tensor, self.classifier(x.mean((2, 3))))


class DARTS(nn.Module):
    """The search network of DARTS, and with other arguments the one in which cells are trained alone.

    Small, for 8×8 grey images: `image=(1, 8, 8), cells=3, channels=4, nodes=2`.

    Args:
        image: channels, height and width of the images.
        classes: number of classes.
        cells: number of cells, at least 3 (published: 8 for the search, 20 for training alone).
        channels: channels of a node before the first reduction (published: 16 and 36).
        nodes: number of nodes in a cell.
        stem: channels of the stem over `channels`.
        operations: names of the operations, or that of a preset: DARTS, S1, S2, S3, S4. In S1 each
            of the (at most four) nodes has its own.
        affine: whether batch norms of the cells learn a scale and an offset, and pooling has none
            (published: for training alone).
        partial: k of PC-DARTS: edges compute with 1/k of the channels (published: 4, and 1 alone).
        drop_path: probability that an edge is dropped for an image, at the end of training; it rises
            from 0. In the mixture the whole edge is, in a derived network operations other than
            identities are (published: 0.2 for training alone).
        drop_path_rises: whether the probability rises; else it is the same throughout (published:
            of SNAS's search).
        skip_dropout: rate of P-DARTS's dropout behind skips, which fades (published: for the search).
        auxiliary: whether a classifier reads the output of the second reduction cell while training
            (published: for training alone).
        edges: number of edges that enter a node: a number, (least, most), or "all". A node has no
            more than there are states before it; one without edges is zero (published: 2; of
            FairDARTS (0, 2), of SNAS all).

    Raises:
        SpaceError: a number is out of range, an operation is unknown, `partial` does not divide
            `channels`, or the image is too small to be halved twice.
    """

    def __init__(
        self,
        image: tuple[int, int, int] = (3, 32, 32),
        classes: int = 10,
        cells: int = 8,
        channels: int = 16,
        nodes: int = 4,
        stem: int = 3,
        operations: str | tuple[str, ...] = "DARTS",
        affine: bool = False,
        partial: int = 1,
        drop_path: float = 0.0,
        drop_path_rises: bool = True,
        skip_dropout: float = 0.0,
        auxiliary: bool = False,
        edges: int | tuple[int, int] | Literal["all"] = 2,
    ) -> None:
        super().__init__()
        check_positive(image=image, classes=classes, channels=channels, nodes=nodes, stem=stem)
        check_halvings(image, (2, 2))
        dropout = drop_path, drop_path_rises, skip_dropout
        style = Style(_by_edge(operations, nodes), affine, partial, *dropout)
        _check(cells, channels, style)
        self.picks = _picks(edges, nodes)
        width = stem * channels
        self.stem = nn.Sequential(
            nn.Conv2d(image[0], width, 3, padding=1, bias=False), nn.BatchNorm2d(width)
        )
        self.cells = nn.ModuleList()
        self.auxiliary: AuxiliaryHead | None = None
        widths, kind = (width, width), "normal"
        for index in range(cells):
            halved = kind == "reduce"
            kind = "reduce" if index in (cells // 3, 2 * cells // 3) else "normal"
            channels *= 2 if kind == "reduce" else 1
            self.cells.append(Cell(kind, widths, channels, halved, style, self.picks))
            widths = (widths[1], nodes * channels)
            if auxiliary and index == 2 * cells // 3:
                self.auxiliary = AuxiliaryHead(widths[1], classes)
        self.classifier = nn.Linear(widths[1], classes)
        self.alike = len(set(style.operations.values())) == 1

    def forward(self, images: torch.Tensor) -> torch.Tensor | tuple[torch.Tensor, torch.Tensor]:
        """Map images `[batch, channels, height, width]` to logits `[batch, classes]`.

        In training mode a network with an auxiliary classifier returns its logits as second output.
        """
        further: torch.Tensor | None = None
        before = previous = self.stem(images)
        for index, cell in enumerate(self.cells):
            before, previous = previous, cell(before, previous)
            if self.auxiliary is not None and self.training and index == 2 * len(self.cells) // 3:
                further = self.auxiliary(previous)
        logits = cast(torch.Tensor, self.classifier(previous.mean((2, 3))))
        return logits if further is None else (logits, further)

    def canonical(self, architecture: Architecture) -> Architecture:
        """Renumber the nodes, and let each `none` that is needed come from the first state that is free.

        Architectures that differ in these only are the same network. Of all orders in which nodes
        read earlier nodes only, the one is taken whose sequence of (states, operations) comes first.
        Where operations differ from edge to edge, nodes cannot change places, and all stays as it is.
        """
        if not self.alike:
            return architecture
        least = [low for low, _ in self.picks]
        return architecture_of(sorted_cells(cells_of(architecture), least))

    def diagram(self, architecture: Architecture) -> Diagram:
        """Return the drawing of both cells, without their `none`."""
        return drawing(cells_of(architecture))

    @staticmethod
    def to_genotype(architecture: Architecture) -> str:
        """Return the published form, `Genotype(normal=[('sep_conv_3x3', 0), ...], ...)`.

        Where nodes have other numbers of edges than two, it is that of SNAS or FairDARTS, see
        `supernet.zoo.genotype`.

        Raises:
            SpaceError: an operation has no published name.
        """
        return write_genotype(cells_of(architecture))

    @staticmethod
    def from_genotype(text: str) -> Architecture:
        """Return the architecture that a published `Genotype(...)` describes.

        Raises:
            SpaceError: it has another form, an unknown operation, or does not lie in the space: a
                node has two edges from one state, or a cell does not concatenate all its nodes.
        """
        return architecture_of(read_genotype(text))


def _relu_pointwise(channels_in: int, channels_out: int, *, affine: bool = False) -> nn.Module:
    return nn.Sequential(
        nn.ReLU(),
        nn.Conv2d(channels_in, channels_out, 1, bias=False),
        nn.BatchNorm2d(channels_out, affine=affine),
    )


def _by_edge(operations: str | Sequence[str], nodes: int) -> dict[str, tuple[str, ...]]:
    """Return the operations of every edge, by its label."""
    edges = [(kind, i, state) for kind in KINDS for i in range(nodes) for state in range(i + 2)]
    if isinstance(operations, str) and operations in BY_EDGE:
        table = BY_EDGE[operations]
        if nodes > len(table["normal"]):
            raise SpaceError(
                f"operations {operations!r} are those of {len(table['normal'])} nodes, not of {nodes}"
            )
        return {f"{k}.node{i}.from{s}": tuple(table[k][i][s].split()) for k, i, s in edges}
    return {f"{k}.node{i}.from{s}": _named(operations) for k, i, s in edges}


def _named(operations: str | Sequence[str]) -> tuple[str, ...]:
    if isinstance(operations, str):
        if operations not in PRESETS:
            raise SpaceError(
                f"operations {operations!r} is no preset; give one of "
                f"{', '.join(sorted([*PRESETS, *BY_EDGE]))}, or a list of {', '.join(OPERATIONS)}"
            )
        return PRESETS[operations]
    if not operations or not set(operations) <= OPERATIONS.keys():
        raise SpaceError(
            f"operations must be some of {', '.join(OPERATIONS)}, not {list(operations)}"
        )
    return tuple(operations)


def _picks(edges: int | tuple[int, int] | str, nodes: int) -> list[tuple[int, int]]:
    """Return the least and the most edges that may enter each node.

    Raises:
        SpaceError: there is no such number of edges.
    """
    if edges == "all":
        return [(node + 2, node + 2) for node in range(nodes)]
    bounds = (edges, edges) if isinstance(edges, int) else tuple(edges)
    if len(bounds) != 2 or not all(isinstance(bound, int) for bound in bounds):
        raise SpaceError(f"edges is a number, (least, most) or all, not {edges!r}")
    low, high = cast(tuple[int, int], bounds)
    if not 0 <= low <= high or high < 1:
        raise SpaceError(
            f"from {low} to {high} edges cannot enter a node; edges must satisfy 0 <= least <= most and "
            "most >= 1"
        )
    return [(min(low, node + 2), min(high, node + 2)) for node in range(nodes)]


def _check(cells: int, channels: int, style: Style) -> None:
    if cells < 3:
        raise SpaceError(f"cells is {cells}, but a normal and two reduction cells need 3")
    if style.partial < 1 or channels % style.partial:
        raise SpaceError(
            f"partial is {style.partial}, but it must divide the {channels} channels of a node"
        )
    for name in ("drop_path", "skip_dropout"):
        if not 0 <= (probability := getattr(style, name)) < 1:
            raise SpaceError(f"{name} is a probability in [0, 1), not {probability}")

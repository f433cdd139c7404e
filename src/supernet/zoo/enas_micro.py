"""The cell space of ENAS.

Pham et al., "Efficient Neural Architecture Search via Parameter Sharing" (ICML 2018), section 2.4.
Cells of two kinds, normal and reduction; all cells of a kind share one architecture. A cell reads the
two cells before it and has blocks; a block picks two states among these cells and the earlier blocks,
possibly the same twice, applies one of five operations to each, and adds the results. Reduction cells
stand at one and two thirds of the depth, halve the image and double the channels.

An operation has its own weights for each block, side and state that it may read, as in the authors'
code. A kind of cell has Π_i (5 (i + 2))² architectures, i = 0 .. blocks - 1; 720² · 5^10, about 5.1e12,
with five blocks. In the mixture of all options a side is the sum over all states.

Different from the paper: a cell concatenates all of its blocks, not only its loose ends (those that no
other block reads), before the 1×1 convolution. That a block is read by no other is a condition over
all later answers, which no option stands for, so the cost of an architecture would not be a sum over
its answers any more. Also, operations on a cell before have stride 2 in a reduction cell, as in the
authors' final networks (their search network halves the image before the cell); there is no auxiliary
classifier and no drop-path; images may have odd sizes.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import cast

import torch
from torch import nn

from supernet.choice import Choice, InputChoice
from supernet.errors import SpaceError
from supernet.ops import FactorizedReduce, depthwise, strided_pool
from supernet.space import Architecture, Diagram, Edge, Node
from supernet.zoo.arguments import check_halvings, check_positive
from supernet.zoo.genotype import KINDS, Cells, sorted_cells

__all__ = ["ENASMicro"]

SIDES = ("left", "right")


class Block(nn.Module):
    """The sum of two operations, each on a chosen state.

    Args:
        label: label of the block, with which those of its decisions begin.
        strides: divisor of height and width of an operation on each state.
        channels: channels of all states.
        affine: whether batch norm learns a scale and an offset.
    """

    def __init__(self, label: str, strides: Sequence[int], channels: int, affine: bool) -> None:
        super().__init__()
        self.sides = nn.ModuleList(
            InputChoice(
                {
                    str(state): Choice(
                        operations(channels, stride, affine), label=f"{label}.{side}.operation"
                    )
                    for state, stride in enumerate(strides)
                },
                label=f"{label}.{side}.input",
            )
            for side in SIDES
        )

    def forward(self, states: Sequence[torch.Tensor]) -> torch.Tensor:
        """Map states `[b, channels, *, *]` to one output of the smaller size."""
        left, right = (side(states) for side in self.sides)
        return cast(torch.Tensor, left + right)


class Cell(nn.Module):
    """A cell; it keeps the channels of its blocks.

    Args:
        kind: kind of the cell, "normal" or "reduce".
        widths: channels of the two cells before.
        channels: channels of the cell's blocks and of its output.
        blocks: number of blocks.
        halved: whether the cell before is a reduction, so that the one before it has larger images.
        affine: whether batch norm learns a scale and an offset.
    """

    def __init__(
        self,
        kind: str,
        widths: tuple[int, int],
        channels: int,
        blocks: int,
        halved: bool,
        affine: bool,
    ) -> None:
        super().__init__()
        fit = FactorizedReduce if halved else _relu_pointwise
        self.before = fit(widths[0], channels, affine=affine)
        self.previous = _relu_pointwise(widths[1], channels, affine=affine)
        stride = 2 if kind == "reduce" else 1
        self.blocks = nn.ModuleList(
            Block(f"{kind}.block{i}", (stride, stride, *(1,) * i), channels, affine)
            for i in range(blocks)
        )
        self.project = _relu_pointwise(blocks * channels, channels, affine=affine)

    def forward(self, before: torch.Tensor, previous: torch.Tensor) -> torch.Tensor:
        """Map the outputs of the two cells before to this cell's output."""
        states = [self.before(before), self.previous(previous)]
        for block in self.blocks:
            states.append(block(states))
        return cast(torch.Tensor, self.project(torch.cat(states[2:], dim=1)))


class ENASMicro(nn.Module):
    """The network of ENAS's cells with all their choices.

    Small, for 8×8 grey images: `image=(1, 8, 8), cells=3, channels=4, blocks=3`.

    Args:
        image: channels, height and width of the images.
        classes: number of classes.
        cells: number of cells, at least 3 (published: 8 for the search, 17 for training alone).
        channels: channels of a cell before the first reduction (published: 20 and 36).
        blocks: number of blocks in a cell (published: 5).
        stem: channels of the stem over `channels`.
        affine: whether batch norm learns a scale and an offset.

    Raises:
        SpaceError: a number is out of range, or the image is too small to be halved twice.
    """

    def __init__(
        self,
        image: tuple[int, int, int] = (3, 32, 32),
        classes: int = 10,
        cells: int = 8,
        channels: int = 20,
        blocks: int = 5,
        stem: int = 3,
        affine: bool = True,
    ) -> None:
        super().__init__()
        check_positive(image=image, classes=classes, channels=channels, blocks=blocks, stem=stem)
        check_halvings(image, (2, 2))
        if cells < 3:
            raise SpaceError(f"cells is {cells}, but a normal and two reduction cells need 3")
        width = stem * channels
        self.stem = nn.Sequential(
            nn.Conv2d(image[0], width, 3, padding=1, bias=False), nn.BatchNorm2d(width)
        )
        self.cells = nn.ModuleList()
        widths, kind = (width, width), "normal"
        for index in range(cells):
            halved = kind == "reduce"
            kind = "reduce" if index in (cells // 3, 2 * cells // 3) else "normal"
            channels *= 2 if kind == "reduce" else 1
            self.cells.append(Cell(kind, widths, channels, blocks, halved, affine))
            widths = (widths[1], channels)
        self.classifier = nn.Linear(channels, classes)
        self.blocks = blocks

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        """Map images `[batch, channels, height, width]` to logits `[batch, classes]`."""
        before = previous = self.stem(images)
        for cell in self.cells:
            before, previous = previous, cell(before, previous)
        return cast(torch.Tensor, self.classifier(previous.relu().mean((2, 3))))

    def canonical(self, architecture: Architecture) -> Architecture:
        """Renumber the blocks and sort the two sides of each.

        Architectures that differ in these only are the same network. Of all orders in which blocks
        read earlier blocks only, the one is taken whose sequence of (states, operations) comes first.
        """
        return _architecture(sorted_cells(_cells(architecture, self.blocks)))

    def diagram(self, architecture: Architecture) -> Diagram:
        """Return the drawing of both cells."""
        nodes: list[Node] = []
        edges: list[Edge] = []
        for kind, cell in _cells(architecture, self.blocks).items():
            nodes += [Node(f"{kind}.0", f"{kind}: cell k-2", "input")]
            nodes += [Node(f"{kind}.1", f"{kind}: cell k-1", "input")]
            for number, block in enumerate(cell):
                target = f"{kind}.{number + 2}"
                nodes.append(Node(target, f"block {number}", "sum"))
                for side, (state, name) in zip(SIDES, block, strict=True):
                    operation = f"{target}.{side}"
                    nodes.append(Node(operation, name, "operation"))
                    edges += [Edge(f"{kind}.{state}", operation), Edge(operation, target)]
                edges.append(Edge(target, f"{kind}.output"))
            nodes.append(Node(f"{kind}.output", "concatenate, 1×1", "output"))
        return Diagram("The normal and the reduction cell", tuple(nodes), tuple(edges))


def operations(channels: int, stride: int, affine: bool) -> dict[str, nn.Module]:
    """Return the five operations: `[b, channels, h, w]` to `[b, channels, h / stride, w / stride]`."""
    return {
        "sep3": _separable(channels, 3, stride, affine),
        "sep5": _separable(channels, 5, stride, affine),
        "avg3": strided_pool("avg", stride),
        "max3": strided_pool("max", stride),
        "identity": nn.Identity()
        if stride == 1
        else FactorizedReduce(channels, channels, affine=affine),
    }


def _separable(channels: int, kernel: int, stride: int, affine: bool) -> nn.Module:
    return nn.Sequential(
        depthwise(channels, kernel, stride=stride, affine=affine),
        depthwise(channels, kernel, affine=affine),
    )


def _relu_pointwise(channels_in: int, channels_out: int, *, affine: bool) -> nn.Module:
    return nn.Sequential(
        nn.ReLU(),
        nn.Conv2d(channels_in, channels_out, 1, bias=False),
        nn.BatchNorm2d(channels_out, affine=affine),
    )


def _cells(architecture: Architecture, blocks: int) -> Cells:
    """Return the two (state, operation) of all blocks, by kind of cell."""
    return {
        kind: [
            [
                (
                    int(cast(str, architecture[f"{kind}.block{i}.{side}.input"])),
                    str(architecture[f"{kind}.block{i}.{side}.operation"]),
                )
                for side in SIDES
            ]
            for i in range(blocks)
        ]
        for kind in KINDS
    }


def _architecture(cells: Cells) -> Architecture:
    answers: dict[str, str] = {}
    for kind, cell in cells.items():
        for number, block in enumerate(cell):
            for side, (state, name) in zip(SIDES, block, strict=True):
                answers[f"{kind}.block{number}.{side}.input"] = str(state)
                answers[f"{kind}.block{number}.{side}.operation"] = name
    return Architecture(answers)

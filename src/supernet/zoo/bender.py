"""The space of Bender et al., "Understanding and Simplifying One-Shot Architecture Search" (ICML 2018).

Stem, then identical cells with down-sampling between groups of them, then a classifier. A cell has N
choice blocks; block i reads from the two previous cells and from any earlier block of its cell,
applies one or two of seven operations and sums them; the cell concatenates its blocks. All cells
share one architecture.

The paper concatenates a block's inputs and projects them by a 1×1 convolution. Here every input has
its own 1×1 projection and the projections are summed, which is the same function with the weight
matrix cut into column blocks, and runs only the columns that a candidate uses.

Not in the paper's text, chosen here: ReLU-convolution-batch-norm order, batch norm after the summed
projections (it keeps the scale of a block's input independent of how many inputs are on), average
pooling and a doubling of channels between groups.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import cast

import torch
from torch import nn

from supernet.choice import Choice, InputChoice
from supernet.errors import SpaceError
from supernet.ops import asymmetric, pointwise, pool, separable
from supernet.space import Architecture, Diagram, Edge, Node, Value

__all__ = ["Bender"]

CELLS = ("cell-2", "cell-1")
"""Names of the outputs of the two previous cells."""


def operations(channels: int, affine: bool) -> dict[str, nn.Module]:
    """Return the seven operations of a choice block."""
    return {
        "identity": nn.Identity(),
        "separable3": separable(channels, 3, affine=affine),
        "separable5": separable(channels, 5, affine=affine),
        "separable7": separable(channels, 7, affine=affine),
        "conv1x7-7x1": asymmetric(channels, 7, affine=affine),
        "max3": pool("max"),
        "avg3": pool("avg"),
    }


class Block(nn.Module):
    """Choice block `index`: chosen inputs, projected and summed, through one or two operations."""

    def __init__(self, index: int, inputs: dict[str, int], channels: int, affine: bool) -> None:
        super().__init__()
        self.inputs = InputChoice(
            {name: pointwise(width, channels) for name, width in inputs.items()},
            pick=(1, len(inputs)),
            label=f"block{index}.inputs",
        )
        self.norm = nn.BatchNorm2d(channels, affine=affine)
        self.operations = Choice(
            operations(channels, affine), pick=(1, 2), label=f"block{index}.operations"
        )

    def forward(self, inputs: Sequence[torch.Tensor]) -> torch.Tensor:
        """Map `[b, *, h, w]` inputs to one output `[b, channels, h, w]`."""
        return cast(torch.Tensor, self.operations(self.norm(self.inputs(inputs))))


class Cell(nn.Module):
    """A cell of choice blocks; its output has `blocks · channels` channels."""

    def __init__(self, widths: Sequence[int], channels: int, blocks: int, affine: bool) -> None:
        super().__init__()
        inputs = dict(zip(CELLS, widths, strict=True))
        self.blocks = nn.ModuleList()
        for index in range(blocks):
            self.blocks.append(Block(index, inputs, channels, affine))
            inputs = {**inputs, f"block{index}": channels}

    def forward(self, before: torch.Tensor, previous: torch.Tensor) -> torch.Tensor:
        """Map the outputs of the two previous cells to this cell's output."""
        states = [before, previous]
        for block in self.blocks:
            states.append(block(states))
        return torch.cat(states[2:], dim=1)


class Bender(nn.Module):
    """The one-shot network of Bender et al. with all its choices.

    Args:
        image: channels, height and width of the images.
        classes: number of classes.
        channels: width of a block in the first group of cells; doubled in each further group.
        groups: number of cells in each group; height and width are halved between groups.
        blocks: N, the number of choice blocks in a cell.
        affine: whether batch norm learns a scale and an offset.

    Raises:
        SpaceError: a number is not positive, or the image is too small for so many groups.
    """

    def __init__(
        self,
        image: tuple[int, int, int] = (3, 32, 32),
        classes: int = 10,
        channels: int = 16,
        groups: tuple[int, ...] = (2, 2, 2),
        blocks: int = 4,
        affine: bool = False,
    ) -> None:
        super().__init__()
        _check(image, classes, channels, groups, blocks)
        width = blocks * channels
        self.stem = nn.Sequential(
            nn.Conv2d(image[0], width, 3, padding=1, bias=False),
            nn.BatchNorm2d(width, affine=affine),
        )
        self.groups = nn.ModuleList()
        widths = (width, width)
        for level, cells in enumerate(groups):
            group = nn.ModuleList()
            for _ in range(cells):
                group.append(Cell(widths, channels << level, blocks, affine))
                widths = (widths[1], blocks * (channels << level))
            self.groups.append(group)
        self.down = nn.AvgPool2d(2, ceil_mode=True)
        self.head = nn.Sequential(nn.BatchNorm2d(widths[1], affine=affine), nn.ReLU())
        self.classifier = nn.Linear(widths[1], classes)
        self.blocks = blocks

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        """Map images `[batch, channels, height, width]` to logits `[batch, classes]`."""
        before = previous = self.stem(images)
        for level, group in enumerate(self.groups):
            if level:
                before, previous = self.down(before), self.down(previous)
            for cell in cast(nn.ModuleList, group):
                before, previous = previous, cell(before, previous)
        return cast(torch.Tensor, self.classifier(self.head(previous).mean((2, 3))))

    def canonical(self, architecture: Architecture) -> Architecture:
        """Renumber the blocks: architectures that differ in their order only are the same network.

        Of all orders in which blocks read earlier blocks only, the one is taken whose sequence of
        (inputs, operations) comes first.
        """
        blocks = [
            (architecture[f"block{i}.inputs"], architecture[f"block{i}.operations"])
            for i in range(self.blocks)
        ]
        return Architecture(
            {
                f"block{i}.{what}": value
                for i, pair in enumerate(_first_order(blocks, {}))
                for what, value in zip(("inputs", "operations"), pair, strict=True)
            }
        )

    def diagram(self, architecture: Architecture) -> Diagram:
        """Return the drawing of the cell that all cells share."""
        nodes = [Node("cell-2", "cell k-2", "input"), Node("cell-1", "cell k-1", "input")]
        edges: list[Edge] = []
        for i in range(self.blocks):
            block = f"block{i}"
            nodes.append(Node(f"{block}.in", f"1×1, sum ({i})", "sum"))
            edges += [Edge(name, f"{block}.in") for name in _names(architecture[f"{block}.inputs"])]
            nodes.append(Node(block, f"block {i}", "sum"))
            for name in _names(architecture[f"{block}.operations"]):
                nodes.append(Node(f"{block}.{name}", name, "operation"))
                edges += [Edge(f"{block}.in", f"{block}.{name}"), Edge(f"{block}.{name}", block)]
            edges.append(Edge(block, "output"))
        nodes.append(Node("output", "concatenate", "output"))
        return Diagram("The cell that all cells share", tuple(nodes), tuple(edges))


Pair = tuple[Value, Value]


def _names(value: Value) -> list[str]:
    return [str(name) for name in (value if isinstance(value, tuple) else (value,))]


def _first_order(blocks: Sequence[Pair], placed: dict[str, str]) -> list[Pair]:
    """Return the first sequence of renumbered blocks; `placed` maps old names to new ones.

    The next block is one with the smallest (inputs, operations); where several are equal, which of
    them comes first decides how later blocks read, so all are tried.
    """
    ready: dict[str, Pair] = {}
    for i, (inputs, chosen) in enumerate(blocks):
        names = _names(inputs)
        if f"block{i}" not in placed and all(n in placed or n in CELLS for n in names):
            order = sorted((placed.get(name, name) for name in names), key=_input_order)
            ready[f"block{i}"] = (tuple(order), chosen)
    if not ready:
        return []
    smallest = min(ready.values())
    new = f"block{len(placed)}"
    return min(
        [smallest, *_first_order(blocks, {**placed, name: new})]
        for name, pair in ready.items()
        if pair == smallest
    )


def _input_order(name: str) -> tuple[bool, int]:
    return (
        name not in CELLS,
        CELLS.index(name) if name in CELLS else int(name.removeprefix("block")),
    )


def _check(
    image: tuple[int, int, int], classes: int, channels: int, groups: tuple[int, ...], blocks: int
) -> None:
    if min(*image, classes, channels, blocks, *(groups or (0,))) < 1:
        raise SpaceError(
            f"image {image}, classes {classes}, channels {channels}, groups {groups} and blocks "
            f"{blocks} must all be positive"
        )
    if min(image[1:]) < 2 ** (len(groups) - 1):
        raise SpaceError(
            f"images of {image[1]}×{image[2]} cannot be halved {len(groups) - 1} times; "
            f"give fewer than {len(groups)} groups"
        )

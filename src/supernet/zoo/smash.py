"""The memory-bank space of SMASH.

Brock et al., "SMASH: One-Shot Model Architecture Search through HyperNetworks" (ICLR 2018). What a layer
returns lies in memory banks, groups of channels of one size. A block reads one or more banks, projects
them by a 1×1 convolution to `bottleneck · channels` channels, passes these through one or two parallel
K×K convolutions (dilated, grouped or gated: `tanh(a(x)) · sigmoid(b(x))`), and adds the result to one or
more banks. Between stages a 1×1 convolution of all banks doubles the channels, and height and width are
halved. The 1×1 convolutions of the blocks are what SMASH generates.

The paper concatenates what is read; here every bank has its own columns of the projection, and the
projections are summed, which is the same function.

Differences from the authors' code: a stage has a fixed number of blocks; theirs draws how many layers
there are and how wide, within a budget of parameters. A block writes the same channels to all banks that
it writes; theirs writes different ones to each. Banks hold the stem's output at first, so that every
read sees something, and what is written is added, also to what the stem wrote. Each K×K convolution has
its own weights; theirs are cut from few of kernel 7, which layers share. Batch norm follows the
projection and the sum of the convolutions. The transition between stages is not generated. Sizes are
chosen here.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import cast

import torch
from torch import nn
from torch.nn import functional as F

from supernet.choice import Choice, InputChoice
from supernet.errors import SpaceError
from supernet.ops import pointwise
from supernet.space import Architecture, Diagram, Edge, Node, Value
from supernet.zoo.arguments import check_halvings, check_positive

__all__ = ["SMASH"]

GROUPS = 2
"""Of grouped convolutions."""


def operations(channels_in: int, channels_out: int) -> dict[str, nn.Module]:
    """Return the convolutions of a block; a name tells kernel, dilation and groups."""

    def conv(kernel: int, dilation: int = 1, groups: int = 1) -> nn.Module:
        padding = dilation * (kernel // 2)
        return nn.Conv2d(
            channels_in, channels_out, kernel, 1, padding, dilation, groups, bias=False
        )

    return {
        "conv3": conv(3),
        "conv5": conv(5),
        "conv3-dilated": conv(3, dilation=2),
        "conv3-grouped": conv(3, groups=GROUPS),
        "gated3": GatedConvolution(conv(3), conv(3)),
    }


class GatedConvolution(nn.Module):
    """A convolution whose output another one lets through: `tanh(a(x)) · sigmoid(b(x))`."""

    def __init__(self, value: nn.Module, gate: nn.Module) -> None:
        super().__init__()
        self.value = value
        self.gate = gate

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Map `[b, channels_in, h, w]` to `[b, channels_out, h, w]`."""
        return self.value(x).tanh() * self.gate(x).sigmoid()  # type: ignore[no-any-return]


class Write(nn.Module):
    """Puts a tensor into one of several banks that hold zeros otherwise."""

    def __init__(self, bank: int, banks: int) -> None:
        super().__init__()
        self.before, self.after = bank, banks - 1 - bank

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Map `[b, c, h, w]` to `[b, banks · c, h, w]`."""
        width = x.shape[1]
        return F.pad(x, (0, 0, 0, 0, self.before * width, self.after * width))


class Block(nn.Module):
    """Reads banks, computes, and adds to banks `[b, banks · channels, h, w]`."""

    def __init__(
        self, label: str, banks: int, channels: int, bottleneck: int, affine: bool
    ) -> None:
        super().__init__()
        hidden = bottleneck * channels
        names = [f"bank{i}" for i in range(banks)]
        self.banks = banks
        self.read = InputChoice(
            {name: pointwise(channels, hidden) for name in names},
            pick=(1, banks),
            label=f"{label}.read",
        )
        self.norm = nn.BatchNorm2d(hidden, affine=affine)
        self.operations = Choice(
            operations(hidden, channels), pick=(1, 2), label=f"{label}.operations"
        )
        self.norm_out = nn.BatchNorm2d(channels, affine=affine)
        self.write = Choice(
            {name: Write(i, banks) for i, name in enumerate(names)},
            pick=(1, banks),
            label=f"{label}.write",
        )

    def forward(self, banks: torch.Tensor) -> torch.Tensor:
        """Return the banks after the block."""
        x = self.norm(self.read(banks.chunk(self.banks, 1))).relu()
        return banks + cast(torch.Tensor, self.write(self.norm_out(self.operations(x))))


class SMASH(nn.Module):
    """The network of memory banks with its choices of reads, convolutions and writes.

    Small, for 8×8 grey images: `image=(1, 8, 8), banks=3, channels=8, stages=(2, 2), bottleneck=1`.

    Args:
        image: channels, height and width of the images.
        classes: number of classes.
        banks: number of memory banks.
        channels: channels of a bank, an even number; doubled in each further stage.
        stages: number of blocks in each stage; height and width are halved between stages.
        bottleneck: channels of a block's projection, in banks.
        affine: whether batch norm learns a scale and an offset.

    Raises:
        SpaceError: a number is not positive, the channels are odd, or the image is too small for so
            many stages.
    """

    def __init__(
        self,
        image: tuple[int, int, int] = (3, 32, 32),
        classes: int = 10,
        banks: int = 8,
        channels: int = 8,
        stages: tuple[int, ...] = (4, 4, 4),
        bottleneck: int = 4,
        affine: bool = True,
    ) -> None:
        super().__init__()
        check_positive(
            image=image,
            classes=classes,
            banks=banks,
            channels=channels,
            stages=stages,
            bottleneck=bottleneck,
        )
        if channels % GROUPS:
            raise SpaceError(
                f"channels is a multiple of {GROUPS}, the groups of grouped convolutions, not {channels}"
            )
        check_halvings(image, (2,) * (len(stages) - 1))
        self.banks = [f"bank{i}" for i in range(banks)]
        self.blocks = stages
        self.stem = nn.Sequential(
            nn.Conv2d(image[0], banks * channels, 3, padding=1, bias=False),
            nn.BatchNorm2d(banks * channels, affine=affine),
        )
        layers: list[nn.Module] = []
        for stage, depth in enumerate(stages):
            if stage:
                layers.append(_transition(banks * channels, affine))
                channels *= 2
            layers += [
                Block(_label(stage, i), banks, channels, bottleneck, affine) for i in range(depth)
            ]
        self.layers = nn.Sequential(*layers)
        self.head = nn.Sequential(nn.BatchNorm2d(banks * channels, affine=affine), nn.ReLU())
        self.classifier = nn.Linear(banks * channels, classes)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        """Map images `[batch, channels, height, width]` to logits `[batch, classes]`."""
        features = self.head(self.layers(self.stem(images)))
        return cast(torch.Tensor, self.classifier(features.mean((2, 3))))

    def canonical(self, architecture: Architecture) -> Architecture:
        """Order the blocks of each stage: two may swap places where neither reads what the other writes.

        Of all orders that are reached by such swaps, the one is taken that comes first. Networks that
        differ in the numbering of banks only are equal too, but keep different forms.
        """
        answers: dict[str, Value] = {}
        for stage, depth in enumerate(self.blocks):
            left = [_answers(architecture, _label(stage, i)) for i in range(depth)]
            for i in range(depth):
                free = [
                    block
                    for position, block in enumerate(left)
                    if all(_commute(block, earlier) for earlier in left[:position])
                ]
                left.remove(first := min(free))
                answers |= {
                    f"{_label(stage, i)}.{what}": value
                    for what, value in zip(PARTS, first, strict=True)
                }
        return Architecture(answers)

    def diagram(self, architecture: Architecture) -> Diagram:
        """Return the drawing of the blocks; an edge leads from what wrote a bank to what reads it."""
        nodes, edges = [Node("input", "image", "input")], list[Edge]()
        wrote = {bank: ["input"] for bank in self.banks}

        def add(node: Node, read: Sequence[str], written: Sequence[str]) -> None:
            sources = dict.fromkeys(source for bank in read for source in wrote[bank])
            nodes.append(node)
            edges.extend(Edge(source, node.id) for source in sources)
            for bank in written:
                wrote[bank] = [*wrote[bank], node.id]

        for stage, depth in enumerate(self.blocks):
            if stage:
                add(Node(f"down{stage}", "1×1, halved", "operation"), self.banks, [])
                wrote = {bank: [f"down{stage}"] for bank in self.banks}
            for i in range(depth):
                read, chosen, written = _answers(architecture, label := _label(stage, i))
                add(
                    Node(label, f"{' + '.join(chosen)} to {', '.join(written)}", "operation"),
                    read,
                    written,
                )
        add(Node("output", "classes", "output"), self.banks, [])
        return Diagram("The network, by memory banks", tuple(nodes), tuple(edges))


PARTS = ("read", "operations", "write")
"""The decisions of a block."""

Answers = tuple[tuple[str, ...], ...]
"""The banks that are read, the operations, and the banks that are written."""


def _label(stage: int, block: int) -> str:
    return f"stage{stage}.block{block}"


def _answers(architecture: Architecture, label: str) -> Answers:
    return tuple(cast(tuple[str, ...], architecture[f"{label}.{part}"]) for part in PARTS)


def _commute(one: Answers, other: Answers) -> bool:
    """Return whether two blocks may swap places; sums do not depend on their order."""
    return not (set(one[0]) & set(other[2]) or set(other[0]) & set(one[2]))


def _transition(channels: int, affine: bool) -> nn.Module:
    return nn.Sequential(
        nn.BatchNorm2d(channels, affine=affine),
        nn.ReLU(),
        pointwise(channels, 2 * channels),
        nn.AvgPool2d(2, ceil_mode=True),
    )

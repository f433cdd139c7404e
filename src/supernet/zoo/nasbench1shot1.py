"""The three spaces of NAS-Bench-1Shot1, which lie in that of NAS-Bench-101.

Zela, Siems and Hutter, "NAS-Bench-1Shot1: Benchmarking and Dissecting One-shot Neural Architecture
Search" (ICLR 2020). Three stacks of three cells that share one architecture; between stacks images are
halved and channels doubled. A cell has choice blocks; block i sums a fixed number of parents among
the cell's input and the earlier blocks, and applies one of three operations; the output concatenates a
fixed number of parents. The input passes through a 1×1 convolution of its own for each block.

| space | parents of the blocks | of the output | architectures | different cells |
|---|---|---|---|---|
| 1 | 1, 2, 2, 2 | 2 | 14,580 | 2,685 |
| 2 | 1, 1, 2, 2 | 3 | 29,160 | 7,773 |
| 3 | 1, 1, 1, 2, 2 | 2 | 1,312,200 | 55,854 |

The numbers of parents are those of the authors' code; the others are computed from them. Architectures
may have loose ends: blocks that the output does not depend on, which `canonical` takes for equal, as it
does cells that differ in the numbering of blocks. Other numbers are quoted, by other rules:

| rule | space 1 | 2 | 3 |
|---|---|---|---|
| parents times operations of all blocks: architectures here | 14,580 | 29,160 | 1,312,200 |
| operations of the blocks that are a parent, loose ends included | 6,240 | 16,632 | 363,648 |
| blocks that the output depends on | 3,702 | 12,474 | 135,900 |
| the same, as the authors' code finds them | 2,487 | 3,609 | 24,066 |

The paper has 6,240, 29,160 and 363,648 for cells with loose ends, which is the second rule but for space
2, where it is the first; and the last row without. That code goes from the output to a parent, from
there to one of its parents and so on, and stops as soon as the numbers of parents are right, so it does
not come to all of the third row.

As in the authors' supernet, the output has a place for every block, with zeros where the block is no
parent, to which the projected input is added. NAS-Bench-101's own networks divide the channels among
the parents instead, so parameters are not the published ones. Different from that supernet: pooling
between stacks pads nothing; batch norm's momentum is PyTorch's; batch norm learns a scale and an offset
everywhere or, by `affine`, nowhere.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import permutations
from typing import cast

import torch
from torch import nn
from torch.nn import functional

from supernet.choice import Choice, InputChoice
from supernet.choice.plain import SelectInputs
from supernet.errors import SpaceError
from supernet.space import Architecture, Diagram, Edge, Node
from supernet.zoo.arguments import check_halvings, check_positive

__all__ = ["NASBench1Shot1"]

PARENTS = {1: (1, 2, 2, 2, 2), 2: (1, 1, 2, 2, 3), 3: (1, 1, 1, 2, 2, 2)}
"""By space, how many parents the blocks have, and at the end the output."""

OPERATIONS = ("maxpool3x3", "conv3x3-bn-relu", "conv1x1-bn-relu")
"""Their published names."""

OUTPUT = "output.parents"

Parents = tuple[int, ...]
"""0 is the cell's input, 1 the first block."""


class BlockPlace(nn.Module):
    """Puts a block's output in its place among those of all blocks, which are zero."""

    def __init__(self, index: int, blocks: int) -> None:
        super().__init__()
        self.before, self.after = index, blocks - index - 1

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Map `[b, c, h, w]` to `[b, blocks · c, h, w]`."""
        c = x.shape[1]
        return functional.pad(x, (0, 0, 0, 0, self.before * c, self.after * c))


class Cell(nn.Module):
    """A cell of choice blocks; its output has `blocks · channels` channels.

    Args:
        parents: number of parents of each block, and at the end of the output.
        width: channels of the input.
        channels: channels of a block.
        affine: whether batch norm learns a scale and an offset.
    """

    def __init__(self, parents: Sequence[int], width: int, channels: int, affine: bool) -> None:
        super().__init__()
        self.parents = nn.ModuleList()
        self.blocks = nn.ModuleList()
        *of_blocks, of_output = parents
        for index, count in enumerate(of_blocks, 1):
            states = {"0": _conv_norm_relu(width, channels, 1, affine)}
            states |= {str(state): nn.Identity() for state in range(1, index)}
            self.parents.append(
                InputChoice(states, pick=count, label=f"block{index}.parents")
                if count < index
                else SelectInputs(range(index), states.values())
            )
            self.blocks.append(
                Choice(_operations(channels, affine), label=f"block{index}.operation")
            )
        blocks = len(of_blocks)
        places = {"0": _conv_norm_relu(width, blocks * channels, 1, affine)}
        places |= {str(index + 1): BlockPlace(index, blocks) for index in range(blocks)}
        self.output = InputChoice(places, pick=of_output, label=OUTPUT)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Map `[b, width, h, w]` to `[b, blocks · channels, h, w]`."""
        states = [x]
        for parents, block in zip(self.parents, self.blocks, strict=True):
            states.append(block(parents(states)))
        return cast(torch.Tensor, self.output(states))


class NASBench1Shot1(nn.Module):
    """The one-shot network of NAS-Bench-1Shot1 with the choices of one of its three spaces.

    Small, for 8×8 grey images: `image=(1, 8, 8), channels=8, cells=1`.

    Args:
        image: channels, height and width of the images.
        classes: number of classes.
        space: number of the space: 1, 2 or 3.
        channels: channels of the stem and of a block in the first stack; doubled in each further
            stack (published: 16 for the search, 128 for the benchmark's networks).
        cells: number of cells in a stack (published: 3).
        stacks: number of stacks (published: 3).
        affine: whether batch norm learns a scale and an offset.

    Raises:
        SpaceError: there is no such space, a number is not positive, or the image is too small for so
            many stacks.
    """

    def __init__(
        self,
        image: tuple[int, int, int] = (3, 32, 32),
        classes: int = 10,
        space: int = 1,
        channels: int = 16,
        cells: int = 3,
        stacks: int = 3,
        affine: bool = True,
    ) -> None:
        super().__init__()
        check_positive(image=image, classes=classes, channels=channels, cells=cells, stacks=stacks)
        check_halvings(image, (2,) * (stacks - 1))
        if space not in PARENTS:
            raise SpaceError(f"space is {space}, but there are the spaces 1, 2 and 3")
        self.counts = PARENTS[space]
        self.stem = _conv_norm_relu(image[0], channels, 3, affine)
        self.stacks = nn.ModuleList()
        blocks = len(self.counts) - 1
        width = channels
        for stack in range(stacks):
            layers: list[nn.Module] = [nn.MaxPool2d(2, ceil_mode=True)] if stack else []
            for _ in range(cells):
                layers.append(Cell(self.counts, width, channels << stack, affine))
                width = blocks * (channels << stack)
            self.stacks.append(nn.Sequential(*layers))
        features = channels << (stacks - 1)
        self.head = nn.Sequential(
            nn.ReLU(),
            nn.Conv2d(width, features, 1, bias=False),
            nn.BatchNorm2d(features, affine=affine),
        )
        self.classifier = nn.Linear(features, classes)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        """Map images `[batch, channels, height, width]` to logits `[batch, classes]`."""
        x = self.stem(images)
        for stack in self.stacks:
            x = stack(x)
        return cast(torch.Tensor, self.classifier(self.head(x).mean((2, 3))))

    def canonical(self, architecture: Architecture) -> Architecture:
        """Return the representative of all architectures with the same graph of live blocks.

        Blocks that the output does not depend on read their last possible parents and pool, which
        costs nothing. Of all numberings of the others that the space has, the one is taken whose
        sequence of (parents, operations) comes first.
        """
        blocks, output = self._read(architecture)
        live = _live(blocks, output)
        forms: list[tuple[Parents, dict[int, tuple[Parents, str]]]] = []
        for places in permutations(range(1, len(blocks) + 1), len(live)):
            new = {0: 0, **dict(zip(live, places, strict=True))}
            if all(self._fits(new, i, blocks[i - 1][0]) for i in live):
                form = {
                    new[i]: (tuple(sorted(new[j] for j in blocks[i - 1][0])), blocks[i - 1][1])
                    for i in live
                }
                forms.append((tuple(sorted(new[j] for j in output)), form))
        first, form = min(forms, key=lambda one: (one[0], sorted(one[1].items())))
        dead = {
            i: (tuple(range(i - count, i)), OPERATIONS[0])
            for i, count in enumerate(self.counts[:-1], 1)
        }
        return self._write([{**dead, **form}[i] for i in dead], first)

    def diagram(self, architecture: Architecture) -> Diagram:
        """Return the drawing of the cell that all cells share, without its loose ends."""
        blocks, output = self._read(architecture)
        nodes = [Node("0", "input", "input")]
        edges = [Edge(str(parent), "output") for parent in output]
        for i in _live(blocks, output):
            parents, operation = blocks[i - 1]
            nodes.append(Node(str(i), operation, "operation"))
            edges += [Edge(str(parent), str(i)) for parent in parents]
        nodes.append(Node("output", "concatenate", "output"))
        return Diagram("The cell that all cells share", tuple(nodes), tuple(edges))

    def _fits(self, new: Mapping[int, int], block: int, parents: Parents) -> bool:
        """Return whether a renumbered block has as many parents as its new place, and all earlier."""
        place = new[block]
        return self.counts[place - 1] == len(parents) and all(new[j] < place for j in parents)

    def _read(self, architecture: Architecture) -> tuple[list[tuple[Parents, str]], Parents]:
        """Return parents and operation of each block, and the parents of the output."""

        def parents(i: int, label: str) -> Parents:
            value = architecture.get(label, tuple(map(str, range(i))))
            return tuple(int(name) for name in (value if isinstance(value, tuple) else (value,)))

        blocks = [
            (parents(i, f"block{i}.parents"), str(architecture[f"block{i}.operation"]))
            for i in range(1, len(self.counts))
        ]
        return blocks, parents(len(self.counts), OUTPUT)

    def _write(self, blocks: Sequence[tuple[Parents, str]], output: Parents) -> Architecture:
        answers: dict[str, str | tuple[str, ...]] = {}
        for i, (parents, operation) in enumerate(blocks, 1):
            if len(parents) < i:
                names = tuple(map(str, parents))
                answers[f"block{i}.parents"] = names if len(names) > 1 else names[0]
            answers[f"block{i}.operation"] = operation
        answers[OUTPUT] = tuple(map(str, output))
        return Architecture(answers)


def _live(blocks: Sequence[tuple[Parents, str]], output: Parents) -> list[int]:
    """Return the blocks that the output depends on, in their order."""
    found: set[int] = set()
    waiting = list(output)
    while waiting:
        i = waiting.pop()
        if i and i not in found:
            found.add(i)
            waiting += blocks[i - 1][0]
    return sorted(found)


def _operations(channels: int, affine: bool) -> dict[str, nn.Module]:
    modules = (
        nn.MaxPool2d(3, stride=1, padding=1),
        _conv_norm_relu(channels, channels, 3, affine),
        _conv_norm_relu(channels, channels, 1, affine),
    )
    return dict(zip(OPERATIONS, modules, strict=True))


def _conv_norm_relu(channels_in: int, channels_out: int, kernel: int, affine: bool) -> nn.Module:
    return nn.Sequential(
        nn.Conv2d(channels_in, channels_out, kernel, padding=kernel // 2, bias=False),
        nn.BatchNorm2d(channels_out, affine=affine),
        nn.ReLU(),
    )

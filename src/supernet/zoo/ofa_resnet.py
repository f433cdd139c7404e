"""Once-for-all's space around ResNet-50: bottlenecks of open width, middle width and depth.

Cai et al., "Once-for-All: Train One Network and Specialize it for Efficient Deployment" (ICLR 2020); the
space is not in the paper, but in the authors' code. Four stages of bottlenecks (1×1, 3×3, 1×1). Each
stage has a depth, and a multiplier of its width; each block has an expansion, the width of its 3×3
convolution over the stage's width. The stem has a multiplier for its first and one for its last
convolution, and a residual convolution between them that may be left out. Widths are rounded to
multiples of 8. Where a stage begins, the shortcut is an average pooling (if the image is halved) and a
1×1 convolution.

With the default sizes there are 3²·2 · 3⁴ · (3² + 3³ + 3⁴)³ · (3⁴ + 3⁵ + 3⁶), about 2.5·10¹²
architectures. Two multipliers, 0.65 and 0.8, both give the stem's first convolutions 24 channels.

Different from the authors' code: depths are numbers of blocks, where theirs are what is added to the
smallest number; a width is rounded to a multiple of 8 as theirs, but not kept from being lowered by more
than a tenth, as some below 36 are; weights start as PyTorch starts them.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import cast

import torch
from torch import nn

from supernet import elastic
from supernet.elastic import Dimension, ScaledSize, Size
from supernet.errors import SpaceError
from supernet.space import Architecture, Diagram
from supernet.zoo.arguments import check_halvings, check_positive
from supernet.zoo.chain import chain

__all__ = ["OFAResNet"]

MULTIPLE = 8
"""Widths are multiples of it."""


class Bottleneck(nn.Module):
    """1×1, 3×3, 1×1, each with batch norm, and a shortcut.

    Args:
        channels_in: channels of the input.
        channels_out: channels of the output; the shortcut is the identity if it is the same object
            as `channels_in` and the stride is 1.
        label: label of the block, with which that of its decision begins.
        stride: stride of the 3×3 convolution.
        expansions: expansions to choose from, the middle width over `channels_out`.
    """

    def __init__(
        self,
        channels_in: Size,
        channels_out: Size,
        label: str,
        stride: int,
        expansions: Sequence[float],
    ) -> None:
        super().__init__()
        inner = ScaledSize(channels_out, Dimension(f"{label}.expansion", expansions), MULTIPLE)
        self.body = nn.Sequential(
            *_convolution(channels_in, inner, 1),
            nn.ReLU(),
            *_convolution(inner, inner, 3, stride),
            nn.ReLU(),
            *_convolution(inner, channels_out, 1),
        )
        self.shortcut = nn.Sequential()
        if stride > 1:
            self.shortcut.append(nn.AvgPool2d(stride, stride, ceil_mode=True))
        if stride > 1 or channels_in is not channels_out:
            self.shortcut.extend(_convolution(channels_in, channels_out, 1))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Map `[b, channels_in, h, w]` to `[b, channels_out, h / stride, w / stride]`."""
        y: torch.Tensor = self.body(x) + self.shortcut(x)
        return y.relu()


class Residual(nn.Module):
    """The stem's convolution that may be left out, with a shortcut around it.

    Args:
        channels: channels of input and output.
    """

    def __init__(self, channels: Size) -> None:
        super().__init__()
        self.body = nn.Sequential(*_convolution(channels, channels, 3), nn.ReLU())

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Map `[b, channels, h, w]` to the same shape."""
        y: torch.Tensor = x + self.body(x)
        return y


class OFAResNet(nn.Module):
    """Stages of bottlenecks whose widths, middle widths and depths are open.

    Small, for 8×8 grey images: `image=(1, 8, 8), stem=16, widths=(32, 64), multipliers=(0.5, 0.75, 1),
    strides=(1, 2), depths=((1, 2), (1, 2)), expansions=(0.25, 0.5), stem_strides=(1, 1)`.
    For 32×32: `stem_strides=(1, 1)`.

    Args:
        image: channels, height and width of the images.
        classes: number of classes.
        stem: channels of the stem; its first convolutions have half of them.
        widths: channels of each stage.
        multipliers: multipliers of these to choose from.
        strides: stride of each stage's first block.
        depths: numbers of blocks to choose from, for each stage.
        expansions: expansions to choose from, the middle width of a block over that of its stage.
        stem_strides: strides of the first convolution, and of the maximum pooling after the stem.

    Raises:
        SpaceError: a number is out of range, or widths, strides and depths are not of the same stages.
    """

    def __init__(
        self,
        image: tuple[int, int, int] = (3, 224, 224),
        classes: int = 1000,
        stem: int = 64,
        widths: tuple[int, ...] = (256, 512, 1024, 2048),
        multipliers: tuple[float, ...] = (0.65, 0.8, 1),
        strides: tuple[int, ...] = (1, 2, 2, 2),
        depths: tuple[tuple[int, ...], ...] = ((2, 3, 4), (2, 3, 4), (4, 5, 6), (2, 3, 4)),
        expansions: tuple[float, ...] = (0.2, 0.25, 0.35),
        stem_strides: tuple[int, int] = (2, 2),
    ) -> None:
        super().__init__()
        check_positive(image=image, classes=classes, stem=stem, widths=widths)
        for each in depths:
            check_positive(depths=each)
        if not len(widths) == len(strides) == len(depths):
            raise SpaceError(
                f"{len(widths)} widths, {len(strides)} strides and {len(depths)} depths are not of one "
                "stage each"
            )
        if min(min(given, default=0) for given in (multipliers, expansions)) <= 0:
            raise SpaceError(
                f"multipliers {multipliers} and expansions {expansions} must be positive, and none empty"
            )
        check_halvings(image, strides, stem_strides=stem_strides)

        def multiplied(channels: int, label: str) -> Size:
            return ScaledSize(channels, Dimension(label, multipliers), MULTIPLE)

        inner, entering = multiplied(stem // 2, "stem.inner"), multiplied(stem, "stem.width")
        self.stem = nn.Sequential(
            *_convolution(image[0], inner, 3, stem_strides[0]),
            nn.ReLU(),
            elastic.depth([Residual(inner)], (0, 1), "stem.depth"),
            *_convolution(inner, entering, 3),
            nn.ReLU(),
            nn.MaxPool2d(3, stem_strides[1], 1),
        )
        self.stages = nn.ModuleList()
        for number, (channels, stride, choices) in enumerate(
            zip(widths, strides, depths, strict=True)
        ):
            label = f"stage{number}"
            width = multiplied(channels, f"{label}.width")
            blocks = [
                Bottleneck(
                    width if place else entering,
                    width,
                    f"{label}.block{place}",
                    1 if place else stride,
                    expansions,
                )
                for place in range(max(choices))
            ]
            self.stages.append(elastic.depth(blocks, choices, f"{label}.depth"))
            entering = width
        self.classifier = elastic.Linear(entering, classes)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        """Map images `[batch, channels, height, width]` to logits `[batch, classes]`."""
        x = self.stem(images)
        for stage in self.stages:
            x = stage(x)
        logits: torch.Tensor = self.classifier(x.mean((2, 3)))
        return logits

    def diagram(self, architecture: Architecture) -> Diagram:
        """Return the drawing of the blocks that run, as multiplier of the stage and expansion."""
        blocks = {}
        for number in range(len(self.stages)):
            label = f"stage{number}"
            for place in range(int(cast(int, architecture[f"{label}.depth"]))):
                expansion = architecture[f"{label}.block{place}.expansion"]
                blocks[f"{label}.block{place}"] = (
                    f"width × {architecture[f'{label}.width']}, expansion {expansion}"
                )
        return chain("The blocks", blocks)


def _convolution(
    channels_in: Size | int, channels_out: Size, kernel: int, stride: int = 1
) -> list[nn.Module]:
    """Return a convolution and its batch norm."""
    return [
        elastic.Conv2d(channels_in, channels_out, kernel, stride, bias=False),
        elastic.BatchNorm2d(channels_out),
    ]

"""The elastic space of once-for-all networks: inverted residuals of open kernel, expansion and depth.

Cai et al., "Once-for-All: Train One Network and Specialize it for Efficient Deployment" (ICLR 2020).
Stages of inverted residuals (MobileNetV2's, MobileNetV3's without squeeze-and-excitation); each stage
has a depth, each block a kernel size and an expansion. All sizes are parts of one set of weights;
smaller kernels pass through learned matrices. With the paper's five stages, depths 2 to 4, kernels 3 to
7 and expansions 3 to 6 there are ((3·3)² + (3·3)³ + (3·3)⁴)⁵, about 2·10¹⁹ networks.

Different from the paper: ReLU and no squeeze-and-excitation anywhere; the first block of a stage has an
elastic kernel and expansion like the others; the input resolution is fixed; what a stage's width may be
is `widths`, one number in the paper, several to make it elastic too (as in BigNAS).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import cast

import torch
from torch import nn

from supernet import elastic
from supernet.elastic import Dimension, Scaled, Size
from supernet.errors import SpaceError
from supernet.space import Architecture, Diagram
from supernet.zoo.arguments import check_halvings, check_positive
from supernet.zoo.chain import chain

__all__ = ["OFA"]


class Block(nn.Module):
    """An inverted residual: 1×1, depthwise, 1×1, each with batch norm.

    Args:
        channels_in: of the input.
        channels_out: of the output.
        label: of the block, for its decisions.
        stride: of the depthwise convolution.
        kernels: its sizes.
        expansions: of the channels between.
    """

    def __init__(
        self,
        channels_in: Size | int,
        channels_out: Size | int,
        label: str,
        stride: int,
        kernels: Sequence[int],
        expansions: Sequence[float],
    ) -> None:
        super().__init__()
        kernel = Dimension(f"{label}.kernel", kernels)
        inner = Scaled(channels_in, Dimension(f"{label}.expansion", expansions))
        self.body = nn.Sequential(
            elastic.Conv2d(channels_in, inner, 1, bias=False),
            elastic.BatchNorm2d(inner),
            nn.ReLU(),
            elastic.Conv2d(
                inner, inner, kernel, stride=stride, groups=inner, bias=False, transforms=True
            ),
            elastic.BatchNorm2d(inner),
            nn.ReLU(),
            elastic.Conv2d(inner, channels_out, 1, bias=False),
            elastic.BatchNorm2d(channels_out),
        )
        same = channels_in is channels_out or (
            isinstance(channels_in, int) and channels_in == channels_out
        )
        self.shortcut = stride == 1 and same

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Map `[b, channels_in, h, w]` to `[b, channels_out, h / stride, w / stride]`."""
        y: torch.Tensor = self.body(x)
        return x + y if self.shortcut else y


class OFA(nn.Module):
    """Stages of inverted residuals whose kernel, expansion, depth and width are open.

    Small, for 8×8 grey images: `image=(1, 8, 8), stem=8, widths=((6, 8), (12, 16)), strides=(1, 2),
    depths=(1, 2), kernels=(3, 5), expansions=(2, 3), features=64, stem_stride=1`.

    Args:
        image: channels, height and width of the images.
        classes: number of classes.
        stem: channels of the first convolution.
        widths: of each stage, the channels it may have.
        strides: of each stage's first block.
        depths: how many blocks a stage may have.
        kernels: of the depthwise convolutions.
        expansions: of the channels within a block.
        features: channels before the classifier.
        stem_stride: of the first convolution.

    Raises:
        SpaceError: a number is out of range, or widths and strides are not of the same stages.
    """

    def __init__(
        self,
        image: tuple[int, int, int] = (3, 224, 224),
        classes: int = 1000,
        stem: int = 16,
        widths: tuple[tuple[int, ...], ...] = ((24,), (40,), (80,), (112,), (160,)),
        strides: tuple[int, ...] = (2, 2, 2, 1, 2),
        depths: tuple[int, ...] = (2, 3, 4),
        kernels: tuple[int, ...] = (3, 5, 7),
        expansions: tuple[float, ...] = (3, 4, 6),
        features: int = 960,
        stem_stride: int = 2,
    ) -> None:
        super().__init__()
        check_positive(image=image, classes=classes, stem=stem, features=features)
        if len(widths) != len(strides) or not widths:
            raise SpaceError(
                f"{len(widths)} widths and {len(strides)} strides are not of one stage each"
            )
        check_halvings(image, (stem_stride, *strides))
        self.stem = nn.Sequential(
            nn.Conv2d(image[0], stem, 3, stem_stride, 1, bias=False),
            nn.BatchNorm2d(stem),
            nn.ReLU(),
        )
        self.stages = nn.ModuleList()
        entering: Size | int = stem
        for number, (choices, stride) in enumerate(zip(widths, strides, strict=True)):
            label = f"stage{number}"
            width: Size | int = choices[0]
            if len(choices) > 1:
                width = Dimension(f"{label}.width", choices)
            blocks = []
            for place in range(max(depths)):
                first = (entering, stride) if place == 0 else (width, 1)
                blocks.append(
                    Block(first[0], width, f"{label}.block{place}", first[1], kernels, expansions)
                )
            self.stages.append(elastic.depth(blocks, depths, f"{label}.depth"))
            entering = width
        self.features = nn.Sequential(
            elastic.Conv2d(entering, features, 1, bias=False), nn.BatchNorm2d(features), nn.ReLU()
        )
        self.classifier = nn.Linear(features, classes)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        """Map images `[batch, channels, height, width]` to logits `[batch, classes]`."""
        x = self.stem(images)
        for stage in self.stages:
            x = stage(x)
        logits: torch.Tensor = self.classifier(self.features(x).mean((2, 3)))
        return logits

    def diagram(self, architecture: Architecture) -> Diagram:
        """Return the drawing of the blocks that run, as kernel and expansion."""
        blocks = {}
        for number in range(len(self.stages)):
            for place in range(int(cast(int, architecture[f"stage{number}.depth"]))):
                label = f"stage{number}.block{place}"
                kernel, expansion = (
                    architecture[f"{label}.{name}"] for name in ("kernel", "expansion")
                )
                blocks[label] = f"kernel {kernel}, expansion {expansion}"
        return chain("The blocks", blocks)

"""The elastic space of once-for-all networks: inverted residuals of open kernel, expansion and depth.

Cai et al., "Once-for-All: Train One Network and Specialize it for Efficient Deployment" (ICLR 2020).
Stages of inverted residuals (MobileNetV2's, or MobileNetV3's); each stage has a depth, each block a
kernel size and an expansion. All sizes are parts of one set of weights; smaller kernels pass through
learned matrices. With the paper's five stages, depths 2 to 4, kernels 3 to 7 and expansions 3 to 6 there
are ((3·3)² + (3·3)³ + (3·3)⁴)⁵, about 2·10¹⁹ networks.

What a stage's width may be is `widths`, one number in the paper; several make it elastic too, and with
`resolutions` so is the size of the images, as in Yu et al., "BigNAS" (ECCV 2020). The paper draws the
resolution for a batch and does not call it a part of the network.

Different from the paper's code: by default ReLU and no squeeze-and-excitation; no block of expansion 1
after the stem, no second layer of features (1280) before the classifier, no dropout; the inner width
of squeeze-and-excitation is rounded to the nearest multiple of 8, where theirs is never lowered by more
than a tenth.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import cast

import torch
from torch import nn

from supernet import elastic
from supernet.elastic import Dimension, Resolution, ScaledSize, Size
from supernet.errors import SpaceError
from supernet.space import Architecture, Diagram
from supernet.zoo.arguments import check_halvings, check_positive
from supernet.zoo.chain import chain

__all__ = ["OFA"]

ACTIVATIONS = {"relu": nn.ReLU, "hswish": nn.Hardswish}


class Squeeze(nn.Module):
    """Squeeze-and-excitation: every channel times a number that follows from the means of all.

    Hu et al., "Squeeze-and-Excitation Networks" (CVPR 2018); MobileNetV3's has a hard sigmoid.

    Args:
        channels: channels of input and output; a fourth of them, as a multiple of 8, lies between.
    """

    def __init__(self, channels: Size) -> None:
        super().__init__()
        squeezed = ScaledSize(channels, 0.25, multiple=8)
        self.scales = nn.Sequential(
            nn.AdaptiveAvgPool2d(1),
            elastic.Conv2d(channels, squeezed, 1),
            nn.ReLU(),
            elastic.Conv2d(squeezed, channels, 1),
            nn.Hardsigmoid(),
        )

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Map `[b, channels, h, w]` to the same shape."""
        y: torch.Tensor = x * self.scales(x)
        return y


class Block(nn.Module):
    """An inverted residual: 1×1, depthwise, 1×1, each with batch norm.

    Args:
        channels_in: channels of the input.
        channels_out: channels of the output.
        label: label of the block, with which those of its decisions begin.
        stride: stride of the depthwise convolution.
        kernels: kernel sizes of the depthwise convolution to choose from.
        expansions: expansions to choose from, the middle channels over those of the input.
        squeeze: whether squeeze-and-excitation follows the depthwise convolution.
        activation: a name in `ACTIVATIONS`.
    """

    def __init__(
        self,
        channels_in: Size | int,
        channels_out: Size | int,
        label: str,
        stride: int,
        kernels: Sequence[int],
        expansions: Sequence[float],
        squeeze: bool,
        activation: str,
    ) -> None:
        super().__init__()
        kernel = Dimension(f"{label}.kernel", kernels)
        inner = ScaledSize(channels_in, Dimension(f"{label}.expansion", expansions))
        self.body = nn.Sequential(
            elastic.Conv2d(channels_in, inner, 1, bias=False),
            elastic.BatchNorm2d(inner),
            ACTIVATIONS[activation](),
            elastic.Conv2d(
                inner, inner, kernel, stride=stride, groups=inner, bias=False, transforms=True
            ),
            elastic.BatchNorm2d(inner),
            ACTIVATIONS[activation](),
            *([Squeeze(inner)] if squeeze else []),
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
    depths=(1, 2), kernels=(3, 5), expansions=(2, 3), features=64, stem_stride=1`; with
    `squeeze=(False, True), activations=("relu", "hswish"), resolutions=(6, 8)` like BigNAS.

    The paper's stages: `squeeze=(False, True, False, True, True), activations=("relu", "relu", "hswish",
    "hswish", "hswish")`; its images have a side of `resolutions=(128, 132, ..., 224)`.

    Args:
        image: channels, height and width of the images.
        classes: number of classes.
        stem: channels of the first convolution.
        widths: widths to choose from in each stage, in channels.
        strides: stride of each stage's first block.
        depths: numbers of blocks of a stage to choose from.
        kernels: kernel sizes of the depthwise convolutions to choose from.
        expansions: expansions to choose from, the channels within a block over those of its input.
        features: channels before the classifier.
        stem_stride: stride of the first convolution.
        squeeze: for each stage, whether its blocks have squeeze-and-excitation; empty for none.
        activations: activation of each stage, "relu" or "hswish"; empty for "relu". The stem and
            the features have that of the last stage.
        resolutions: sides of the images to choose from, in pixels, to which they are resized; empty
            for the images as they are.

    Raises:
        SpaceError: a number is out of range, there is no such activation, or what is given for each
            stage is not of the same stages.
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
        squeeze: tuple[bool, ...] = (),
        activations: tuple[str, ...] = (),
        resolutions: tuple[int, ...] = (),
    ) -> None:
        super().__init__()
        check_positive(image=image, classes=classes, stem=stem, features=features)
        _check_choices(widths, depths, kernels, expansions)
        squeeze = squeeze or (False,) * len(widths)
        activations = activations or ("relu",) * len(widths)
        _check_stages(widths, strides, squeeze, activations)
        smallest = min(resolutions, default=min(image[1:]))
        check_halvings((image[0], smallest, smallest), strides, stem_stride=stem_stride)
        self.resize = (
            Resolution(Dimension("resolution", resolutions)) if resolutions else nn.Identity()
        )
        outer = ACTIVATIONS[activations[-1]]
        self.stem = nn.Sequential(
            nn.Conv2d(image[0], stem, 3, stem_stride, 1, bias=False), nn.BatchNorm2d(stem), outer()
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
                    Block(
                        first[0],
                        width,
                        f"{label}.block{place}",
                        first[1],
                        kernels,
                        expansions,
                        squeeze[number],
                        activations[number],
                    )
                )
            self.stages.append(elastic.depth(blocks, depths, f"{label}.depth"))
            entering = width
        self.features = nn.Sequential(
            elastic.Conv2d(entering, features, 1, bias=False), nn.BatchNorm2d(features), outer()
        )
        self.classifier = nn.Linear(features, classes)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        """Map images `[batch, channels, height, width]` to logits `[batch, classes]`."""
        x = self.stem(self.resize(images))
        for stage in self.stages:
            x = stage(x)
        logits: torch.Tensor = self.classifier(self.features(x).mean((2, 3)))
        return logits

    def diagram(self, architecture: Architecture) -> Diagram:
        """Return the drawing of the blocks that run, as kernel and expansion."""
        blocks = {}
        if "resolution" in architecture:
            blocks["resize"] = "{0} × {0} pixels".format(architecture["resolution"])
        for number in range(len(self.stages)):
            for place in range(int(cast(int, architecture[f"stage{number}.depth"]))):
                label = f"stage{number}.block{place}"
                kernel, expansion = (
                    architecture[f"{label}.{name}"] for name in ("kernel", "expansion")
                )
                blocks[label] = f"kernel {kernel}, expansion {expansion}"
        return chain("The blocks", blocks)


def _check_choices(
    widths: Sequence[Sequence[int]],
    depths: Sequence[int],
    kernels: Sequence[int],
    expansions: Sequence[float],
) -> None:
    """Refuse numbers to choose from that are not positive."""
    check_positive(depths=depths, kernels=kernels)
    for of_stage in widths:
        check_positive(widths=of_stage)
    if min(expansions, default=0) <= 0:
        raise SpaceError(f"expansions are positive numbers, at least one, not {expansions}")


def _check_stages(
    widths: Sequence[Sequence[int]],
    strides: Sequence[int],
    squeeze: Sequence[bool],
    activations: Sequence[str],
) -> None:
    """Check that there is one of each for every stage, and that the activations are known.

    Raises:
        SpaceError: it is not so.
    """
    if not len(widths) == len(strides) == len(squeeze) == len(activations) or not widths:
        raise SpaceError(
            f"{len(widths)} widths, {len(strides)} strides, {len(squeeze)} of squeeze and "
            f"{len(activations)} activations are not of one stage each"
        )
    if unknown := [name for name in activations if name not in ACTIVATIONS]:
        raise SpaceError(
            f"no activation {', '.join(map(repr, unknown))}; possible: {', '.join(ACTIVATIONS)}"
        )

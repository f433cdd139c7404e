"""The space of ProxylessNAS.

Cai, Zhu and Han, "ProxylessNAS: Direct Neural Architecture Search on Target Task and Hardware" (ICLR
2019). MobileNetV2's chain of inverted residuals: 21 layers, each with a depthwise kernel of 3, 5 or 7
and an expansion of 3 or 6. Where a layer keeps the shape it may also be left out; the paper calls this
a zero operation beside a shortcut. 6^6 · 7^15 architectures, about 2.2e17, of which (6 · 259)^5 · 6,
about 5.4e16, are different networks, since identities among layers of equal shape can be anywhere. With
their widths, the three released networks have the parameters of the released weights.

Different from the authors' code: ReLU instead of ReLU6, batch norm's epsilon 1e-5 instead of 1e-3, no
dropout, and weights start as PyTorch starts them.
"""

from __future__ import annotations

from typing import cast

import torch
from torch import nn

from supernet.choice import Choice, ChoiceModule
from supernet.ops import InvertedResidual
from supernet.space import Architecture, Diagram
from supernet.zoo.arguments import check_halvings, check_lengths, check_positive
from supernet.zoo.chain import chain, identities_last, strides_by_layer

__all__ = ["Proxyless"]


class Proxyless(nn.Module):
    """The ProxylessNAS network with a choice of kernel and expansion, or none, in each layer.

    Small, for 8×8 grey images: `image=(1, 8, 8), stem=8, first=8, widths=(8, 16), depths=(2, 2),
    strides=(2, 2), features=64, stem_stride=1`. For 32×32: `strides=(1, 2, 2, 1, 2, 1), stem_stride=1`.

    Args:
        image: channels, height and width of the images.
        classes: number of classes.
        stem: channels of the stem (published: 32).
        first: channels of the fixed block after it, of kernel 3 and expansion 1 (published: 16).
        widths: channels of each stage (published: 24, 40, 80, 96, 192, 320).
        depths: number of layers in each stage (published: 4, 4, 4, 4, 4, 1).
        strides: stride of the first layer of each stage (published: 2, 2, 2, 1, 2, 1).
        features: channels before the classifier (published: 1280).
        stem_stride: stride of the stem (published: 2).
        affine: whether batch norm learns a scale and an offset (published: it does).

    Raises:
        SpaceError: a number is not positive, numbers of stages differ, a stride is not 1 or 2, or
            the image is too small for the strides.
    """

    def __init__(
        self,
        image: tuple[int, int, int] = (3, 224, 224),
        classes: int = 1000,
        stem: int = 32,
        first: int = 16,
        widths: tuple[int, ...] = (24, 40, 80, 96, 192, 320),
        depths: tuple[int, ...] = (4, 4, 4, 4, 4, 1),
        strides: tuple[int, ...] = (2, 2, 2, 1, 2, 1),
        features: int = 1280,
        stem_stride: int = 2,
        affine: bool = True,
    ) -> None:
        super().__init__()
        check_positive(image=image, classes=classes, stem=stem, first=first, features=features)
        check_positive(widths=widths, depths=depths)
        check_lengths(widths=widths, depths=depths, strides=strides)
        check_halvings(image, strides, stem_stride=stem_stride)
        self.stem = nn.Sequential(
            nn.Conv2d(image[0], stem, 3, stem_stride, padding=1, bias=False),
            nn.BatchNorm2d(stem, affine=affine),
            nn.ReLU(),
            InvertedResidual(stem, first, kernel=3, expansion=1, affine=affine),
        )
        self.shapes: list[tuple[int, int, int]] = []
        layers: list[nn.Module] = []
        channels = first
        for stage, stride in strides_by_layer(depths, strides):
            shape = channels, widths[stage], stride
            layers.append(self.layer(*shape, affine, label=f"layer{len(layers)}"))
            channels = widths[stage]
            self.shapes.append(shape)
        self.layers = nn.Sequential(*layers)
        self.head = nn.Sequential(
            nn.Conv2d(channels, features, 1, bias=False),
            nn.BatchNorm2d(features, affine=affine),
            nn.ReLU(),
        )
        self.classifier = nn.Linear(features, classes)

    def layer(
        self, channels: int, width: int, stride: int, affine: bool, label: str
    ) -> ChoiceModule:
        """Return the choice of a layer."""
        return Choice(_options(channels, width, stride, affine), label=label)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        """Map images `[batch, channels, height, width]` to logits `[batch, classes]`."""
        features = self.head(self.layers(self.stem(images)))
        return cast(torch.Tensor, self.classifier(features.mean((2, 3))))

    def canonical(self, architecture: Architecture) -> Architecture:
        """Move identities behind the layers of the same shape that follow them."""
        return identities_last(architecture, [_keeps(*shape) for shape in self.shapes])

    def diagram(self, architecture: Architecture) -> Diagram:
        """Return the drawing of the layers."""
        return chain(
            "The network",
            {
                f"layer{i}": f"{architecture[f'layer{i}']}, {width} channels"
                + (", stride 2" if stride == 2 else "")
                for i, (_, width, stride) in enumerate(self.shapes)
            },
        )


def _keeps(channels: int, width: int, stride: int) -> bool:
    return stride == 1 and channels == width


def _options(channels: int, width: int, stride: int, affine: bool) -> dict[str, nn.Module]:
    options: dict[str, nn.Module] = {
        f"mb{kernel}e{expansion}": InvertedResidual(
            channels, width, kernel=kernel, expansion=expansion, stride=stride, affine=affine
        )
        for kernel in (3, 5, 7)
        for expansion in (3, 6)
    }
    if _keeps(channels, width, stride):
        options["identity"] = nn.Identity()
    return options

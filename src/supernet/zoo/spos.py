"""The block search space of "Single Path One-Shot Neural Architecture Search with Uniform Sampling".

Guo et al. (ECCV 2020). Twenty ShuffleNetV2 units in stages of 4, 4, 8 and 4; each has a depthwise
kernel of 3, 5 or 7 or is "Xception-like", three separable 3×3 convolutions. The first unit of a stage
widens and halves. 4^20 architectures, about 1.1e12, all different networks. The released architecture,
2 1 0 1 2 0 2 0 2 0 2 3 0 0 0 0 3 2 3 3 in the order of `OPTIONS`, has its published 323 M multiply-adds.

As in the authors' supernet, and unlike in their retrained networks, batch norm learns no scale and
offset unless `affine` is set. Different from their code: the classifier has a bias and no dropout before
it, and weights start as PyTorch starts them.

With `factors` each layer also has a choice of its inner channels, 0.2 to 2 times the ordinary ones in
the paper: (4 · 10)^20 architectures. The options of a layer share that decision, and the widths of a
unit share weights, of which a narrower one takes the leading channels; every width has its own batch
norms.
"""

from __future__ import annotations

from typing import cast

import torch
from torch import nn

from supernet.choice import Choice
from supernet.errors import SpaceError
from supernet.ops import narrow_units, shuffle_unit, shuffle_xception
from supernet.space import Architecture, Diagram
from supernet.zoo.arguments import check_halvings, check_lengths, check_positive
from supernet.zoo.chain import chain, strides_by_layer

__all__ = ["SPOS"]

OPTIONS = ("shuffle3", "shuffle5", "shuffle7", "xception")
"""In the order of the digits 0, 1, 2, 3 of the authors."""


class SPOS(nn.Module):
    """The single-path network of Guo et al. with a choice of four ShuffleNetV2 units in each layer.

    Small, for 8×8 grey images: `image=(1, 8, 8), stem=8, widths=(16, 32), depths=(2, 2),
    strides=(2, 2), features=64, stem_stride=1`. For 32×32: `strides=(1, 2, 2, 2), stem_stride=1`.

    Args:
        image: channels, height and width of the images.
        classes: number of classes.
        stem: channels of the stem (published: 16).
        widths: channels of each stage, even and increasing (published: 64, 160, 320, 640).
        depths: number of layers in each stage (published: 4, 4, 8, 4).
        strides: stride of the first layer of each stage (published: 2, 2, 2, 2).
        features: channels before the classifier (published: 1024).
        stem_stride: stride of the stem (published: 2).
        affine: whether batch norm learns a scale and an offset (published: not in the supernet).
        factors: factors of the inner channels to choose from; none for the ordinary ones only
            (published: 0.2, 0.4, ..., 2.0).

    Raises:
        SpaceError: a number is not positive, factors are equal, numbers of stages differ, widths are
            odd or do not increase, a stride is not 1 or 2, or the image is too small for the strides.
    """

    def __init__(
        self,
        image: tuple[int, int, int] = (3, 224, 224),
        classes: int = 1000,
        stem: int = 16,
        widths: tuple[int, ...] = (64, 160, 320, 640),
        depths: tuple[int, ...] = (4, 4, 8, 4),
        strides: tuple[int, ...] = (2, 2, 2, 2),
        features: int = 1024,
        stem_stride: int = 2,
        affine: bool = False,
        factors: tuple[float, ...] = (),
    ) -> None:
        super().__init__()
        check_positive(image=image, classes=classes, stem=stem, features=features)
        check_positive(widths=widths, depths=depths)
        check_lengths(widths=widths, depths=depths, strides=strides)
        check_halvings(image, strides, stem_stride=stem_stride)
        _check_widths(stem, widths)
        if any(factor <= 0 for factor in factors) or len(set(factors)) < len(factors):
            raise SpaceError(f"factors {factors} must be positive and different")
        self.stem = nn.Sequential(
            nn.Conv2d(image[0], stem, 3, stem_stride, padding=1, bias=False),
            nn.BatchNorm2d(stem, affine=affine),
            nn.ReLU(),
        )
        self.factors = factors
        self.shapes: list[tuple[int, int]] = []
        layers: list[nn.Module] = []
        channels = stem
        for stage, stride in strides_by_layer(depths, strides):
            label = f"layer{len(layers)}"
            options = _options(label, channels, widths[stage], stride, affine, factors)
            layers.append(Choice(options, label=label))
            channels = widths[stage]
            self.shapes.append((channels, stride))
        self.layers = nn.Sequential(*layers)
        self.head = nn.Sequential(
            nn.Conv2d(channels, features, 1, bias=False),
            nn.BatchNorm2d(features, affine=affine),
            nn.ReLU(),
        )
        self.classifier = nn.Linear(features, classes)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        """Map images `[batch, channels, height, width]` to logits `[batch, classes]`."""
        features = self.head(self.layers(self.stem(images)))
        return cast(torch.Tensor, self.classifier(features.mean((2, 3))))

    def diagram(self, architecture: Architecture) -> Diagram:
        """Return the drawing of the layers."""
        return chain(
            "The network",
            {
                f"layer{i}": f"{architecture[f'layer{i}']}, {channels} channels"
                + (", stride 2" if stride == 2 else "")
                + (f", inner ×{architecture[f'layer{i}.channels']}" if self.factors else "")
                for i, (channels, stride) in enumerate(self.shapes)
            },
        )


def _options(
    label: str, channels: int, wider: int, stride: int, affine: bool, factors: tuple[float, ...]
) -> dict[str, nn.Module]:
    first = channels != wider
    kernels: tuple[int | None, ...] = (3, 5, 7, None)  # None: Xception-like
    units: list[nn.Module] = []
    for kernel in kernels:
        if factors:
            narrow = narrow_units(
                channels, wider, kernel, factors, stride=stride, first=first, affine=affine
            )
            options = dict(zip(map(str, factors), narrow, strict=True))
            units.append(Choice(options, label=f"{label}.channels"))
        elif kernel is None:
            units.append(
                shuffle_xception(channels, wider, stride=stride, first=first, affine=affine)
            )
        else:
            units.append(
                shuffle_unit(channels, wider, kernel, stride=stride, first=first, affine=affine)
            )
    return dict(zip(OPTIONS, units, strict=True))


def _check_widths(stem: int, widths: tuple[int, ...]) -> None:
    if any(width % 2 for width in widths):
        raise SpaceError(f"widths {widths} must be even, since a unit splits its channels in two")
    if any(wider <= width for width, wider in zip((stem, *widths), widths, strict=False)):
        raise SpaceError(
            f"stem {stem} and widths {widths} must increase: the first unit of a stage passes all "
            "channels of the stage before on and adds some"
        )

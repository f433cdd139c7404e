"""The space of NAS-Bench-Macro.

Su et al., "Prioritized Architecture Sampling with Monte-Carlo Tree Search" (CVPR 2021). Eight layers in
stages of 2, 3 and 3; each is an identity, an inverted residual of kernel 3 and expansion 3, or one of
kernel 5 and expansion 6. The first layer of a stage doubles the channels and halves height and width;
its identity is a strided 1×1 convolution. The 3^8 = 6,561 architectures are 3,969 different networks.
Parameters and multiply-adds are the published ones.
"""

from __future__ import annotations

from typing import cast

import torch
from torch import nn

from supernet.choice import Choice
from supernet.errors import SpaceError
from supernet.ops import InvertedResidual, projection
from supernet.reading import shown
from supernet.space import Architecture, Diagram
from supernet.zoo.arguments import check_halvings, check_positive
from supernet.zoo.chain import chain, identities_last

__all__ = ["NASBenchMacro"]

OPTIONS = ("identity", "mb3e3", "mb5e6")
"""In the order of the digits 0, 1, 2 of the published keys."""


class NASBenchMacro(nn.Module):
    """The NAS-Bench-Macro network with a choice of three options in each layer.

    Small, for 8×8 grey images: `image=(1, 8, 8), channels=8, stages=(2, 2), features=64`.

    Args:
        image: channels, height and width of the images.
        classes: number of classes.
        channels: channels of the stem; doubled in each stage (published: 32).
        stages: number of layers in each stage (published: 2, 3, 3).
        features: channels before the classifier (published: 1280).
        affine: whether batch norm learns a scale and an offset (published networks do).

    Raises:
        SpaceError: a number is not positive, or the image is too small for so many stages.
    """

    def __init__(
        self,
        image: tuple[int, int, int] = (3, 32, 32),
        classes: int = 10,
        channels: int = 32,
        stages: tuple[int, ...] = (2, 3, 3),
        features: int = 1280,
        affine: bool = True,
    ) -> None:
        super().__init__()
        check_positive(
            image=image, classes=classes, channels=channels, stages=stages, features=features
        )
        check_halvings(image, (2,) * len(stages))
        self.stem = nn.Sequential(
            nn.Conv2d(image[0], channels, 3, padding=1, bias=False),
            nn.BatchNorm2d(channels, affine=affine),
            nn.ReLU(),
        )
        self.firsts = tuple(layer == 0 for depth in stages for layer in range(depth))
        layers: list[nn.Module] = []
        self.widths: list[int] = []
        for first in self.firsts:
            wider, stride = (2 * channels, 2) if first else (channels, 1)
            layers.append(
                Choice(_options(channels, wider, stride, affine), label=f"layer{len(layers)}")
            )
            channels = wider
            self.widths.append(channels)
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

    def canonical(self, architecture: Architecture) -> Architecture:
        """Move identities to the end of their stage; the first layer of a stage stays, as it is none."""
        return identities_last(architecture, [not first for first in self.firsts])

    def diagram(self, architecture: Architecture) -> Diagram:
        """Return the drawing of the layers."""
        labels = {}
        for i, (first, width) in enumerate(zip(self.firsts, self.widths, strict=True)):
            option = architecture[f"layer{i}"]
            if first and option == OPTIONS[0]:
                option = "conv1x1"
            labels[f"layer{i}"] = f"{option}, {width} channels{', stride 2' if first else ''}"
        return chain("The network", labels)

    @staticmethod
    def to_string(architecture: Architecture) -> str:
        """Return the published key, a digit per layer: 0, 1 and 2 for the options in their order."""
        layers = range(len(architecture))
        return "".join(str(OPTIONS.index(str(architecture[f"layer{i}"]))) for i in layers)

    @staticmethod
    def from_string(text: str) -> Architecture:
        """Return the architecture of a published key such as "22212220".

        Raises:
            SpaceError: a character is none of the digits 0, 1 and 2.
        """
        if not text or not set(text) <= {"0", "1", "2"}:
            raise SpaceError(
                f"{shown(text)} is no key of NAS-Bench-Macro; it has a digit per layer: "
                f"0 for {OPTIONS[0]}, 1 for {OPTIONS[1]}, 2 for {OPTIONS[2]}"
            )
        return Architecture({f"layer{i}": OPTIONS[int(digit)] for i, digit in enumerate(text)})


def _options(channels: int, wider: int, stride: int, affine: bool) -> dict[str, nn.Module]:
    same = stride == 1 and channels == wider
    options = (
        nn.Identity() if same else projection(channels, wider, stride, affine=affine),
        InvertedResidual(channels, wider, kernel=3, expansion=3, stride=stride, affine=affine),
        InvertedResidual(channels, wider, kernel=5, expansion=6, stride=stride, affine=affine),
    )
    return dict(zip(OPTIONS, options, strict=True))

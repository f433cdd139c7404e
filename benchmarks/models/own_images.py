"""Models of images, written as people write them, each in a few lines."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import nn
from torch.nn import functional as F

from benchmarks.models.check import Built

__all__ = ["MODELS"]

Tensor = torch.Tensor


def _block(entering: int, leaving: int, stride: int = 1) -> nn.Sequential:
    conv = nn.Conv2d(entering, leaving, 3, stride, 1, bias=False)
    return nn.Sequential(conv, nn.BatchNorm2d(leaving), nn.ReLU())


class UNet(nn.Module):
    """Downward, upward, and concatenations between."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.second = _block(3, 16), _block(16, 32, 2)
        self.middle = _block(32, 64, 2)
        self.up2, self.up1 = nn.ConvTranspose2d(64, 32, 2, 2), nn.ConvTranspose2d(32, 16, 2, 2)
        self.back2, self.back1 = _block(64, 32), _block(32, 16)
        self.head = nn.Conv2d(16, 4, 1)

    def forward(self, x: Tensor) -> Any:
        a = self.first(x)
        b = self.second(a)
        y = self.back2(torch.cat([self.up2(self.middle(b)), b], 1))
        return self.head(self.back1(torch.cat([self.up1(y), a], 1)))


class Generator(nn.Module):
    """Noise to images, as in DCGAN."""

    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Linear(10, 32 * 4 * 4)
        self.body = nn.Sequential(
            nn.BatchNorm2d(32),
            nn.ConvTranspose2d(32, 16, 4, 2, 1),
            nn.BatchNorm2d(16),
            nn.ReLU(),
            nn.ConvTranspose2d(16, 3, 4, 2, 1),
            nn.Tanh(),
        )

    def forward(self, z: Tensor) -> Any:
        return self.body(self.first(z).view(-1, 32, 4, 4))


class Siamese(nn.Module):
    """One encoder for two inputs."""

    def __init__(self) -> None:
        super().__init__()
        self.encoder = nn.Sequential(_block(3, 16), _block(16, 32, 2), nn.AdaptiveAvgPool2d(1))
        self.head = nn.Sequential(nn.Linear(64, 32), nn.ReLU(), nn.Linear(32, 1))

    def forward(self, x: Tensor, y: Tensor) -> Any:
        a, b = self.encoder(x).flatten(1), self.encoder(y).flatten(1)
        return self.head(torch.cat([(a - b).abs(), a * b], 1))


class Detector(nn.Module):
    """Two scales, with heads for classes and boxes that both share."""

    def __init__(self, classes: int = 3, anchors: int = 2) -> None:
        super().__init__()
        self.classes, self.anchors = classes, anchors
        self.first, self.second = _block(3, 16, 2), _block(16, 32, 2)
        self.lateral1, self.lateral2 = nn.Conv2d(16, 24, 1), nn.Conv2d(32, 24, 1)
        self.tower = _block(24, 24)
        self.scores = nn.Conv2d(24, anchors * classes, 3, padding=1)
        self.boxes = nn.Conv2d(24, anchors * 4, 3, padding=1)

    def forward(self, x: Tensor) -> Any:
        a = self.first(x)
        b = self.second(a)
        top = self.lateral2(b)
        levels = [self.lateral1(a) + F.interpolate(top, scale_factor=2.0), top]
        scores, boxes = [], []
        for level in map(self.tower, levels):
            scores.append(self.scores(level).permute(0, 2, 3, 1).reshape(len(x), -1, self.classes))
            boxes.append(self.boxes(level).permute(0, 2, 3, 1).reshape(len(x), -1, 4))
        return {"scores": torch.cat(scores, 1), "boxes": torch.cat(boxes, 1)}


class SqueezeExcite(nn.Module):
    """Channels weighed by what they hold on the whole."""

    def __init__(self) -> None:
        super().__init__()
        self.stem, self.conv = _block(3, 32), _block(32, 32)
        self.squeeze, self.excite = nn.Conv2d(32, 8, 1), nn.Conv2d(8, 32, 1)
        self.head = nn.Linear(32, 5)

    def forward(self, x: Tensor) -> Any:
        y = self.conv(self.stem(x))
        gate = self.excite(self.squeeze(y.mean((2, 3), keepdim=True)).relu()).sigmoid()
        return self.head((y * gate).mean((2, 3)))


class Efficient(nn.Module):
    """Efficient channel attention: a convolution along channels."""

    def __init__(self) -> None:
        super().__init__()
        self.stem, self.conv = _block(3, 32), nn.Conv1d(1, 1, 3, padding=1, bias=False)
        self.head = nn.Linear(32, 5)

    def forward(self, x: Tensor) -> Any:
        y = self.stem(x)
        gate = self.conv(y.mean((2, 3))[:, None]).sigmoid()[:, 0, :, None, None]
        return self.head((y * gate).mean((2, 3)))


class Dense(nn.Module):
    """Every layer takes what all before it gave."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Conv2d(3, 16, 3, padding=1)
        self.convs = nn.ModuleList(_block(16 + 8 * place, 8) for place in range(3))
        self.norm, self.head = nn.BatchNorm2d(40), nn.Linear(40, 5)

    def forward(self, x: Tensor) -> Any:
        x = self.stem(x)
        for conv in self.convs:
            x = torch.cat([x, conv(x)], 1)
        return self.head(self.norm(x).relu().mean((2, 3)))


class Hourglass(nn.Module):
    """A recursion of halved images with skips."""

    def __init__(self, depth: int = 2) -> None:
        super().__init__()
        self.before, self.skip, self.after = _block(16, 16), _block(16, 16), _block(16, 16)
        self.inner = Hourglass(depth - 1) if depth > 1 else _block(16, 16)

    def forward(self, x: Tensor) -> Any:
        y = self.after(self.inner(self.before(F.max_pool2d(x, 2))))
        return self.skip(x) + F.interpolate(y, scale_factor=2.0)


class Shuffle(nn.Module):
    """Channels cut into halves and shuffled, as in ShuffleNetV2."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = _block(3, 32)
        self.branch = nn.Sequential(
            nn.Conv2d(16, 16, 1), nn.Conv2d(16, 16, 3, padding=1, groups=16), nn.BatchNorm2d(16)
        )
        self.head = nn.Linear(32, 5)

    def forward(self, x: Tensor) -> Any:
        a, b = self.stem(x).chunk(2, 1)
        y = torch.cat([a, self.branch(b)], 1)
        n, c, h, w = y.shape
        y = y.view(n, 2, c // 2, h, w).transpose(1, 2).reshape(n, c, h, w)
        return self.head(y.relu().mean((2, 3)))


class Inverted(nn.Module):
    """Inverted residuals in a row, as in MobileNetV2."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = _block(3, 16)
        self.blocks = nn.Sequential(*(InvertedBlock(16) for _ in range(3)))
        self.head = nn.Linear(16, 5)

    def forward(self, x: Tensor) -> Any:
        return self.head(self.blocks(self.stem(x)).mean((2, 3)))


class InvertedBlock(nn.Module):
    """A wide depthwise convolution between two narrow ones."""

    def __init__(self, width: int) -> None:
        super().__init__()
        wide = 4 * width
        self.body = nn.Sequential(
            *(nn.Conv2d(width, wide, 1, bias=False), nn.BatchNorm2d(wide), nn.ReLU6()),
            *(nn.Conv2d(wide, wide, 3, padding=1, groups=wide), nn.BatchNorm2d(wide), nn.ReLU6()),
            *(nn.Conv2d(wide, width, 1, bias=False), nn.BatchNorm2d(width)),
        )

    def forward(self, x: Tensor) -> Any:
        return x + self.body(x)


class NonLocal(nn.Module):
    """Attention among the positions of an image."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = _block(3, 32)
        self.theta, self.phi, self.g = (nn.Conv2d(32, 16, 1) for _ in range(3))
        self.back, self.head = nn.Conv2d(16, 32, 1), nn.Linear(32, 5)

    def forward(self, x: Tensor) -> Any:
        x = self.stem(x)
        b, _, h, w = x.shape
        theta, phi, g = (layer(x).flatten(2) for layer in (self.theta, self.phi, self.g))
        scores = (theta.transpose(1, 2) @ phi).softmax(-1)
        y = (g @ scores.transpose(1, 2)).view(b, -1, h, w)
        return self.head((x + self.back(y)).mean((2, 3)))


class FeatureWise(nn.Module):
    """Channels scaled and moved by what another input says, as in FiLM."""

    def __init__(self) -> None:
        super().__init__()
        self.stem, self.conv = _block(3, 24), _block(24, 24)
        self.film, self.head = nn.Linear(4, 48), nn.Linear(24, 5)

    def forward(self, x: Tensor, context: Tensor) -> Any:
        scale, move = self.film(context)[..., None, None].chunk(2, 1)
        return self.head((self.conv(self.stem(x)) * (1 + scale) + move).relu().mean((2, 3)))


class Pyramid(nn.Module):
    """Pooled at several sizes, as in PSPNet."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = _block(3, 32)
        self.pools = nn.ModuleList(
            nn.Sequential(nn.AdaptiveAvgPool2d(size), nn.Conv2d(32, 8, 1)) for size in (1, 2, 4)
        )
        self.head = nn.Conv2d(32 + 24, 5, 1)

    def forward(self, x: Tensor) -> Any:
        x = self.stem(x)
        size = x.shape[-2:]
        parts = [F.interpolate(pool(x), size, mode="bilinear") for pool in self.pools]
        return self.head(torch.cat([x, *parts], 1))


class Upsampling(nn.Module):
    """Channels that become pixels, as in ESPCN."""

    def __init__(self) -> None:
        super().__init__()
        self.body = nn.Sequential(_block(3, 32), _block(32, 16), nn.Conv2d(16, 12, 3, padding=1))

    def forward(self, x: Tensor) -> Any:
        return F.pixel_shuffle(self.body(x), 2)


def _image(channels: int = 3, side: int = 8) -> Tensor:
    return torch.randn(2, channels, side, side)


MODELS: dict[str, Callable[[], Built]] = {
    "u-net": lambda: (UNet(), (_image(),)),
    "generator": lambda: (Generator(), (torch.randn(2, 10),)),
    "discriminator": lambda: (
        nn.Sequential(
            *(nn.Conv2d(3, 16, 4, 2, 1), nn.LeakyReLU(0.2), nn.Conv2d(16, 32, 4, 2, 1)),
            *(nn.BatchNorm2d(32), nn.LeakyReLU(0.2), nn.Conv2d(32, 1, 2), nn.Flatten()),
        ),
        (_image(),),
    ),
    "siamese": lambda: (Siamese(), (_image(), _image())),
    "detector": lambda: (Detector(), (_image(),)),
    "squeeze and excite": lambda: (SqueezeExcite(), (_image(),)),
    "channel attention": lambda: (Efficient(), (_image(),)),
    "dense": lambda: (Dense(), (_image(),)),
    "hourglass": lambda: (
        nn.Sequential(_block(3, 16), Hourglass(), nn.Conv2d(16, 5, 1)),
        (_image(),),
    ),
    "shuffle": lambda: (Shuffle(), (_image(),)),
    "inverted residuals": lambda: (Inverted(), (_image(),)),
    "non-local": lambda: (NonLocal(), (_image(),)),
    "feature-wise": lambda: (FeatureWise(), (_image(), torch.randn(2, 4))),
    "pyramid": lambda: (Pyramid(), (_image(),)),
    "upsampling": lambda: (Upsampling(), (_image(),)),
}

"""An ordinary residual network, in which nothing is open: an example of a model to convert.

He et al., "Deep Residual Learning for Image Recognition" (CVPR 2016), the networks for CIFAR-10; a
projection where the shape changes.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import nn

from supernet.zoo.arguments import check_halvings, check_positive

__all__ = ["ResNet"]


class Block(nn.Module):
    """Two 3×3 convolutions, added to the input.

    Args:
        channels_in: channels of the input.
        channels_out: channels of the output.
        stride: stride of the first convolution.
    """

    def __init__(self, channels_in: int, channels_out: int, stride: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(channels_in, channels_out, 3, stride, 1, bias=False)
        self.norm1 = nn.BatchNorm2d(channels_out)
        self.conv2 = nn.Conv2d(channels_out, channels_out, 3, 1, 1, bias=False)
        self.norm2 = nn.BatchNorm2d(channels_out)
        self.shortcut: nn.Module = nn.Identity()
        if stride > 1 or channels_in != channels_out:
            self.shortcut = nn.Sequential(
                nn.Conv2d(channels_in, channels_out, 1, stride, bias=False),
                nn.BatchNorm2d(channels_out),
            )

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Map `[b, channels_in, h, w]` to `[b, channels_out, h / stride, w / stride]`."""
        y = torch.relu(self.norm1(self.conv1(x)))
        return torch.relu(self.norm2(self.conv2(y)) + self.shortcut(x))


class ResNet(nn.Module):
    """Stages of residual blocks; each but the first halves the image.

    Args:
        image: channels, height and width of the images.
        classes: number of classes.
        widths: channels of each stage.
        blocks: number of blocks in each stage.
    """

    def __init__(
        self,
        image: tuple[int, int, int] = (3, 32, 32),
        classes: int = 10,
        widths: Sequence[int] = (16, 32, 64),
        blocks: int = 3,
    ) -> None:
        super().__init__()
        check_positive(image=image, classes=classes, blocks=blocks)
        check_halvings(image, (2,) * (len(widths) - 1))
        self.conv = nn.Conv2d(image[0], widths[0], 3, 1, 1, bias=False)
        self.norm = nn.BatchNorm2d(widths[0])
        self.stages = nn.ModuleList()
        entering = widths[0]
        for stage, width in enumerate(widths):
            first = Block(entering, width, 2 if stage else 1)
            others = (Block(width, width, 1) for _ in range(blocks - 1))
            self.stages.append(nn.Sequential(first, *others))
            entering = width
        self.classifier = nn.Linear(entering, classes)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        """Map images `[batch, channels, height, width]` to logits `[batch, classes]`."""
        x = torch.relu(self.norm(self.conv(images)))
        for stage in self.stages:
            x = stage(x)
        logits: torch.Tensor = self.classifier(x.mean((2, 3)))
        return logits

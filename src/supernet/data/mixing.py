"""Batches whose examples are mixed with each other, and their targets with them.

mixup (Zhang et al., ICLR 2018): λ ~ Beta(α, α), x ← λ x_i + (1 - λ) x_j and y ← λ y_i + (1 - λ) y_j.
CutMix (Yun et al., ICCV 2019): a box of x_i, of the share 1 - λ of the area and with a uniform centre,
is that of x_j, and λ is then what is left of x_i, as the box is clipped. Of both each step takes one,
with probability 1/2. As in timm, whose code is the reference of many, λ is drawn once a batch, and j is
i counted from the other end.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from random import Random

import torch
from torch import Tensor
from torch.nn import functional as F

from supernet.errors import ConfigError, DataError

__all__ = ["Mixing", "check_alpha"]


def check_alpha(name: str, alpha: float) -> None:
    """Check α of a Beta distribution, by which examples are mixed.

    Raises:
        ConfigError: it is negative or no number.
    """
    if not 0 <= alpha < math.inf:
        raise ConfigError(
            f"{name} is the α of a Beta distribution, 0 for none, such as 0.2 or 1, not {alpha}"
        )


@dataclass(frozen=True)
class Mixing:
    """How batches are mixed.

    Args:
        mixup: α of mixup, 0 for none.
        cutmix: α of CutMix, 0 for none.

    Raises:
        ConfigError: one is negative.
    """

    mixup: float = 0.0
    cutmix: float = 0.0

    def __post_init__(self) -> None:
        for name in ("mixup", "cutmix"):
            check_alpha(name, getattr(self, name))

    def __bool__(self) -> bool:
        """Return whether anything is mixed."""
        return bool(self.mixup or self.cutmix)

    def check(self, inputs: object, targets: Tensor, classes: int, group: str = "train") -> None:
        """Refuse inputs and targets that cannot be mixed, see `__call__`.

        Args:
            inputs: inputs of a batch.
            targets: targets of the batch.
            classes: number of classes.
            group: name of the training's options, for messages.

        Raises:
            DataError: they cannot be.
        """
        given = f"leave {group}.mixup and {group}.cutmix at 0"
        if not isinstance(inputs, Tensor) or not inputs.is_floating_point():
            raise DataError(
                "mixup and CutMix mix one input of floats, such as images; of tokens or several inputs "
                f"{given}"
            )
        if targets.ndim != 1 or targets.dtype != torch.int64 or classes < 1:
            raise DataError(
                f"mixup and CutMix mix classes, int64 [batch], but the targets are {targets.dtype} "
                f"{list(targets.shape)}; {given}"
            )
        if self.cutmix and inputs.ndim != 4:
            raise DataError(
                f"CutMix mixes images [batch, channels, height, width], but the inputs are "
                f"{list(inputs.shape)}; leave {group}.cutmix at 0, or use {group}.mixup"
            )

    def __call__(
        self, inputs: object, targets: Tensor, classes: int, random: Random
    ) -> tuple[Tensor, Tensor]:
        """Return mixed inputs, and the shares of classes in them, `[batch, classes]`.

        Args:
            inputs: floats `[batch, ...]`; of CutMix images `[batch, channels, height, width]`.
            targets: class numbers, int64 `[batch]`.
            classes: number of classes.
            random: random numbers of the step.

        Raises:
            DataError: these are no such inputs and targets.
        """
        self.check(inputs, targets, classes)
        assert isinstance(inputs, Tensor)
        cuts = bool(self.cutmix) and (not self.mixup or random.random() < 0.5)
        alpha = self.cutmix if cuts else self.mixup
        share = random.betavariate(alpha, alpha)
        if cuts:
            inputs, share = _cut(inputs, share, random)
        else:
            inputs = inputs.lerp(inputs.flip(0), 1 - share)
        known = F.one_hot(targets, classes).to(inputs.dtype)
        return inputs, known.lerp(known.flip(0), 1 - share)


def _cut(images: Tensor, share: float, random: Random) -> tuple[Tensor, float]:
    """Return images with a box of others, and the share of an image that is left of it."""
    height, width = images.shape[2:]
    rows = _interval(height, share, random.randrange(height))
    columns = _interval(width, share, random.randrange(width))
    mixed = images.clone()
    mixed[:, :, rows, columns] = images.flip(0)[:, :, rows, columns]
    cut = (rows.stop - rows.start) * (columns.stop - columns.start)
    return mixed, 1 - cut / (height * width)


def _interval(length: int, share: float, centre: int) -> slice:
    """Return a side of the box, the square root of 1 - share of a length, clipped."""
    side = int(length * math.sqrt(1 - share))
    return slice(max(centre - side // 2, 0), min(centre + side // 2, length))

"""scikit-learn's handwritten digits: 1,797 images of 8x8 pixels, bundled, no download."""

from __future__ import annotations

import torch

from supernet.data.augment import Augment
from supernet.data.base import DataSource, Raw, make_examples
from supernet.errors import ConfigError
from supernet.random import generator

__all__ = ["Digits"]

SIDE = 8


class Digits(DataSource):
    """Handwritten digits of scikit-learn (Alpaydin & Kaynak, 1998), without official test split.

    As they are, nearly any network reads them. Lost on a larger canvas, under noise, they tell networks
    apart: each digit then lies at a place of its own, drawn once, the same at every call.

    Args:
        canvas: side of the images, in pixels, at least 8; a digit is 8x8.
        noise: highest brightness that each pixel gets besides, as a share of white, in 0-1; drawn
            uniformly for each.

    Raises:
        ConfigError: a number is out of range.
    """

    def __init__(self, canvas: int = SIDE, noise: float = 0.0) -> None:
        if canvas < SIDE or not 0 <= noise <= 1:
            raise ConfigError(
                f"of digits, canvas is a number of pixels, at least {SIDE}, and noise a share in 0-1, "
                f"not {canvas} and {noise}"
            )
        self.canvas = canvas
        self.noise = noise

    def load(self) -> Raw:
        """Return inputs [1797, 1, canvas, canvas]; ink 0..16 becomes 0..240."""
        from sklearn.datasets import load_digits  # a second of import time, for this set only

        pixels, labels = load_digits(return_X_y=True)
        inputs = torch.from_numpy(pixels * 15).to(torch.uint8).view(-1, 1, SIDE, SIDE)
        if self.canvas > SIDE or self.noise:
            inputs = self._lost(inputs)
        examples = make_examples("digits", inputs, torch.from_numpy(labels).long())
        return Raw("digits", examples, None, Augment(crop=1))

    def _lost(self, digits: torch.Tensor) -> torch.Tensor:
        draws = generator(0, "digits")
        images = torch.zeros(len(digits), 1, self.canvas, self.canvas)
        places = torch.randint(self.canvas - SIDE + 1, (len(digits), 2), generator=draws)
        for image, digit, (top, left) in zip(images, digits, places.tolist(), strict=True):
            image[:, top : top + SIDE, left : left + SIDE] = digit
        images += 255 * self.noise * torch.rand(images.shape, generator=draws)
        return images.clamp(max=255).to(torch.uint8)

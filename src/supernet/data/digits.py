"""scikit-learn's handwritten digits: 1,797 images of 8x8 pixels, bundled, no download."""

from __future__ import annotations

import torch

from supernet.data.augment import Augment
from supernet.data.base import DataSource, Raw, make_examples

__all__ = ["Digits"]


class Digits(DataSource):
    """Handwritten digits of scikit-learn (Alpaydin & Kaynak, 1998), without official test split."""

    def load(self) -> Raw:
        """Return inputs [1797, 1, 8, 8]; ink 0..16 becomes 0..240."""
        from sklearn.datasets import load_digits  # a second of import time, for this set only

        pixels, labels = load_digits(return_X_y=True)
        inputs = torch.from_numpy(pixels * 15).to(torch.uint8).view(-1, 1, 8, 8)
        examples = make_examples("digits", inputs, torch.from_numpy(labels).long())
        return Raw("digits", examples, None, Augment(crop=1))

"""Models of many kinds, written as people write them."""

from __future__ import annotations

from collections.abc import Callable

from benchmarks.models import own_features, own_images, own_sequences
from benchmarks.models.check import Built

__all__ = ["MODELS"]

MODELS: dict[str, Callable[[], Built]] = {
    **own_features.MODELS,
    **own_images.MODELS,
    **own_sequences.MODELS,
}

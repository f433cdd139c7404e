"""Blocks that the ready spaces are made of."""

from supernet.ops.blocks import (
    InvertedResidual,
    asymmetric,
    pointwise,
    pool,
    projection,
    separable,
)

__all__ = ["InvertedResidual", "asymmetric", "pointwise", "pool", "projection", "separable"]

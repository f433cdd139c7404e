"""Blocks that the ready spaces are made of."""

from supernet.ops.blocks import (
    InvertedResidual,
    asymmetric,
    pointwise,
    pool,
    projection,
    separable,
)
from supernet.ops.shuffle import ShuffleUnit, shuffle_unit, shuffle_xception

__all__ = [
    "InvertedResidual",
    "ShuffleUnit",
    "asymmetric",
    "pointwise",
    "pool",
    "projection",
    "separable",
    "shuffle_unit",
    "shuffle_xception",
]

"""Blocks that the ready spaces are made of."""

from supernet.ops.blocks import (
    InvertedResidual,
    asymmetric,
    pointwise,
    pool,
    projection,
    separable,
)
from supernet.ops.narrow import Narrow
from supernet.ops.shuffle import ShuffleUnit, narrow_units, shuffle_unit, shuffle_xception

__all__ = [
    "InvertedResidual",
    "Narrow",
    "ShuffleUnit",
    "asymmetric",
    "narrow_units",
    "pointwise",
    "pool",
    "projection",
    "separable",
    "shuffle_unit",
    "shuffle_xception",
]

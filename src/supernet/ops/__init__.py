"""Blocks that the ready spaces are made of."""

from supernet.ops.blocks import InvertedResidual, asymmetric, pointwise, pool, projection, separable
from supernet.ops.narrow import Narrow
from supernet.ops.nothing import Nothing
from supernet.ops.partial import DropEdge, DropPath, FadingDropout, PartialChannels
from supernet.ops.shuffle import ShuffleUnit, narrow_units, shuffle_unit, shuffle_xception
from supernet.ops.strided import FactorizedReduce, Noise, Zero, depthwise, strided_pool
from supernet.ops.superblock import Slice, SuperBlock

__all__ = [
    "DropEdge",
    "DropPath",
    "FactorizedReduce",
    "FadingDropout",
    "InvertedResidual",
    "Narrow",
    "Noise",
    "Nothing",
    "PartialChannels",
    "ShuffleUnit",
    "Slice",
    "SuperBlock",
    "Zero",
    "asymmetric",
    "depthwise",
    "narrow_units",
    "pointwise",
    "pool",
    "projection",
    "separable",
    "shuffle_unit",
    "shuffle_xception",
    "strided_pool",
]

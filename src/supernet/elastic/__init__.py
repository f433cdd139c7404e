"""Layers whose shape is open, and how their numbers are decided."""

from supernet.elastic.attention import Attention, SelfAttention
from supernet.elastic.convolution import Conv1d, Conv2d, Conv3d
from supernet.elastic.layers import Elastic, Embedding, Linear
from supernet.elastic.norms import (
    BatchNorm1d,
    BatchNorm2d,
    BatchNorm3d,
    GroupNorm,
    LayerNorm,
    RMSNorm,
)
from supernet.net.dimension import Depth, Dimension, Scaled, Size, depth

__all__ = [
    "Attention",
    "BatchNorm1d",
    "BatchNorm2d",
    "BatchNorm3d",
    "Conv1d",
    "Conv2d",
    "Conv3d",
    "Depth",
    "Dimension",
    "Elastic",
    "Embedding",
    "GroupNorm",
    "LayerNorm",
    "Linear",
    "RMSNorm",
    "Scaled",
    "SelfAttention",
    "Size",
    "depth",
]

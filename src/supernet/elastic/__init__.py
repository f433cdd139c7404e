"""Layers whose shape is open, and how their numbers are decided."""

from supernet.elastic.attention import Attention, SelfAttention
from supernet.elastic.layers import (
    BatchNorm1d,
    BatchNorm2d,
    BatchNorm3d,
    Conv1d,
    Conv2d,
    Conv3d,
    Elastic,
    Embedding,
    GroupNorm,
    LayerNorm,
    Linear,
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

"""Layers whose shape is open, and how their numbers are decided."""

from supernet.elastic.attention import Attention, SelfAttention
from supernet.elastic.convolution import Conv1d, Conv2d, Conv3d
from supernet.elastic.layers import Embedding, Linear
from supernet.elastic.norms import (
    BatchNorm1d,
    BatchNorm2d,
    BatchNorm3d,
    GroupNorm,
    LayerNorm,
    RMSNorm,
)
from supernet.elastic.resolution import Resize, Resolution
from supernet.elastic.tokens import ClassToken, Positions
from supernet.net.dimension import Depth, Dimension, Scaled, depth
from supernet.net.opened import Elastic, ElasticLayer, Opened
from supernet.net.size import Joined, Product, Size

__all__ = [
    "Attention",
    "BatchNorm1d",
    "BatchNorm2d",
    "BatchNorm3d",
    "ClassToken",
    "Conv1d",
    "Conv2d",
    "Conv3d",
    "Depth",
    "Dimension",
    "Elastic",
    "ElasticLayer",
    "Embedding",
    "GroupNorm",
    "Joined",
    "LayerNorm",
    "Linear",
    "Opened",
    "Positions",
    "Product",
    "RMSNorm",
    "Resize",
    "Resolution",
    "Scaled",
    "SelfAttention",
    "Size",
    "depth",
]

"""Layers whose shape is open, and how their numbers are decided."""

from supernet.elastic.attention import Attention, SelfAttention
from supernet.elastic.composed import JoinedSize, ProductSize, ScaledSize
from supernet.elastic.convolution import Conv1d, Conv2d, Conv3d
from supernet.elastic.depth import Depth, depth
from supernet.elastic.layers import Embedding, Linear
from supernet.elastic.module import Elastic, ElasticLayer
from supernet.elastic.norms import (
    BatchNorm1d,
    BatchNorm2d,
    BatchNorm3d,
    GroupNorm,
    LayerNorm,
    RMSNorm,
)
from supernet.elastic.resolution import Resize, Resolution
from supernet.elastic.size import Dimension, Size
from supernet.elastic.spec import ElasticSpec
from supernet.elastic.superkernel import Indicated, SuperKernel
from supernet.elastic.tokens import ClassToken, Positions

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
    "ElasticSpec",
    "Embedding",
    "GroupNorm",
    "Indicated",
    "JoinedSize",
    "LayerNorm",
    "Linear",
    "Positions",
    "ProductSize",
    "RMSNorm",
    "Resize",
    "Resolution",
    "ScaledSize",
    "SelfAttention",
    "Size",
    "SuperKernel",
    "depth",
]

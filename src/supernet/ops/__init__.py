"""Blocks that the ready spaces are made of."""

from supernet.ops.blocks import asymmetric, pointwise, pool, separable

__all__ = ["asymmetric", "pointwise", "pool", "separable"]

"""Layers of elastic width: torch's own, of the largest shape, of which the leading part computes.

Yu and Huang, "Universally Slimmable Networks" (ICCV 2019). Widths are a `Size` or a number.
"""

from __future__ import annotations

from torch import nn

from supernet.elastic.module import ElasticLayer
from supernet.elastic.size import Size, as_size
from supernet.elastic.spec import ElasticSpec, make_elastic

__all__ = ["Embedding", "Linear"]


class Linear(ElasticLayer, nn.Linear):
    """A linear layer of elastic width.

    Args:
        features_in: features of the input, `[..., features_in]`.
        features_out: features of the output.
        bias: whether the layer has a bias.
    """

    _ordinary = nn.Linear

    def __init__(
        self, features_in: Size | int, features_out: Size | int, bias: bool = True
    ) -> None:
        inside, outside = as_size(features_in), as_size(features_out)
        nn.Linear.__init__(self, inside.largest, outside.largest, bias)
        make_elastic(
            self,
            ElasticSpec(
                {"weight": (outside, inside), "bias": (outside,)},
                {"in_features": inside, "out_features": outside},
            ),
        )
        self.leads = ((-1, inside),)


class Embedding(ElasticLayer, nn.Embedding):
    """An embedding of elastic width.

    Args:
        count: number of words.
        width: size of a word's vector.
        padding: the word whose vector is zero, if any.
    """

    _ordinary = nn.Embedding

    def __init__(self, count: int, width: Size | int, padding: int | None = None) -> None:
        size = as_size(width)
        nn.Embedding.__init__(self, count, size.largest, padding)
        make_elastic(self, ElasticSpec({"weight": (None, size)}, {"embedding_dim": size}))

"""The space of Single-Path NAS.

Stamoulis et al., "Single-Path NAS: Designing Hardware-Efficient ConvNets in less than 4 Hours" (ECML-
PKDD 2019). MobileNetV2's chain of inverted residuals, with the stages of ProxylessNAS: 21 layers, each
with a depthwise kernel of 3 or 5 and an expansion of 3 or 6. Where a layer keeps the shape it may also
be left out. 4^6 · 5^15 architectures, about 1.3e14, of which 340^5 · 4, about 1.8e13, are different
networks. The options of a layer are parts of one set of weights, so the supernet is as large as its
largest network.

Different from the authors' code: there the last layer, of 320 channels, has kernel 3 and expansion 6 and
is no choice. Batch norm's epsilon is 1e-5 instead of 1e-3, there is no dropout, and weights start as
PyTorch starts them.
"""

from __future__ import annotations

from supernet.choice import ChoiceModule
from supernet.elastic import SuperKernel
from supernet.zoo.proxyless import Proxyless

__all__ = ["SinglePath"]


class SinglePath(Proxyless):
    """The chain of ProxylessNAS with a superkernel in each layer: kernel 3 or 5, expansion 3 or 6.

    Small, for 8×8 grey images: `image=(1, 8, 8), stem=8, first=8, widths=(8, 16), depths=(2, 2),
    strides=(2, 2), features=64, stem_stride=1`. For 32×32: `strides=(1, 2, 2, 1, 2, 1), stem_stride=1`.

    Arguments are those of `Proxyless`.
    """

    def layer(
        self, channels: int, width: int, stride: int, affine: bool, label: str
    ) -> ChoiceModule:
        """Return the superkernel of a layer."""
        return SuperKernel(channels, width, stride=stride, affine=affine, label=label)

"""All inverted residuals of kernel 3 or 5 and expansion 3 or 6 as parts of one set of weights.

Stamoulis et al., "Single-Path NAS" (ECML-PKDD 2019). The depthwise kernel is 5×5 with 6 times the
channels that enter. Kernel 3 is the centre of it, the rest is a ring; expansion 3 is the first half of
the channels. What is used is decided by indicators, each 0 or 1, that compare norms with thresholds t:

    k  = 1[‖w_ring‖² > t_k]                 w_k = w_centre + k · w_ring
    e6 = 1[‖w_k,second half‖² > t_e6]       e3  = 1[‖w_k,first half‖² > t_e3]

where e3 = 0 leaves the layer out. Forward they are hard; backward, 1[x > t] has the derivative of

    σ((x - t) / s),   s = x + |t|, held constant.

Different from the authors' code, whose slope is that of σ(x - t): in float32 that is exactly 0 where x
is 17 above t, as squared norms of whole layers are, and a threshold would never move. Here the argument
lies between -1 and 1 whatever the size of the layer. Its e6 and e3 multiply the depthwise kernel, so
that batch norm makes a constant of a channel that is off, and takes away the scale of one that is on.
Here they multiply what comes behind the batch norm, so that channels that are off are zero, and the
block computes what the part computes alone. It compares norms, here they are squared, as in the paper.

Shapes: features are `[b, channels, h, w]`; inside there are 6 · channels_in of them. The depthwise
weight is `[6 · channels_in, 1, 5, 5]`, its ring a mask `[5, 5]`. Norms and indicators are `[3]`, for k,
e6 and e3.
"""

from __future__ import annotations

from typing import cast

import torch
from torch import nn
from torch.nn import functional as F

from supernet.ops.blocks import InvertedResidual

__all__ = ["EXPANSIONS", "KERNELS", "Slice", "SuperBlock", "indicator"]

KERNELS = (3, 5)
EXPANSIONS = (3, 6)


def indicator(norm: torch.Tensor, threshold: torch.Tensor) -> torch.Tensor:
    """Return 1 where a norm is above its threshold, else 0; the derivative is a sigmoid's.

    Args:
        norm: x, at least 0.
        threshold: t, any number.
    """
    size = (norm + threshold.abs()).detach().clamp_min(1e-12)
    soft = torch.sigmoid((norm - threshold) / size)
    return (norm > threshold).to(soft) + (soft - soft.detach())


class SuperBlock(nn.Module):
    """An inverted residual of kernel 5 and expansion 6, of which smaller ones are parts.

    Batch norms are shared too. A part records the statistics of its channels, the masked block those
    of all channels.

    Args:
        channels_in: channels of the input.
        channels_out: channels of the output.
        stride: stride of the depthwise convolution.
        affine: whether batch norm learns a scale and an offset.
    """

    ring: torch.Tensor

    def __init__(
        self, channels_in: int, channels_out: int, *, stride: int = 1, affine: bool = True
    ) -> None:
        super().__init__()
        hidden, kernel = channels_in * max(EXPANSIONS), max(KERNELS)
        self.expand = _Convolution(channels_in, hidden, 1, bias=False)
        self.depthwise = _Convolution(hidden, hidden, kernel, stride, groups=hidden, bias=False)
        self.project = _Convolution(hidden, channels_out, 1, bias=False)
        widths = hidden, hidden, channels_out
        self.norms = nn.ModuleList(_Norm(width, affine=affine) for width in widths)
        self.shape = channels_in, channels_out, stride, affine
        self.shortcut = stride == 1 and channels_in == channels_out
        ring = torch.ones(kernel, kernel)
        ring[1:-1, 1:-1] = 0
        self.register_buffer("ring", ring, persistent=False)

    def sizes(self, kernel: torch.Tensor | float = 1.0) -> torch.Tensor:
        """Return `‖w_ring‖²`, and `‖w_k‖²` of the second and of the first half of the channels, `[3]`.

        Args:
            kernel: the indicator k.
        """
        squares = self.depthwise.weight.square().squeeze(1)
        ring = (squares * self.ring).sum((1, 2))
        size = squares[:, 1:-1, 1:-1].sum((1, 2)) + kernel**2 * ring
        first, second = size.chunk(2)
        return torch.stack((ring.sum(), second.sum(), first.sum()))

    def indicators(self, thresholds: torch.Tensor) -> torch.Tensor:
        """Return k, e6 and e3 as zeros and ones, `[3]`, differentiable in thresholds and weights.

        Args:
            thresholds: t of k, of e6 and, where the layer can be left out, of e3: `[2]` or `[3]`.
        """
        kernel = indicator(self.sizes()[0], thresholds[0])
        _, second, first = self.sizes(kernel)
        wide = indicator(second, thresholds[1])
        layer = indicator(first, thresholds[2]) if self.shortcut else torch.ones_like(wide)
        return torch.stack((kernel, wide, layer))

    def forward(self, x: torch.Tensor, indicators: torch.Tensor) -> torch.Tensor:
        """Map `[b, channels_in, h, w]` to `[b, channels_out, h / stride, w / stride]`.

        Args:
            x: the input.
            indicators: k, e6 and e3, `[3]`; all channels are computed, whatever they are.
        """
        kernel, wide, layer = indicators
        weight = self.depthwise.weight
        half = weight.shape[0] // 2
        weight = weight * (1 - self.ring + kernel * self.ring)
        on = torch.cat((torch.ones_like(wide).expand(half), wide.expand(half)))
        y = self._through(x, weight, on)
        return x + layer * y if self.shortcut else y

    def part(self, x: torch.Tensor, kernel: int, expansion: int) -> torch.Tensor:
        """Return what the block of this kernel and expansion alone computes."""
        y = self._through(x, self.cut(kernel, expansion))
        return x + y if self.shortcut else y

    def cut(self, kernel: int, expansion: int) -> torch.Tensor:
        """Return the depthwise weight of this kernel and expansion, a view."""
        weight = self.depthwise.weight[: self.shape[0] * expansion]
        return weight if kernel == max(KERNELS) else weight[..., 1:-1, 1:-1]

    def _through(
        self, x: torch.Tensor, weight: torch.Tensor, on: torch.Tensor | None = None
    ) -> torch.Tensor:
        """Return the three convolutions' output for a depthwise weight; `on` weighs inner channels."""
        hidden = len(weight)
        y = F.relu(self.norms[0](self.expand(x, self.expand.weight[:hidden])))
        y = F.relu(self.norms[1](self.depthwise(y, weight)))
        y = y if on is None else y * on[:, None, None]
        return cast(torch.Tensor, self.norms[2](self.project(y, self.project.weight[:, :hidden])))


class Slice(nn.Module):
    """A smaller inverted residual within a block, with the block's weights.

    Args:
        block: block whose weights it uses.
        kernel: kernel size of the depthwise convolution, 3 or 5.
        expansion: expansion of the block, 3 or 6.
    """

    def __init__(self, block: SuperBlock, kernel: int, expansion: int) -> None:
        super().__init__()
        self.block = block
        self.kernel = kernel
        self.expansion = expansion

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Map `[b, channels_in, h, w]` as `plain()` would."""
        return self.block.part(x, self.kernel, self.expansion)

    def plain(self) -> nn.Module:
        """Return an ordinary inverted residual that computes the same, with copies of the weights."""
        block, weight = self.block, self.block.cut(self.kernel, self.expansion)
        channels_in, channels_out, stride, affine = block.shape
        own = InvertedResidual(
            channels_in,
            channels_out,
            kernel=self.kernel,
            expansion=self.expansion,
            stride=stride,
            affine=affine,
        ).to(weight)
        hidden = len(weight)
        used = (block.expand.weight[:hidden], weight, block.project.weight[:, :hidden])
        convolutions = [module for module in own.layers if isinstance(module, nn.Conv2d)]
        norms = [module for module in own.layers if isinstance(module, nn.BatchNorm2d)]
        for convolution, taken in zip(convolutions, used, strict=True):
            convolution.weight.data.copy_(taken.data)
        for norm, shared in zip(norms, block.norms, strict=True):
            for name, value in norm.state_dict(keep_vars=True).items():
                given = getattr(shared, name)
                value.data.copy_(given.data[: len(value)] if given.ndim else given)
        return own.train(self.training)


class _Convolution(nn.Conv2d):
    """A convolution with what is made of its weight; a depthwise one stays depthwise."""

    def forward(self, x: torch.Tensor, weight: torch.Tensor) -> torch.Tensor:  # type: ignore[override]
        groups = len(weight) if self.groups > 1 else 1
        return F.conv2d(x, weight, None, self.stride, weight.shape[-1] // 2, groups=groups)


class _Norm(nn.BatchNorm2d):
    """Batch norm of as many leading channels as there are."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        channels = x.shape[1]
        if channels == self.num_features:
            return super().forward(x)
        factor = self.momentum or 0.0
        records = self.training and self.track_running_stats
        if records and self.num_batches_tracked is not None:
            self.num_batches_tracked.add_(1)
            if self.momentum is None:  # a cumulative average
                factor = 1 / float(self.num_batches_tracked)

        def leading(tensor: torch.Tensor | None) -> torch.Tensor | None:
            return None if tensor is None else tensor[:channels]

        mean, variance = leading(self.running_mean), leading(self.running_var)
        return F.batch_norm(
            x,
            mean if records or not self.training else None,
            variance if records or not self.training else None,
            leading(self.weight),
            leading(self.bias),
            self.training or mean is None,
            factor,
            self.eps,
        )

"""Batch norm of several ranks that train together: by the statistics of what all of them hold."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

from supernet.ranks import add_up, gathered, is_apart, mean_of_all, rank, ranks

__all__ = ["pooling_batch_norm"]


@contextmanager
def pooling_batch_norm() -> Iterator[None]:
    """Within the block batch norm takes the statistics of the batches of all ranks together.

    PyTorch's `SyncBatchNorm` would have to replace the user's modules, and runs on GPUs only.
    """
    if ranks() == 1:
        yield
        return
    plain = F.batch_norm
    F.batch_norm = _pooled_batch_norm(plain)
    try:
        yield
    finally:
        F.batch_norm = plain


def _pooled_batch_norm(plain: Any) -> Any:
    def batch_norm(
        input: Tensor,
        running_mean: Tensor | None,
        running_var: Tensor | None,
        weight: Tensor | None = None,
        bias: Tensor | None = None,
        training: bool = False,
        momentum: float = 0.1,
        eps: float = 1e-5,
    ) -> Tensor:
        if not training or is_apart():
            return plain(  # type: ignore[no-any-return]
                input, running_mean, running_var, weight, bias, training, momentum, eps
            )
        y, mean, variance = _PooledNorm.apply(input, weight, bias, eps)  # type: ignore[no-untyped-call]
        if running_mean is not None and running_var is not None:
            count = ranks() * input.numel() // input.shape[1]
            running_mean.lerp_(mean.to(running_mean), momentum)
            running_var.lerp_((variance * (count / max(count - 1, 1))).to(running_var), momentum)
        found: Tensor = y
        return found

    return batch_norm


class _PooledNorm(torch.autograd.Function):
    """Batch norm by the statistics of all ranks, in PyTorch's kernels for those of one.

    In its backward pass normalising by statistics that are given has the gradient g_x, and Σ dy and
    Σ dy · x̂ are those of the offset and the scale; as the statistics depend on x, too, there is left

        g_x - w / σ · (mean(dy) + x̂ · mean(dy · x̂)),

    with the means over all ranks (Ioffe and Szegedy, "Batch Normalization", ICML 2015, section 3). Where
    the gradient shall be differentiated, it is that of the formula instead, which takes longer.
    """

    @staticmethod
    def forward(
        ctx: Any, x: Tensor, weight: Tensor | None, bias: Tensor | None, eps: float
    ) -> tuple[Tensor, Tensor, Tensor]:
        half = x.dtype in (torch.bfloat16, torch.float16)  # too coarse for statistics
        seen = x.float() if half else x
        own = torch.stack(torch.batch_norm_update_stats(seen, None, None, 0.0))
        mean, variance = _whole(*gathered(own).unbind(1))
        ctx.eps = eps
        ctx.save_for_backward(x, weight, bias, mean, variance)
        y = torch.native_batch_norm(x, weight, bias, mean, variance, False, 0.0, eps)[0]
        ctx.mark_non_differentiable(mean, variance)
        return y, mean, variance

    @staticmethod
    def backward(ctx: Any, dy: Tensor, *_: Tensor) -> tuple[Tensor | None, ...]:
        x, weight, bias, mean, variance = ctx.saved_tensors
        if torch.is_grad_enabled():  # it will be differentiated again
            inputs = [one for one in (x, weight, bias) if one is not None and one.requires_grad]
            y = _by_formula(x, weight, bias, ctx.eps)
            found = iter(torch.autograd.grad(y, inputs, dy, create_graph=True))
            given = (one is not None and one.requires_grad for one in (x, weight, bias))
            return (*(next(found) if one else None for one in given), None)
        scale = torch.ones_like(mean) if weight is None else weight
        gx, gw, gb = torch.ops.aten.native_batch_norm_backward(
            dy, x, scale, mean, variance, None, None, False, ctx.eps, [True, True, True]
        )
        if ctx.needs_input_grad[0]:
            sums = torch.stack([gb, gw]).to(mean)
            add_up(sums)
            own, other = sums * (x.shape[1] / (ranks() * x.numel()))
            inverse = (variance + ctx.eps).rsqrt()
            factor = scale * inverse
            slope = factor * inverse * other  # of x̂ · mean(dy · x̂), by x
            gx = gx.addcmul_(x, _along(-slope, x)).add_(_along(slope * mean - factor * own, x))
        return gx, None if weight is None else gw, None if bias is None else gb, None


def _along(values: Tensor, x: Tensor) -> Tensor:
    """Return values of channels, `[channels]`, in the shape that x is multiplied by, of its type."""
    return values.view([1, -1, *[1] * (x.ndim - 2)]).to(x.dtype)


def _by_formula(x: Tensor, weight: Tensor | None, bias: Tensor | None, eps: float) -> Tensor:
    others = [dim for dim in range(x.ndim) if dim != 1]
    variance, mean = torch.var_mean(x, others, correction=0)
    mean, variance = _pooled(mean, variance)
    y = (x - _along(mean, x)) * _along((variance + eps).rsqrt(), x)
    if weight is not None:
        y = y * _along(weight, x)
    return y if bias is None else y + _along(bias, x)


def _pooled(mean: Tensor, variance: Tensor) -> tuple[Tensor, Tensor]:
    """Return mean and variance of what all ranks hold, from those of each, `[channels]`."""
    own = torch.zeros(ranks(), 2, len(mean), dtype=mean.dtype, device=mean.device)
    own = torch.stack([*own[: rank()], torch.stack([mean, variance]), *own[rank() + 1 :]])
    return _whole(*(mean_of_all(own, True, True) * ranks()).unbind(1))


def _whole(means: Tensor, variances: Tensor) -> tuple[Tensor, Tensor]:
    """Return mean and variance of what all ranks hold, from those of each, `[ranks, channels]`."""
    # Not as the mean of squares less the squared mean, which cancels in single precision.
    whole = means.mean(0)
    return whole, variances.mean(0) + (means - whole).square().mean(0)

"""The weighted sum of several options on one input, in fewer passes over memory.

`Σ_i w_i · op_i(x)` as it is written needs, besides the options, a product and a sum of feature maps for
each of them, forward and backward. The same numbers, up to rounding, cost less:

* An option that ends in batch norm has its weight as the norm's scale: `w · BN(z)` is a batch norm of
  `z` with the scale `w · γ` and the offset `w · β`.
* An option that is zero costs nothing, and the identity is a product that goes straight into the sum.
* A ReLU or a pooling that several options begin with is computed once, and within `shared` also once for
  different choices on the same tensor.
* An average pooling of stride 1 is a depthwise convolution with equal weights, which oneDNN computes
  several times faster than PyTorch pools.

An option of another structure, or one that has hooks, is called and multiplied as it stands. All of it
consists of differentiable operations, so that there are derivatives of any order.

Shapes: the input `x` is `[b, c, h, w]` or any other; each option's output has one shape, that of the
sum. Weights are `[options]`; γ and β of a norm are `[channels]`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from typing import Any, cast

import torch
from torch import nn
from torch.nn import functional as F
from torch.nn.modules import module as everywhere
from torch.nn.modules.utils import _pair

from supernet.ops import Zero

__all__ = ["Memo", "shared", "weighted_sum"]

_WINDOW = ("kernel_size", "stride", "padding", "ceil_mode")
_POOLS: dict[type[nn.Module], tuple[str, ...]] = {
    nn.AvgPool2d: (*_WINDOW, "count_include_pad", "divisor_override"),
    nn.MaxPool2d: (*_WINDOW, "dilation", "return_indices"),
}
"""Poolings, and the settings in which two of a kind differ."""

_EVERYWHERE = (
    everywhere._global_forward_hooks,
    everywhere._global_forward_pre_hooks,
    everywhere._global_backward_hooks,
    everywhere._global_backward_pre_hooks,
)
"""Hooks that run with every module."""


class Memo:
    """What has been computed of some tensors, each result under a name for the computation."""

    def __init__(self) -> None:
        self._results: dict[tuple[object, ...], tuple[torch.Tensor, torch.Tensor]] = {}

    def get(
        self, x: torch.Tensor, name: object, compute: Callable[[torch.Tensor], torch.Tensor]
    ) -> torch.Tensor:
        """Return `compute(x)`, which is not computed again while `x` is what it was."""
        key = (id(x), None if x.is_inference() else x._version, torch.is_grad_enabled(), name)
        if key not in self._results:
            # with x, so that no other tensor gets its id
            self._results[key] = (x, compute(x))
        return self._results[key][1]


@contextmanager
def shared(choices: Iterable[nn.Module]) -> Iterator[None]:
    """Within the block, choices that run on the same tensor share what their options begin with.

    A model puts this around a part of its forward pass in which several choices have one input.

    Args:
        choices: choices that share; what is no `Choice`, as in a derived network, is left alone.
    """
    memo = Memo()
    found = [choice for choice in choices if "memo" in choice.__dict__]
    before = [choice.__dict__["memo"] for choice in found]
    try:
        for choice in found:
            choice.__dict__["memo"] = memo
        yield
    finally:
        for choice, old in zip(found, before, strict=True):
            choice.__dict__["memo"] = old


def weighted_sum(
    run: Callable[[int], torch.Tensor],
    indices: Sequence[int],
    options: Sequence[nn.Module],
    weights: torch.Tensor,
    x: torch.Tensor,
    memo: Memo | None = None,
) -> torch.Tensor:
    """Return `Σ_i w_i · run(i)`, where `run(i)` is the module's output on `x`.

    Args:
        run: returns the output of an option; used for those whose structure is not known.
        indices: number of each option, which `run` is called with.
        options: modules of the options.
        weights: weights of the options, `[options]`.
        x: input that the options run on.
        memo: computations that several choices have in common.
    """
    memo = memo or Memo()
    normed: list[torch.Tensor] = []
    scaled: list[tuple[torch.Tensor, torch.Tensor]] = []
    zeros: list[tuple[int, torch.Tensor]] = []
    for i, module, weight in zip(indices, options, weights.unbind(), strict=True):
        kind = None if _changed(module) else type(module)
        if kind is nn.Sequential and _foldable(module, weight, x):
            *layers, norm = cast(nn.Sequential, module)
            z = _first_layers(layers, x, memo)
            normed.append(_scaled_norm(cast(nn.BatchNorm2d, norm), z, weight))
        elif kind is nn.Identity:
            scaled.append((x, weight))
        elif kind in _POOLS:
            scaled.append((_first(module, x, memo), weight))
        elif kind is Zero:
            zeros.append((i, weight))
        else:
            scaled.append((run(i), weight))
    total = _total(None, normed, scaled)
    if total is None or total.dtype != x.dtype:
        # A zero decides the shape of the output, or (under autocast) its type.
        total = _total(total, [], [(run(i), weight) for i, weight in zeros])
    return cast(torch.Tensor, total)


def _total(
    total: torch.Tensor | None,
    normed: Sequence[torch.Tensor],
    scaled: Sequence[tuple[torch.Tensor, torch.Tensor]],
) -> torch.Tensor | None:
    """Return the total, which may be overwritten, plus outputs, plus outputs times weights."""
    for y in normed:
        total = y if total is None else _add(total, y)
    for y, weight in scaled:
        if total is None:
            total = weight * y
        elif _alike(y, total) and (weight.dtype, weight.device) == (y.dtype, y.device):
            total = cast(torch.Tensor, _AddProduct.apply(total, y, weight))  # type: ignore[no-untyped-call]
        else:
            total = _add(total, weight * y)
    return total


def _add(total: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
    """Add, into the memory of the total (which is ours) where the result fits."""
    return total.add_(y) if _alike(y, total) else total + y


def _alike(y: torch.Tensor, total: torch.Tensor) -> bool:
    return (y.shape, y.dtype, y.device) == (total.shape, total.dtype, total.device)


class _AddProduct(torch.autograd.Function):
    """`total += weight * y` for a weight of one number, with a dot product as its derivative."""

    @staticmethod
    def forward(
        ctx: Any, total: torch.Tensor, y: torch.Tensor, weight: torch.Tensor
    ) -> torch.Tensor:
        ctx.save_for_backward(y if ctx.needs_input_grad[2] else None, weight)
        ctx.mark_dirty(total)
        return total.addcmul_(y, weight)

    @staticmethod
    def backward(ctx: Any, grad: torch.Tensor) -> tuple[torch.Tensor | None, ...]:
        y, weight = ctx.saved_tensors
        of_y = grad * weight if ctx.needs_input_grad[1] else None
        return grad, of_y, _dot(grad, y) if ctx.needs_input_grad[2] else None


def _dot(x: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
    """Return `Σ x · y`, in one pass where both lie in memory alike."""
    if y.ndim == 4 and y.is_contiguous(memory_format=torch.channels_last):
        x, y = x.permute(0, 2, 3, 1), y.permute(0, 2, 3, 1)
    return torch.dot(x.reshape(-1), y.reshape(-1))


def _changed(module: nn.Module) -> bool:
    """Return whether a call of the module or of one within it does more than its class says."""
    if any(map(bool, _EVERYWHERE)):
        return True
    return any(
        "forward" in m.__dict__
        or m._compiled_call_impl is not None
        or m._forward_hooks
        or m._forward_pre_hooks
        or m._backward_hooks
        or m._backward_pre_hooks
        for m in module.modules()
    )


def _foldable(module: nn.Module, weight: torch.Tensor, x: torch.Tensor) -> bool:
    """Return whether a sequence ends in a batch norm and leaves its input as it is."""
    layers = list(cast(nn.Sequential, module))
    if len(layers) < 2 or type(norm := layers[-1]) is not nn.BatchNorm2d:
        return False
    if not _plain_relu(layers[0]) and type(layers[0]) not in (nn.Conv2d, *_POOLS):
        return False
    like = x if norm.running_mean is None else norm.running_mean
    like = like if norm.weight is None else norm.weight
    return weight.dtype == like.dtype and weight.device == like.device == x.device


def _plain_relu(module: nn.Module) -> bool:
    return type(module) is nn.ReLU and not module.inplace


def _first_layers(layers: Sequence[nn.Module], x: torch.Tensor, memo: Memo) -> torch.Tensor:
    """Return the output of the layers, the first of which may have been computed already."""
    # What is shared must not be changed in place by the next layer.
    shares = len(layers) == 1 or type(layers[1]) in (nn.Conv2d, *_POOLS)
    x = _first(layers[0], x, memo) if shares else layers[0](x)
    for layer in layers[1:]:
        x = layer(x)
    return x


def _first(layer: nn.Module, x: torch.Tensor, memo: Memo) -> torch.Tensor:
    """Return the output of a layer that is the first to work on the input of a choice."""
    if _plain_relu(layer):
        return memo.get(x, nn.ReLU, F.relu)
    if type(layer) in _POOLS:
        settings = tuple(getattr(layer, name) for name in _POOLS[type(layer)])
        return memo.get(x, (type(layer), settings), partial(_pooled, layer))
    return cast(torch.Tensor, layer(x))


def _scaled_norm(norm: nn.BatchNorm2d, z: torch.Tensor, weight: torch.Tensor) -> torch.Tensor:
    """Return `weight · norm(z)`, and move the running statistics as `norm` does."""
    norm._check_input_dim(z)
    records = norm.training and norm.track_running_stats
    factor = norm.momentum
    if records and norm.num_batches_tracked is not None:
        norm.num_batches_tracked.add_(1)
        if factor is None:
            factor = 1 / float(norm.num_batches_tracked)
    uses = records or not norm.training
    # Of stride 0 the scale would make batch norm more than twice as slow, see docs/speed.md.
    one = weight.expand(norm.num_features).contiguous()
    scale = one if norm.weight is None else weight * norm.weight
    return F.batch_norm(
        z,
        norm.running_mean if uses else None,
        norm.running_var if uses else None,
        scale,
        None if norm.bias is None else weight * norm.bias,
        norm.training or (norm.running_mean is None and norm.running_var is None),
        factor or 0.0,
        norm.eps,
    )


def _pooled(pool: nn.Module, x: torch.Tensor) -> torch.Tensor:
    """Return the pooling of `[b, c, h, w]`; an average of stride 1 as the window's sum over its size."""
    if type(pool) is not nn.AvgPool2d or not _convolvable(pool, x):
        return cast(torch.Tensor, pool(x))
    height, width = _pair(pool.kernel_size)
    ones = x.new_ones(x.shape[1], 1, height, width)
    if pool.count_include_pad:
        return F.conv2d(x, ones / (height * width), None, 1, pool.padding, 1, x.shape[1])
    inside = F.conv2d(x.new_ones(1, 1, *x.shape[2:]), ones[:1], None, 1, pool.padding)
    return F.conv2d(x, ones, None, 1, pool.padding, 1, x.shape[1]) / inside


def _convolvable(pool: nn.AvgPool2d, x: torch.Tensor) -> bool:
    """Return whether the pooling is a convolution, and oneDNN is there to compute it."""
    return bool(
        pool.stride in (1, (1, 1))
        and not pool.ceil_mode
        and pool.divisor_override is None
        and x.ndim == 4
        and x.device.type == "cpu"
        and x.dtype == torch.float32
        and not torch.is_autocast_enabled("cpu")
        and torch.backends.mkldnn.is_available()  # type: ignore[no-untyped-call]
        and torch.backends.mkldnn.enabled
    )

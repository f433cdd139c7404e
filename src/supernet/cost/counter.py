"""Multiply-adds of what runs, operator by operator."""

from __future__ import annotations

import warnings
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from typing import Any

import torch
from torch import nn
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils.flop_counter import flop_registry

from supernet.cost.products import products_of
from supernet.elastic.spec import dimensions_of
from supernet.modules.hooks import hooked
from supernet.modules.modes import evaluating
from supernet.space import Path

__all__ = ["Located", "MacCounter", "UncountedWarning", "counting"]


class UncountedWarning(UserWarning):
    """A module with a weight matrix ran, but no multiply-adds of it were counted."""


Located = Callable[[], frozenset[Path]]
"""Returns the paths to what is being computed."""


class MacCounter(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Count multiply-adds by the paths to what is being computed."""

    def __init__(self, located: Located | None) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.macs: Counter[frozenset[Path]] = Counter()
        self.total = 0
        self.pauses = 0
        self._located = located

    def __torch_dispatch__(
        self, func: Any, types: Any, args: Any = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        kwargs = kwargs or {}
        if func.namespace == "prim":  # what a tensor without values is asked, such as its device
            return func(*args, **kwargs)
        with self:  # in inference mode, compositions such as `linear` arrive here whole
            parts = func.decompose(*args, **kwargs)
        if parts is not NotImplemented:
            return parts
        result = func(*args, **kwargs)
        count = _multiply_adds(func._overloadpacket, args, kwargs, result)
        if count and not self.pauses:
            if self._located:
                self.macs[self._located()] += count
            self.total += count
        return result


def _multiply_adds(operator: Any, args: Any, kwargs: dict[str, Any], result: Any) -> int:
    if operator in flop_registry:
        return int(flop_registry[operator](*args, **kwargs, out_val=result) // 2)
    name = str(operator).removeprefix("aten.")
    return _FURTHER[name](*args) if name in _FURTHER else 0


def _recurrent(inputs: torch.Tensor, *weights: torch.Tensor) -> int:
    """Each weight matrix multiplies once at every time of every sequence; inputs `[..., width]`."""
    positions = inputs.numel() // inputs.shape[-1]
    return positions * sum(weight.numel() for weight in weights if weight.ndim > 1)


def _bilinear(first: torch.Tensor, weight: torch.Tensor, *_: Any) -> int:
    """`[n, i] · [o, i, j] · [n, j]`: first the matrix products to `[n, o, j]`, then over j."""
    return first.shape[0] * (weight.numel() + weight.shape[0] * weight.shape[2])


def _by_time(inputs: torch.Tensor, weight: torch.Tensor, _: Any, padding: int = 0) -> int:
    """A convolution of `[time, batch, channels]` by `[kernel, channels, leaving]`."""
    times = inputs.shape[0] + 2 * padding - weight.shape[0] + 1
    return times * inputs.shape[1] * weight.numel()


def _in_groups(first: torch.Tensor, second: torch.Tensor, *_: Any) -> int:
    """Matrix products of groups of rows, `[rows, i] · [groups, i, o]`, or of another axis."""
    among = first.shape[0] if first.ndim == 3 and second.ndim == 2 else 1
    return first.numel() // among * second.shape[-1]


_FURTHER: dict[str, Callable[..., int]] = {
    "mv": lambda matrix, _: matrix.numel(),
    "dot": lambda vector, _: vector.numel(),
    "addmv": lambda _, matrix, *__: matrix.numel(),
    "vdot": lambda vector, _: vector.numel(),
    "conv_tbc": _by_time,
    "_grouped_mm": _in_groups,
    "addbmm": lambda _, first, second, *__: first.numel() * second.shape[-1],
    "mkldnn_rnn_layer": lambda x, w_in, w_hidden, *_: _recurrent(x, w_in, w_hidden),
    "_cudnn_rnn": lambda x, weights, *_: _recurrent(x, *weights),
    "miopen_rnn": lambda x, weights, *_: _recurrent(x, *weights),
    "_lstm_mps": lambda x, _, weights, *__: _recurrent(x, *weights),
    "_trilinear": _bilinear,
}
"""Operators that PyTorch's own counter leaves out; their multiply-adds, not FLOPs."""


@contextmanager
def counting(
    model: nn.Module, located: Located | None = None, warn: bool = True
) -> Iterator[MacCounter]:
    """Count in evaluation mode, with attention computed by the matrix products it consists of.

    Args:
        model: model that runs in the block.
        located: function that tells the paths to what is being computed; without it only a total is
            counted.
        warn: whether modules are named that have a weight matrix of which nothing was counted.
    """
    fused = torch.backends.mha.get_fastpath_enabled()
    torch.backends.mha.set_fastpath_enabled(False)
    counter = MacCounter(located)
    try:
        with (
            evaluating(model),
            torch.no_grad(),
            sdpa_kernel(SDPBackend.MATH),
            _noticing(model, counter) if warn else nullcontext(),
            counter,
        ):
            yield counter
    finally:
        torch.backends.mha.set_fastpath_enabled(fused)


_NO_PRODUCTS = (
    nn.Embedding,
    nn.EmbeddingBag,
    nn.LayerNorm,
    nn.RMSNorm,
    nn.ParameterList,
    nn.ParameterDict,
)
"""Modules whose parameters may be matrices without being multiplied as such."""


@contextmanager
def _noticing(model: nn.Module, counter: MacCounter) -> Iterator[None]:
    """Warn of modules with a weight matrix that ran in the block without being counted."""
    before: list[int] = []
    added: Counter[nn.Module] = Counter()

    def enter(*_: Any) -> None:
        before.append(counter.total)

    def leave(module: nn.Module, *_: Any) -> None:
        added[module] += counter.total - before.pop()

    names = {
        module: name
        for name, module in model.named_modules()
        if not isinstance(module, _NO_PRODUCTS)
        and not dimensions_of(module)
        and products_of(module) is None
        and any(map(_is_matrix, module.parameters(recurse=False)))
    }
    with hooked(names, enter, leave):
        yield
    missed = [
        f"{type(module).__name__} ({names[module] or 'the model itself'})"
        for module, count in added.items()
        if not count
    ]
    if missed:
        warnings.warn(
            f"no multiply-adds were counted for {', '.join(missed)}, though a weight matrix lies in "
            'it; if it multiplies by that matrix, "macs" is too small, since it is computed by an '
            "operator whose multiply-adds are unknown: write it as a matrix product or convolution",
            UncountedWarning,
            stacklevel=5,
        )


def _is_matrix(parameter: torch.Tensor) -> bool:
    """Return whether at least two dimensions are larger than 1: a scale per channel is a vector."""
    return sum(size > 1 for size in parameter.shape) > 1

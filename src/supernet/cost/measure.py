"""Parameters and multiply-adds of every option, from one forward pass of one example."""

from __future__ import annotations

import warnings
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from itertools import product
from typing import Any, cast

import torch
from torch import nn
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils.flop_counter import flop_registry

from supernet.cost.products import (
    amounts_of,
    check_known,
    joined,
    known_macs,
    known_parameters,
    products_of,
)
from supernet.cost.table import CostTable, Entry
from supernet.cost.trace import Trace, run_all, tracing
from supernet.elastic import Resolution
from supernet.errors import SpaceError
from supernet.net import SuperNet
from supernet.net.dimension import OpenLayer, sizes_of
from supernet.net.modes import evaluating
from supernet.net.opened import dimensions_of
from supernet.net.plain import Part
from supernet.space import Path

__all__ = ["UncountedWarning", "count_macs", "count_params", "measure_costs"]


class UncountedWarning(UserWarning):
    """A module with a weight matrix ran, but no multiply-adds of it were counted."""


def measure_costs(supernet: SuperNet, *example: torch.Tensor) -> dict[str, CostTable]:
    """Return the tables of "params" and "macs".

    Multiply-adds are those of convolutions, matrix products, recurrent and bilinear layers (half of
    what PyTorch's own counter calls FLOPs), counted per example: the first dimension of `example`
    must be 1. All options run once, in evaluation mode; where the resolution is open, once at each.

    Raises:
        SpaceError: the outputs of a choice's options differ in shape, the resolution is open within an
            option, or a converted model is asked for other sizes than it was converted with.

    Warns:
        UncountedWarning: a module with a weight matrix ran, but nothing of it was counted.
    """
    return {"params": _params(supernet), "macs": _macs(supernet, *example)}


def count_params(model: nn.Module) -> int:
    """Return the number of parameters of an ordinary module, shared ones once.

    Modules with an attribute `training_only` that is true, as auxiliary classifiers, are left out.
    """
    return sum(parameter.numel() for parameter in set(_counted(model)))


def _counted(module: nn.Module) -> Iterator[nn.Parameter]:
    """Yield the parameters but for those that serve training only, one for each of its places."""
    if not getattr(module, "training_only", False):
        yield from module.parameters(recurse=False)
        for child in module.children():
            yield from _counted(child)


def count_macs(model: nn.Module, *example: torch.Tensor) -> int:
    """Return the multiply-adds of an ordinary module on one example (first dimension 1).

    Warns:
        UncountedWarning: a module with a weight matrix ran, but nothing of it was counted.
    """
    with _counting(model, None) as counter:
        model(*example)
    return counter.total


def _params(supernet: SuperNet) -> CostTable:
    counted = set(map(id, _counted(supernet)))
    sizes: dict[object, int] = {}
    places: defaultdict[object, set[Path]] = defaultdict(set)
    held: defaultdict[nn.Module, set[Path]] = defaultdict(set)
    for module, paths in supernet.held():
        owned: dict[object, int]
        if products_of(module) is not None:
            continue  # see below
        if dimensions_of(module):
            held[module] |= paths
        if isinstance(module, Part):
            owned = (
                {}
                if dimensions_of(module)
                else {("part", id(module)): count_params(module.plain())}
            )
        else:
            mine = module.parameters(recurse=False)
            owned = {id(p): p.numel() for p in mine if id(p) in counted}
        for key, size in owned.items():
            sizes[key] = size
            places[key] |= paths
    amounts: Counter[frozenset[Path]] = Counter()
    for key, found in places.items():
        amounts[frozenset(found)] += sizes[key]
    entries = [Entry(paths, amount) for paths, amount in amounts.items()]
    for module, found in held.items():
        for atoms, plain in sizes_of(module):
            entries.append(Entry(joined(found, atoms), count_params(plain)))
    for numbers, found in known_parameters(supernet):
        for atoms, amount in amounts_of([numbers]):
            entries.append(Entry(joined(found, atoms), amount))
    return CostTable("params", entries)


def _macs(supernet: SuperNet, *example: torch.Tensor) -> CostTable:
    check_known(supernet, *example)
    runs = [(chosen, _macs_of(supernet, chosen, *example)) for chosen in _resolutions(supernet)]
    entries = []
    for paths in dict.fromkeys(paths for _, amounts in runs for paths in amounts):
        each = [amounts[paths] for _, amounts in runs]
        if len(set(each)) == 1:
            entries.append(Entry(paths, each[0]))
        else:
            found = zip(runs, each, strict=True)
            entries += [Entry(joined(paths, run[0]), amount) for run, amount in found]
    return CostTable("macs", entries)


def _resolutions(supernet: SuperNet) -> list[Path]:
    """Return the resolutions that the model can run at; one that says nothing if none is open.

    Raises:
        SpaceError: the resolution is open within an option.
    """
    sides = {}
    for module, path in supernet.places():
        if isinstance(module, Resolution):
            if path:
                raise SpaceError(
                    f"the resolution {module.side.label!r} is open within an option ({path}); resize "
                    "images before all choices"
                )
            sides[module.side.label] = module.side
    return list(product(*([(str(side.label), n) for n in side.names] for side in sides.values())))


def _macs_of(supernet: SuperNet, chosen: Path, *example: torch.Tensor) -> Counter[frozenset[Path]]:
    """Return the multiply-adds by the paths to them, where these resolutions are chosen."""
    open_layers = {
        module
        for module, _ in supernet.places()
        if dimensions_of(module)
        and products_of(module) is None
        and not isinstance(module, Resolution)
    }
    calls: list[tuple[nn.Module, frozenset[Path], tuple[Any, ...]]] = []
    with (
        tracing(supernet) as trace,
        _located(supernet, trace) as located,
        _counting(supernet.model, located) as counter,
        _set_aside(open_layers, counter, located, calls),
        _own_code_paused(supernet, counter),
    ):
        run_all(supernet, *example, chosen=chosen)
    found = counter.macs.copy()
    given = dict(chosen)
    for paths, amount in known_macs(supernet):
        found[paths] += amount
    for module, paths, inputs in calls:
        for atoms, plain in sizes_of(module):
            if all(given.get(label, option) == option for label, option in atoms):
                entering = cast(OpenLayer, module).entering(*inputs)
                found[joined(paths, atoms)] += count_macs(plain, *entering)
    return found


Located = Callable[[], frozenset[Path]]
"""Returns the paths to what is being computed."""


@contextmanager
def _located(supernet: SuperNet, trace: Trace) -> Iterator[Located]:
    """Follow which modules run that are not always kept, and yield what tells the paths to them."""
    running: list[nn.Module] = []
    known: dict[tuple[Path, tuple[nn.Module, ...]], frozenset[Path]] = {}

    def located() -> frozenset[Path]:
        key = (trace.path, tuple(running))
        if key not in known:
            known[key] = supernet.flow.paths(*key)
        return known[key]

    def enter(module: nn.Module, _: Any) -> None:
        running.append(module)

    def leave(*_: Any) -> None:
        running.pop()

    handles = [module.register_forward_pre_hook(enter) for module in supernet.flow.kept]
    handles += [module.register_forward_hook(leave) for module in supernet.flow.kept]
    try:
        yield located
    finally:
        for handle in handles:
            handle.remove()


@contextmanager
def _set_aside(
    layers: set[nn.Module],
    counter: _MacCounter,
    located: Located,
    calls: list[tuple[nn.Module, frozenset[Path], tuple[Any, ...]]],
) -> Iterator[None]:
    """Note the calls of layers whose shape is open, and count nothing in them."""

    def enter(module: nn.Module, inputs: tuple[Any, ...]) -> None:
        if not counter.pauses:
            calls.append((module, located(), inputs))
        counter.pauses += 1

    def leave(*_: Any) -> None:
        counter.pauses -= 1

    handles = [layer.register_forward_pre_hook(enter) for layer in layers]
    handles += [layer.register_forward_hook(leave) for layer in layers]
    try:
        yield
    finally:
        for handle in handles:
            handle.remove()


@contextmanager
def _own_code_paused(supernet: SuperNet, counter: _MacCounter) -> Iterator[None]:
    """Count nothing in the own code of modules whose products are known, but in the modules within."""
    if all(products_of(module) is None for module in supernet.modules()):
        yield
        return
    pauses: list[int] = []

    def enter(module: nn.Module, _: Any) -> None:
        pauses.append(counter.pauses)
        counter.pauses = int(products_of(module) is not None)

    def leave(*_: Any) -> None:
        counter.pauses = pauses.pop()

    handles = []
    for module in supernet.model.modules():
        handles.append(module.register_forward_pre_hook(enter))
        handles.append(module.register_forward_hook(leave))
    try:
        yield
    finally:
        for handle in handles:
            handle.remove()


class _MacCounter(TorchDispatchMode):  # type: ignore[no-untyped-call]
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


_FURTHER: dict[str, Callable[..., int]] = {
    "mv": lambda matrix, _: matrix.numel(),
    "dot": lambda vector, _: vector.numel(),
    "addbmm": lambda _, first, second, *__: first.numel() * second.shape[-1],
    "mkldnn_rnn_layer": lambda x, w_in, w_hidden, *_: _recurrent(x, w_in, w_hidden),
    "_cudnn_rnn": lambda x, weights, *_: _recurrent(x, *weights),
    "miopen_rnn": lambda x, weights, *_: _recurrent(x, *weights),
    "_lstm_mps": lambda x, _, weights, *__: _recurrent(x, *weights),
    "_trilinear": _bilinear,
}
"""Operators that PyTorch's own counter leaves out; their multiply-adds, not FLOPs."""


@contextmanager
def _counting(model: nn.Module, located: Located | None) -> Iterator[_MacCounter]:
    """Count in evaluation mode, with attention computed by the matrix products it consists of."""
    fused = torch.backends.mha.get_fastpath_enabled()
    torch.backends.mha.set_fastpath_enabled(False)
    counter = _MacCounter(located)
    try:
        with (
            evaluating(model),
            torch.no_grad(),
            sdpa_kernel(SDPBackend.MATH),
            _noticing(model, counter),
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
def _noticing(model: nn.Module, counter: _MacCounter) -> Iterator[None]:
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
    handles = []
    for module in names:
        handles.append(module.register_forward_pre_hook(enter))
        handles.append(module.register_forward_hook(leave))
    try:
        yield
    finally:
        for handle in handles:
            handle.remove()
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

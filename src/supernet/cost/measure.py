"""Parameters and multiply-adds of every option, from one forward pass of one example."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, cast

import torch
from torch import nn
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils.flop_counter import flop_registry

from supernet.cost.table import CostTable, Entry
from supernet.net import ChoiceModule, Routing, SuperNet
from supernet.net.modes import evaluating
from supernet.space import Atom, Path

__all__ = ["count_macs", "count_params", "measure_costs"]


def measure_costs(supernet: SuperNet, *example: torch.Tensor) -> dict[str, CostTable]:
    """Return the tables of "params" and "macs".

    Multiply-adds are those of convolutions and matrix products (half of what PyTorch's own counter
    calls FLOPs), counted per example: the first dimension of `example` must be 1. All options run
    once, in evaluation mode.
    """
    return {"params": _params(supernet), "macs": _macs(supernet, *example)}


def count_params(model: nn.Module) -> int:
    """Return the number of parameters of an ordinary module, shared ones once."""
    return sum(parameter.numel() for parameter in model.parameters())


def count_macs(model: nn.Module, *example: torch.Tensor) -> int:
    """Return the multiply-adds of an ordinary module on one example (first dimension 1)."""
    with _counting(model) as counter:
        model(*example)
    return sum(counter.macs.values())


def _params(supernet: SuperNet) -> CostTable:
    sizes: dict[int, int] = {}
    places: dict[int, set[Path]] = {}
    for module, path in supernet.places():
        for parameter in module.parameters(recurse=False):
            sizes[id(parameter)] = parameter.numel()
            places.setdefault(id(parameter), set()).add(path)
    amounts: Counter[frozenset[Path]] = Counter()
    for key, paths in places.items():
        amounts[frozenset(paths)] += sizes[key]
    return CostTable("params", (Entry(paths, amount) for paths, amount in amounts.items()))


def _macs(supernet: SuperNet, *example: torch.Tensor) -> CostTable:
    everything = Routing.masked(supernet.space, {})
    with _counting(supernet) as counter, _tracking(supernet, counter.frames):
        supernet(*example, routing=everything)
    return CostTable(
        "macs", (Entry(frozenset([path]), amount) for path, amount in counter.macs.items())
    )


Frame = Iterator[Atom] | Atom | None
"""What runs: a choice (the options it has yet to run), an option of it, or a module called apart."""


class _MacCounter(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Count multiply-adds by the path of options that is being computed."""

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.macs: Counter[Path] = Counter()
        self.frames: list[Frame] = []

    def __torch_dispatch__(
        self, func: Any, types: Any, args: Any = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        kwargs = kwargs or {}
        with self:  # in inference mode, compositions such as `linear` arrive here whole
            parts = func.decompose(*args, **kwargs)
        if parts is not NotImplemented:
            return parts
        result = func(*args, **kwargs)
        count = flop_registry.get(func._overloadpacket)
        if count is not None:
            path = tuple(frame for frame in self.frames if isinstance(frame, tuple))
            self.macs[path] += count(*args, **kwargs, out_val=result) // 2
        return result


@contextmanager
def _counting(model: nn.Module) -> Iterator[_MacCounter]:
    """Count in evaluation mode, with attention computed by the matrix products it consists of."""
    fused = torch.backends.mha.get_fastpath_enabled()
    torch.backends.mha.set_fastpath_enabled(False)
    try:
        with (
            evaluating(model),
            torch.no_grad(),
            sdpa_kernel(SDPBackend.MATH),
            _MacCounter() as counter,
        ):
            yield counter
    finally:
        torch.backends.mha.set_fastpath_enabled(fused)


@contextmanager
def _tracking(supernet: SuperNet, frames: list[Frame]) -> Iterator[None]:
    """Keep `frames` up to date: the choices and options that are running, outermost first.

    A module can be an option and be called elsewhere too, so it is an option only where its choice
    calls it; all options run, in their order.
    """

    def enter_choice(choice: nn.Module, _: Any) -> None:
        choice = cast(ChoiceModule, choice)
        frames.append((supernet.choices[choice], name) for name in choice.names)

    def enter_option(*_: Any) -> None:
        caller = frames[-1] if frames else None
        frames.append(next(caller) if isinstance(caller, Iterator) else None)

    def leave(*_: Any) -> None:
        frames.pop()

    handles = []
    for choice in supernet.choices:
        handles.append(choice.register_forward_pre_hook(enter_choice))
        handles.append(choice.register_forward_hook(leave))
    for option in {option for choice in supernet.choices for option in choice.options}:
        handles.append(option.register_forward_pre_hook(enter_option, prepend=True))
        handles.append(option.register_forward_hook(leave))
    try:
        yield
    finally:
        for handle in handles:
            handle.remove()

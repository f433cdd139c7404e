"""Parameters and multiply-adds of every option, from one forward pass of one example."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import nn
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils.flop_counter import flop_registry

from supernet.cost.table import CostTable, Entry
from supernet.net import ChoiceModule, Routing, SuperNet
from supernet.net.modes import evaluating
from supernet.space import Path

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
    with evaluating(model), torch.no_grad(), _MacCounter() as counter:
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
    counter = _MacCounter()
    everything = Routing.masked(supernet.space, {})
    with evaluating(supernet), _tracking(supernet, counter), torch.no_grad(), counter:
        supernet(*example, routing=everything)
    return CostTable(
        "macs", (Entry(frozenset([path]), amount) for path, amount in counter.macs.items())
    )


class _MacCounter(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Count multiply-adds by the path of options that is being computed."""

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.macs: Counter[Path] = Counter()
        self.path: list[tuple[str, str]] = []

    def __torch_dispatch__(
        self, func: Any, types: Any, args: Any = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        result = func(*args, **(kwargs or {}))
        count = flop_registry.get(func._overloadpacket)
        if count is not None:
            self.macs[tuple(self.path)] += count(*args, **(kwargs or {}), out_val=result) // 2
        return result


@contextmanager
def _tracking(supernet: SuperNet, counter: _MacCounter) -> Iterator[None]:
    """Keep `counter.path` up to date: the options that the running module lies in."""
    running: list[ChoiceModule] = []

    def enter_option(module: nn.Module, _: Any) -> None:
        choice = running[-1]
        index = next(i for i, option in enumerate(choice.options) if option is module)
        counter.path.append((supernet.choices[choice], choice.names[index]))

    handles = []
    for choice in supernet.choices:
        handles.append(choice.register_forward_pre_hook(lambda module, _: running.append(module)))
        handles.append(choice.register_forward_hook(lambda *_: _drop(running)))
    for option in {option for choice in supernet.choices for option in choice.options}:
        handles.append(option.register_forward_pre_hook(enter_option, prepend=True))
        handles.append(option.register_forward_hook(lambda *_: _drop(counter.path)))
    try:
        yield
    finally:
        for handle in handles:
            handle.remove()


def _drop(stack: list[Any]) -> None:
    stack.pop()

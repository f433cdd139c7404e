"""Which attributes of a model's modules the numbers come from that its code passes to operators.

The model runs once with integers that know where they are from. What reaches an operator as such is the
attribute itself; what was computed from it, or read from a tensor's shape, follows by itself.
"""

from __future__ import annotations

import copy
import warnings
from collections.abc import Iterator
from typing import Any

import torch
from torch import nn
from torch.overrides import TorchFunctionMode

__all__ = ["Source", "attributes_passed", "spelled"]

Source = tuple[str, str]
"""The name of a module and of its attribute."""

_SPELLINGS = {
    "split_with_sizes": "split",
    "unsafe_split": "split",
    "unsafe_chunk": "chunk",
    "_unsafe_view": "view",
}


def spelled(operator: str) -> str:
    """Return the name that an operator of a traced programme has in a model's code."""
    return _SPELLINGS.get(operator, operator)


def attributes_passed(
    model: nn.Module, *example: torch.Tensor
) -> dict[tuple[str, str], list[list[Source | None]]]:
    """Return by module and operator, for each call in their order, where each number is from.

    Of numbers that are no attribute the source is None. Where the model does not run, nothing.
    """
    copied = copy.deepcopy(model).eval()
    inside: list[str] = []
    for name, module in copied.named_modules():
        for own, value in list(module.__dict__.items()):
            if type(value) is int:
                module.__dict__[own] = _Known(value, (name, own))
        module.register_forward_pre_hook(lambda *_, name=name: inside.append(name))
        module.register_forward_hook(_leaving(inside))
    watch = _Watch(inside)
    with torch.no_grad(), watch, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            copied(*example)
        except Exception:  # code that wants integers of the plain type, for instance
            return {}
    return watch.found


class _Known(int):
    """An integer that knows which attribute it is."""

    source: Source

    def __new__(cls, value: int, source: Source) -> _Known:
        made = super().__new__(cls, value)
        made.source = source
        return made


class _Watch(TorchFunctionMode):
    """Notes the numbers among the arguments of every operator."""

    def __init__(self, inside: list[str]) -> None:
        super().__init__()
        self.found: dict[tuple[str, str], list[list[Source | None]]] = {}
        self._inside = inside

    def __torch_function__(
        self, func: Any, types: Any, args: Any = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        kwargs = kwargs or {}
        scope = self._inside[-1] if self._inside else ""
        name = str(getattr(func, "__name__", func)).rstrip("_")
        numbers = [getattr(value, "source", None) for value in _numbers((*args, *kwargs.values()))]
        self.found.setdefault((scope, name), []).append(numbers)
        return func(*args, **kwargs)


def _numbers(values: Any) -> Iterator[int]:
    for value in values:
        if isinstance(value, int) and not isinstance(value, bool):
            yield value
        elif isinstance(value, list | tuple):
            yield from _numbers(value)


def _leaving(inside: list[str]) -> Any:
    def leave(*_: object) -> None:
        inside.pop()

    return leave

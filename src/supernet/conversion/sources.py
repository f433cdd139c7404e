"""Where the numbers come from that a model's code passes to operators.

The model runs once with integers that know where they are from: an attribute of a module, or of a tuple
that is one, the size of a tensor, or a quotient of two of them, as the size of heads is. What reaches an
operator as an attribute follows that; what was read from a tensor's shape follows by itself, but two
axes must then be of one size (`supernet.conversion.tied_axes`).
"""

from __future__ import annotations

import copy
import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import torch
from torch import nn
from torch.overrides import TorchFunctionMode

from supernet.conversion.trial_networks import all_options
from supernet.failures import check_memory
from supernet.modules.calls import called
from supernet.modules.hooks import noting

__all__ = [
    "Origin",
    "Quotient",
    "SizeOf",
    "Source",
    "attributes_read",
    "numbers_passed",
    "spelled",
]

Source = tuple[str, str]
"""The name of a module and of its attribute; `shape[1]` is the second number of `shape`."""


@dataclass(frozen=True)
class SizeOf:
    """The size of an axis of what an operator returned.

    Attributes:
        scope: the name of the module whose code calls the operator.
        operator: name of the operator.
        call: number of the call among the module's calls of the operator.
        output: number of the output among those of the operator.
        axis: number of the axis of that output.
    """

    scope: str
    operator: str
    call: int
    output: int
    axis: int


@dataclass(frozen=True)
class Quotient:
    """A number that code made by dividing one number by another, without a rest."""

    whole: Source | SizeOf
    part: Source | SizeOf


Origin = Source | SizeOf | Quotient | None
"""Where a number is from; None if that is not known."""

_SPELLINGS = {
    "split_with_sizes": "split",
    "unsafe_split": "split",
    "unsafe_chunk": "chunk",
    "_unsafe_view": "view",
}


def spelled(operator: str) -> str:
    """Return the name that an operator of a traced programme has in a model's code."""
    return _SPELLINGS.get(operator, operator)


def numbers_passed(
    model: nn.Module, *example: Any
) -> dict[tuple[str, str], list[list[tuple[int, Origin]]]]:
    """Return by module and operator, for each call in order, the numbers and where they are from.

    Where the model does not run, nothing.
    """
    for sizes in (True, False):  # some code wants sizes of the plain type
        copied = copy.deepcopy(model).eval()
        inside: list[str] = []
        for name, module in copied.named_modules():
            for own, value in list(module.__dict__.items()):
                module.__dict__[own] = _known(value, name, own)
        watch = _Watch(inside, sizes)
        with torch.no_grad(), noting(copied, inside), watch, warnings.catch_warnings():
            warnings.simplefilter("ignore")
            try:
                with all_options(copied):
                    called(copied, example)
            except Exception as error:  # code that wants integers of the plain type, for instance
                check_memory(error)
                continue
        return watch.found
    return {}


def attributes_read(model: nn.Module, *example: Any) -> set[Source]:
    """Return the attributes, of those that are integers, that the model's code reads in either mode.

    Where the model does not run, all.
    """
    found: set[Source] = set()
    for training in (False, True):
        copied = copy.deepcopy(model).train(training)
        for name, module in copied.named_modules():
            kind = type(module)
            held = {own: value for own, value in module.__dict__.items() if type(value) is int}
            module.__class__ = type(kind.__name__, (_Reading, kind), {})
            module.__dict__["_reading"] = (name, held, found)
            for own in held:
                del module.__dict__[own]
        with torch.no_grad(), warnings.catch_warnings():
            warnings.simplefilter("ignore")
            try:
                with all_options(copied):
                    called(copied, example)
            except Exception as error:  # a user's model may raise anything
                check_memory(error)
                return {
                    (name, own) for name, module in model.named_modules() for own in vars(module)
                }
    return found


class _Reading(nn.Module):
    """What is mixed into a class of modules to note which of their integers are read."""

    def __getattr__(self, name: str) -> Any:
        own, held, found = self.__dict__["_reading"]
        if name not in held:
            return super().__getattr__(name)
        found.add((own, name))
        return held[name]


class _Known(int):
    """An integer that knows where it is from."""

    origin: Origin

    def __new__(cls, value: int, origin: Origin) -> _Known:
        made = super().__new__(cls, value)
        made.origin = origin
        return made

    def __floordiv__(self, other: int) -> int:
        """Divide, and remember that."""
        whole, part = self.origin, getattr(other, "origin", None)
        value = int(self) // int(other)
        if isinstance(whole, Quotient | None) or isinstance(part, Quotient | None):
            return value
        return _Known(value, Quotient(whole, part)) if value * other == self else value


def _known(value: Any, module: str, own: str) -> Any:
    """Return an attribute with integers that know of it."""
    if type(value) is int:
        return _Known(value, (module, own))
    if type(value) in (tuple, list) and value and all(type(one) is int for one in value):
        return type(value)(_Known(one, (module, f"{own}[{i}]")) for i, one in enumerate(value))
    return value


class _Watch(TorchFunctionMode):
    """Notes the numbers among the arguments of every operator, and which tensors it returns.

    Args:
        inside: names of the modules that are running.
        sizes: whether sizes of tensors remember which operator's output they are of.
    """

    def __init__(self, inside: list[str], sizes: bool) -> None:
        super().__init__()
        self.found: dict[tuple[str, str], list[list[tuple[int, Origin]]]] = {}
        self._inside = inside
        self._sizes = sizes
        self._made: dict[int, tuple[torch.Tensor, tuple[str, str, int, int]]] = {}

    def __torch_function__(
        self, func: Any, types: Any, args: Any = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        kwargs = kwargs or {}
        if func == torch.Tensor.shape.__get__ or func is torch.Tensor.size:  # type: ignore[attr-defined]  # stubs know no descriptor
            return self._sized(args[0], func(*args, **kwargs), *args[1:], *kwargs.values())
        scope = self._inside[-1] if self._inside else ""
        name = str(getattr(func, "__name__", func)).rstrip("_")
        given = _numbers((*args, *kwargs.values()))
        numbers = [(int(value), getattr(value, "origin", None)) for value in given]
        calls = self.found.setdefault((scope, name), [])
        calls.append(numbers)
        result = func(*args, **kwargs)
        for output, tensor in enumerate(result if isinstance(result, list | tuple) else [result]):
            if isinstance(tensor, torch.Tensor):  # is held, so that no other has its identity
                self._made[id(tensor)] = tensor, (scope, name, len(calls) - 1, output)
        return result

    def _sized(self, tensor: torch.Tensor, sizes: Any, *asked: Any) -> Any:
        """Return sizes of a tensor that know so."""
        if not self._sizes or id(tensor) not in self._made or not tensor.ndim:
            return sizes
        made = self._made[id(tensor)][1]
        if isinstance(sizes, int):
            return _Known(sizes, SizeOf(*made, int(asked[-1]) % tensor.ndim)) if asked else sizes
        return torch.Size([_Known(n, SizeOf(*made, axis)) for axis, n in enumerate(sizes)])


def _numbers(values: Any) -> Iterator[int]:
    for value in values:
        if isinstance(value, int) and not isinstance(value, bool):
            yield value
        elif isinstance(value, list | tuple):
            yield from _numbers(value)

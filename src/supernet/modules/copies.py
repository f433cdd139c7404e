"""Copies of modules that have run: what they keep of a forward pass is copied without its graph."""

from __future__ import annotations

import copy
from collections import OrderedDict
from collections.abc import Iterator, Mapping
from typing import TypeVar

import torch
from torch import nn

__all__ = ["copied", "kept_results"]

M = TypeVar("M", bound=nn.Module)

_ATOMS = frozenset({bool, int, float, str, type(None)})
_CONTAINERS = frozenset({dict, OrderedDict, list, tuple, set})


def kept_results(module: nn.Module) -> Iterator[tuple[str, torch.Tensor]]:
    """Yield what a module itself keeps that was computed with gradients, with the attribute it is in."""
    for own, value in module.__dict__.items():
        kind = type(value)
        if kind in _ATOMS or (
            kind in _CONTAINERS and not value
        ):  # nearly all, and cheap to pass by
            continue
        if own not in ("_parameters", "_modules"):
            for tensor in _tensors(value, set()):
                if tensor.grad_fn is not None:
                    yield own, tensor


def _tensors(value: object, seen: set[int]) -> Iterator[torch.Tensor]:
    """Yield the tensors in an attribute, which may hold anything, and itself."""
    if isinstance(value, torch.Tensor):
        yield value
    elif isinstance(value, Mapping | list | tuple) and id(value) not in seen:
        seen.add(id(value))
        for item in value.values() if isinstance(value, Mapping) else value:
            yield from _tensors(item, seen)


def copied(module: M, memo: dict[int, object] | None = None) -> M:
    """Return a deep copy of a module that may have run.

    `copy.deepcopy` raises where a module keeps what it computed with gradients: a loss beside its
    output, a map of attention. The copy has the values alone, as the next forward pass replaces them.

    Args:
        module: module to copy, with all that it holds.
        memo: stand-ins for parts of the module in the copy, by the identity of the part.
    """
    memo = {} if memo is None else memo
    for part in module.modules():
        for _, tensor in kept_results(part):
            memo.setdefault(id(tensor), tensor.detach().clone())
    return copy.deepcopy(module, memo)

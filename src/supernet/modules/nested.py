"""Batches in tuples, lists and dictionaries, as models take and return them: cut, and put together."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import fields, is_dataclass
from typing import Any

import torch

from supernet.errors import RoutingError

__all__ = ["cut_batch", "joined_batch", "leaves", "mapped", "tensors"]


def tensors(value: Any) -> Iterator[torch.Tensor]:
    """Yield the tensors in a value, in their order.

    Those of other objects are left out, for instance of the cache that a language model returns.
    """
    if isinstance(value, torch.Tensor):
        yield value
    elif isinstance(value, Mapping):
        for item in value.values():
            yield from tensors(item)
    elif isinstance(value, list | tuple):
        for item in value:
            yield from tensors(item)
    elif is_dataclass(value):
        for part in fields(value):
            yield from tensors(getattr(value, part.name))


def leaves(value: Any) -> Iterator[Any]:
    """Yield what lies in tuples, lists and dictionaries, tensors or not, in its order."""
    if isinstance(value, Mapping):
        value = list(value.values())
    if isinstance(value, list | tuple):
        for item in value:
            yield from leaves(item)
    else:
        yield value


def mapped(function: Callable[[torch.Tensor], torch.Tensor], value: Any) -> Any:
    """Return a value with what a function makes of its tensors; other objects stay as they are."""
    if isinstance(value, torch.Tensor):
        return function(value)
    if type(value) is dict:
        return {key: mapped(function, item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return _like(value, [mapped(function, item) for item in value])
    return value


def cut_batch(value: Any, count: int) -> list[Any]:
    """Return nearly equal parts of all tensors `[batch, ...]` in a value; the rest is in each part."""
    if isinstance(value, torch.Tensor):
        return list(value.tensor_split(count)) if value.ndim else [value] * count
    if isinstance(value, Mapping):
        parts = {key: cut_batch(item, count) for key, item in value.items()}
        return [{key: part[i] for key, part in parts.items()} for i in range(count)]
    if isinstance(value, list | tuple):
        items = [cut_batch(item, count) for item in value]
        return [_like(value, [item[i] for item in items]) for i in range(count)]
    return [value] * count


def joined_batch(parts: Sequence[Any]) -> Any:
    """Return the whole of parts: tensors are concatenated, each with those in its place.

    Raises:
        RoutingError: a part holds what has no batch, so that the parts cannot be one.
    """
    first = parts[0]
    if isinstance(first, torch.Tensor) and first.ndim:
        return torch.cat(list(parts))
    if isinstance(first, Mapping):
        return {key: joined_batch([part[key] for part in parts]) for key in first}
    if isinstance(first, list | tuple):
        return _like(first, [joined_batch(column) for column in zip(*parts, strict=True)])
    if not isinstance(first, torch.Tensor) and all(part == first for part in parts):
        return first
    kind = "a tensor of one number" if isinstance(first, torch.Tensor) else type(first).__name__
    raise RoutingError(
        f"the model returned {kind}, which ghost batches have each their own of; return tensors "
        "[batch, ...], alone or in tuples, lists and dictionaries, or use a strategy with one path per "
        "batch, such as spos"
    )


def _like(value: list[Any] | tuple[Any, ...], items: list[Any]) -> Any:
    """Return items in a list, tuple or named tuple like another."""
    return type(value)(*items) if hasattr(value, "_fields") else type(value)(items)

"""How a model is called with the inputs of a batch: by their positions, or by their names.

The inputs of a batch are a tuple: `(images,)`, `(images, numbers)`, or one dictionary alone,
`({"tokens": tokens, "mask": mask},)`, whose tensors are given by their names.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any

from torch import nn

from supernet.errors import DataError

__all__ = ["bound", "by_name", "called", "given_as", "run"]


def by_name(inputs: Sequence[Any]) -> bool:
    """Return whether these inputs are given by their names: they are one dictionary alone."""
    return len(inputs) == 1 and isinstance(inputs[0], Mapping)


def given_as(inputs: Sequence[Any]) -> tuple[tuple[Any, ...], dict[str, Any]]:
    """Return the arguments by position, and those by name, that inputs are."""
    return ((), dict(inputs[0])) if by_name(inputs) else (tuple(inputs), {})


def bound(model: Callable[..., Any], inputs: Sequence[Any]) -> partial[Any]:
    """Return the call of a model with inputs, which is made when it is called."""
    args, named = given_as(inputs)
    return partial(model, *args, **named)


def called(model: Callable[..., Any], inputs: Sequence[Any], **options: Any) -> Any:
    """Return what a model computes: `model(*inputs)`, or `model(**names)` of one dictionary alone.

    Args:
        model: module or function.
        inputs: inputs of a batch.
        options: further arguments by name.

    Raises:
        DataError: the model does not take so many inputs, or inputs of these names.
    """
    args, named = given_as(inputs)
    return run(model, args, {**named, **options})


def run(model: Callable[..., Any], args: Sequence[Any], named: Mapping[str, Any]) -> Any:
    """Return what a model computes of arguments by position and by name.

    Raises:
        DataError: the model does not take so many, or some of these names.
    """
    try:
        return model(*args, **named)
    except TypeError as error:
        if (why := _misfit(model, args, named)) is None:
            raise
        raise DataError(why) from error


def _misfit(model: object, args: Sequence[Any], named: Mapping[str, Any]) -> str | None:
    """Return what is to be said of a model that does not take such arguments, None if it does."""
    try:
        takes = inspect.signature(model.forward if isinstance(model, nn.Module) else model)  # type: ignore[arg-type]
    except (TypeError, ValueError):
        return None
    try:
        takes.bind(*args, **named)
    except TypeError as error:
        given = [f"{len(args)} by position"] * bool(args) + [*map(repr, named)]
        return (
            f"the inputs given are {', '.join(given) or 'none'}, but {type(model).__name__}.forward "
            f"takes {takes}: {error}; give a dictionary of the names that it takes, or a tuple in their "
            "order"
        )
    return None

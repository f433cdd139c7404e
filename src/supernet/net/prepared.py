"""Modules of one or several inputs, as programmes are made of them."""

from __future__ import annotations

import inspect
from typing import Any

import torch
from torch import nn

from supernet.modules.calls import called

__all__ = ["Example", "as_inputs", "input_names", "prepared", "with_signature"]

Example = torch.Tensor | tuple[torch.Tensor, ...] | dict[str, torch.Tensor]
"""What a programme takes: one tensor `[batch, ...]`, or several by position or by name."""


def as_inputs(example: Example) -> tuple[Any, ...]:
    """Return an example as the inputs of a batch, see `supernet.modules.calls`."""
    return example if isinstance(example, tuple) else (example,)


def input_names(example: Example) -> tuple[str, ...]:
    """Return what inputs of a programme are called: their names, "examples", or "examples_0", ..."""
    if isinstance(example, torch.Tensor):
        return ("examples",)
    return tuple(
        example if isinstance(example, dict) else map("examples_{}".format, range(len(example)))
    )


def prepared(model: nn.Module, before: nn.Module | None, example: Example) -> nn.Module:
    """Return a module whose inputs pass through another first, if there is one."""
    if before is None:
        return model
    return (
        nn.Sequential(before, model)
        if isinstance(example, torch.Tensor)
        else _Prepared(before, model)
    )


def with_signature(module: nn.Module, example: Example) -> nn.Module:
    """Return a module of several inputs that says what they are called, as tracing asks."""
    return module if isinstance(example, torch.Tensor) else _Signed(module, input_names(example))


class _Prepared(nn.Module):
    """A module of several inputs, all of which pass through another first."""

    def __init__(self, before: nn.Module, model: nn.Module) -> None:
        super().__init__()
        self.before = before
        self.model = model

    def forward(self, *inputs: torch.Tensor, **named: torch.Tensor) -> Any:
        """Return the outputs of the module."""
        values = self.before(*inputs, *named.values())
        return called(self.model, [dict(zip(named, values, strict=True))] if named else values)


class _Signed(nn.Module):
    """A module whose `forward` has a signature; it is not to be copied."""

    def __init__(self, model: nn.Module, names: tuple[str, ...]) -> None:
        super().__init__()
        self.model = model

        def forward(*inputs: torch.Tensor, **named: torch.Tensor) -> Any:
            return model(*inputs, **named)

        kind = inspect.Parameter.POSITIONAL_OR_KEYWORD
        signature = inspect.Signature([inspect.Parameter(name, kind) for name in names])
        forward.__signature__ = signature  # type: ignore[attr-defined]
        self.forward = forward

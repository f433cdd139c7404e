"""What a derived model may hold besides the user's own modules, and what stands for others."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, Protocol, runtime_checkable

import torch
from torch import nn

from supernet.space import Option, Role
from supernet.space.roles import PUBLISHED

__all__ = [
    "HasRole",
    "Part",
    "SelectInputs",
    "Skip",
    "Sum",
    "first_tensor",
    "role_of",
    "with_first",
]


@runtime_checkable
class Part(Protocol):
    """A module that computes with a part of weights that it shares, for instance fewer channels.

    In a derived model it is replaced by the ordinary module that it amounts to, and that one's
    parameters are what it costs. It holds no choices.
    """

    def plain(self) -> nn.Module:
        """Return an ordinary module that computes the same, with copies of the used weights."""


@runtime_checkable
class HasRole(Protocol):
    """A module that says what it is as an option, whatever it is called.

    Attributes:
        option_role: whether it is no connection or passes its input on, see `SearchSpace.role`.
    """

    option_role: Role


def role_of(name: Option, module: nn.Module) -> Role | None:
    """Return what an option is by its module, or else by its name, see `SearchSpace.role`."""
    return module.option_role if isinstance(module, HasRole) else PUBLISHED.get(name)


class Sum(nn.Module):
    """The sum of several modules' outputs on the same input."""

    def __init__(self, modules: Iterable[nn.Module]) -> None:
        super().__init__()
        self.terms = nn.ModuleList(modules)

    def forward(self, *inputs: Any, **named: Any) -> Any:
        """Return `Σ_i term_i(inputs)`; of several values the first tensors are added."""
        outputs = [term(*inputs, **named) for term in self.terms]
        total = _sum([first_tensor(output) for output in outputs])
        several = isinstance(outputs[-1], tuple | list)
        return with_first(outputs[-1], total) if several else total


class Skip(nn.Identity):
    """Returns its first input, whatever else it is given."""

    def forward(self, *inputs: Any, **named: Any) -> Any:
        """Return the input: the first by position, or else by name."""
        return next(iter((*inputs, *named.values())))


def first_tensor(output: Any) -> Any:
    """Return the first tensor of several values; what is none of these as it is."""
    if isinstance(output, tuple | list):
        return next((value for value in output if isinstance(value, torch.Tensor)), output)
    return output


def with_first(values: Any, tensor: torch.Tensor) -> Any:
    """Return several values with another tensor in place of the first one."""
    found = list(values)
    place = next(i for i, value in enumerate(found) if isinstance(value, torch.Tensor))
    found[place] = tensor
    return type(values)(*found) if hasattr(values, "_fields") else type(values)(found)


class SelectInputs(nn.Module):
    """The sum over some of the inputs, each through a module of its own.

    Args:
        indices: numbers of the inputs that are used.
        modules: modules that the used inputs pass through, one for each.
    """

    def __init__(self, indices: Sequence[int], modules: Iterable[nn.Module]) -> None:
        super().__init__()
        self.indices = tuple(indices)
        self.terms = nn.ModuleList(modules)

    def forward(self, inputs: Sequence[torch.Tensor]) -> torch.Tensor:
        """Return `Σ_i term_i(inputs[indices[i]])`."""
        return _sum([term(inputs[i]) for i, term in zip(self.indices, self.terms, strict=True)])


def _sum(outputs: list[torch.Tensor]) -> torch.Tensor:
    total = outputs[0]
    for output in outputs[1:]:
        total = total + output
    return total

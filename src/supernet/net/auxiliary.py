"""A supernet with modules beside its choices, which help to train it and belong to no architecture.

Chu et al., "DARTS-" (ICLR 2021): beside the mixture of an edge runs a skip with a weight that fades.
The modules beside are the supernet's own and not the model's; derived networks and costs know nothing of
them, and candidates are scored without.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from typing import Any, Protocol, cast, runtime_checkable

import torch
from torch import nn

from supernet.choice.choice import ChoiceModule
from supernet.net.supernet import SuperNet, walk

__all__ = ["AuxiliarySuperNet", "Skippable"]


@runtime_checkable
class Skippable(Protocol):
    """A choice that knows what passes its input on, also where none of its options does."""

    def skip(self) -> nn.Module:
        """Return a new module that returns its input, in the shape of the options' outputs."""


class AuxiliarySuperNet(SuperNet):
    """A supernet that adds to the output of a choice that of a module beside it, `y + β · beside(x)`.

    Args:
        model: model with choices, see `SuperNet`.
        modules: beside choices, by the choices' places in the model, as `walk` names them.

    Raises:
        SpaceError: see `SuperNet`.
    """

    def __init__(self, model: nn.Module, modules: Mapping[str, nn.Module]) -> None:
        super().__init__(model)
        self.modules_beside = nn.ModuleDict({_key(name): m for name, m in modules.items()})
        self._beside = [
            (place.module, modules[place.name]) for place in walk(model) if place.name in modules
        ]
        self._beta = 0.0

    @classmethod
    def of(
        cls, model: nn.Module, make: Callable[[ChoiceModule], nn.Module | None]
    ) -> AuxiliarySuperNet:
        """Return the supernet with what `make` returns beside each choice, where that is a module."""
        found: dict[ChoiceModule, tuple[str, nn.Module | None]] = {}
        for place in walk(model):
            if isinstance(place.module, ChoiceModule) and place.module not in found:
                found[place.module] = place.name, make(place.module)
        return cls(model, {name: module for name, module in found.values() if module is not None})

    def like(self, model: nn.Module) -> AuxiliarySuperNet:
        """Return a supernet of a part of this model, with copies of the modules beside its choices."""
        names = {place.name for place in walk(model) if _key(place.name) in self.modules_beside}
        modules = {name: copy.deepcopy(self.modules_beside[_key(name)]) for name in names}
        return AuxiliarySuperNet(model, modules)

    @property
    def with_beside(self) -> frozenset[str]:
        """The labels of the decisions that have modules beside their choices."""
        return frozenset(self.choices[cast(ChoiceModule, choice)] for choice, _ in self._beside)

    @contextmanager
    def beside(self, beta: float) -> Iterator[None]:
        """Within the block, the modules beside the choices run, with this weight."""
        before = self._beta
        self.__dict__["_beta"] = beta
        try:
            yield
        finally:
            self.__dict__["_beta"] = before

    def _compute(self, *inputs: Any, **named: Any) -> Any:
        if not self._beta:
            return super()._compute(*inputs, **named)
        with ExitStack() as hooks:
            for choice, module in self._beside:
                handle = choice.register_forward_hook(_Adding(module, self._beta))
                hooks.callback(handle.remove)
            return super()._compute(*inputs, **named)

    @property
    def gates_suffice(self) -> bool:
        """Nothing can be repeated once what runs beside is gone."""
        return not self._beta


class _Adding:
    """A hook that adds the output of a module, times a weight, to that of the one it is set on."""

    def __init__(self, module: nn.Module, weight: float) -> None:
        self._module, self._weight = module, weight

    def __call__(self, _: nn.Module, inputs: tuple[Any, ...], output: torch.Tensor) -> torch.Tensor:
        return output + self._weight * cast(torch.Tensor, self._module(*inputs))


def _key(name: str) -> str:
    """Return the name of a place as one of a `ModuleDict`, which allows no points."""
    return name.replace(".", "/") or "/"

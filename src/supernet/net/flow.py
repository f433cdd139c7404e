"""What of a model reaches its outputs, by the answers of an architecture.

A module lies in the options of a path, and so is there if all of them are chosen. Whether anybody
*reads* what it computes is another question: an input choice takes the outputs of all its sources and
uses those that are chosen, and an option that computes zeros uses none. PyTorch traces the model
symbolically, with modules in which nothing is chosen as leaves, in evaluation and in training mode. From
the outputs backwards every value gets two conditions: on being read, and on its shape being needed. A
module is *kept* where one of them holds; elsewhere a derived network has something in its place that
costs nothing.

The conditions say too often rather than too seldom that a module is kept: where PyTorch cannot trace the
model, where a module has hooks or changes its inputs in place, where code that stays needs the shape of
what nobody reads, and where conditions would become too long. Derived networks and costs go by the same
conditions, so they agree in any case.
"""

from __future__ import annotations

import copy
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

import torch
from torch import nn

from supernet.choice.choice import ChoiceModule, InputChoice
from supernet.net.conditions import ALWAYS, Algebra, Condition
from supernet.net.needs import Solver, neutral_option, reads
from supernet.space import Architecture, Path, SearchSpace

__all__ = ["Flow", "Unread"]


NUMBER = torch.zeros(1, 1)
"""What stand-ins return, made once, so that they run no operator."""


class Unread(nn.Module):
    """Stands in a derived network for a module whose output nobody reads, not even its shape.

    Args:
        module: module in whose place it stands. Its numbers, such as `out_channels`, may be read
            all the same.
    """

    def __init__(self, module: nn.Module) -> None:
        super().__init__()
        for name, value in vars(module).items():
            if name not in vars(self) and isinstance(value, int | float | str | tuple | None):
                self.__dict__[name] = value

    def forward(self, *inputs: object, **named: object) -> torch.Tensor:
        """Return a number, `[1, 1]`: an activation or `Zero` that lies behind can take that."""
        return NUMBER


@dataclass(eq=False)
class Flow:
    """The conditions under which the modules of a model are kept.

    Args:
        model: model with choices.
        labels: labels of the choices' decisions.
        space: space of these decisions.
    """

    model: nn.Module
    labels: Mapping[ChoiceModule, str]
    space: SearchSpace
    kept: dict[nn.Module, Condition] = field(default_factory=dict, init=False)
    """By choice and by module in which nothing is chosen, as far as the trace met them."""

    def __post_init__(self) -> None:
        self._algebra = Algebra(self.space)
        if any(isinstance(m, InputChoice) or not reads(m) for m in self.model.modules()):
            self.kept = Solver(self.model, self.labels, self.space, self._algebra).solved()

    def unread(self, architecture: Architecture) -> dict[nn.Module, nn.Module]:
        """Return the modules whose outputs nobody reads, each with what stands for it."""
        return {
            module: self.stand_in(module)
            for module, condition in self.kept.items()
            if not self._algebra.holds(condition, architecture)
        }

    def stand_in(self, module: nn.Module) -> nn.Module:
        """Return what costs nothing: of a choice an option that does, for the right shape."""
        neutral = neutral_option(module)
        if neutral is None:
            return Unread(module)
        assert isinstance(module, ChoiceModule)
        return module.derive([neutral], [copy.deepcopy(module.options[neutral])])

    def paths(self, path: Path, within: Iterable[nn.Module]) -> frozenset[Path]:
        """Return when something is there that lies in options and in modules.

        Args:
            path: the options.
            within: the modules.

        Returns:
            Paths of which one must hold; none if it is never there.
        """
        conditions = [self.kept[module] for module in within if module in self.kept]
        if not conditions:
            return frozenset([path])
        condition = ALWAYS
        for one in (*conditions, *(self._algebra.atom(*atom) for atom in path)):
            condition = self._algebra.both(condition, one)
        return frozenset(
            tuple(dict.fromkeys((*path, *more))) for more in self._algebra.paths(condition)
        )

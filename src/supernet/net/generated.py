"""A supernet whose weights are generated: a hypernetwork maps an architecture to weights of its layers.

Brock et al., "SMASH: One-Shot Model Architecture Search through HyperNetworks" (ICLR 2018). The user's
model runs through `torch.func.functional_call` with generated weights in place of its own, which stay
as they are and get no gradient. What is not generated is shared, as in any supernet.

Shapes: a layer's weight is `[out, in]`, with two axes of one position more for a 1×1 convolution.
"""

from __future__ import annotations

import copy
from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from fnmatch import fnmatchcase
from typing import Any, cast

import torch
from torch import nn
from torch.func import functional_call

from supernet.choice.routing import Routing
from supernet.errors import ConfigError
from supernet.net.supernet import SuperNet, walk
from supernet.space import Architecture, Option, Path

__all__ = ["GeneratedSuperNet", "Hypernetwork", "Running", "designated", "numbered"]

Running = Mapping[str, frozenset[Option]]
"""By label of each decision that is reached, the options that run."""

POINTWISE = (nn.Linear, nn.Conv1d, nn.Conv2d, nn.Conv3d)


class Hypernetwork(nn.Module, ABC):
    """Generates weights of designated layers.

    Args:
        layers: layers whose weights are generated, as `designated` returns them.

    Attributes:
        index: number of the layer at each place; one layer may be at several places.
        shapes: shapes of the layers' weights, by number.
    """

    def __init__(self, layers: Mapping[str, nn.Module]) -> None:
        super().__init__()
        self.index = numbered(layers)
        shapes = {
            n: cast(torch.Tensor, layers[name].weight).shape for name, n in self.index.items()
        }
        self.shapes = list(shapes.values())

    @abstractmethod
    def forward(self, running: Running, layers: Sequence[int]) -> list[torch.Tensor]:
        """Return the weights of some layers in an architecture, each of its layer's shape."""


class GeneratedSuperNet(SuperNet):
    """A supernet in which every architecture has weights of its own, from a hypernetwork.

    Weights are generated once for each route or ghost batch, when the model first runs under it, for
    the layers that the route reaches; they are dropped when the route ends. So there may be several
    forward passes under a route, but their losses must go backward together.

    Args:
        model: model with choices, see `SuperNet`.
        hypernetwork: made for layers of this model, or of one that this is a part of.

    Raises:
        SpaceError: see `SuperNet`.
    """

    @property
    def shares(self) -> bool:
        """A module's weights depend on the whole architecture."""
        return False

    def __init__(self, model: nn.Module, hypernetwork: Hypernetwork) -> None:
        super().__init__(model)
        self.hypernetwork = hypernetwork
        names = {module: f"{name}.weight" for name, module in model.named_modules()}
        self._layers: dict[str, tuple[int, set[Path]]] = {}
        for place in walk(model):
            if (number := hypernetwork.index.get(place.name)) is not None:
                name = names[place.module].removeprefix(".")
                self._layers.setdefault(name, (number, set()))[1].add(self._path(place))
        self._made: dict[tuple[bool, bool], dict[str, torch.Tensor]] | None = None

    def like(self, model: nn.Module) -> GeneratedSuperNet:
        """Return a supernet of a part of this model, with a copy of the hypernetwork."""
        return GeneratedSuperNet(model, copy.deepcopy(self.hypernetwork))

    def generated(self, route: Architecture | Routing) -> dict[nn.Parameter, torch.Tensor]:
        """Return the generated weights of the layers that a route reaches, by what they replace."""
        parameters = dict(self.model.named_parameters(remove_duplicate=False))
        with torch.no_grad(), self.route(route):
            return {parameters[name]: weight for name, weight in self._generate().items()}

    def _compute(self, *inputs: Any, **named: Any) -> Any:
        made = {} if self._made is None else self._made
        mode = (torch.is_grad_enabled(), torch.is_inference_mode_enabled())
        if mode not in made:
            made[mode] = self._generate()
        # Each module with a generated weight is named once. Tying weights would add the other names of a
        # module that has several, and leave the generated weight there.
        return functional_call(self.model, made[mode], inputs, named, tie_weights=False)

    @property
    def gates_suffice(self) -> bool:
        """Nothing of a forward pass can be repeated once its weights are dropped."""
        return False

    def _generate(self) -> dict[str, torch.Tensor]:
        """Return the weights of the layers that the present route reaches, by parameter."""
        running = self._running()
        reached = {
            name: number
            for name, (number, paths) in self._layers.items()
            if any(_holds(path, running) for path in paths)
        }
        numbers = list(dict.fromkeys(reached.values()))
        weights = dict(zip(numbers, self.hypernetwork(running, numbers), strict=True))
        return {name: weights[number] for name, number in reached.items()}

    def _running(self) -> Running:
        gates = {label: choice.gate for choice, label in self.choices.items()}
        running: dict[str, frozenset[Option]] = {}
        for decision in self.space.decisions:  # outer ones come first
            gate, conditions = gates[decision.label], self.space.conditions(decision.label)
            if gate is not None and any(_holds(path, running) for path in conditions):
                running[decision.label] = frozenset(decision.options[i] for i in gate.options)
        return running

    @contextmanager
    def _gated(self, route: Architecture | Routing) -> Iterator[None]:
        before = self._made
        with super()._gated(route):
            self.__dict__["_made"] = {}
            try:
                yield
            finally:
                self.__dict__["_made"] = before


def designated(supernet: SuperNet, pattern: str | None = None) -> dict[str, nn.Module]:
    """Return the layers whose weights are to be generated, by place.

    A weight can be generated where it is a matrix: of a linear layer, or of a convolution of kernel 1
    with one group.

    Args:
        supernet: supernet of the model.
        pattern: pattern with `*` and `?` for the names of places: those of modules, in which an
            option has its own name, for instance "cell*.block0.inputs.*". None stands for all
            layers that can be generated and lie in an option.

    Raises:
        ConfigError: there are none, or one that cannot be generated.
    """
    found: dict[str, nn.Module] = {}
    for place in walk(supernet.model):
        weight = place.module._parameters.get("weight")
        if weight is None or weight.ndim < 2:
            continue
        if pattern is None:
            if place.parents and _pointwise(place.module):
                found[place.name] = place.module
        elif fnmatchcase(place.name, pattern):
            if not _pointwise(place.module):
                raise ConfigError(
                    f"the hypernetwork cannot generate the weight {list(weight.shape)} of "
                    f"{place.name} ({place.module}), which strategy.layers {pattern!r} designates; only "
                    "those of linear layers and of convolutions of kernel 1 with one group"
                )
            found[place.name] = place.module
    if not found:
        kind = "linear layer or convolution of kernel 1 with one group"
        raise ConfigError(
            f"the hypernetwork has nothing to generate: no option holds a {kind}; use another space or "
            "strategy"
            if pattern is None
            else f"the hypernetwork has nothing to generate: strategy.layers {pattern!r} matches no "
            f"{kind}; there are {', '.join(_possible(supernet)) or 'none'}"
        )
    return found


def numbered(layers: Mapping[str, nn.Module]) -> dict[str, int]:
    """Return the number of each layer by place; layers that share their weight have the same."""
    weights = dict.fromkeys(id(layer.weight) for layer in layers.values())
    numbers = {weight: number for number, weight in enumerate(weights)}
    return {name: numbers[id(layer.weight)] for name, layer in layers.items()}


def _possible(supernet: SuperNet) -> list[str]:
    return [place.name for place in walk(supernet.model) if _pointwise(place.module)]


def _pointwise(module: nn.Module) -> bool:
    weight = module._parameters.get("weight")
    return (
        isinstance(module, POINTWISE)
        and weight is not None
        and getattr(module, "groups", 1) == 1
        and all(size == 1 for size in weight.shape[2:])
    )


def _holds(path: Path, running: Running) -> bool:
    return all(option in running.get(label, ()) for label, option in path)

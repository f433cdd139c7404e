"""The supernet: a model with open choices, its search space, and explicit routing."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from typing import Any, cast

import torch
from torch import nn

from supernet.choice.choice import ChoiceModule
from supernet.choice.plain import HasRole, Part
from supernet.choice.recall import remember
from supernet.choice.routing import Gate, Routing
from supernet.elastic.spec import dimensions_of, elastic_spec
from supernet.elastic.unmasked import unmasked
from supernet.errors import RoutingError, SpaceError
from supernet.modules.calls import run
from supernet.modules.nested import cut_batch, joined_batch
from supernet.net.flow import Flow
from supernet.ranks import apart, ranks, shared
from supernet.reading import shown
from supernet.space import Architecture, Atom, Decision, Option, Path, Role, SearchSpace, Value

__all__ = ["ModulePlace", "Route", "SuperNet", "walk"]

Route = Architecture | Routing | Mapping[str, Value] | Sequence[Routing]
"""One architecture (perhaps as a plain dictionary) or routing for the whole batch, or one routing per
ghost batch."""


class SuperNet(nn.Module):
    """A user's model together with the space of its architectures.

    The model is used as it is, never changed or copied. `supernet(x, route)` runs it once;
    `with supernet.route(route):` serves a task that runs it several times. A route never outlives its
    call or block, also when an exception passes through.

    Args:
        model: holds at least one `Choice` or `InputChoice`. If it has a method
            `canonical(architecture)`, the space uses it to recognise equal networks.

    Raises:
        SpaceError: the model has no choices, or choices with equal labels differ.
    """

    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        if not isinstance(model, nn.Module):
            raise SpaceError(f"a supernet is made of an nn.Module with choices, not {shown(model)}")
        self.model = model
        found = [place for place in walk(model) if isinstance(place.module, ChoiceModule)]
        self._labels: dict[ChoiceModule, str] = {}
        for place in found:
            choice = cast(ChoiceModule, place.module)
            self._labels.setdefault(choice, choice.label or place.name or "choice")
        _check_labels(self._labels)
        decisions: dict[str, Decision] = {}
        conditions: dict[str, list[Path]] = {}
        for place in found:
            choice = cast(ChoiceModule, place.module)
            label = self._labels[choice]
            decision = choice.decision(label)
            if decisions.setdefault(label, decision) != decision:
                raise SpaceError(
                    f"two choices share the label {label!r} but differ: "
                    f"{decisions[label]} and {decision}"
                )
            paths = conditions.setdefault(label, [])
            if (path := self._path(place)) not in paths:
                paths.append(path)
        canonical = getattr(model, "canonical", None)
        self.space = SearchSpace(decisions.values(), conditions, canonical, self._roles())
        self.unweighed = unmasked(model, self._labels)
        """Decisions between numbers that no gate can weigh, and why, in words."""
        self._ghosts: list[Routing] | None = None
        self._observer: Callable[[Routing], None] | None = None

    def _roles(self) -> dict[Atom, Role]:
        """Return what the modules say that they are as options, by `option_role`."""
        return {
            (label, name): option.option_role
            for choice, label in self._labels.items()
            for name, option in zip(choice.names, choice.options, strict=False)
            if isinstance(option, HasRole)
        }

    @property
    def shares(self) -> bool:
        """Whether a module computes the same in every architecture that holds it, for equal inputs."""
        return not any(choice.silent for choice in self._labels)

    @property
    def choices(self) -> dict[ChoiceModule, str]:
        """The choices of the model, inner ones before those they lie in, with their labels."""
        return self._labels

    def places(self) -> Iterator[tuple[nn.Module, Path]]:
        """Yield every module of the model for each place it has, with the path of options it lies in.

        A module exists in an architecture if every (label, option) of one of its paths is chosen.
        """
        for place in walk(self.model):
            yield place.module, self._path(place)

    @cached_property
    def flow(self) -> Flow:
        """When the modules are read by others; the rest is not in derived networks."""
        return Flow(self.model, self._labels, self.space)

    def held(self) -> Iterator[tuple[nn.Module, frozenset[Path]]]:
        """Yield every module of the model for each place it has, with the paths to it.

        A derived network holds it if every (label, option) of one of the paths is chosen: of the options
        that it lies in, and of those that read what it computes.
        """
        for place in walk(self.model):
            if paths := self.flow.paths(self._path(place), (*place.within, place.module)):
                yield place.module, paths

    def like(self, model: nn.Module) -> SuperNet:
        """Return a supernet of the same kind of a part of this model."""
        return SuperNet(model)

    def generated(self, route: Architecture | Routing) -> Mapping[nn.Parameter, torch.Tensor]:
        """Return what is used under a route in place of some of the model's parameters; here nothing."""
        return {}

    def forward(self, *inputs: Any, routing: Route | None = None, **named: Any) -> Any:
        """Run the model on the inputs under a route.

        Args:
            inputs: inputs of the model; an architecture or a routing may follow as the last.
            routing: the route; without one, that of the surrounding `with supernet.route(...)`.
            named: inputs of the model by name.

        Raises:
            DataError: the model does not take so many inputs, or inputs of these names.
            RoutingError: there is no route, or it does not fit the space.
        """
        if routing is None and inputs and self._is_route(inputs[-1]):
            *inputs, routing = inputs  # type: ignore[assignment]
        if routing is None:
            return self._run(*inputs, **named)
        with self.route(routing):
            return self._run(*inputs, **named)

    @contextmanager
    def route(self, route: Route) -> Iterator[None]:
        """Route every forward pass within the block.

        With one routing per ghost batch, each forward pass splits its tensors along the first
        dimension into as many nearly equal parts, runs each part under its own routing (batch norm
        therefore normalises within it), and concatenates the outputs.
        """
        if isinstance(route, Mapping) and not isinstance(route, Architecture | Routing):
            route = Architecture(route)
        before = self._ghosts
        self.__dict__["_ghosts"] = None
        try:
            if isinstance(route, Architecture | Routing):
                with self._gated(route):
                    yield
            else:
                _check_ghosts(route)
                self.__dict__["_ghosts"] = list(route)
                yield
        finally:
            self.__dict__["_ghosts"] = before

    @contextmanager
    def observed(self, observer: Callable[[Routing], None] | None) -> Iterator[None]:
        """Within the block, call `observer` with every routing of a route or ghost batch that may train.

        What runs without gradients, to measure something, is not observed; None observes nothing.
        """
        before = self._observer
        self.__dict__["_observer"] = observer
        try:
            yield
        finally:
            self.__dict__["_observer"] = before

    def _is_route(self, value: object) -> bool:
        """Return whether a last input is a route; a model may take dictionaries of its own."""
        if isinstance(value, Architecture | Routing):
            return True
        return isinstance(value, Mapping) and bool(value.keys() & self.space.labels)

    def _run(self, *inputs: Any, **named: Any) -> Any:
        if self._ghosts is None:
            return self._computed(*inputs, **named)
        count, whole = len(self._ghosts), (*inputs, named)
        known = elastic_spec(self.model)
        if known is not None and known.example is not None and known.example.fit(whole):
            parts = known.example.cut(whole, count)
        else:
            parts = list(zip(*(cut_batch(value, count) for value in whole), strict=True))
        outputs = []
        for routing, (*part, named_part) in zip(self._ghosts, parts, strict=True):
            with self._gated(routing), apart():
                outputs.append(self._computed(*part, **named_part))
        return joined_batch(outputs)

    def _computed(self, *inputs: Any, **named: Any) -> Any:
        """Run the model under the gates that are set, and remember them for the backward pass."""
        outputs = self._compute(*inputs, **named)
        if torch.is_grad_enabled():
            remember(outputs, list(self._labels), self.gates_suffice)
        return outputs

    @property
    def gates_suffice(self) -> bool:
        """Whether a forward pass is told by its gates alone, so that parts of it can be repeated."""
        return True

    def _compute(self, *inputs: Any, **named: Any) -> Any:
        """Run the model under the gates that are set."""
        return run(self.model, inputs, named)

    def _path(self, place: ModulePlace) -> Path:
        return tuple((self._labels[choice], option) for choice, option in place.parents)

    @contextmanager
    def _gated(self, route: Architecture | Routing) -> Iterator[None]:
        gates = Routing.hard(self.space, route) if isinstance(route, Architecture) else route
        if not gates.keys() <= self.space.labels:
            raise RoutingError(
                f"the routing has gates for {sorted(gates.keys() - self.space.labels)}, but the space "
                f"has {sorted(self.space.labels)}"
            )
        for label in self.unweighed.keys() & gates.keys():
            if gates[label].weights is not None:
                raise RoutingError(
                    f"the dimension {label!r} cannot be a mixture of several numbers, since "
                    f"{self.unweighed[label]}; use a strategy that trains one architecture at a time, "
                    "such as spos or sandwich"
                )
        if self._observer is not None and torch.is_grad_enabled():
            self._observer(gates)
        before: list[Gate | None] = [choice.gate for choice in self._labels]
        gates = _of_all_ranks(gates)
        try:
            for choice, label in self._labels.items():
                choice.set_gate(gates.get(label))
            yield
        finally:
            for choice, gate in zip(self._labels, before, strict=True):
                choice.set_gate(gate)


def _of_all_ranks(gates: Routing) -> Routing:
    """Return the gates, whose weights learn from the batches of all ranks."""
    if ranks() == 1:
        return gates
    return Routing({label: gate.learning_by(shared) for label, gate in gates.items()})


def _check_labels(labels: Mapping[ChoiceModule, str]) -> None:
    """A choice without label, named after its place, shares its decision with none by accident."""
    given = {choice.label for choice in labels if choice.label}
    for choice, label in labels.items():
        if not choice.label and label in given:
            raise SpaceError(
                f"the choice at the place {label!r} has no label, but another is labelled {label!r}; "
                "give both that label if they share one decision, or choose another label"
            )


def _check_ghosts(route: object) -> None:
    if isinstance(route, Sequence) and route and all(isinstance(one, Routing) for one in route):
        return
    raise RoutingError(
        "a route is an Architecture, a Routing, or a list of one Routing per ghost batch, not "
        f"{route!r}; write for instance Architecture({{label: option, ...}})"
    )


@dataclass(frozen=True)
class ModulePlace:
    """A module in the model.

    Attributes:
        module: the module.
        name: name of the module.
        parents: the (choice, option) pairs it lies in, outermost first.
        within: the modules it lies in, outermost first.
    """

    module: nn.Module
    name: str
    parents: tuple[tuple[ChoiceModule, Option], ...]
    within: tuple[nn.Module, ...]


def walk(
    module: nn.Module,
    name: str = "",
    parents: tuple[tuple[ChoiceModule, Option], ...] = (),
    within: tuple[nn.Module, ...] = (),
) -> Iterator[ModulePlace]:
    """Yield a module and all within it, inner ones first; one that is used twice, for each use.

    What a `Part` shares with others lies within none of them and is not yielded. Dimensions have the
    places of the modules that depend on them.
    """
    if isinstance(module, ChoiceModule):
        for option, child in zip(module.names, module.options, strict=True):
            inner = (*parents, (module, option))
            place = f"{name}.{option}" if name else str(option)
            yield from walk(child, place, inner, (*within, module))
    else:
        for dimension in dimensions_of(module):
            yield ModulePlace(dimension, name, parents, (*within, module))
        children = () if isinstance(module, Part) else module.named_children()
        for child_name, child in children:
            place = f"{name}.{child_name}" if name else child_name
            yield from walk(child, place, parents, (*within, module))
    yield ModulePlace(module, name, parents, within)

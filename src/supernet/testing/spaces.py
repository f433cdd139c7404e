"""What every space must do (the invariants of docs/architecture.md)."""

from __future__ import annotations

import itertools
import random
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property

import torch
from torch import nn

from supernet.choice import Routing
from supernet.choice.plain import Part
from supernet.cost import CostTable, cost_of, count_macs, count_params, measure_costs
from supernet.net import SuperNet, derive
from supernet.random import seeded
from supernet.space import Architecture, Diagram, SearchSpace, Value
from supernet.testing.promises import expect, promise

__all__ = ["OF_SPACES", "PROMISES", "NetworkCase", "SpaceCase", "check_space", "used_parameters"]

ENUMERATED = 5000
"""Architectures that are enumerated at most."""

TOLERANCE = 1e-5
"""Of outputs of networks that compute the same in another order."""


@dataclass
class SpaceCase:
    """A space.

    Attributes:
        space: the decisions.
        title: name of the space in messages.
    """

    space: SearchSpace
    title: str

    @property
    def name(self) -> str:
        """What it is called."""
        return self.title

    def samples(self, count: int) -> list[Architecture]:
        """Return random architectures, the same each time."""
        stream = random.Random(0)
        return [self.space.sample(stream) for _ in range(count)]


class NetworkCase(SpaceCase):
    """A space with the supernet that holds its networks.

    Args:
        supernet: supernet before training.
        inputs: three examples or so, [n, ...].
        exact: whether the canonical form of an architecture costs what it costs; in spaces where parts
            can be without effect, it may cost less.
    """

    def __init__(self, supernet: SuperNet, inputs: torch.Tensor, exact: bool = True) -> None:
        super().__init__(supernet.space, type(supernet.model).__name__)
        self.supernet = supernet
        self.inputs = inputs
        self.exact = exact

    @cached_property
    def costs(self) -> dict[str, CostTable]:
        """The cost tables, for one example."""
        return dict(measure_costs(self.supernet, self.inputs[:1]))


def check_space(
    space: nn.Module | SearchSpace,
    inputs: torch.Tensor | None = None,
    *,
    image: tuple[int, int, int] | None = None,
    exact: bool = True,
) -> None:
    """Check that a space and its networks keep what the search, derivation and costs rely on.

    Of the space:

    * Architectures survive being written down.
    * Enumeration has no duplicates and as many architectures as the size says.
    * Canonical forms are architectures of the space, and their own canonical forms.

    Of its networks, if a model is given:

    * A derived network computes what the supernet computes under the route.
    * A derived network collects the statistics that the supernet collects under the route.
    * A step under a route leaves all parameters alone that the route does not use.
    * Costs are what counting on derived networks finds.
    * No architecture costs less or more than the range of the costs says.
    * The canonical form costs as much, or less where parts can be without effect.
    * Diagrams of architectures have an input, operations and an output, and survive being written.

    Args:
        space: a model with choices, a supernet, or a space alone.
        inputs: three examples or so, [n, ...], as the model takes them.
        image: instead of inputs, the shape (channels, height, width) of random images.
        exact: whether canonical forms cost as much as what they stand for.

    Raises:
        AssertionError: a promise is broken; the message names it, what was expected and what was seen.
        TypeError: there is a model, but neither inputs nor the shape of an image.
    """
    if isinstance(space, SearchSpace):
        alone = SpaceCase(space, "the space")
        for of_space in OF_SPACES:
            of_space(alone)
        return
    if inputs is None:
        if image is None:
            raise TypeError(
                "check_space(model) needs inputs [n, ...] or image=(channels, height, width)"
            )
        inputs = torch.randn(3, *image, generator=torch.Generator().manual_seed(0))
    supernet = space if isinstance(space, SuperNet) else SuperNet(space)
    case = NetworkCase(supernet.train(), inputs, exact)
    for of_space in OF_SPACES:
        of_space(case)
    for kept in PROMISES:
        kept(case)


@promise
def architectures_survive_being_written_down(case: SpaceCase) -> None:
    """Architectures survive being written down."""
    for architecture in case.samples(20):
        again = Architecture.from_json(architecture.to_json())
        expect(again == architecture, architecture, again)
        expect(again.key == architecture.key, f"the key {architecture.key}", again.key)
        expect(again in case.space, "an architecture of the space", again)


@promise
def enumeration_is_as_long_as_the_size(case: SpaceCase) -> None:
    """Enumeration has no duplicates and as many architectures as the size says."""
    found = set(itertools.islice(case.space, ENUMERATED))
    wanted = min(case.space.size, ENUMERATED)
    expect(len(found) == wanted, f"{wanted} different architectures", len(found))
    for architecture in itertools.islice(found, 500):
        expect(architecture in case.space, "architectures of the space", architecture)


@promise
def canonical_forms_are_stable(case: SpaceCase) -> None:
    """Canonical forms are architectures of the space, and their own canonical forms."""
    for architecture in case.samples(30):
        canonical = case.space.canonical(architecture)
        expect(canonical in case.space, "an architecture of the space", canonical)
        again = case.space.canonical(canonical)
        expect(again == canonical, canonical, f"its canonical form {again}")


@promise
def derived_networks_equal_the_supernet(case: NetworkCase) -> None:
    """A derived network computes what the supernet computes under the route."""
    for architecture in case.samples(8):
        derived = derive(case.supernet, architecture)
        for training in (False, True):  # in training, both collect statistics
            derived.train(training)
            wanted = _computed(case.supernet.train(training), case.inputs, architecture)
            _alike(_computed(derived, case.inputs), wanted, architecture)


@promise
def derived_networks_collect_the_same_statistics(case: NetworkCase) -> None:
    """A derived network collects the statistics that the supernet collects under the route."""
    for architecture in case.samples(4):
        derived = derive(case.supernet, architecture)
        _computed(derived, case.inputs)
        _computed(case.supernet, case.inputs, architecture)
        again = derive(case.supernet, architecture).eval()
        _alike(derived.eval()(case.inputs), again(case.inputs), architecture)


def _computed(network: nn.Module, *given: object) -> torch.Tensor:
    with seeded(1):
        outputs: torch.Tensor = network(*given)
    return outputs


def _alike(seen: torch.Tensor, wanted: torch.Tensor, architecture: Architecture) -> None:
    what = f"the same outputs for {architecture}"
    expect(seen.shape == wanted.shape, f"{what}, {list(wanted.shape)}", list(seen.shape))
    apart = float((seen - wanted).detach().abs().max())
    expect(torch.allclose(seen, wanted, atol=TOLERANCE), what, f"others, by up to {apart:.3g}")


@promise
def unused_parameters_rest(case: NetworkCase) -> None:
    """A step under a route leaves all parameters alone that the route does not use."""
    supernet = case.supernet
    with _restored(supernet):
        optimizer = torch.optim.SGD(supernet.parameters(), lr=0.1, momentum=0.9, weight_decay=0.01)

        def step(route: Architecture | Routing) -> None:
            optimizer.zero_grad(set_to_none=True)
            supernet(case.inputs, route).square().mean().backward()
            optimizer.step()

        step(Routing.masked(supernet.space, {}))  # gives every parameter a momentum
        for architecture in case.samples(5):
            before = [parameter.detach().clone() for parameter in supernet.parameters()]
            step(architecture)
            used = used_parameters(supernet, architecture)
            expect(used, f"parameters in {architecture}", "none")
            for (name, parameter), old in zip(supernet.named_parameters(), before, strict=True):
                if id(parameter) not in used:
                    rests = parameter.grad is None and torch.equal(parameter, old)
                    expect(
                        rests,
                        f"{name} to rest under {architecture}",
                        "a gradient, or that it moves",
                    )
            learned = any(parameter.grad is not None for parameter in supernet.parameters())
            expect(learned, f"a gradient under {architecture}", "none")


@contextmanager
def _restored(supernet: SuperNet) -> Iterator[None]:
    """Put weights, statistics and gradients back after the block."""
    before = {name: value.detach().clone() for name, value in supernet.state_dict().items()}
    try:
        yield
    finally:
        supernet.zero_grad(set_to_none=True)
        supernet.load_state_dict(before)


def used_parameters(supernet: SuperNet, architecture: Architecture) -> set[int]:
    """Return the ids of the parameters that lie in chosen options only; parts share what they hold."""
    return {
        id(parameter)
        for module, path in supernet.places()
        if all(option in _options(architecture.get(label)) for label, option in path)
        for parameter in module.parameters(recurse=isinstance(module, Part))
    }


def _options(value: Value | None) -> tuple[object, ...]:
    return value if isinstance(value, tuple) else (value,)


@promise
def costs_equal_counting(case: NetworkCase) -> None:
    """Costs are what counting on derived networks finds."""
    for architecture in case.samples(6):
        derived = derive(case.supernet, architecture)
        counted = {"params": count_params(derived), "macs": count_macs(derived, case.inputs[:1])}
        found = cost_of(case.costs, architecture)
        expect(found == counted, f"{counted} as counted for {architecture}", found)


@promise
def no_cost_is_out_of_range(case: NetworkCase) -> None:
    """No architecture costs less or more than the range of the costs says."""
    for quantity, table in case.costs.items():
        smallest, largest = table.range(case.space)
        for architecture in case.samples(50):
            cost = table.cost(architecture)
            within = smallest <= cost <= largest
            expect(within, f"{quantity} from {smallest} to {largest}", f"{cost} of {architecture}")


@promise
def canonical_forms_cost_the_same(case: NetworkCase) -> None:
    """The canonical form costs as much, or less where parts can be without effect."""
    for architecture in case.samples(30):
        canonical = case.space.canonical(architecture)
        cost, least = cost_of(case.costs, architecture), cost_of(case.costs, canonical)
        alike = least == cost if case.exact else all(least[name] <= cost[name] for name in cost)
        expect(alike, f"{cost}, the cost of {architecture}", f"{least} of {canonical}")


@promise
def diagrams_can_be_drawn(case: NetworkCase) -> None:
    """Diagrams of architectures have an input, operations and an output, and survive being written."""
    draw: Callable[[Architecture], Diagram] | None
    draw = getattr(case.supernet.model, "diagram", None)
    if draw is None:
        return
    for architecture in case.samples(5):
        diagram = draw(architecture)
        again = Diagram.from_json(diagram.to_json())
        expect(again == diagram, "the same diagram after reading it", "another")
        kinds = {node.kind for node in diagram.nodes}
        expect({"input", "operation", "output"} <= kinds, "input, operation and output", kinds)


OF_SPACES: tuple[Callable[[SpaceCase], None], ...] = (
    architectures_survive_being_written_down,
    enumeration_is_as_long_as_the_size,
    canonical_forms_are_stable,
)
"""Promises of spaces, in the order in which they are checked."""

PROMISES: tuple[Callable[[NetworkCase], None], ...] = (
    derived_networks_equal_the_supernet,
    derived_networks_collect_the_same_statistics,
    unused_parameters_rest,
    costs_equal_counting,
    no_cost_is_out_of_range,
    canonical_forms_cost_the_same,
    diagrams_can_be_drawn,
)
"""Promises of their networks."""

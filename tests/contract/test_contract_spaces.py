"""What every space of the zoo must do (the invariants of docs/architecture.md)."""

import importlib
import itertools
import random

import pytest
import torch

import supernet as sn
from supernet.choice import Routing
from supernet.choice.plain import Part
from supernet.cost import cost_of, count_macs, count_params, measure_costs
from supernet.space import Diagram
from supernet.track.diagram import svg
from supernet.zoo import SPACES

SMALL = {"image": (1, 6, 6), "classes": 4}
CHAIN = {**SMALL, "depths": (2, 3), "strides": (1, 2), "stem_stride": 1, "features": 5}

ARGUMENTS = {
    "autoformer": {
        **SMALL,
        "patch": 2,
        "widths": (4, 6),
        "heads": (1, 2),
        "ratios": (1, 1.5),
        "depths": (1, 2, 3),
        "head": 2,
    },
    "bender": {**SMALL, "channels": 3, "groups": (1, 1), "blocks": 2},
    "converted": {
        **SMALL,
        "arguments": {"widths": (4, 6), "blocks": 2},
        "widths": (0.5, 1.0),
        "multiple": 2,
        "depth": 0.0,
    },
    "darts": {**SMALL, "cells": 3, "channels": 3, "nodes": 2},
    "enas-macro": {**SMALL, "layers": 4, "channels": 4},
    "enas-micro": {**SMALL, "cells": 3, "channels": 4, "blocks": 2},
    "gpt": {
        "vocabulary": 9,
        "context": 8,
        "widths": (4, 6),
        "heads": (1, 2),
        "head": 2,
        "ratios": (1, 1.5),
        "depths": (1, 2, 3),
    },
    "nasbench-macro": {**SMALL, "channels": 3, "stages": (2, 3), "features": 5},
    "nasbench1shot1": {**SMALL, "channels": 3, "cells": 1, "stacks": 2},
    "nasbench201": {**SMALL, "channels": 3, "cells": 1, "stages": 2},
    "ofa": {
        **SMALL,
        "stem": 2,
        "widths": ((2, 4), (4,)),
        "strides": (1, 2),
        "depths": (1, 2),
        "kernels": (1, 3),
        "expansions": (1, 2),
        "features": 3,
        "stem_stride": 1,
        "squeeze": (False, True),
        "activations": ("relu", "hswish"),
        "resolutions": (4, 6),
    },
    "ofa-resnet": {
        **SMALL,
        "stem": 16,
        "widths": (16, 24),
        "multipliers": (0.5, 1),
        "strides": (1, 2),
        "depths": ((1, 2), (1, 2)),
        "expansions": (0.25, 0.5),
        "stem_strides": (1, 1),
    },
    "singlepath": {**CHAIN, "stem": 3, "first": 2, "widths": (2, 3)},
    "smash": {**SMALL, "banks": 2, "channels": 2, "stages": (2, 1), "bottleneck": 2},
    "spos": {**CHAIN, "stem": 2, "widths": (4, 6)},
    "textnas": {"vocabulary": 9, "classes": 4, "layers": 3, "width": 4, "embedding": 4, "heads": 2},
    "proxyless": {**CHAIN, "stem": 3, "first": 2, "widths": (2, 3)},
}
"""By space, arguments of a small one; one that is missing here fails."""

DEAD_PARTS = {"nasbench1shot1", "nasbench201"}
"""Spaces in which parts can have no effect, so that a canonical form without them may cost less."""


@pytest.fixture(scope="module", params=SPACES)
def case(request):
    """Return a small supernet of the space, and three of its images or texts."""
    module, _, name = SPACES[request.param].rpartition(".")
    arguments = ARGUMENTS[request.param]
    with torch.random.fork_rng():
        torch.manual_seed(0)
        model = getattr(importlib.import_module(module), name)(**arguments)
        if "vocabulary" in arguments:
            return sn.SuperNet(model), torch.randint(arguments["vocabulary"], (3, 7)).sort(1, True)[
                0
            ]
        return sn.SuperNet(model), torch.randn(3, *arguments["image"])


@pytest.fixture
def supernet(case):
    return case[0].train()


@pytest.fixture
def images(case):
    return case[1]


def samples(supernet, count):
    stream = random.Random(0)
    return [supernet.space.sample(stream) for _ in range(count)]


def test_every_argument_is_of_a_registered_space():
    assert ARGUMENTS.keys() == SPACES.keys()


def test_architectures_survive_being_written_down(supernet):
    for architecture in samples(supernet, 20):
        again = sn.Architecture.from_json(architecture.to_json())
        assert again == architecture
        assert again.key == architecture.key
        assert again in supernet.space


def test_enumeration_has_no_duplicates_and_the_size_is_its_length(supernet):
    space, most = supernet.space, 20_000
    found = set(itertools.islice(space, most))

    assert len(found) == min(space.size, most)
    assert all(architecture in space for architecture in itertools.islice(found, 500))


@pytest.mark.parametrize("training", [True, False])
def test_derived_networks_equal_the_supernet(supernet, images, training):
    supernet.train(training)
    for architecture in samples(supernet, 8):
        derived = sn.derive(supernet, architecture)
        torch.manual_seed(1)
        expected = supernet(images, architecture)
        torch.manual_seed(1)
        assert torch.allclose(derived(images), expected, atol=1e-5)


def test_derived_networks_collect_the_same_statistics(supernet, images):
    for architecture in samples(supernet, 4):
        derived = sn.derive(supernet, architecture)
        torch.manual_seed(1)
        derived(images)
        torch.manual_seed(1)
        supernet(images, architecture)
        again = sn.derive(supernet, architecture)
        assert torch.allclose(derived.eval()(images), again.eval()(images), atol=1e-5)


def test_unused_parameters_are_bit_identical_after_a_step(supernet, images):
    optimizer = torch.optim.SGD(supernet.parameters(), lr=0.1, momentum=0.9, weight_decay=0.01)

    def step(route):
        optimizer.zero_grad(set_to_none=True)
        supernet(images, route).square().mean().backward()
        optimizer.step()

    step(Routing.masked(supernet.space, {}))  # gives every parameter a momentum
    counts = []
    for architecture in samples(supernet, 5):
        before = [parameter.detach().clone() for parameter in supernet.parameters()]
        step(architecture)
        used = used_parameters(supernet, architecture)
        counts.append(len(used))
        for parameter, old in zip(supernet.parameters(), before, strict=True):
            if id(parameter) not in used:
                assert parameter.grad is None
                assert torch.equal(parameter, old)
        assert any(parameter.grad is not None for parameter in supernet.parameters())
    assert 0 < min(counts) < len(before)


def used_parameters(supernet, architecture):
    """Return the ids of the parameters that lie in chosen options only; parts share what they hold."""
    return {
        id(parameter)
        for module, path in supernet.places()
        if all(option in _options(architecture.get(label)) for label, option in path)
        for parameter in module.parameters(recurse=isinstance(module, Part))
    }


def _options(value):
    return value if isinstance(value, tuple) else (value,)


def test_costs_equal_counting_on_derived_networks(supernet, images):
    tables = measure_costs(supernet, images[:1])
    for architecture in samples(supernet, 20):
        derived = sn.derive(supernet, architecture)
        expected = {"params": count_params(derived), "macs": count_macs(derived, images[:1])}
        assert cost_of(tables, architecture) == expected


def test_the_cost_range_is_reached_by_no_architecture_from_outside(supernet, images):
    for table in measure_costs(supernet, images[:1]).values():
        smallest, largest = table.range(supernet.space)
        costs = [table.cost(architecture) for architecture in samples(supernet, 50)]
        assert smallest <= min(costs) < max(costs) <= largest


def test_canonical_forms_are_stable_and_cost_the_same(supernet, images, request):
    tables = measure_costs(supernet, images[:1])
    exact = request.node.callspec.params["case"] not in DEAD_PARTS
    for architecture in samples(supernet, 30):
        canonical = supernet.space.canonical(architecture)
        supernet.space.validate(canonical)
        assert supernet.space.canonical(canonical) == canonical
        cost, least = cost_of(tables, architecture), cost_of(tables, canonical)
        assert least == cost if exact else all(least[name] <= cost[name] for name in cost)


def test_diagrams_can_be_drawn(supernet):
    for architecture in samples(supernet, 5):
        diagram = supernet.model.diagram(architecture)
        assert Diagram.from_json(diagram.to_json()) == diagram
        assert {"input", "operation", "output"} <= {node.kind for node in diagram.nodes}
        drawing = svg(diagram)
        assert all(node.label in drawing for node in diagram.nodes if node.kind == "operation")

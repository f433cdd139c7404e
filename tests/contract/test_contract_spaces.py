"""What every space of the zoo must do (`supernet.testing`)."""

import importlib
from functools import cache

import pytest
import torch
from small_spaces import ARGUMENTS

import supernet as sn
from supernet.testing.spaces import OF_SPACES, PROMISES, NetworkCase, used_parameters
from supernet.track.diagram import svg
from supernet.zoo import SPACES

DEAD_PARTS = {"nasbench1shot1", "nasbench201"}
"""Spaces in which parts can have no effect, so that a canonical form without them may cost less."""


@cache
def case(name):
    """Return a small supernet of the space, with three of its images or texts."""
    module, _, kind = SPACES[name].rpartition(".")
    arguments = ARGUMENTS[name]
    with torch.random.fork_rng():
        torch.manual_seed(0)
        supernet = sn.SuperNet(getattr(importlib.import_module(module), kind)(**arguments))
        if "vocabulary" in arguments:
            texts = torch.randint(arguments["vocabulary"], (3, 7)).sort(1, True)[0]
            return NetworkCase(supernet.train(), texts, name not in DEAD_PARTS)
        images = torch.randn(3, *arguments["image"])
        return NetworkCase(supernet.train(), images, name not in DEAD_PARTS)


def test_every_argument_is_of_a_registered_space():
    assert ARGUMENTS.keys() == SPACES.keys()


@pytest.mark.slow_with(
    "darts-derived_networks_equal_the_supernet",
    "darts-costs_equal_counting",
    "enas-micro-derived_networks_equal_the_supernet",
    "enas-micro-costs_equal_counting",
    "enas-macro-enumeration_is_as_long_as_the_size",
    "nasbench201-no_cost_is_out_of_range",
    "nasbench1shot1-no_cost_is_out_of_range",
    "nasbench1shot1-enumeration_is_as_long_as_the_size",
    *(
        f"{name}-enumeration_is_as_long_as_the_size"
        for name in ("darts", "enas-micro", "smash", "textnas")
    ),
    *(f"{name}-derived_networks_collect_the_same_statistics" for name in ("darts", "enas-micro")),
    *(f"{name}-unused_parameters_rest" for name in ("darts", "enas-micro")),
    "enas-micro-no_cost_is_out_of_range",
    "enas-micro-canonical_forms_cost_the_same",
)
@pytest.mark.parametrize("kept", [*OF_SPACES, *PROMISES], ids=lambda kept: kept.__name__)
@pytest.mark.parametrize("name", SPACES)
def test_what_is_promised(name, kept):
    kept(case(name))


@pytest.mark.parametrize("name", SPACES)
def test_no_architecture_uses_everything_and_costs_differ(name):
    """So that what is promised of unused parameters and of the range says something."""
    of_space = case(name)
    counts = [len(used_parameters(of_space.supernet, one)) for one in of_space.samples(5)]
    assert 0 < min(counts) < len(list(of_space.supernet.parameters()))
    for table in of_space.costs.values():
        costs = [table.cost(architecture) for architecture in of_space.samples(50)]
        assert min(costs) < max(costs)


@pytest.mark.parametrize("name", SPACES)
def test_diagrams_can_be_drawn(name):
    of_space = case(name)
    for architecture in of_space.samples(5):
        diagram = of_space.supernet.model.diagram(architecture)
        drawing = svg(diagram)
        assert all(node.label in drawing for node in diagram.nodes if node.kind == "operation")

"""The networks of a converted model that are run to see whether it is right."""

from __future__ import annotations

import random
from collections.abc import Collection, Iterator
from contextlib import contextmanager

from torch import nn

from supernet.choice import ChoiceModule, Routing
from supernet.elastic.depth import Depth
from supernet.net import SuperNet
from supernet.space import Architecture, Decision, Value

__all__ = ["all_options", "drawn", "largest", "smallest", "trial"]


def smallest(supernet: SuperNet) -> Architecture:
    """Return the architecture of the first options."""
    return trial(supernet, supernet.space.labels)


def largest(supernet: SuperNet) -> Architecture:
    """Return the architecture of the last options, and of the model's own operations."""
    return trial(supernet, ())


def trial(supernet: SuperNet, small: Collection[str]) -> Architecture:
    """Return the architecture of first options of some decisions, and of the whole model elsewhere."""

    def answer(decision: Decision) -> Value:
        if decision.label in small:
            return decision.value(range(decision.low))
        if "original" in decision.options:
            return "original"
        count = len(decision.options)
        return decision.value(range(count - decision.high, count))

    return supernet.space.build(answer)


def drawn(supernet: SuperNet) -> Iterator[Architecture]:
    """Yield some architectures, always the same."""
    stream = random.Random(0)
    for _ in range(4):
        yield supernet.space.sample(stream)


@contextmanager
def all_options(model: nn.Module) -> Iterator[None]:
    """Within the block all options of a model's choices run, each once."""
    choices = [module for module in model.modules() if isinstance(module, ChoiceModule)]
    if not choices:
        yield
        return
    supernet = SuperNet(model)
    ends = {
        str(choice.label): (0, len(choice.names) - 1)
        for choice in choices
        if isinstance(choice, Depth)
    }
    with supernet.route(Routing.masked(supernet.space, ends)):
        yield

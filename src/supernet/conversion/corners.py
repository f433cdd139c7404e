"""The networks of a converted model that are run to see whether it is right."""

from __future__ import annotations

import random
from collections.abc import Iterator

from supernet.net import SuperNet
from supernet.space import Architecture

__all__ = ["drawn", "largest", "smallest"]


def smallest(supernet: SuperNet) -> Architecture:
    """Return the architecture of the first options."""
    space = supernet.space
    return space.build(lambda decision: decision.value(range(decision.low)))


def largest(supernet: SuperNet) -> Architecture:
    """Return the architecture of the last options, and of the model's own operations."""
    last = {
        d.label: d.value(range(len(d.options) - d.high, len(d.options)))
        for d in supernet.space.decisions
    }
    for label in supernet.space.labels:
        if label.endswith(".operation"):
            last[label] = "original"
    return supernet.space.build(lambda decision: last[decision.label])


def drawn(supernet: SuperNet) -> Iterator[Architecture]:
    """Yield some architectures, always the same."""
    stream = random.Random(0)
    for _ in range(4):
        yield supernet.space.sample(stream)

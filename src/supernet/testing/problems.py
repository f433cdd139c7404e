"""Small search problems: spaces with and without equal networks, conditions and bounds."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from supernet.cost import CostTable, Entry
from supernet.net import SuperNet
from supernet.space import Architecture, OneOf, Ordered, SearchSpace, SomeOf
from supernet.zoo import Bender

__all__ = ["PROBLEMS", "Bounded", "chain", "tables"]


@dataclass(frozen=True)
class Bounded:
    """A space and constraints on the costs of `tables`."""

    space: SearchSpace
    constraints: tuple[str, ...] = ()


def tables(space: SearchSpace) -> dict[str, CostTable]:
    """Return params, which grow with an option's place, and macs, which fall with it."""
    entries: dict[str, list[Entry]] = {"params": [], "macs": []}
    for decision in space.decisions:
        for place, option in enumerate(decision.options):
            path = frozenset([((decision.label, option),)])
            entries["params"].append(Entry(path, 1 + place))
            entries["macs"].append(Entry(path, 10 - place))
    return {name: CostTable(name, rows) for name, rows in entries.items()}


def chain(
    length: int,
    options: int = 3,
    canonical: Callable[[Architecture], Architecture] | None = None,
) -> SearchSpace:
    """Return a space of `length` decisions with up to six options each."""
    decisions = [OneOf(f"op{i}", tuple("abcdef"[:options])) for i in range(length)]
    return SearchSpace(decisions, canonical=canonical)


def ordered(architecture: Architecture) -> Architecture:
    """Of decisions that are interchangeable, the representative is the sorted one."""
    return Architecture(dict(zip(architecture, sorted(architecture.values()), strict=True)))


def nested() -> SearchSpace:
    """Return a space in which two decisions lie in an option of another."""
    decisions = [
        OneOf("kind", ("conv", "skip")),
        Ordered("width", (8, 16, 32)),
        SomeOf("branches", ("x", "y", "z"), 1, 2),
    ]
    conditions = {"width": [(("kind", "conv"),)], "branches": [(("kind", "conv"),)]}
    return SearchSpace(decisions, conditions)


PROBLEMS: dict[str, Callable[[], Bounded]] = {
    "one architecture": lambda: Bounded(chain(1, 1)),
    "small": lambda: Bounded(chain(3)),
    "small, bounded": lambda: Bounded(chain(4), ("params <= 9", "macs <= 36")),
    "equal networks": lambda: Bounded(chain(4, canonical=ordered)),
    "equal networks, bounded": lambda: Bounded(chain(5, canonical=ordered), ("params <= 60%",)),
    "nested": lambda: Bounded(nested()),
    "zoo": lambda: Bounded(
        SuperNet(Bender((1, 8, 8), channels=2, groups=(1,), blocks=2)).space,
    ),
    "middle": lambda: Bounded(chain(8)),
    "large": lambda: Bounded(chain(30)),
    "large, bounded": lambda: Bounded(chain(30), ("params <= 55",)),
}
"""Functions that make a space and constraints, by name."""

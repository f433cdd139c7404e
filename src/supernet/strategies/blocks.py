"""The blocks of a supernet: parts that can be trained alone, on what goes into them.

A decision is a block's own where its answer changes nothing but the block. Of a choice that holds for
the choice itself; of a number, such as a width, where all modules that read it lie in the block.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from itertools import pairwise, takewhile

from torch import nn

from supernet.choice.choice import ChoiceModule
from supernet.elastic import Dimension
from supernet.errors import ConfigError
from supernet.net import SuperNet
from supernet.net.supernet import walk
from supernet.space import Option

__all__ = ["Blocks", "find_blocks"]

Chain = tuple[nn.Module, ...]
"""Modules, each within the one before it."""

_ROWS = (nn.Sequential, nn.ModuleList, nn.ModuleDict)

_SHOWN = 12
"""Names of modules in a message."""


@dataclass(frozen=True)
class Blocks:
    """Parts of a model, none within another.

    Attributes:
        names: names of the parts, by part.
        options: options that have something to learn, by label, of each decision that is a block's
            own. Of a choice of one they are those with parameters, or all where none has any; else all.
        outside: labels of the other decisions.
    """

    names: Mapping[nn.Module, str]
    options: Mapping[str, tuple[Option, ...]]
    outside: tuple[str, ...]


def find_blocks(supernet: SuperNet, patterns: Sequence[str] = ()) -> Blocks:
    """Return the blocks of a supernet.

    Args:
        supernet: supernet with the parts.
        patterns: patterns of names of modules, such as "layers.*.attention". Without any, blocks are
            the choices, and for each number the innermost member of a row (`nn.Sequential`,
            `nn.ModuleList` or `nn.ModuleDict`) in which all that reads it lies. Of those that lie
            within each other the outermost is meant.

    Raises:
        ConfigError: a pattern matches no module, or no decision is a block's own.
    """
    places, chains = _places(supernet), _chains(supernet)
    if patterns:
        found = _matching(places, patterns)
    else:
        found = {home for some in chains.values() for chain in some for home in _home(chain)}
    outermost = {one for one in found if not found.intersection(places[one][1])}
    options = {
        label: _learnable(supernet, label)
        for label, some in chains.items()
        if all(outermost.intersection(chain) for chain in some)
    }
    if not options:
        raise ConfigError(
            "no decision lies in a block, which is a choice, a member of a sequence that holds all that "
            "a width depends on, or what strategy.blocks names, by patterns such as 'layers.*'; the "
            f"model has the modules {_shown(places)}"
        )
    holding = {one for label in options for chain in chains[label] for one in chain}
    names = {one: places[one][0] for one in places if one in outermost & holding}
    return Blocks(names, options, tuple(sorted(supernet.space.labels - options.keys())))


def _places(supernet: SuperNet) -> dict[nn.Module, tuple[str, Chain]]:
    """Return the name of each module, and what it lies in; of one with several places of the first."""
    found = dict[nn.Module, tuple[str, Chain]]()
    for place in walk(supernet.model):
        if not isinstance(place.module, Dimension):
            found.setdefault(place.module, (place.name, place.within))
    return found


def _chains(supernet: SuperNet) -> dict[str, list[Chain]]:
    """Return, by decision, where a block has to be: one in each chain.

    A choice has a chain for each of its places; a number has one, of what all its readers lie in.
    """
    found, readers = dict[str, list[Chain]](), dict[str, list[Chain]]()
    for place in walk(supernet.model):
        if isinstance(place.module, ChoiceModule):
            label = supernet.choices[place.module]
            if place.module.silent:
                readers.setdefault(label, []).append(place.within)
            else:
                found.setdefault(label, []).append((*place.within, place.module))
    for label, some in readers.items():
        shared = takewhile(lambda each: len(set(each)) == 1, zip(*some, strict=False))
        found.setdefault(label, []).append(tuple(each[0] for each in shared))
    return found


def _home(chain: Chain) -> list[nn.Module]:
    """Return the block that a chain asks for, if it has one: a choice, or a member of a row."""
    choices: list[nn.Module] = [one for one in chain if isinstance(one, ChoiceModule)]
    members = [child for parent, child in pairwise(chain) if isinstance(parent, _ROWS)]
    return choices[:1] or members[-1:]


def _matching(
    places: Mapping[nn.Module, tuple[str, Chain]], patterns: Sequence[str]
) -> set[nn.Module]:
    found = set[nn.Module]()
    for pattern in patterns:
        some = {one for one, (name, _) in places.items() if name and fnmatchcase(name, pattern)}
        if not some:
            raise ConfigError(
                f"strategy.blocks names {pattern!r}, but the model has the modules {_shown(places)}; "
                "* stands for any part of a name"
            )
        found |= some
    return found


def _shown(places: Mapping[nn.Module, tuple[str, Chain]]) -> str:
    names = sorted(name for name, _ in places.values() if name)
    return ", ".join(names[:_SHOWN]) + (", ..." if len(names) > _SHOWN else "")


def _learnable(supernet: SuperNet, label: str) -> tuple[Option, ...]:
    """Return the options of a decision that have something to learn."""
    decision = supernet.space.decision(label)
    empty = {
        name
        for choice, own in supernet.choices.items()
        if own == label
        for name, option in zip(choice.names, choice.options, strict=True)
        if next(option.parameters(), None) is None
    }
    learnable = tuple(option for option in decision.options if option not in empty)
    return (decision.high == 1 and learnable) or decision.options

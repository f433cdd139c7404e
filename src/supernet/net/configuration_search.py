"""The configuration by which a class of Hugging Face's transformers makes a network of given sizes.

Entries of the configuration of the largest network are tried with the sizes that the network's tensors
and numbers have in place of the entry's, on no storage (`meta`).
"""

from __future__ import annotations

import copy
import json
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from heapq import heappop, heappush
from typing import Any, cast

import torch
from torch import nn

from supernet.failures import check_memory
from supernet.net.export import ExportError
from supernet.random import seeded

__all__ = ["Changes", "ConfigurationSearch", "changes_text"]

Place = tuple[str | int, ...]
"""Where an entry of a configuration is: its name, or place in a list, after those of what is around."""

Changes = Mapping[Place, int]
"""New values of entries of a configuration."""

MOST, LIKELY = 400, 12
"""Configurations that are tried, and values of each entry."""


@dataclass
class _Signature:
    """What of a network its configuration decides: sizes of tensors, and numbers in its modules.

    Attributes:
        shapes: sizes of the tensors of the state, by name.
        numbers: numbers in the modules, by module and attribute.
        lengths: numbers of members with tensors, by sequence of modules.
    """

    shapes: dict[str, tuple[int, ...]]
    numbers: dict[tuple[str, str], float]
    lengths: dict[str, int]

    @classmethod
    def of(cls, network: nn.Module) -> _Signature:
        shapes = {name: tuple(value.shape) for name, value in network.state_dict().items()}
        numbers: dict[tuple[str, str], float] = {}
        lengths: dict[str, int] = {}
        for name, module in network.named_modules():
            for own, value in vars(module).items():
                if isinstance(value, int | float) and not isinstance(value, bool):
                    numbers[name, own] = float(value)
            if isinstance(module, nn.ModuleList | nn.Sequential):
                inside = [any(True for _ in one.parameters()) for one in module]
                lengths[name] = sum(inside)
        return cls(shapes, numbers, lengths)

    @property
    def content(self) -> dict[object, object]:
        """Sizes and numbers, by their names."""
        found: dict[object, object] = dict(self.shapes.items())
        found.update(self.numbers.items())
        return found

    def unlike(self, other: _Signature) -> list[str]:
        """Return the names of tensors that are not in both, or of other sizes."""
        names = [*self.shapes, *(name for name in other.shapes if name not in self.shapes)]
        return [name for name in names if self.shapes.get(name) != other.shapes.get(name)]

    def distance(self, other: _Signature) -> tuple[int, int]:
        """Return how many axes of tensors and numbers differ, and how many numbers of these."""
        axes = 0
        for name in self.unlike(other):
            mine, theirs = self.shapes.get(name), other.shapes.get(name)
            if mine is None or theirs is None or len(mine) != len(theirs):
                axes += 4
            else:
                axes += sum(one != two for one, two in zip(mine, theirs, strict=True))
        both = self.numbers.keys() & other.numbers.keys()
        numbers = sum(abs(self.numbers[one] - other.numbers[one]) > 1e-6 for one in both)
        return axes + numbers, numbers


@dataclass
class ConfigurationSearch:
    """The search for a configuration by which a class makes a network.

    Args:
        network: network that was derived; its `config` is that of the largest network.
    """

    network: nn.Module
    tried: dict[tuple[tuple[Place, int], ...], _Signature | None] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.config = cast(Any, self.network).config
        self.wanted = _Signature.of(self.network)

    def loaded(self, changes: Changes) -> nn.Module:
        """Return what the class makes with changes, with the weights of the network."""
        with seeded(0):
            made = type(self.network)(self.configured(changes))
        made.load_state_dict(self.network.state_dict())
        if (generation := getattr(self.network, "generation_config", None)) is not None:
            made.__dict__["generation_config"] = copy.deepcopy(generation)
        first = next(self.network.parameters(), torch.zeros(0))
        return made.to(first.device, first.dtype).eval()

    def fitting(self) -> Iterator[Changes]:
        """Yield configurations whose networks have tensors of the sizes of this one, the nearest first.

        From the nearest so far one more entry is changed, and so on. Where a class makes nothing of a
        configuration, as of heads that do not divide a width, it is taken to be as near as the one
        before it, so that another entry may mend it.

        Raises:
            ExportError: the class makes nothing of the configuration as it is.
        """
        whole = self.made({})
        if whole is None:
            raise ExportError(
                f"{type(self.network).__name__} cannot be made from its own configuration, so no other "
                "can be found"
            )
        entries = self.candidates(whole)
        queue: list[tuple[tuple[int, int], int, Changes]] = [(self.distance({}), 0, {})]
        seen = {frozenset[tuple[Place, int]]()}
        while queue and len(self.tried) < MOST:
            before, _, changes = heappop(queue)
            made = self.made(changes)
            if made is not None and not self.wanted.unlike(made):
                yield changes
            for place, value in ((one, v) for one, values in entries.items() for v in values):
                now = {**changes, place: value}
                key = frozenset(now.items())
                if key not in seen:
                    seen.add(key)
                    distance = min(self.distance(now), (before[0], before[1] + 1))
                    heappush(queue, (distance, len(seen), now))

    def distance(self, changes: Changes) -> tuple[int, int]:
        """Return how far a configuration's network is from the wanted one; far, where it makes none."""
        made = self.made(changes)
        far = 1 << 30
        return (far, far) if made is None else self.wanted.distance(made)

    def made(self, changes: Changes) -> _Signature | None:
        """Return the signature of what the class makes with changes, None where it makes nothing."""
        key = tuple(sorted(changes.items()))
        if key not in self.tried:
            if len(self.tried) >= MOST:
                return None
            try:
                with torch.device("meta"), seeded(0):
                    self.tried[key] = _Signature.of(type(self.network)(self.configured(changes)))
            except Exception as error:  # not every combination of entries is one
                check_memory(error)
                self.tried[key] = None
        return self.tried[key]

    def configured(self, changes: Changes) -> Any:
        """Return the configuration with changes, as it will be read from a file."""
        content = json.loads(json.dumps(self.config.to_dict(), default=str))
        for place, value in changes.items():
            inner = content
            for name in place[:-1]:
                inner = inner[name]
            before = inner[place[-1]]
            inner[place[-1]] = value
            for name, listed in inner.items() if "layer" in str(place[-1]) else ():
                # one entry for each layer, of which the last are left out
                if isinstance(listed, list) and len(listed) == before and value < before:
                    inner[name] = listed[:value]
        config = type(self.config).from_dict(content)
        for name in ("_attn_implementation", "dtype", "_name_or_path"):
            if getattr(self.config, name, None) is not None:
                setattr(config, name, getattr(self.config, name))
        return config

    def candidates(self, whole: _Signature) -> dict[Place, list[int]]:
        """Return the values that each entry may have, those first that most sizes speak for."""
        changed = self.changed(whole)
        sizes = Counter(size for shape in self.wanted.shapes.values() for size in shape)
        likely: dict[Place, list[int]] = {}
        for place, value in _entries(self.config.to_dict()):
            # what is None is a number that the class makes of others
            values = sizes if value is None else _scaled(value, changed)
            found = [one for one, _ in values.most_common(LIKELY) if one > 0 and one != value]
            if found:
                likely[place] = found
        # Some matter only once others are right: how many heads there are, once the width is.
        first = {place: v[0] for place, v in likely.items() if self.matters({}, place, v[0])}
        return {
            place: v
            for place, v in likely.items()
            if place in first or self.matters(first, place, v[0])
        }

    def matters(self, changes: Changes, place: Place, value: int) -> bool:
        """Return whether one more change changes, or prevents, what is not as it is to be."""
        before, now = self.made(changes), self.made({**changes, place: value})
        if before is None or now is None:
            return before is not now or self.distance({place: value}) != self.distance({})
        wanted, old, new = self.wanted.content, before.content, now.content
        names = wanted.keys() | old.keys()
        return any(wanted.get(name) != old.get(name) != new.get(name) for name in names)

    def changed(self, whole: _Signature) -> Counter[tuple[int, int]]:
        """Return how often a size or number of the largest network is another one in this."""
        found: Counter[tuple[int, int]] = Counter()
        for name, shape in self.wanted.shapes.items():
            before = whole.shapes.get(name, ())
            if len(before) == len(shape):
                found.update(zip(before, shape, strict=True))
        for own, number in self.wanted.numbers.items():
            one = whole.numbers.get(own, 0.5)
            if one.is_integer() and number.is_integer():
                found[int(one), int(number)] += 1
        for name, length in whole.lengths.items():
            found[length, self.wanted.lengths.get(name, length)] += 1
        return Counter({pair: n for pair, n in found.items() if pair[0] != pair[1] and pair[0] > 0})

    def refusal(self, why: str) -> str:
        """Return why there is no configuration.

        Args:
            why: description of what is wrong with the first that has the tensors of the network, if any.
        """
        kind = type(self.network).__name__
        if why:
            return (
                f"{kind} makes a network of these tensors from a configuration, but it computes "
                f"something else, {why}; a number that the class makes of a width, such as a scale, is "
                "another"
            )
        made = {key: one for key, one in self.tried.items() if one is not None}
        best = min(made, key=lambda key: self.wanted.distance(made[key]))
        unlike = self.wanted.unlike(made[best])
        wanted, nearest = (one.shapes.get(unlike[0]) for one in (self.wanted, made[best]))
        return (
            f"{kind} makes no such network from a configuration: {unlike[0]} is {_shape(wanted)} where "
            f"the nearest one ({changes_text(dict(best))}) makes it {_shape(nearest)}, one of "
            f"{len(unlike)} tensors that differ. Open only what it can say: supernet.convert with "
            "rules=pretrained_rules(model, example), of supernet.conversion. Programmes are exported of "
            "any sizes"
        )


def _entries(content: Any, within: Place = ()) -> Iterator[tuple[Place, int | None]]:
    """Yield the whole numbers of a configuration, also in lists and further ones, and what is None."""
    for name, value in content.items() if isinstance(content, Mapping) else enumerate(content):
        whole = isinstance(value, int) and not isinstance(value, bool) and value > 1
        if value is None or whole:
            yield (*within, name), value
        elif isinstance(value, list) or (isinstance(value, Mapping) and "model_type" in value):
            yield from _entries(value, (*within, name))


def _scaled(value: int, changed: Mapping[tuple[int, int], int]) -> Counter[int]:
    """Return what a number may be where sizes changed: as one of it, or a multiple of it, did."""
    found: Counter[int] = Counter()
    for (before, after), count in changed.items():
        if before == value:
            found[after] += 1000 * count
        elif before % value == 0 and value * after % before == 0:
            found[value * after // before] += count
    return found


def changes_text(changes: Changes) -> str:
    """Return changes of a configuration in words."""
    found = (f"{'.'.join(map(str, place))} {value}" for place, value in changes.items())
    return ", ".join(found) or "as it is"


def _shape(shape: tuple[int, ...] | None) -> str:
    return "missing" if shape is None else str(list(shape))

"""What the content of a cost table's file must look like."""

from __future__ import annotations

import math
import re
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path as File
from typing import Any

from supernet.cost.entry import Entry, path_from_json
from supernet.errors import ConfigError, SpaceError
from supernet.space import Option, SearchSpace
from supernet.space.decision import is_option

__all__ = ["check_content", "check_names"]

Kinds = Mapping[str, type | tuple[type, ...]]

_BY_HAND: Kinds = {"quantity": str, "entries": list}
_MEASURED: Kinds = {
    **_BY_HAND,
    "unit": str,
    "fixed": dict,
    "clamped": list,
    "correction": (dict, type(None)),
    "held_out": (dict, type(None)),
    "uncorrected": (dict, type(None)),
    "space": dict,
    "provenance": dict,
}
_PROVENANCE: Kinds = {
    "device": str,
    "torch": str,
    "clock": str,
    "threads": int,
    "precision": str,
    "batch_size": int,
    "input_shapes": list,
    "memory_format": str,
    "date": str,
}
_SPACE: Kinds = {"hash": str, "decisions": dict}


def check_content(content: Any, file: File, schema: int) -> None:
    """Check keys, types and amounts; all that is wrong is named at once.

    Raises:
        ConfigError: something is missing or wrong.
    """
    wrong = list(_wrong(content, schema))
    if wrong:
        more = f"; and {len(wrong) - 5} more" if len(wrong) > 5 else ""
        raise ConfigError(
            f"the cost table {file} cannot be used: {'; '.join(wrong[:5])}{more}. docs/costs.md "
            "describes the file"
        )


def check_names(entries: Iterable[Entry], space: SearchSpace, file: File) -> None:
    """Check that entries name options of the space, and no decision in part.

    Raises:
        SpaceError: an option is unknown, or one is forgotten.
    """
    named: dict[str, set[Option]] = defaultdict(set)
    for entry in entries:
        for label, option in (atom for path in entry.paths for atom in path):
            named[label].add(option)
    for label, options in named.items():
        known = space.decision(label).options if label in space.labels else ()
        if not options <= set(known):
            raise SpaceError(
                f"the cost table {file} names options {sorted(options - set(known), key=str)} of "
                f"{label!r}, but "
                + (f"that has {list(known)}" if known else f"the space has {sorted(space.labels)}")
            )
        if forgotten := [option for option in known if option not in options]:
            raise SpaceError(
                f"the cost table {file} has no amounts for the options {forgotten} of {label!r}; "
                "where an option costs nothing, write the amount 0"
            )


def _wrong(content: Any, schema: int) -> Iterator[str]:
    if not isinstance(content, dict):
        yield 'it must be an object {"quantity": ..., "entries": [...]}'
        return
    if "schema" in content and content["schema"] != schema:
        yield f"its schema is {content['schema']!r}, but this version of supernet reads {schema}"
        return
    missing = list(_wrong_keys(content, _MEASURED if "schema" in content else _BY_HAND, ""))
    yield from missing
    if missing:
        return
    if not re.fullmatch(r"[A-Za-z_]\w*", content["quantity"], re.ASCII):
        yield f"the quantity {content['quantity']!r} must be a name such as energy_mj"
    yield from _wrong_entries(content["entries"])
    if "fixed" in content:
        yield from _wrong_amounts(content["fixed"], "fixed")
    if "schema" in content:
        yield from _wrong_keys(content["space"], _SPACE, "space.")
        yield from _wrong_keys(content["provenance"], _PROVENANCE, "provenance.")
        yield from _wrong_details(content)


def _wrong_details(content: Mapping[str, Any]) -> Iterator[str]:
    decisions = content["space"].get("decisions")
    if isinstance(decisions, dict) and not all(isinstance(d, dict) for d in decisions.values()):
        yield "space.decisions must hold an object for each decision"
    shapes = content["provenance"].get("input_shapes")
    if shapes == [] or (isinstance(shapes, list) and not all(isinstance(s, list) for s in shapes)):
        yield "provenance.input_shapes must list the shape of each input"
    if content["correction"] is not None:
        yield from _wrong_number(
            content["correction"].get("offset"), "correction.offset", -math.inf
        )
        yield from _wrong_number(content["correction"].get("factor"), "correction.factor")


def _wrong_keys(content: Mapping[str, Any], kinds: Kinds, prefix: str) -> Iterator[str]:
    for key, kind in kinds.items():
        if key not in content:
            yield f"the key {prefix + key!r} is missing"
        elif not isinstance(content[key], kind):
            yield f"{prefix + key!r} cannot be {content[key]!r}"


def _wrong_entries(entries: Sequence[Any]) -> Iterator[str]:
    seen = set()
    for number, entry in enumerate(entries):
        name = f"entries[{number}]"
        if not isinstance(entry, dict) or not isinstance(entry.get("paths"), list):
            yield f'{name} must be an object {{"paths": [...], "amount": ...}}'
            continue
        yield from _wrong_amounts(entry, name)
        paths = entry["paths"]
        if not paths or not all(map(_is_path, paths)):
            yield f"{name}.paths must list one or more objects {{label: option, ...}}, not {paths!r}"
            continue
        key = frozenset(frozenset(path_from_json(path)) for path in paths)
        if key in seen:
            yield f"{name} has the paths of an earlier entry: {paths!r}"
        seen.add(key)


def _is_path(path: Any) -> bool:
    return isinstance(path, dict) and all(
        all(map(is_option, value)) if isinstance(value, list) else is_option(value)
        for value in path.values()
    )


def _wrong_amounts(entry: Any, name: str) -> Iterator[str]:
    if not isinstance(entry, dict):
        yield f'{name} must be an object {{"amount": ...}}'
        return
    yield from _wrong_number(entry.get("amount"), f"{name}.amount")
    if "spread" in entry:
        yield from _wrong_number(entry["spread"], f"{name}.spread")


def _wrong_number(value: Any, name: str, least: float = 0.0) -> Iterator[str]:
    if value is None:
        yield f"{name} is missing"
    elif not isinstance(value, int | float) or isinstance(value, bool):
        yield f"{name} must be a number, not {value!r}"
    elif not least <= value <= _LARGEST:
        yield f"{name} must be finite and not negative, not {value!r}"


_LARGEST = 1e300
"""So that sums stay finite too."""

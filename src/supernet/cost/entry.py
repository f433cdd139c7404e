"""One amount of a cost table, and its paths as JSON."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from supernet.space import Option, Path

__all__ = ["Entry", "path_from_json", "path_to_json", "paths_to_json"]


@dataclass(frozen=True)
class Entry:
    """An amount that counts if, for one of the paths, every (label, option) is chosen."""

    paths: frozenset[Path]
    amount: float


def path_to_json(path: Path) -> dict[str, Option | list[Option]]:
    """Return {label: option, ...}, with a list where several options of one decision must be chosen."""
    each: defaultdict[str, list[Option]] = defaultdict(list)
    for label, option in path:
        each[label].append(option)
    return {label: found[0] if len(found) == 1 else found for label, found in each.items()}


def paths_to_json(paths: Iterable[Path]) -> list[dict[str, Option | list[Option]]]:
    """Return the paths of an entry, in an order that is always the same."""
    return [path_to_json(path) for path in sorted(paths, key=repr)]


def path_from_json(path: Mapping[str, Option | list[Option]]) -> Path:
    """Return what `path_to_json` wrote."""
    return tuple(
        (label, option)
        for label, found in path.items()
        for option in (found if isinstance(found, list) else [found])
    )

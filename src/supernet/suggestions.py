"""What was meant by a name that is unknown."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Mapping

__all__ = ["did_you_mean", "nearest", "wanted_figure"]

_LONGEST = 100  # characters; the comparison takes time with the product of lengths


def nearest(name: object, known: Iterable[object]) -> str | None:
    """Return the known name that is most like another, whatever its case, or None."""
    if not isinstance(name, str) or len(name) > _LONGEST:
        return None
    by_folded: dict[str, str] = {}
    for one in known:
        by_folded.setdefault(str(one).casefold(), str(one))  # of equal ones the first
    found = difflib.get_close_matches(name.casefold(), by_folded, n=1)
    return by_folded[found[0]] if found else None


def did_you_mean(name: object, known: Iterable[object]) -> str:
    """Return the end of a message about an unknown name: the nearest known one, or nothing.

    >>> did_you_mean("sposs", ["bender", "spos"])
    "; did you mean 'spos'?"
    """
    found = nearest(name, known)
    return "" if found is None else f"; did you mean {found!r}?"


def wanted_figure(name: str, known: Iterable[str], optional: Mapping[str, str]) -> str:
    """Return the end of a message about a figure that is not reported.

    >>> wanted_figure("f1", ["loss"], {"f1": "--task.by_class true"})
    "; 'f1' is one with --task.by_class true"

    Args:
        name: name of the figure.
        known: names of those that are reported.
        optional: options with which further ones would be, by their names.
    """
    if name in optional:
        return f"; {name!r} is one with {optional[name]}"
    return did_you_mean(name, [*known, *optional])

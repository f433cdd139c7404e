"""Names of classes as class numbers."""

from __future__ import annotations

from collections.abc import Iterable

__all__ = ["ordered"]


def ordered(labels: Iterable[str]) -> tuple[str, ...]:
    """Return different labels in the order of the numbers that they are, or else of the alphabet."""
    different = set(labels)
    try:
        return tuple(sorted(different, key=lambda label: (int(label), label)))
    except ValueError:
        return tuple(sorted(different))

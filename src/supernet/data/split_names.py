"""What splits may be called, by folders and by the cells of a table."""

from __future__ import annotations

__all__ = ["SPLITS", "split_of"]

SPLITS = {
    "train": ("train", "training"),
    "search": ("val", "valid", "validation", "dev"),
    "test": ("test", "testing"),
}
"""Names of each split: to train with, to select with, and for the test."""


def split_of(name: str) -> str | None:
    """Return the split that is called so, in any case: "train", "search" or "test"; None if none is."""
    return next((split for split, names in SPLITS.items() if name.casefold() in names), None)

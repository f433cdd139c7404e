"""Options on the left of lines, and words about them on the right."""

from __future__ import annotations

import textwrap
from collections.abc import Iterable

__all__ = ["UNBROKEN", "option_lines"]

_WIDTH = 100
_COLUMN = 34
"""Columns of the terminal, and those of them before the words."""

UNBROKEN = "\N{NO-BREAK SPACE}"
"""A space at which no line of options is broken."""


def option_lines(options: Iterable[tuple[str, str]]) -> list[str]:
    """Return lines of at most 100 columns: what is written on the left, what it is on the right.

    Args:
        options: pairs of what is written, and of the words about it.
    """
    lines = []
    for written, words in options:
        left = f"  {written}"
        if len(left) > _COLUMN - 2:
            lines.append(left)
            left = ""
        lines += textwrap.wrap(
            words,
            _WIDTH,
            initial_indent=f"{left:<{_COLUMN}}",
            subsequent_indent=" " * _COLUMN,
            break_on_hyphens=False,
        )
    return [line.replace(UNBROKEN, " ") for line in lines]

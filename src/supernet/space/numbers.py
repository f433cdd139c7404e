"""Whole numbers of any size as text: spaces easily have more architectures than a float can count.

Python refuses to write integers of more than 4,300 digits in the usual way, and converting one above
1.8e308 to a float overflows; `Decimal` does neither.
"""

from __future__ import annotations

from decimal import Decimal

__all__ = ["digits", "size_text"]

EXACT = 10**15
"""Numbers below it are written with all their digits."""


def digits(number: int) -> str:
    """Return all digits of a number.

    >>> digits(-120), len(digits(10**5000))
    ('-120', 5001)
    """
    return format(Decimal(number), "f")


def size_text(number: int) -> str:
    """Return a number for a person: exactly, or with three digits where it is very large.

    >>> size_text(7680), size_text(10**15), size_text(9_996 * 10**400)
    ('7,680', '1.00e+15', '1.00e+404')
    """
    return f"{number:,}" if abs(number) < EXACT else f"{Decimal(number):.2e}"

"""Checks of the arguments that the ready spaces have in common."""

from __future__ import annotations

from collections.abc import Sequence

from supernet.errors import SpaceError

__all__ = ["check_halvings", "check_lengths", "check_positive"]


MOST = 2**20
"""What a size may be: more fits into no memory."""


def check_positive(**given: int | Sequence[int]) -> None:
    """Check numbers, and sequences of numbers that may not be empty.

    Raises:
        SpaceError: one of them is smaller than one or larger than `MOST`, or a sequence is empty.
    """
    for value in given.values():
        numbers = value if isinstance(value, Sequence) else (value,)
        if min(numbers, default=0) < 1 or max(numbers) > MOST:
            listing = ", ".join(f"{name} {value}" for name, value in given.items())
            raise SpaceError(
                f"of {listing}, all must be positive, at most {MOST:,}, and none empty"
            )


def check_lengths(**given: Sequence[int]) -> None:
    """Check that all sequences have one entry for each stage.

    Raises:
        SpaceError: their lengths differ.
    """
    if len({len(value) for value in given.values()}) > 1:
        listing = ", ".join(f"{name} {value}" for name, value in given.items())
        raise SpaceError(f"of {listing}, each must have one entry per stage, so equally many")


def check_halvings(
    image: Sequence[int], strides: Sequence[int], **others: int | Sequence[int]
) -> None:
    """Check that strides are 1 or 2 and that the image is large enough to be halved that often.

    Args:
        image: channels, height and width.
        strides: strides of the stages.
        others: further strides, by the names of their options.

    Raises:
        SpaceError: a stride is another one, or the image is too small.
    """
    halvings = 0
    for name, value in {**others, "strides": strides}.items():
        given = tuple(value) if isinstance(value, Sequence) else (value,)
        if not set(given) <= {1, 2}:
            raise SpaceError(f"{name}: a stride is 1 or 2 (it halves the image), not {value}")
        halvings += given.count(2)
    if min(image[1:]) < 2**halvings:
        raise SpaceError(
            f"images of {image[1]}×{image[2]} cannot be halved {halvings} times; "
            f"at most {min(image[1:]).bit_length() - 1} times is possible, so use fewer or other "
            "stages, or larger resolutions"
        )

"""What a promise is: a function of a case whose docstring begins with the sentence that must hold."""

from __future__ import annotations

import copy
import functools
import inspect
import random
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Protocol, TypeVar

from supernet.random import seeded

__all__ = ["Case", "expect", "factory", "promise", "stirred", "text"]


class Case(Protocol):
    """What a promise is asked of."""

    @property
    def name(self) -> str:
        """What a message calls it."""
        ...


C = TypeVar("C", bound=Case)
T = TypeVar("T")


def text(kept: Callable[..., object]) -> str:
    """Return the sentence that a promise is."""
    # Every promise has a docstring.
    return " ".join(inspect.getdoc(kept).split("\n\n")[0].split())  # type: ignore[union-attr]


def promise(kept: Callable[[C], None]) -> Callable[[C], None]:
    """Let a function that raises an error for a case say which promise the case breaks."""

    @functools.wraps(kept)
    def asked(case: C) -> None:
        try:
            kept(case)
        except AssertionError as error:
            raise AssertionError(f"{case.name} breaks a promise. {text(kept)} {error}") from None
        except Exception as error:  # whatever the case raises, the promise is named
            raised = f"It raised {type(error).__name__}: {error}"
            raise AssertionError(f"{case.name} breaks a promise. {text(kept)} {raised}") from error

    return asked


def expect(holds: object, expected: object, seen: object) -> None:
    """Go on where something holds.

    Raises:
        AssertionError: it does not; the message tells what was expected and what was seen.
    """
    if not holds:
        raise AssertionError(f"Expected: {expected}. Seen: {seen}.")


def factory(given: T | Callable[[], T], kind: type[T]) -> Callable[[], T]:
    """Return a function that makes a fresh object of what is a class, a function, or an example."""
    if isinstance(given, kind):
        return lambda: copy.deepcopy(given)
    if callable(given):
        return given
    raise TypeError(
        f"a {kind.__name__} is checked, or a class or function that makes one, not a "
        f"{type(given).__name__}"
    )


@contextmanager
def stirred(seed: int) -> Iterator[None]:
    """Seed the random states of the process, of Python and torch, within the block."""
    before = random.getstate()
    random.seed(seed)
    try:
        with seeded(seed):
            yield
    finally:
        random.setstate(before)

"""Interrupting a training by Ctrl-C: it goes on to its next moment of a checkpoint, and ends there."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

__all__ = ["awaited_interruption"]

_SAID = b"""
interrupted: going on to the next record of the log, to save what is done; again to end at once
"""


@contextmanager
def awaited_interruption(wanted: bool) -> Iterator[Callable[[], bool]]:
    """Within the block a first SIGINT is remembered, and raised at its end; yields whether one was.

    A second one raises `KeyboardInterrupt`, as the first does elsewhere: in other threads than the main
    one, and where somebody handles the signal already.

    Args:
        wanted: whether it shall be so.
    """
    main = threading.current_thread() is threading.main_thread()
    if not (wanted and main and signal.getsignal(signal.SIGINT) is signal.default_int_handler):
        yield lambda: False
        return
    seen = False

    def remember(number: int, frame: object) -> None:
        nonlocal seen
        if seen:
            raise KeyboardInterrupt
        seen = True
        os.write(2, _SAID)  # a stream may be in the middle of a line of its own

    signal.signal(signal.SIGINT, remember)
    try:
        yield lambda: seen
    finally:
        signal.signal(signal.SIGINT, signal.default_int_handler)
    if seen:
        raise KeyboardInterrupt

"""Worker processes that read inputs ahead of the step that needs them."""

from __future__ import annotations

import multiprocessing
import os
import signal
import sys
import threading
import time
import warnings
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from typing import Any

import torch
import torch.multiprocessing  # tensors then pass between processes in shared memory
from torch import Tensor

from supernet.errors import ReadingError

__all__ = ["Pool"]

Read = Callable[[Any, Sequence[int], Any], Tensor]

_AHEAD = 2
"""Batches for each worker that are read or waiting, as PyTorch's `DataLoader` has it."""

_read_here: Callable[[Sequence[int], Any], Tensor]
"""In a worker process: what reads."""


class Pool:
    """Processes that each hold one copy of what is read from; they are started when first asked.

    On Linux they are forked, so that data sets need not be picklable. Elsewhere they are started anew:
    then they must be, and a script begins with `if __name__ == "__main__":`.

    Args:
        read: function of what is read from, numbers and a key, that returns a tensor.
        items: source that is read from.
        workers: number of processes, at least 1.

    Attributes:
        ahead: number of batches that are to be asked for ahead.
    """

    def __init__(self, read: Read, items: Any, workers: int) -> None:
        self._read = read
        self._items = items
        self._workers = workers
        self._executor: ProcessPoolExecutor | None = None
        self.ahead = _AHEAD * workers

    def ask(self, numbers: Sequence[int], key: Any) -> Callable[[], Tensor]:
        """Have a batch read, and return what waits for it.

        Raises:
            ReadingError: it cannot be read; or, of what waits, a process was ended from outside.
        """
        if self._executor is None:
            self._executor = ProcessPoolExecutor(
                self._workers,
                multiprocessing.get_context("fork" if sys.platform == "linux" else "spawn"),
                initializer=_begin,
                initargs=(self._read, self._items, os.getpid()),
            )
        try:
            with warnings.catch_warnings():  # of Python 3.12, about threads; see `_begin`
                warnings.filterwarnings("ignore", ".*fork", DeprecationWarning)
                future = self._executor.submit(_work, numbers, key)
        except BrokenProcessPool as error:
            raise self._ended() from error
        return lambda: self._result(future)

    def _result(self, future: Future[Tensor]) -> Tensor:
        try:
            return future.result()
        except BrokenProcessPool as error:
            raise self._ended() from error

    def _ended(self) -> ReadingError:
        return ReadingError(
            f"one of the {self._workers} process(es) that read the data was ended from outside, or "
            "crashed. Often the system had too little memory, or too little shared memory (/dev/shm, "
            "which containers keep small; docker run --shm-size). What was computed before is intact: "
            "run the same again, with fewer processes (--workers 1) or none (--workers 0)"
        )


def _begin(read: Read, items: Any, parent: int) -> None:
    """Prepare a worker process."""
    global _read_here
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the main process is told, and ends this one
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    torch.set_num_threads(1)  # the threads of the main process were not forked
    threading.Thread(target=_end_with, args=(parent,), daemon=True).start()
    _read_here = lambda numbers, key: read(items, numbers, key)  # noqa: E731


def _end_with(parent: int) -> None:
    """End this process once the main one is gone, however that ended."""
    while os.getppid() == parent:
        time.sleep(0.5)
    os._exit(1)


def _work(numbers: Sequence[int], key: Any) -> Tensor:
    return _read_here(numbers, key)

"""One process at a time works in a run folder; any number reads it."""

from __future__ import annotations

import fcntl
import os
import weakref
from pathlib import Path

from supernet.errors import RunFolderError

__all__ = ["LOCK", "FolderLock"]

LOCK = ".supernet-lock"
"""The file that is locked; it stays, and is empty."""


_LOCKS: weakref.WeakSet[FolderLock] = weakref.WeakSet()
"""Locks of this process, which one that is forked from it, to read data, does not share."""


class FolderLock:
    """The lock of a folder, held until it is closed or the process ends.

    Args:
        folder: folder to lock; it exists.
        write: whether to work in it, alone; otherwise others may read it at the same time, and nothing
            is written for it: where there is no file to lock, there is no lock.

    Attributes:
        missing: why there is no lock, where the file system has none; else None.

    Raises:
        OSError: the file to lock cannot be made.
        RunFolderError: another process works in the folder.
    """

    def __init__(self, folder: Path, *, write: bool) -> None:
        self.missing: str | None = None
        _LOCKS.add(self)
        self._file: int | None = None
        path = folder / LOCK
        while True:
            try:
                mode = os.O_RDWR | os.O_CREAT if write else os.O_RDONLY
                self._file = os.open(path, mode | os.O_NONBLOCK, 0o666)  # opening a pipe would wait
            except OSError:
                if write:
                    raise
                return
            try:
                self._take(folder, fcntl.LOCK_EX if write else fcntl.LOCK_SH)
                if self._is(path):
                    return
            except BaseException:
                self.close()
                raise
            self.close()  # that process removed the file before this one had its lock

    @property
    def held(self) -> bool:
        """Whether the file is open, and not closed since."""
        return self._file is not None

    def close(self) -> None:
        """Let other processes work in the folder."""
        if self._file is not None:
            os.close(self._file)
            self._file = None

    def _take(self, folder: Path, kind: int) -> None:
        assert self._file is not None
        try:
            fcntl.flock(self._file, kind | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise RunFolderError(
                f"another process is working in {folder}; wait for it or choose another folder"
            ) from error
        except OSError as error:  # NFS without its lock service, some FUSE file systems, ...
            self.missing = error.strerror or str(error)

    def _is(self, path: Path) -> bool:
        """Return whether the locked file is the one that others would lock."""
        assert self._file is not None
        try:
            return os.path.samestat(os.fstat(self._file), os.stat(path))
        except FileNotFoundError:
            return False


def _let_go() -> None:
    for lock in list(_LOCKS):
        lock.close()


os.register_at_fork(after_in_child=_let_go)

"""The one door through which files of data are read: whatever is wrong is said, with the file's name."""

from __future__ import annotations

import contextlib
import os
import stat
import struct
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

from supernet.errors import DataError, SupernetError

__all__ = [
    "files_in",
    "folders_in",
    "is_hidden",
    "last_part",
    "open_regular",
    "read_data",
    "reading",
    "walk",
]

_OF_SYSTEMS = ("__macosx", "thumbs.db", "ehthumbs.db", "desktop.ini", "$recycle.bin", "@eadir")
"""What macOS, Windows and network drives put beside files, in small letters."""

_WRONG = (OSError, EOFError, UnicodeError, zlib.error, struct.error, MemoryError)
"""What reading a file can raise; `gzip.BadGzipFile` is an `OSError`."""


@contextlib.contextmanager
def reading(path: Path, remedy: str = "get this file again") -> Iterator[None]:
    """Turn what reading a file or folder raises into an error that names it.

    Raises:
        DataError: it could not be read.
    """
    if "\0" in str(path):
        raise DataError(f"{str(path)!r} is no path: it has a character NUL; correct it.")
    try:
        yield
    except SupernetError:
        raise
    except PermissionError as error:
        raise DataError(
            f"{error.filename or path} may not be read (permission denied); change who may read it, or "
            "remove it."
        ) from error
    except MemoryError as error:
        raise DataError(f"{path} does not fit into memory; use a part of it.") from error
    except _WRONG as error:
        cause = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
        raise DataError(f"{path} cannot be read ({cause}); {remedy}.") from error


@contextlib.contextmanager
def open_regular(path: Path) -> Iterator[BinaryIO]:
    """Open a regular file; the first of what cannot be read as one is said.

    Raises:
        DataError: it is missing, no file, or not to be read, or damaged as the reader finds out.
    """
    with reading(path):
        if path.is_symlink() and not path.exists():
            raise DataError(
                f"{path} is a link to {os.readlink(path)}, which is not there; mend it."
            )
        if not path.exists():
            raise DataError(f"{path} cannot be read: No such file or directory; check the path.")
        kind = path.stat().st_mode
        if stat.S_ISDIR(kind):
            raise DataError(f"{path} cannot be read: Is a directory; name a file in it.")
        if not stat.S_ISREG(kind):
            raise DataError(f"{path} cannot be read: it is a pipe or a device; save it as a file.")
        with open(path, "rb") as file:
            yield file


def read_data(path: Path) -> bytes:
    """Return the content of a file.

    Raises:
        DataError: see `open_regular`.
    """
    with open_regular(path) as file:
        return file.read()


def files_in(folder: Path) -> list[Path]:
    """Return all files in a folder and those within it, sorted, but for hidden ones; see `walk`.

    Raises:
        DataError: a folder may not be read.
    """
    return walk(folder)[0]


def walk(folder: Path) -> tuple[list[Path], list[Path]]:
    """Return all files in a folder and those within it, and what is hidden there; both sorted.

    Links to folders are followed, once each; links to nothing count as files. What is in a hidden folder
    is not looked at.

    Raises:
        DataError: a folder may not be read.
    """

    def failed(error: OSError) -> None:
        raise error

    found, hidden = list[Path](), list[Path]()
    seen = set()
    with reading(folder):
        for place, folders, names in os.walk(folder, onerror=failed, followlinks=True):
            status = os.stat(place)
            if (status.st_dev, status.st_ino) in seen:
                folders.clear()
                continue
            seen.add((status.st_dev, status.st_ino))
            hidden += [Path(place, name) for name in (*folders, *names) if is_hidden(name)]
            folders[:] = sorted(name for name in folders if not is_hidden(name))
            found += [Path(place, name) for name in names if not is_hidden(name)]
    return sorted(found), sorted(hidden)


def folders_in(folder: Path) -> list[str]:
    """Return the names of the folders in a folder, sorted, but for hidden ones.

    Raises:
        DataError: it may not be read.
    """
    with reading(folder):
        return sorted(p.name for p in folder.iterdir() if p.is_dir() and not is_hidden(p.name))


def is_hidden(name: str) -> bool:
    """Return whether a file or folder is hidden, or one that a system keeps beside those of a user."""
    return name.startswith(".") or name.casefold() in _OF_SYSTEMS


def last_part(path: Path) -> str:
    """Return the last part of a path, of the working directory too, whatever the path is."""
    return os.path.basename(os.path.abspath(path))

"""Files are written whole or not at all: temporary file, flush, rename."""

from __future__ import annotations

import contextlib
import errno
import json
import os
import re
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from supernet.errors import DamagedFileError, StorageError, SupernetError
from supernet.strict_json import parse_json
from supernet.typed import MisfitError, T

__all__ = [
    "FULL",
    "REPEAT",
    "beside",
    "check_ordinary",
    "clean",
    "left_behind",
    "read_bytes",
    "read_json",
    "storage_errors",
    "write_bytes",
    "write_json",
    "write_text",
]

REPEAT = (
    "Delete it and run the same command again; the step that wrote it is repeated from the files "
    "before it"
)
"""What to do about a damaged file that a step of a run wrote."""

FULL = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}
"""Numbers of errors that freeing space helps against."""

_LEFT = re.compile(r"\.(?P<name>.+)\.(?P<process>\d+)\.supernet-(?P<kind>tmp|old)", re.DOTALL)
"""Names of what is being written (tmp), and of what is about to be replaced (old)."""


class storage_errors(contextlib.ContextDecorator):
    """Turn an `OSError`, as of a full disk, into a `StorageError` that names the file."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __enter__(self) -> None:
        return None

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        if isinstance(error, OSError) and not isinstance(error, StorageError):
            full = error.errno in FULL
            cause = "the disk is full" if full else (error.strerror or str(error))
            remedy = (
                "free some space (or choose another folder) and run the same command again"
                if full
                else "choose another place, or make this one writable, and run the command again"
            )
            raise StorageError(
                f"{self.path} could not be written: {cause}. What was written before is intact; "
                f"{remedy}."
            ) from error


def write_bytes(path: Path, content: bytes) -> None:
    """Replace `path` by `content`, or leave it as it was.

    A file that is replaced keeps its permissions. Of a symbolic link, what it leads to is replaced; into
    what is no file, such as a pipe, the content is written.

    Raises:
        StorageError: the content could not be written, for instance because the disk is full.
    """
    with storage_errors(path):
        real = Path(os.path.realpath(path))
        if real.exists() and not real.is_file() and not real.is_dir():
            real.write_bytes(content)
            return
        clean(real.parent, real.name)
        temporary = beside(real)
        try:
            with open(temporary, "wb") as file:
                with contextlib.suppress(
                    OSError
                ):  # there is none, or the file system knows no modes
                    os.fchmod(file.fileno(), stat.S_IMODE(real.stat().st_mode))
                file.write(content)
                file.flush()
                os.fsync(file.fileno())
            os.replace(temporary, real)
        finally:
            with contextlib.suppress(OSError):  # which would hide the error that is being raised
                temporary.unlink(missing_ok=True)


def write_text(path: Path, content: str) -> None:
    """Replace `path` by `content` in UTF-8, or leave it as it was."""
    write_bytes(path, content.encode())


def write_json(path: Path, content: Any) -> None:
    """Replace `path` by `content` as indented JSON, or leave it as it was."""
    write_text(path, json.dumps(content, indent=2, allow_nan=False) + "\n")


def read_bytes(path: Path) -> bytes:
    """Return the content of an ordinary file; nothing else, such as a folder or a pipe, is opened.

    Raises:
        DamagedFileError: it is no ordinary file, or cannot be read.
        FileNotFoundError: there is no such file.
    """
    check_ordinary(path)
    with _readable(path):
        return path.read_bytes()


def check_ordinary(path: Path) -> None:
    """Check that a path is that of a file: what opens a pipe waits for ever.

    Raises:
        DamagedFileError: it is a folder, a pipe or something else, or cannot be looked at.
        FileNotFoundError: there is no such file.
    """
    with _readable(path):
        mode = path.stat().st_mode
    if not stat.S_ISREG(mode):
        kind = "a folder" if stat.S_ISDIR(mode) else "no ordinary file"
        raise DamagedFileError(
            f"{path} cannot be read: it is {kind}. Move it away and run the same command again"
        )


@contextlib.contextmanager
def _readable(path: Path) -> Iterator[None]:
    try:
        yield
    except FileNotFoundError:
        raise
    except OSError as error:
        raise DamagedFileError(
            f"{path} cannot be read: {error.strerror or error}. Give yourself the permission, or put a "
            "copy of it back, and run the same command again"
        ) from error


def beside(path: Path, kind: str = "tmp") -> Path:
    """Return where what will be `path` ("tmp") or was it ("old") lies, beside it.

    The name says so, and which process is at work; nothing else has such a name.
    """
    return path.with_name(f".{path.name}.{os.getpid()}.supernet-{kind}")


def left_behind(folder: Path, kind: str, name: str | None = None) -> Iterator[tuple[Path, str]]:
    """Yield what processes that are no more left in a folder, and the name that each is about.

    Args:
        folder: folder to look in; only what lies directly in it is looked at.
        kind: "tmp" or "old", see `beside`.
        name: look for what is about this name only.
    """
    try:
        names = sorted(os.listdir(folder))
    except OSError:  # there is no such folder, or it may not be looked into
        return
    for one in names:
        found = _LEFT.fullmatch(one)
        if found is None or found["kind"] != kind or name not in (None, found["name"]):
            continue
        if not _at_work(int(found["process"])):
            yield folder / one, found["name"]


def clean(folder: Path, name: str | None = None) -> None:
    """Delete files that a process which was killed while it wrote them left in a folder.

    Args:
        folder: folder to clean; only what lies directly in it is looked at.
        name: delete what would have become this file only.
    """
    for path, _ in left_behind(folder, "tmp", name):
        if not path.is_dir():
            with contextlib.suppress(OSError):  # it may be another user's
                path.unlink()


def _at_work(process: int) -> bool:
    """Return whether another process with this number runs; this one has nothing half done."""
    if process == os.getpid():
        return False
    try:
        os.kill(process, 0)
    except (ProcessLookupError, OverflowError):
        return False
    except OSError:
        return True
    return True


def read_json(path: Path, kind: type[T] = object, remedy: str = REPEAT) -> T:  # type: ignore[assignment]
    """Return the JSON in `path` as what a type says, see `supernet.typed`.

    Args:
        path: path of the file.
        kind: the type; by default any.
        remedy: advice for where the file is damaged, a sentence.

    Raises:
        DamagedFileError: the file cannot be read, is no JSON, or of another type; the message says
            which place of it.
        FileNotFoundError: there is no such file.
    """
    try:
        return parse_json(read_bytes(path), kind)
    except MisfitError as error:
        raise DamagedFileError(
            f"{path} is damaged or of another version: {error}. {remedy}"
        ) from error
    except SupernetError as error:  # of a dataclass that looks at its fields
        if isinstance(error, DamagedFileError):
            raise
        raise DamagedFileError(f"{path} is damaged: {error} {remedy}") from error
    except ValueError as error:
        raise DamagedFileError(f"{path} is damaged: it is no JSON ({error}). {remedy}") from error

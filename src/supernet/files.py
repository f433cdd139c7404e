"""Files are written whole or not at all: temporary file, flush, rename."""

from __future__ import annotations

import contextlib
import errno
import json
import os
from pathlib import Path
from typing import Any

from supernet.errors import DamagedFileError, StorageError

__all__ = ["read_json", "storage_errors", "write_bytes", "write_json", "write_text"]

_FULL = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}


class storage_errors(contextlib.ContextDecorator):
    """Turn an `OSError` of a full disk into a `StorageError` that names the file."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __enter__(self) -> None:
        return None

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        if isinstance(error, OSError) and not isinstance(error, StorageError):
            cause = "the disk is full" if error.errno in _FULL else (error.strerror or str(error))
            raise StorageError(
                f"{self.path} could not be written: {cause}. What was written before is intact; "
                "free some space (or choose another folder) and run the same command again."
            ) from error


def write_bytes(path: Path, content: bytes) -> None:
    """Replace `path` by `content`, or leave it as it was.

    Raises:
        StorageError: the content could not be written, for instance because the disk is full.
    """
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    with storage_errors(path):
        try:
            with open(temporary, "wb") as file:
                file.write(content)
                file.flush()
                os.fsync(file.fileno())
            os.replace(temporary, path)
        finally:
            temporary.unlink(missing_ok=True)


def write_text(path: Path, content: str) -> None:
    """Replace `path` by `content` in UTF-8, or leave it as it was."""
    write_bytes(path, content.encode())


def write_json(path: Path, content: Any) -> None:
    """Replace `path` by `content` as indented JSON, or leave it as it was."""
    write_text(path, json.dumps(content, indent=2, allow_nan=False) + "\n")


def read_json(path: Path) -> Any:
    """Return the JSON in `path`.

    Raises:
        DamagedFileError: the file is not JSON.
        FileNotFoundError: there is no such file.
    """
    try:
        return json.loads(path.read_text())
    except ValueError as error:
        raise DamagedFileError(
            f"{path} is damaged ({error}). Delete it and run the same command again; "
            "the step that wrote it is repeated from the files before it."
        ) from error

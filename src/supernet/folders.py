"""Folders that supernet made bear a mark; whole folders are replaced, or stay as they were.

Files are overwritten and removed only in folders that bear the mark `made-by-supernet.json`, and only
those that supernet itself writes there. The mark is the first file of a folder, so that a folder whose
making was interrupted has it, too.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import shutil
from collections.abc import Collection, Iterable, Iterator
from pathlib import Path
from typing import Any, TypedDict

from supernet.errors import DamagedFileError, RunFolderError
from supernet.files import beside, left_behind, read_json, storage_errors, write_json

__all__ = [
    "FORMAT",
    "MARK",
    "check_links",
    "check_ours",
    "folder_kind",
    "new_folder",
    "read_mark",
    "recover",
    "write_mark",
]

MARK = "made-by-supernet.json"
"""The file that a folder of ours bears."""

FORMAT = 1
"""Of folders; a larger one is of a later version."""

_ABOUT = (
    "supernet made this folder. It replaces and removes files of its own here, and refuses to where "
    "this file is missing."
)


class Mark(TypedDict):
    """The content of the mark of a folder."""

    kind: str
    format: int


def write_mark(folder: Path, kind: str, **more: Any) -> None:
    """Mark a folder as ours.

    Args:
        folder: folder to mark; it exists.
        kind: "run" or "export".
        more: further facts to be known of it, as JSON.

    Raises:
        StorageError: the mark cannot be written.
    """
    write_json(folder / MARK, {"kind": kind, "format": FORMAT, **more, "about": _ABOUT})


def read_mark(folder: Path) -> Mark | None:
    """Return what the mark of a folder says, or None if it bears none.

    Raises:
        DamagedFileError: the mark cannot be read.
        RunFolderError: a later version made the folder.
    """
    try:
        mark = read_json(folder / MARK, Mark, f"A mark is, for instance, {mark_text('run')}")
    except FileNotFoundError:
        return None
    except DamagedFileError as error:
        if isinstance(error.__cause__, NotADirectoryError):
            return None
        raise
    if mark["format"] > FORMAT:
        raise RunFolderError(
            f"{folder} was made by a later version of supernet (its format is {mark['format']}, and "
            f"this version knows {FORMAT}); use that version, or choose another folder"
        )
    return mark


def folder_kind(folder: Path) -> str | None:
    """Return what a folder of ours is, "run" or "export", or None if it is not ours.

    Raises:
        DamagedFileError: the mark cannot be read.
        RunFolderError: a later version made the folder.
    """
    mark = read_mark(folder)
    return None if mark is None else mark["kind"]


def mark_text(kind: str) -> str:
    """Return the least that a mark holds."""
    return json.dumps({"kind": kind, "format": FORMAT})


def check_ours(folder: Path, kind: str, files: Collection[str], option: str) -> None:
    """Check that a folder may be replaced: there is none, or it is ours and holds files of ours only.

    Args:
        folder: folder that is about to be replaced.
        kind: kind that it has to be, "run" or "export".
        files: names of what supernet writes into such a folder.
        option: name of the option that names another folder, for the message.

    Raises:
        DamagedFileError: the mark cannot be read.
        RunFolderError: it may not be replaced.
    """
    above = next((parent for parent in folder.parents if os.path.lexists(parent)), folder.parent)
    if not above.is_dir():
        raise RunFolderError(f"{above} is there and no folder; name another with {option}")
    if not os.path.lexists(folder):
        return
    remedy = f"so it is not replaced; move it away, or name another folder with {option}"
    if not folder.is_dir():
        raise RunFolderError(f"{folder} is there and no folder, {remedy}")
    found, held = folder_kind(folder), sorted(path.name for path in folder.iterdir())
    if found != kind:
        what = f"lacks {MARK}" if found is None else f"is marked as {found!r} by {MARK}"
        raise RunFolderError(
            f"{folder} is there, but no {kind} that supernet made: it {what}, and holds "
            f"{_listed(held)}, {remedy}"
        )
    others = [name for name in held if name not in {MARK, *files}]
    if others:
        raise RunFolderError(
            f"{folder} holds what supernet did not write there ({_listed(others)}), {remedy}"
        )


def check_links(folder: Path, paths: Iterable[Path]) -> None:
    """Check that what is written into a folder stays there: a received one may hold links to anywhere.

    Args:
        folder: folder that is written into; it may be a link itself.
        paths: paths that are written, or written into; directly or deeper in the folder.

    Raises:
        RunFolderError: one is a link that leads out of the folder.
    """
    real = os.path.realpath(folder)
    for path in paths:
        if path.is_symlink() and not Path(os.path.realpath(path)).is_relative_to(real):
            raise RunFolderError(
                f"{path} is a link to {os.readlink(path)}, outside the folder, where nothing is "
                "written. Remove the link, or put what it leads to in its place; to keep a run on "
                "another disk, let the whole folder be a link"
            )


@contextlib.contextmanager
def new_folder(folder: Path, kind: str) -> Iterator[Path]:
    """Yield a marked folder to be filled, which takes the place of `folder` when the block ends.

    What was there is renamed aside until the new one is in its place, and put back by `recover` where
    the process is killed between. Whether it may be replaced is for the caller to check, see
    `check_ours`.

    Raises:
        StorageError: it cannot be written; what was there is as it was.
    """
    real = Path(os.path.realpath(folder))
    temporary = beside(real)
    with storage_errors(folder):
        real.parent.mkdir(parents=True, exist_ok=True)
        recover(real.parent)
        try:
            temporary.mkdir()
            write_mark(temporary, kind)
            yield temporary
            with _alone(real.parent):
                _swap(temporary, real)
        finally:
            shutil.rmtree(temporary, ignore_errors=True)


def recover(parent: Path) -> None:
    """Put folders back that a process which was killed had renamed aside, and remove half-written ones.

    Args:
        parent: the folder that they lie in.

    Raises:
        StorageError: one cannot be put back.
    """
    aside = list(left_behind(parent, "old"))
    half = [path for path, _ in left_behind(parent, "tmp") if path.is_dir()]
    if not aside and not half:
        return
    with storage_errors(parent), _alone(parent):
        for path, name in aside:
            if os.path.lexists(parent / name):
                shutil.rmtree(path, ignore_errors=True)
            elif path.exists():  # and not put back by another process just now
                path.rename(parent / name)
        for path in half:
            shutil.rmtree(path, ignore_errors=True)


def _swap(new: Path, folder: Path) -> None:
    """Put a folder in the place of another, or of nothing."""
    aside = beside(folder, "old")
    replaces = folder.exists()
    if replaces:
        folder.rename(aside)
    try:
        new.rename(folder)
    except OSError:
        if replaces:
            aside.rename(folder)
        raise
    shutil.rmtree(aside, ignore_errors=True)


@contextlib.contextmanager
def _alone(folder: Path) -> Iterator[None]:
    """Let one process at a time rename in a folder, where the file system knows locks."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        with contextlib.suppress(OSError):
            fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


def _listed(names: list[str]) -> str:
    shown = ", ".join(names[:5]) or "nothing"
    return shown if len(names) <= 5 else f"{shown} and {len(names) - 5} more"

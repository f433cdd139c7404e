"""The report of a run as a file, which replaces nothing but another report."""

from __future__ import annotations

from pathlib import Path

from supernet.errors import RunFolderError
from supernet.files import storage_errors, write_text
from supernet.folders import check_links, folder_kind
from supernet.track import page
from supernet.track.report import render

__all__ = ["write_report"]


def write_report(folder: Path, to: Path | None = None) -> Path:
    """Write the page of a run folder and return its path.

    Args:
        folder: the run; nothing else is written there.
        to: the file; by default `report.html` in the folder. Folders on the way to it are made.

    Raises:
        DamagedFileError: a file of the folder cannot be read.
        RunFolderError: the folder holds no run, or what is there is no page of ours, or a link to
            somewhere else.
        StorageError: the page cannot be written.
    """
    path = folder / "report.html" if to is None else to
    if to is None:
        check_links(folder, [path])
    text = render(folder)
    if not (to is None and folder_kind(folder) == "run") and not _replaceable(path):
        raise RunFolderError(
            f"{path} is there, but no report of supernet, so it is not replaced; move it away, or name "
            "another file with --to"
        )
    with storage_errors(path):
        path.parent.mkdir(parents=True, exist_ok=True)
    write_text(path, text)
    return path


def _replaceable(path: Path) -> bool:
    """Return whether there is no file, a page that we wrote, or what is no file, such as a pipe."""
    if path.is_dir():
        return False
    if not path.is_file():
        return True
    with open(path, "rb") as file:
        return page.MADE_BY.encode() in file.read(1000)

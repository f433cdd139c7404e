"""Marks of folders, and folders that are replaced as a whole or not at all."""

from __future__ import annotations

import errno
import json
import os
import subprocess
import sys

import pytest

from supernet.errors import DamagedFileError, RunFolderError, StorageError
from supernet.folders import FORMAT, MARK, check_ours, folder_kind, new_folder, recover, write_mark

NOBODY = 2**30
"""The number of a process that no system has."""


def make(folder, content, kind="export"):
    with new_folder(folder, kind) as made:
        (made / "model.pt").write_text(content)


def names(folder):
    return sorted(path.name for path in folder.iterdir())


def test_marks_say_what_a_folder_is(tmp_path):
    assert folder_kind(tmp_path) is None
    assert folder_kind(tmp_path / "missing") is None
    write_mark(tmp_path, "run", more=[1])
    assert folder_kind(tmp_path) == "run"
    mark = json.loads((tmp_path / MARK).read_text())
    assert (mark["kind"], mark["format"], mark["more"]) == ("run", FORMAT, [1])


@pytest.mark.parametrize(
    ("content", "error", "words"),
    [
        ("{", DamagedFileError, "is no JSON"),
        ("[]", DamagedFileError, "A mark is, for instance"),
        ('{"kind": "run"}', DamagedFileError, "A mark is, for instance"),
        ('{"format": 1}', DamagedFileError, "A mark is, for instance"),
        (json.dumps({"kind": "run", "format": FORMAT + 1}), RunFolderError, "later version"),
    ],
)
def test_marks_that_say_nothing_are_refused(tmp_path, content, error, words):
    (tmp_path / MARK).write_text(content)
    with pytest.raises(error, match=words):
        folder_kind(tmp_path)


def test_a_folder_is_replaced_as_a_whole(tmp_path):
    folder = tmp_path / "a" / "chosen"
    make(folder, "old")
    (folder / "model.onnx").write_text("of the old one only")
    make(folder, "new")
    assert names(folder) == sorted([MARK, "model.pt"])
    assert (folder / "model.pt").read_text() == "new"
    assert names(tmp_path / "a") == ["chosen"]


def test_a_failure_leaves_the_folder_as_it_was(tmp_path, monkeypatch):
    def full(_):
        raise OSError(errno.ENOSPC, "No space left on device")

    folder = tmp_path / "chosen"
    make(folder, "old")
    monkeypatch.setattr("os.fsync", full)
    with pytest.raises(StorageError, match="the disk is full"):
        make(folder, "new")
    assert names(tmp_path) == ["chosen"]
    assert (folder / "model.pt").read_text() == "old"


def test_a_link_to_a_folder_stays_one(tmp_path):
    (tmp_path / "disk").mkdir()
    make(tmp_path / "disk" / "chosen", "old")
    (tmp_path / "link").symlink_to(tmp_path / "disk" / "chosen")
    make(tmp_path / "link", "new")
    assert (tmp_path / "link").is_symlink()
    assert (tmp_path / "disk" / "chosen" / "model.pt").read_text() == "new"


KILLED = """
import os, sys
from pathlib import Path
from supernet import folders
moment, folder = sys.argv[1], Path(sys.argv[2])
real = Path.rename
def rename(self, target):
    aside = "supernet-old" in str(target)
    if moment == ("before the old one is aside" if aside else "before the new one is there"):
        os._exit(9)
    return real(self, target)
Path.rename = rename
if moment == "before the old one is removed":
    rmtree = folders.shutil.rmtree
    folders.shutil.rmtree = lambda path, **more: os._exit(9) if "old" in str(path) else rmtree(path)
with folders.new_folder(folder, "export") as made:
    (made / "model.pt").write_text("new")
    if moment == "while it is written":
        os._exit(9)
"""


@pytest.mark.parametrize(
    ("moment", "kept"),
    [
        ("while it is written", "old"),
        ("before the old one is aside", "old"),
        ("before the new one is there", "old"),
        ("before the old one is removed", "new"),
    ],
)
def test_one_that_is_killed_leaves_the_old_or_the_new(tmp_path, moment, kept):
    folder = tmp_path / "chosen"
    make(folder, "old")
    done = subprocess.run([sys.executable, "-c", KILLED, moment, str(folder)], check=False)
    assert done.returncode == 9
    assert names(tmp_path) != ["chosen"]
    recover(tmp_path)
    assert names(tmp_path) == ["chosen"]
    assert (folder / "model.pt").read_text() == kept


def test_recovery_leaves_what_is_not_ours_and_who_is_at_work(tmp_path):
    mine = [f".a.{NOBODY}.old", "supernet-old", f".a.{os.getppid()}.supernet-tmp"]
    for name in mine:
        (tmp_path / name).mkdir()
    recover(tmp_path)
    recover(tmp_path / "missing")
    assert names(tmp_path) == sorted(mine)


def test_only_what_is_ours_may_be_replaced(tmp_path):
    folder = tmp_path / "chosen"

    def check():
        check_ours(folder, "export", ["model.pt"], "--to")

    check()
    folder.mkdir()
    (folder / "model.pt").write_text("mine")
    with pytest.raises(RunFolderError, match=rf"lacks {MARK}, and holds model\.pt, so it is not"):
        check()
    write_mark(folder, "run")
    with pytest.raises(RunFolderError, match="marked as 'run'"):
        check()
    write_mark(folder, "export")
    check()
    (folder / "notes.txt").write_text("mine")
    with pytest.raises(RunFolderError, match=r"did not write there \(notes\.txt\)"):
        check()
    (tmp_path / "file").write_text("mine")
    with pytest.raises(RunFolderError, match="no folder"):
        check_ours(tmp_path / "file", "export", [], "--to")
    with pytest.raises(RunFolderError, match="file is there and no folder"):
        check_ours(tmp_path / "file" / "below" / "chosen", "export", [], "--to")


def test_a_mark_is_read_through_the_door_for_files(tmp_path):
    path = tmp_path / MARK
    path.write_text("[" * 100_000)
    with pytest.raises(DamagedFileError, match="nested too deeply"):
        folder_kind(tmp_path)
    path.unlink()
    os.mkfifo(path)  # whoever opens it waits for ever
    with pytest.raises(DamagedFileError, match="no ordinary file"):
        folder_kind(tmp_path)
    (tmp_path / "file").touch()
    assert folder_kind(tmp_path / "file") is None is folder_kind(tmp_path / "nothing")

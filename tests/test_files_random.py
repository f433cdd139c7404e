"""Whole files or none, and draws that depend on their purpose alone."""

from __future__ import annotations

import os
import resource
import subprocess
import sys

import pytest
import torch

from supernet.errors import DamagedFileError, StorageError
from supernet.files import read_json, write_bytes, write_json
from supernet.random import derive_seed, generator, stream


def test_write_replaces_as_a_whole(tmp_path):
    file = tmp_path / "a.bin"
    write_bytes(file, b"one")
    write_bytes(file, b"two")
    assert file.read_bytes() == b"two"
    assert list(tmp_path.iterdir()) == [file]


def test_failed_write_leaves_the_old_file(tmp_path):
    code = f"""
import resource
from pathlib import Path
from supernet.files import write_bytes
resource.setrlimit(resource.RLIMIT_FSIZE, (1000, 1000))
write_bytes(Path({str(tmp_path / "a.bin")!r}), b"x" * 2000)
"""
    (tmp_path / "a.bin").write_bytes(b"old")
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert "StorageError" in done.stderr
    assert "the disk is full" in done.stderr
    assert [p.name for p in tmp_path.iterdir()] == ["a.bin"]
    assert (tmp_path / "a.bin").read_bytes() == b"old"
    assert resource.getrlimit(resource.RLIMIT_FSIZE)[0] != 1000


def test_a_replaced_file_keeps_its_permissions(tmp_path):
    file = tmp_path / "a"
    file.write_bytes(b"old")
    file.chmod(0o640)
    write_bytes(file, b"new")
    assert (file.read_bytes(), file.stat().st_mode & 0o777) == (b"new", 0o640)


@pytest.mark.parametrize("there", [True, False])
def test_links_are_written_through(tmp_path, there):
    (tmp_path / "disk").mkdir()
    target, link = tmp_path / "disk" / "target", tmp_path / "link"
    link.symlink_to(target)
    if there:
        target.write_bytes(b"old")
    write_bytes(link, b"new")
    assert link.is_symlink()
    assert target.read_bytes() == b"new"
    assert [one.name for one in (tmp_path / "disk").iterdir()] == ["target"]


def test_what_is_no_file_is_written_to(tmp_path):
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    reader = os.open(pipe, os.O_RDONLY | os.O_NONBLOCK)
    write_bytes(pipe, b"content")
    assert os.read(reader, 100) == b"content"
    os.close(reader)
    assert pipe.is_fifo()


def test_what_a_killed_write_left_goes_with_the_next(tmp_path):
    names = [".a.99999999.supernet-tmp", ".b.99999999.supernet-tmp", ".a.99999999.tmp"]
    for name in names:
        (tmp_path / name).write_text("half")
    write_bytes(tmp_path / "a", b"whole")
    assert sorted(one.name for one in tmp_path.iterdir()) == sorted(["a", *names[1:]])


def test_missing_folder_is_a_storage_error(tmp_path):
    with pytest.raises(StorageError, match="no-folder") as caught:
        write_bytes(tmp_path / "no-folder" / "a", b"")
    assert caught.value.exit_code == 1


def test_json_round_trip_and_damage(tmp_path):
    file = tmp_path / "a.json"
    write_json(file, {"a": [1, None, 0.1]})
    assert read_json(file) == {"a": [1, None, 0.1]}
    file.write_text('{"a": ')
    with pytest.raises(DamagedFileError, match=r"a\.json"):
        read_json(file)


def test_draws_do_not_change_between_versions():
    """A resumed run continues with the draws it began with: these values are part of the format."""
    assert derive_seed(0, "path", 3) == 2738301241648515325
    assert stream(0, "path", 3).randrange(10**6) == 492515


def test_every_argument_matters():
    seeds = {derive_seed(*a) for a in ((0,), (1,), (0, "a"), (0, "b"), (0, "a", 1), (0, "a", "1"))}
    assert len(seeds) == 6


@pytest.mark.slow
def test_generators_are_equal_in_other_processes():
    code = "from supernet.random import generator; import torch; "
    code += "print(torch.rand(3, generator=generator(4, 'x')).tolist())"
    env = {**os.environ, "PYTHONHASHSEED": "77"}
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, env=env
    )
    assert done.stdout.strip() == str(torch.rand(3, generator=generator(4, "x")).tolist())

"""A run by several processes, which `torchrun` started: each does the same, on its part of the batches.

Every rank goes through all steps in a folder of its own; that of rank 0 is the run folder, those of the
others are temporary copies of it. So nothing is written by two processes, ranks need not see the same
disk, and whoever reads a step finds no branch for ranks in it: what is divided is the batch
(`supernet.data.Loader`) and the candidates to score (`supernet.evaluate.Scorer`), and what each found is
put together there.
"""

from __future__ import annotations

import contextlib
import io
import os
import platform
import tarfile
import tempfile
from collections.abc import Iterator, Sequence
from datetime import timedelta
from importlib.metadata import version
from pathlib import Path

import torch

from supernet.errors import ConfigError
from supernet.ranks import begin, bytes_of_all, bytes_of_first, end, environment_ranks, rank

__all__ = ["as_rank"]

TIMEOUT = timedelta(minutes=10)
"""How long ranks wait for each other; `SUPERNET_RANK_TIMEOUT` (seconds) says otherwise."""


@contextlib.contextmanager
def as_rank(out: Path, arguments: Sequence[str]) -> Iterator[Path]:
    """Work with the other processes that `torchrun` started, if it did; yield the folder to work in.

    Args:
        out: the run folder.
        arguments: arguments of the command, which must be the same for all ranks.

    Raises:
        ConfigError: ranks differ in their arguments or versions.
    """
    if environment_ranks() == 1:
        yield out
        return
    seconds = os.environ.get("SUPERNET_RANK_TIMEOUT")
    begin(timedelta(seconds=float(seconds)) if seconds else TIMEOUT)
    try:
        _check_alike(arguments)
        content = bytes_of_first(_packed(out) if rank() == 0 else b"")
        if rank() == 0:
            yield out
            return
        with (
            tempfile.TemporaryDirectory(prefix="supernet-rank-") as name,
            open(os.devnull, "w") as nowhere,
            contextlib.redirect_stdout(nowhere),
            contextlib.redirect_stderr(nowhere),  # what is raised is said outside of the block
        ):
            folder = Path(name) / "run"
            _unpack(content, folder)
            yield folder
    finally:
        end()


def _check_alike(arguments: Sequence[str]) -> None:
    mine = [
        f"supernet {version('supernet')}",
        f"torch {torch.__version__}",
        f"Python {platform.python_version()}",
        " ".join(arguments),
    ]
    every = [one.decode().split("\0") for one in bytes_of_all("\0".join(mine).encode())]
    for number, theirs in enumerate(every):
        for first, other in zip(every[0], theirs, strict=True):
            if first != other:
                raise ConfigError(
                    f"all processes of a run need the same versions and options, but process 0 has "
                    f"{first!r} and process {number} {other!r}"
                )


def _packed(folder: Path) -> bytes:
    """Return the files of a folder, none if it is not there."""
    content = io.BytesIO()
    with tarfile.open(fileobj=content, mode="w") as archive:
        for path in sorted(folder.rglob("*")) if folder.is_dir() else ():
            if path.is_file() and path.suffix != ".html":
                archive.add(path, str(path.relative_to(folder)), recursive=False)
    return content.getvalue()


def _unpack(content: bytes, folder: Path) -> None:
    with tarfile.open(fileobj=io.BytesIO(content)) as archive:
        if archive.getmembers():
            folder.mkdir(parents=True)
            archive.extractall(folder, filter="data")

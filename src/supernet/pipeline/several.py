"""A run by several processes, which `torchrun` started: each does the same, on its part of the batches.

Every rank goes through all steps in a folder of its own; that of rank 0 is the run folder, those of the
others are temporary copies of it. So nothing is written by two processes, ranks need not see the same
disk, and whoever reads a step finds no branch for ranks in it: what is divided is the batch
(`supernet.data.Loader`), the candidates to score (`supernet.evaluate.Scorer`) and the networks to train
alone (`supernet.pipeline.alone`), and what each found is put together there.
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

from supernet.errors import ConfigError, RanksError
from supernet.origin import has_origin, with_origin, without_origin
from supernet.ranks import begin, bytes_of_all, bytes_of_first, end, environment_ranks, rank
from supernet.shared_work import leave

__all__ = ["as_rank"]

CONFIG = "config.yaml"

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
        own = bytes_of_first(b"own" if rank() == 0 and _is_own(out) else b"foreign") == b"own"
        with contextlib.nullcontext(out) if rank() == 0 else _silent_copy(content, own) as folder:
            yield folder
        bytes_of_all(b".")  # whoever is still reading what others wrote down is waited for
    except BaseException as error:
        with contextlib.suppress(RanksError):  # they have ended
            leave(error)
        raise
    finally:
        end()


@contextlib.contextmanager
def _silent_copy(content: bytes, own: bool) -> Iterator[Path]:
    """Yield a temporary run folder with these files; what is printed meanwhile is not shown.

    Args:
        content: files, as `_packed` returned them.
        own: whether they are the user's own where they are from, see `supernet.origin`.
    """
    with (
        tempfile.TemporaryDirectory(prefix="supernet-rank-") as name,
        open(os.devnull, "w") as nowhere,
        contextlib.redirect_stdout(nowhere),
        contextlib.redirect_stderr(nowhere),  # what is raised is said outside of the block
    ):
        folder = Path(name) / "run"
        _unpack(content, folder)
        if own:
            text = without_origin((folder / CONFIG).read_text())
            (folder / CONFIG).write_text(with_origin(folder, text))
        yield folder


def _is_own(folder: Path) -> bool:
    file = folder / CONFIG
    return file.exists() and has_origin(folder, file.read_text())


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

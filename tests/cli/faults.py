"""Runs of the command line that are killed, or find the disk full, at a chosen file operation.

A process that has everything loaded forks for each attempt. In the child, an audit hook of Python sees
file operations before they happen; before the n-th it ends the process as SIGKILL would (nothing is
flushed, no `finally` is run), or it raises what a full disk raises, for that and all writes after it.
"""

from __future__ import annotations

import contextlib
import dataclasses
import errno
import json
import os
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

KILLED = 77
"""The exit code of an attempt that was killed."""

WRITES = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_APPEND
OTHERS = ("os.rename", "os.remove", "os.rmdir", "os.mkdir", "os.link", "shutil.rmtree")


@dataclasses.dataclass
class Attempt:
    """What a child does, by the number of the operation that it has come to.

    Args:
        root: operations on what lies here count.
        at: the operation that is the last one.
        kind: "kill" or "full".
        states: where to write for each operation what was there before it, for the attempt that is not
            disturbed.
    """

    root: Path
    at: int | None = None
    kind: str = "kill"
    states: Path | None = None
    count: int = 0
    seen: list[str] = dataclasses.field(default_factory=list)
    busy: bool = False
    inside: bool = False  # whether the file that was opened last, to be written, counts

    def install(self) -> None:
        sys.addaudithook(self._hook)
        real = os.fsync

        def fsync(file: int) -> None:
            if self.inside:
                self._operation("os.fsync", free=False)
            real(file)

        os.fsync = fsync

    def _hook(self, event: str, arguments: tuple[Any, ...]) -> None:
        if self.busy or not (event == "open" or event in OTHERS):
            return
        path = arguments[0]
        if isinstance(path, int) or not Path(os.fsdecode(path)).is_absolute():
            inside = event != "open"  # relative to a folder that is being removed
        else:
            inside = Path(os.fsdecode(path)).is_relative_to(self.root)
        if event == "open":
            if not (isinstance(arguments[2], int) and arguments[2] & WRITES):
                return
            self.inside = inside
        if inside:
            self._operation(event, free=event in ("os.remove", "os.rmdir", "shutil.rmtree"))

    def _operation(self, event: str, *, free: bool) -> None:
        """Count an operation; one that only frees space works on a full disk, too."""
        number, self.count = self.count, self.count + 1
        if self.states is not None:
            self.busy = True
            self.seen.append(f"{event} {listing(self.root)}")
            self.busy = False
        if self.at is None or number < self.at:
            return
        if self.kind == "kill":
            os._exit(KILLED)
        if not free:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    def finish(self) -> None:
        if self.states is not None:
            self.busy = True
            self.states.write_text(json.dumps(self.seen))


def listing(root: Path) -> list[tuple[str, int]]:
    """Return the names and sizes of all files and folders, numbers of processes left out."""
    found = []
    for path in sorted(root.rglob("*")):
        name = str(path.relative_to(root)).replace(f".{os.getpid()}.", ".N.")
        with contextlib.suppress(FileNotFoundError):
            found.append((name, path.stat().st_size if path.is_file() else -1))
    return found


def attempt(work: Path, command: Sequence[str], **how: Any) -> tuple[int, str]:
    """Run a command in a child; return its exit code and what it printed."""
    from supernet.cli import main

    printed = work.with_suffix(".out")
    child = os.fork()
    if child == 0:
        code = 1
        try:
            file = os.open(printed, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
            os.dup2(file, 1)
            os.dup2(file, 2)
            one = Attempt(work, **how)
            one.install()
            code = main(command)
            one.finish()
        except BaseException:
            import traceback

            traceback.print_exc()
        finally:
            sys.stdout.flush()
            sys.stderr.flush()
            os._exit(code)
    _, status = os.waitpid(child, 0)
    return os.waitstatus_to_exitcode(status), printed.read_text()


def moments(work: Path, command: Sequence[str]) -> list[int]:
    """Run a command to its end; return the operations that find something changed."""
    states = work.with_suffix(".states")
    code, printed = attempt(work, command, states=states)
    assert code == 0, printed
    seen = json.loads(states.read_text())
    return [n for n, state in enumerate(seen) if n == 0 or state != seen[n - 1]]


def remembered(programs: Callable[..., Any]) -> Callable[..., Any]:
    """Return a function that makes each programme once: PyTorch's export takes most of a tiny run."""
    from supernet.train import digest

    known: dict[str, Any] = {}

    def made(
        networks: Any, architecture: Any, weights: str, model: Any, formats: Any, **options: Any
    ) -> Any:
        key = digest([architecture.key, weights, model.state_dict(), list(formats)])
        if key not in known:
            known[key] = programs(networks, architecture, weights, model, formats, **options)
        return known[key]

    return made

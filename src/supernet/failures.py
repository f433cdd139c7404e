"""Kinds of failure, told apart in one place: whose fault it is decides what happens next.

What a *network* does (its loss is no number, its forward pass raises) concerns this network alone: it
is recorded as failed, and the others go on. What the *machine* does (memory, disk, accelerator) or what
is wrong with the *folder* would hit the next network as well, and is no reason to think less of this
one: it ends the run with its remedy, and nothing is recorded.

Libraries name too little memory in different ways. Python raises `MemoryError`, as NumPy and SQLite do;
PyTorch a `RuntimeError` on the CPU (`DefaultCPUAllocator: can't allocate memory`) and
`torch.OutOfMemoryError` on accelerators; the system an `OSError` (ENOMEM). What was raised *from* one of
these is of the same kind, however it is worded.
"""

from __future__ import annotations

import errno
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Literal, TypeVar

from supernet.errors import (
    CodeError,
    DamagedFileError,
    DeviceError,
    DivergedError,
    MeasureError,
    RanksError,
    ReadingError,
    RunFolderError,
    StorageError,
    SupernetError,
    TooLittleMemoryError,
)

__all__ = [
    "MORE_MEMORY",
    "OF_RUN",
    "Kind",
    "attempted",
    "check_memory",
    "failure_kind",
    "first_line",
    "machine_errors",
]

Kind = Literal[
    "memory",
    "storage",
    "device",
    "data",
    "folder",
    "interrupted",
    "numbers",
    "measure",
    "refused",
    "code",
    "library",
]
"""What failed: "memory", "storage" (a full or failing disk), "device" (an accelerator that can do
nothing more), "data" (an example that cannot be read any more), "folder" (of the run), "interrupted"
(by a person or the system, or by the end of another process of the run); "numbers" (that are not
finite), "measure" (a measure that is not, where the loss is), "refused" (by a check of this library),
"code" (of the user or of another library), "library" (this one: a mistake that should be reported)."""

OF_RUN: frozenset[Kind] = frozenset(
    {"memory", "storage", "device", "data", "folder", "interrupted"}
)
"""Kinds that end a run; the others concern one network."""

MORE_MEMORY = "Close other programs, or use a machine (or an accelerator) with more memory."

_MEMORY = (
    "can't allocate memory",
    "out of memory",
    "not enough memory",
    "cannot allocate memory",
    "cublas_status_alloc_failed",
    "cudnn_status_alloc_failed",
)
_DISK = {
    errno.ENOSPC,
    errno.EDQUOT,
    errno.EFBIG,
    errno.EIO,
    errno.EROFS,
    errno.EMFILE,
    errno.ENFILE,
}

T = TypeVar("T")


def failure_kind(error: BaseException) -> Kind:
    """Return the kind of a failure: the machine, the folder, code of the user, ..."""
    if not isinstance(error, Exception):
        return "interrupted"
    causes = list(_causes(error))
    if any(isinstance(cause, RanksError) for cause in causes):
        return "interrupted"
    for kind, matches in (("memory", _memory), ("storage", _storage), ("device", _device)):
        if any(map(matches, causes)):
            return kind  # type: ignore[return-value]  # one of the three
    if any(isinstance(cause, ReadingError) for cause in causes):
        return "data"
    if isinstance(error, RunFolderError | DamagedFileError):
        return "folder"
    if isinstance(error, MeasureError):
        return "measure"
    raised = error.__cause__ if isinstance(error, CodeError) else error
    if isinstance(raised, DivergedError | ArithmeticError) or (
        raised is not None and _named(raised, "LinAlgError", "_LinAlgError")
    ):
        return "numbers"
    if isinstance(error, CodeError):
        return "code"
    if isinstance(error, SupernetError):
        return "refused"
    return "library" if _own(error) else "code"


def check_memory(error: Exception) -> None:
    """Raise an error again that is for a lack of memory, and so says nothing of what was tried.

    For code that tries whether something works, and goes another way in silence if not.

    Raises:
        Exception: the error.
    """
    if failure_kind(error) == "memory":
        raise error


def attempted(work: Callable[[], T]) -> T | Exception:
    """Return what the work for one network returns, or what was raised if that concerns it alone.

    Raises:
        Exception: what was raised, if it is not the network's fault (see `OF_RUN`).
    """
    try:
        return work()
    except Exception as error:  # a user's model or task may raise anything
        if failure_kind(error) in OF_RUN:
            raise
        return error


@contextmanager
def machine_errors(what: str, remedy: str) -> Iterator[None]:
    """Say of failures of the machine what is to be done, instead of what failed within PyTorch.

    Args:
        what: name of what needs the memory, such as "the step 'search'".
        remedy: advice on what makes it need less.

    Raises:
        TooLittleMemoryError: there is too little memory.
        StorageError: a disk is full or failed.
        DeviceError: the accelerator failed.
    """
    try:
        yield
    except (TooLittleMemoryError, StorageError, DeviceError):
        raise
    except (
        Exception
    ) as error:  # of any class, told apart by its kind; all others pass on as they are
        kind, text = failure_kind(error), first_line(list(_causes(error))[-1])
        if kind == "storage" and isinstance(error, SupernetError):
            raise  # it names the file
        if kind == "memory":
            raise TooLittleMemoryError(
                f"{what} needs more memory than there is ({text}). No network is to blame, and no file "
                f"is damaged: what was computed before is intact. {remedy}"
            ) from error
        if kind == "storage":
            raise StorageError(
                f"{what} could not use the disk ({text}). What was written before is intact; free some "
                "space and run the same command again."
            ) from error
        if kind == "device":
            raise DeviceError(
                f"in {what} the accelerator failed ({text}), and computes nothing more in this process. "
                "Run the same command again, it goes on where it was; if it fails again, "
                "--device cpu shows what the model does."
            ) from error
        raise


def first_line(error: BaseException) -> str:
    """Return the class of an error and the first line of its text."""
    lines = str(error).strip().splitlines()
    return f"{type(error).__name__}: {lines[0]}" if lines else type(error).__name__


def _causes(error: BaseException) -> Iterator[BaseException]:
    """Yield an error, what it was raised from, and so on."""
    seen, one = set[int](), error
    while one is not None and id(one) not in seen:
        seen.add(id(one))
        yield one
        one = one.__cause__  # type: ignore[assignment]  # None ends the loop


def _memory(error: BaseException) -> bool:
    if isinstance(error, MemoryError) or _named(error, "OutOfMemoryError"):
        return True
    if isinstance(error, OSError):
        return error.errno == errno.ENOMEM
    text = str(error).lower()
    return isinstance(error, RuntimeError) and any(part in text for part in _MEMORY)


def _storage(error: BaseException) -> bool:
    return isinstance(error, StorageError) or (isinstance(error, OSError) and error.errno in _DISK)


def _device(error: BaseException) -> bool:
    if isinstance(error, DeviceError) or _named(error, "AcceleratorError"):
        return True
    return type(error) is RuntimeError and str(error).startswith(("CUDA error", "HIP error"))


def _named(error: BaseException, *names: str) -> bool:
    """Return whether an error is of a class of such a name, of a library that may not be loaded."""
    return any(kind.__name__ in names for kind in type(error).__mro__)


def _own(error: BaseException) -> bool:
    """Return whether an error was raised by this library's own code, and not by what that called."""
    trace, file = error.__traceback__, ""
    while trace is not None:
        file, trace = trace.tb_frame.f_code.co_filename, trace.tb_next
    return Path(file).is_relative_to(Path(__file__).parent) if file else False

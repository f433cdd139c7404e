"""Failures are told apart by what is really raised, whatever it is wrapped in."""

import errno

import numpy as np
import pytest
import torch

import supernet
from supernet import failures
from supernet.errors import (
    CodeError,
    ConfigError,
    DamagedFileError,
    DataError,
    DivergedError,
    MeasureError,
    RunFolderError,
    StorageError,
    TooLittleMemoryError,
)
from supernet.failures import attempted, failure_kind, machine_errors

HUGE = 2**46
"""More bytes than any machine has, but a size that allocators accept."""


def raised(work):
    with pytest.raises(BaseException) as caught:  # noqa: PT011  # whatever it is
        work()
    return caught.value


def wrapped():
    try:
        torch.empty(HUGE)
    except RuntimeError as error:
        raise DataError("the model cannot be run on images") from error


def singular():
    torch.linalg.inv(torch.zeros(2, 2))


def interrupted():
    raise KeyboardInterrupt


@pytest.mark.parametrize(
    ("work", "kind"),
    [
        (lambda: torch.empty(HUGE), "memory"),
        (lambda: np.empty(HUGE), "memory"),
        (lambda: bytearray(2**60), "memory"),
        (wrapped, "memory"),
        (singular, "numbers"),
        (lambda: 1 / 0, "numbers"),
        (lambda: torch.ones(2) @ torch.ones(3), "code"),
        (lambda: {}["no"], "code"),
        (lambda: failures.first_line(None).no, "code"),
        (interrupted, "interrupted"),
    ],
)
def test_kinds_of_what_is_raised(work, kind):
    assert failure_kind(raised(work)) == kind


@pytest.mark.parametrize(
    ("error", "kind"),
    [
        (torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB."), "memory"),
        (RuntimeError("MPS backend out of memory (MPS allocated: 1 GB)"), "memory"),
        (RuntimeError("CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling"), "memory"),
        (RuntimeError("CUDA error: device-side assert triggered"), "device"),
        (OSError(errno.ENOMEM, "Cannot allocate memory"), "memory"),
        (OSError(errno.ENOSPC, "No space left on device"), "storage"),
        (StorageError("full"), "storage"),
        (FileNotFoundError(errno.ENOENT, "no such file"), "code"),
        (RunFolderError("lacks a step"), "folder"),
        (DamagedFileError("torn"), "folder"),
        (DivergedError("nan"), "numbers"),
        (MeasureError("nan"), "measure"),
        (ConfigError("no"), "refused"),
    ],
)
def test_kinds_of_errors(error, kind):
    assert failure_kind(error) == kind


def test_what_this_library_raises_by_mistake_is_its_own():
    mistake = attempted(lambda: failures.first_line.__wrapped__)
    assert failure_kind(mistake) == "code"  # raised in this file
    assert failure_kind(attempted(lambda: attempted(None))) == "library"  # calls None


def test_what_is_a_network_s_own_failure_is_returned_and_all_else_raised():
    assert attempted(lambda: 3) == 3
    assert isinstance(attempted(lambda: 1 / 0), ZeroDivisionError)
    with pytest.raises(RuntimeError, match="can't allocate memory"):
        attempted(lambda: torch.empty(HUGE))
    with pytest.raises(RunFolderError):
        attempted(lambda: (_ for _ in ()).throw(RunFolderError("no")))


def test_too_little_memory_is_said_with_its_remedy():
    said = pytest.raises(
        TooLittleMemoryError,
        match=r"the step 'x' needs more memory .*RuntimeError.*allocate.* Give less\.$",
    )
    with said, machine_errors("the step 'x'", "Give less."):
        wrapped()
    with pytest.raises(ConfigError, match="no"), machine_errors("a", "b"):
        raise ConfigError("no")
    with pytest.raises(TooLittleMemoryError, match=r"^first"), machine_errors("a", "b"):
        raise TooLittleMemoryError("first")


class Greedy(torch.nn.Module):
    """Asks for more memory than there is when it runs, though not when it is traced."""

    def __init__(self):
        super().__init__()
        self.body = torch.nn.Sequential(torch.nn.Linear(8, 16), torch.nn.Linear(16, 4))

    def forward(self, x):
        return self.body(x) + 0 * torch.empty(HUGE)[0]


def test_too_little_memory_closes_nothing_of_a_model_in_silence():
    with pytest.raises(RuntimeError, match="can't allocate memory"):
        supernet.convert(Greedy(), torch.zeros(2, 8))


@pytest.mark.parametrize(
    ("raised", "kind"),
    [
        (LookupError(), "code"),
        (SystemExit(1), "code"),
        (FloatingPointError(), "numbers"),
        (MemoryError(), "memory"),
    ],
)
def test_what_users_code_raised_is_told_apart_behind_the_error_that_names_its_place(raised, kind):
    error = CodeError("step 1")
    error.__cause__ = raised
    assert failure_kind(error) == kind

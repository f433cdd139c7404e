"""Checkpoints: whole or not at all, loaded without executing, verified by a digest of their content."""

from __future__ import annotations

import hashlib
import io
import os
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypedDict

import torch

from supernet.errors import DamagedFileError, SupernetError, TooLittleMemoryError
from supernet.failures import failure_kind, first_line
from supernet.files import read_bytes, storage_errors, write_bytes
from supernet.typed import Count, typed

__all__ = ["Checkpoint", "State", "digest"]


def digest(state: Any) -> str:
    """Return a hash of nested dictionaries, lists, numbers, strings and tensors."""
    hasher = hashlib.blake2b(digest_size=16)

    def feed(value: Any) -> None:
        if isinstance(value, torch.Tensor):
            hasher.update(f"tensor {value.dtype} {tuple(value.shape)};".encode())
            flat = value.detach().cpu().contiguous().reshape(-1)
            hasher.update(flat.view(torch.uint8).numpy().data)
        elif isinstance(value, Mapping):
            hasher.update(f"mapping {len(value)};".encode())
            for key in sorted(value, key=repr):
                feed(key)
                feed(value[key])
        elif isinstance(value, list | tuple):
            hasher.update(f"sequence {len(value)};".encode())
            for item in value:
                feed(item)
        else:
            hasher.update(f"{type(value).__name__} {value!r};".encode())

    feed(state)
    return hasher.hexdigest()


class State(TypedDict):
    """The state that the training loop saves."""

    step: Count
    identity: str
    model: dict[str, Any]
    optimizer: dict[str, Any]
    learner: dict[str, Any]
    ema: dict[str, Any]
    scaler: dict[str, Any]
    stopping: dict[str, Any]
    ranks: Count


class Checkpoint:
    """A state in a file `name.pt`, and the one before it in `name.previous.pt`.

    The file loads with `torch.load(path, weights_only=True)`.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.previous = path.with_name(f"{path.stem}.previous{path.suffix}")

    def save(self, state: Mapping[str, Any]) -> None:
        """Write a state; the file that was there becomes the previous one.

        Raises:
            StorageError: the disk is full or failed; the older files are intact.
        """
        whole = _normal({**state, "digest": digest(state)})
        buffer = io.BytesIO()
        torch.save(whole, buffer)
        with storage_errors(self.path):
            self.path.parent.mkdir(parents=True, exist_ok=True)
            if self.path.exists():
                self._keep()
            write_bytes(self.path, buffer.getvalue())

    def load(self) -> dict[str, Any] | None:
        """Return the newest state, or None if there is none.

        Raises:
            DamagedFileError: the file does not hold what was written.
            MemoryError: it may well be whole, but there is too little memory to read it.
        """
        if self.path.exists():
            return self._read(self.path)
        return self._read(self.previous) if self.previous.exists() else None

    def trained(self) -> State | None:
        """Return the newest state of the training loop, or None if there is none.

        Raises:
            DamagedFileError: the file holds something else.
        """
        state = self.load()
        if state is None:
            return None
        with self.restoring():
            return typed(state, State)

    @contextmanager
    def restoring(self) -> Iterator[None]:
        """Within the block a state is taken up; what does not fit is the file's fault.

        Raises:
            DamagedFileError: something was raised.
        """
        try:
            yield
        except SupernetError:
            raise
        except Exception as error:  # modules, optimizers and strategies check states in their ways
            if failure_kind(error) == "memory":
                raise _too_little(self.path, error) from error
            raise DamagedFileError(
                f"{self.path} does not hold the state that is expected: {_brief(error)}. It may belong "
                "to another run. Put the right one back; or delete it and run the same command again, "
                "which repeats what it is of"
            ) from error

    def drop_previous(self) -> None:
        """Delete the previous file, once the newest is final."""
        self.previous.unlink(missing_ok=True)

    def _keep(self) -> None:
        """Make the file that is there the previous one."""
        self.previous.unlink(missing_ok=True)
        if self.path.is_symlink():  # a link to it would show what is written next
            write_bytes(self.previous, self.path.read_bytes())
            return
        try:
            os.link(self.path, self.previous)
        except OSError:  # a file system without hard links
            os.replace(self.path, self.previous)

    def _read(self, path: Path) -> dict[str, Any]:
        try:
            content = io.BytesIO(read_bytes(path))
            state = torch.load(content, map_location="cpu", weights_only=True)
            found = digest({key: value for key, value in state.items() if key != "digest"})
            if found == state["digest"]:
                return {key: value for key, value in state.items() if key != "digest"}
            cause = "its content does not match its digest"
        except RecursionError:
            cause = "it is nested too deeply"
        except Exception as error:  # PyTorch may raise anything on bytes it did not write
            if isinstance(error, SupernetError):
                raise
            if failure_kind(error) == "memory":
                raise _too_little(path, error) from error
            cause = f"it is not a checkpoint ({type(error).__name__})"
        remedy = (
            f"the run then continues from {self.previous.name}"
            if path == self.path and self.previous.exists()
            else "this step of the run then starts anew"
        )
        raise DamagedFileError(
            f"{path} is damaged: {cause}. Delete it and run the same command again; {remedy}."
        )


def _too_little(path: Path, error: Exception) -> TooLittleMemoryError:
    return TooLittleMemoryError(
        f"there is too little memory to read {path} ({path.stat().st_size / 1e6:,.0f} MB; "
        f"{first_line(error)}). The file is not known to be damaged: keep it. Close other "
        "programs, or use a machine with more memory, and run the same command again."
    )


def _brief(error: Exception) -> str:
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return "; ".join(lines[:3]) or type(error).__name__


def _normal(value: Any) -> Any:
    """Rebuild a state so that equal states are written as equal bytes, whatever their history."""
    if isinstance(value, torch.Tensor):
        return value.detach().cpu().clone()
    if isinstance(value, Mapping):
        return {_normal(key): _normal(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_normal(item) for item in value]
    return sys.intern(value) if isinstance(value, str) else value

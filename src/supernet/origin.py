"""Whose a file of options is: made by this user on this machine, or come from elsewhere.

A run folder's configuration carries a line that only whoever holds a key can write; the key lies in
the user's state folder and goes nowhere. The line vouches for all options and for the place: a folder
that was received, copied or changed by hand is of another origin. See docs/trust.md.
"""

from __future__ import annotations

import contextlib
import hashlib
import hmac
import os
import secrets
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

import yaml

from supernet.errors import ConfigError
from supernet.imports import check_not_pythons, dotted, find_module, named_in

__all__ = [
    "check_classes",
    "check_origin",
    "code_in",
    "has_origin",
    "is_own_file",
    "with_origin",
    "without_origin",
]

_MARK = "# made here: "


def with_origin(folder: Path, text: str) -> str:
    """Return the text of a folder's configuration with a line before it that says it was written here.

    Options that name no code but supernet's and PyTorch's need none.
    """
    key = _key(make=True) if set(code_in(yaml.safe_load(text))) else None
    return text if key is None else f"{_MARK}{_signature(key, folder, text)}\n{text}"


def has_origin(folder: Path, text: str) -> bool:
    """Return whether the text of a configuration has the line before it that is right for its folder."""
    line, _, rest = text.partition("\n")
    key = _key(make=False)
    if key is None or not line.startswith(_MARK):
        return False
    given = line.removeprefix(_MARK).encode()
    return hmac.compare_digest(given, _signature(key, folder, rest).encode())


def without_origin(text: str) -> str:
    """Return the text of a folder's configuration without the line that says it was written here."""
    return text.partition("\n")[2] if text.startswith(_MARK) else text


def is_own_file(path: Path, options: Mapping[str, Any]) -> bool:
    """Return whether a configuration that was named is the user's own.

    It is if it was made here, or lies in the working directory; or below it, and names no code that
    lies in the same folder of the working directory, as code that came along with it would.
    """
    folder, here = path.resolve().parent, Path.cwd()
    if folder == here or has_origin(folder, path.read_text()):
        return True
    if not folder.is_relative_to(here):
        return False
    together = here / folder.relative_to(here).parts[0]
    specs = map(find_module, code_in(options))
    files = [Path(spec.origin).resolve() for spec in specs if spec is not None and spec.origin]
    return not any(file.is_relative_to(together) for file in files)


def check_origin(where: str, options: Mapping[str, Any] | None, named: Iterable[str]) -> None:
    """Refuse options of another origin that name code.

    Args:
        where: name of what holds the options, for the message.
        options: options as they were read.
        named: import paths that the user gave.

    Raises:
        ConfigError: there is code that the user did not name.
    """
    found = sorted(set(code_in(options)) - set(named))
    if found:
        raise ConfigError(
            f"{where} is of another origin (not written by you, on this machine and at this place, or "
            f"changed since) and names code that would be run: {', '.join(found)}. If you trust it, say "
            "so with --trust (in Python trust=True), or name the code yourself, as --model MODULE.CLASS"
        )


def check_classes(value: Any) -> None:
    """Refuse classes of Python's own in what was read from a file, importing nothing.

    The parser of options imports what a class path names, and some of Python's modules do things when
    they are imported.

    Raises:
        ConfigError: there is one.
    """
    for one in _parts(value):
        path = one.get("class_path") if isinstance(one, Mapping) else None
        if isinstance(path, str) and "." in dotted(path):  # others are short names
            check_not_pythons(path)


def code_in(value: Any) -> Iterator[str]:
    """Yield the import paths of code in what was read from a file, outside supernet and PyTorch.

    Any text counts, wherever it stands, if there is a module as it says. Nothing is imported.
    """
    for one in _parts(value):
        if isinstance(one, str):
            yield from named_in(one)


def _parts(value: Any) -> Iterator[Any]:
    """Yield all that is in what was read from a file, options that are written as texts included."""
    seen: dict[int, object] = {}  # what a file mentions twice, or within itself, is walked once
    waiting = [value]
    while waiting:
        one = waiting.pop()
        if isinstance(one, Mapping | list | tuple):
            if id(one) in seen:
                continue
            seen[id(one)] = one
            waiting += [*one.keys(), *one.values()] if isinstance(one, Mapping) else one
        elif isinstance(one, str):
            with contextlib.suppress(yaml.YAMLError, ValueError, RecursionError):
                inner = yaml.safe_load(one)
                waiting += [] if inner == one else [inner]
        yield one


def _signature(key: bytes, folder: Path, text: str) -> str:
    return hmac.new(key, f"{folder.resolve()}\n{text}".encode(), hashlib.sha256).hexdigest()


def _key(*, make: bool) -> bytes | None:
    """Return the user's key, or None where there is none and none can be kept."""
    base = Path(os.environ.get("XDG_STATE_HOME", ""))
    with contextlib.suppress(OSError, RuntimeError):
        folder = (base if base.is_absolute() else Path.home() / ".local" / "state") / "supernet"
        file = folder / "key"
        if make and not file.exists():
            folder.mkdir(parents=True, exist_ok=True, mode=0o700)
            new = folder / f".key.{secrets.token_hex(8)}"
            new.touch(mode=0o600)
            try:
                new.write_bytes(secrets.token_bytes(32))
                with contextlib.suppress(FileExistsError):  # of a process that was faster
                    os.link(new, file)
            finally:
                new.unlink()
        return file.read_bytes() or None
    return None

"""The ends of the command line: its arguments, and the streams it writes to in any state."""

from __future__ import annotations

import argparse
import contextlib
import io
import json
import os
import sys
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, NoReturn, TextIO

from supernet.errors import ConfigError
from supernet.reading import check_text, shown, usable_path, yaml_value
from supernet.suggestions import did_you_mean

__all__ = [
    "Arguments",
    "complain",
    "mapping",
    "number",
    "print_json",
    "several",
    "usable_streams",
    "whole_number",
]


class Arguments(argparse.ArgumentParser):
    """A parser of arguments that raises `ConfigError` where they are wrong, and ends nothing."""

    def __init__(self, prog: str, **options: Any) -> None:
        super().__init__(prog=prog, allow_abbrev=False, **options)

    @property
    def names(self) -> list[str]:
        """The options, as they are written out."""
        return [name for name in self._option_string_actions if name != "-h"]

    def error(self, message: str) -> NoReturn:
        """Raise what is wrong, with which option was meant."""
        unknown = message.partition("unrecognized arguments: ")[2].split(" ")[0].partition("=")[0]
        near = did_you_mean(unknown, self.names)
        cut = message if len(message) < 300 else f"{message[:300]}…"
        raise ConfigError(f"{cut}{near} (see {self.prog} --help)")


def file_path(text: str) -> Path:
    """Return a path for `type=` of an argument; what cannot be one is refused."""
    found: Path = _converted(lambda: usable_path(text, "the path"))
    return found


def mapping(text: str) -> dict[str, Any]:
    """Return the mapping in a text, as YAML or JSON, for `type=` of an argument."""
    value = _converted(lambda: yaml_value(text, f"the mapping {shown(text)}"))
    if not isinstance(value, Mapping):
        raise argparse.ArgumentTypeError(f"it is a mapping such as '{{a: 1}}', not {shown(text)}")
    return dict(value)


def whole_number(least: int, most: int = 10**9) -> Callable[[str], int]:
    """Return a `type=` of an argument: a whole number in a range."""

    def read(text: str) -> int:
        value = _number(text)
        if not isinstance(value, int) or not least <= value <= most:
            raise argparse.ArgumentTypeError(
                f"it is a whole number from {least:,} to {most:,}, not {shown(text)}"
            )
        return value

    return read


def several(one: Callable[[str], Any]) -> Callable[[str], tuple[Any, ...]]:
    """Return a `type=` of an argument: values with commas between them."""

    def read(text: str) -> tuple[Any, ...]:
        _converted(lambda: check_text(text, "the list", 1000))
        return tuple(map(one, text.split(",")))

    return read


def number(text: str) -> float:
    """Return a finite number, for `type=` of an argument."""
    value = _number(text)
    if value is None:
        raise argparse.ArgumentTypeError(f"it is a number, not {shown(text)}")
    return float(value)


def _number(text: str) -> int | float | None:
    value = _converted(lambda: yaml_value(text, "the number"))
    return value if isinstance(value, int | float) and not isinstance(value, bool) else None


def _converted(read: Callable[[], Any]) -> Any:
    """Return what is read, its refusal in the form that a parser of arguments expects."""
    try:
        return read()
    except ConfigError as error:
        raise argparse.ArgumentTypeError(str(error)) from error


def print_json(value: object) -> None:
    """Write one JSON object, or list, to standard output."""
    print(json.dumps(value, indent=2, allow_nan=False))


@contextlib.contextmanager
def usable_streams() -> Iterator[None]:
    """Let output be written as far as it can be: signs that the terminal lacks as escapes.

    A standard stream that is closed gets the null device in its place, before another file can get its
    number and be written into.
    """
    for number, name in enumerate(("stdin", "stdout", "stderr")):
        stream: TextIO | None = getattr(sys, name)
        if stream is None or stream.closed:
            with contextlib.suppress(OSError):
                _open_null(number)
            setattr(sys, name, open(os.devnull, "r" if number == 0 else "w"))  # noqa: SIM115
    before = {}
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper) and stream.errors in ("strict", "surrogateescape"):
            before[stream] = stream.errors
            stream.reconfigure(errors="backslashreplace")
    try:
        yield
    finally:
        for stream, errors in before.items():
            with contextlib.suppress(ValueError, OSError):
                stream.reconfigure(errors=errors)


def _open_null(number: int) -> None:
    try:
        os.fstat(number)
    except OSError:
        opened = os.open(os.devnull, os.O_RDWR)
        if opened != number:
            os.dup2(opened, number)
            os.close(opened)


def complain(text: str) -> None:
    """Write to standard error, if anyone listens."""
    with contextlib.suppress(OSError, ValueError):
        print(text, file=sys.stderr, flush=True)

"""What users wrote, read within bounds: text files, YAML, values from Python, names of files.

All text of a configuration goes through here, whether it stands in a file, on the command line or in
a dictionary given from Python, so that whatever is wrong with it gives one message that says where.
"""

from __future__ import annotations

import math
import os
import re
import stat
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NoReturn

import yaml

from supernet.errors import ConfigError

__all__ = [
    "check_number",
    "check_text",
    "plain_value",
    "read_text",
    "shown",
    "usable_path",
    "yaml_value",
]

LONGEST = 2**18
"""Characters of a text of options; a resolved configuration has a few thousand."""

DEEPEST = 32
"""Levels of lists and mappings within each other."""

LARGEST = 2**63
"""Whole numbers of options lie below it, and above its negative."""

_WHOLE = re.compile(r"[-+]?[0-9](?:_?[0-9])*", re.ASCII)
_HEXADECIMAL = re.compile(r"[-+]?0x[0-9a-fA-F]+", re.ASCII)
_NUMBER = re.compile(r"[-+]?(?:\.[0-9]+|[0-9]+(?:\.[0-9]*)?)(?:[eE][-+]?[0-9]+)?", re.ASCII)
_NO_NUMBER = re.compile(r"[-+]?\.(?:inf|nan)", re.ASCII | re.IGNORECASE)
_CONTROL = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f]")
_SURROGATE = re.compile("[\ud800-\udfff]")
_CLOCK = re.compile(r"[-+]?\d{1,9}(?::[0-5]?\d){1,3}(?:\.\d{0,9})?")
_WORDS = {
    **dict.fromkeys(("", "~", "null", "Null", "NULL"), None),
    **dict.fromkeys(("true", "True", "TRUE", "yes", "Yes", "YES", "on", "On", "ON"), True),
    **dict.fromkeys(("false", "False", "FALSE", "no", "No", "NO", "off", "Off", "OFF"), False),
}


def shown(value: object, most: int = 80) -> str:
    """Return a value for a message, cut off where it is long."""
    if isinstance(value, int) and value.bit_length() > 1000:
        return f"a number of {value.bit_length():,} bits"  # Python refuses to write the longest out
    if isinstance(value, str):
        value = value[: most + 1]
    text = ascii(value) if isinstance(value, str) and not _is_text(value) else repr(value)
    return text if len(text) <= most else f"{text[: most - 1]}…"


def check_text(text: str, what: str, longest: int = LONGEST) -> None:
    """Refuse a text that cannot be written to a file as it is, or that is too long to be meant.

    Raises:
        ConfigError: it is too long, holds control characters, or bytes that are no UTF-8.
    """
    if len(text) > longest:
        raise ConfigError(f"{what} has {len(text):,} characters; at most {longest:,} are read")
    if not _is_text(text):
        raise ConfigError(f"{what} holds bytes that are no UTF-8 text: {shown(text)}")
    control = _CONTROL.search(text)
    if control is not None:
        raise ConfigError(f"{what} holds the control character {control[0]!r}: {shown(text)}")


def check_number(text: str, what: str) -> None:
    """Refuse a text that can be taken for a number but was not meant as one, or cannot be read.

    Raises:
        ConfigError: it has digits of other scripts, or too many, or is a time of day.
    """
    suspicious = len(text) > 400 or not text.isascii()
    if suspicious and all(sign.isdigit() or sign in "+-_.eE" for sign in text.strip()):
        raise ConfigError(
            f"{what} {shown(text, 24)} cannot be read as a number; write up to 400 digits from 0 to 9"
        )
    _check_clock(text, what)


def _check_clock(text: str, what: str) -> None:
    """Refuse a time of day, which the parser of options would read as a number of seconds or minutes."""
    if _CLOCK.fullmatch(text):
        raise ConfigError(f"{what} {text!r} is a time of day, and no option takes one")


def _is_text(text: str) -> bool:
    return _SURROGATE.search(text) is None


def usable_path(path: str | os.PathLike[str], what: str) -> Path:
    """Return a path that the system can look for, whether or not anything is there.

    `~` at its beginning is the home folder where there is one.

    Raises:
        ConfigError: it is empty or too long, or no path at all.
    """
    try:
        text = os.fspath(path)
    except TypeError:
        text = None
    if not isinstance(text, str):
        raise ConfigError(f"{what} is the path of a file or folder, not {shown(path)}")
    if not text.strip() or "\0" in text:
        raise ConfigError(f"{what} is the path of a file or folder, not {shown(text)}")
    found = Path(os.path.expanduser(text))
    try:
        found.lstat()
    except (FileNotFoundError, NotADirectoryError, PermissionError):
        pass
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or error
        raise ConfigError(f"{what} {shown(text)} cannot be a path: {reason}") from error
    return found


def read_text(path: str | os.PathLike[str], what: str, longest: int = LONGEST) -> str:
    """Return the text in a file; a byte-order mark at its beginning is left out.

    Args:
        path: path of a file; nothing else, such as a folder or a pipe, is opened.
        what: names the file in messages, for instance "the configuration".
        longest: largest number of bytes that is read.

    Raises:
        ConfigError: there is no such file, or it cannot be read, is too long or is not UTF-8.
    """
    found = usable_path(path, what)
    try:
        mode = found.stat().st_mode
        if not stat.S_ISREG(mode):
            kind = "a folder" if stat.S_ISDIR(mode) else "no ordinary file"
            raise ConfigError(f"{what} {found} cannot be read: it is {kind}")
        with open(found, "rb") as file:
            content = file.read(longest + 1)
    except OSError as error:
        raise ConfigError(f"{what} {found} cannot be read: {error.strerror}") from error
    if len(content) > longest:
        raise ConfigError(f"{what} {found} has more than {longest:,} bytes; it cannot be meant")
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = content[: error.start].count(b"\n") + 1
        raise ConfigError(
            f"{what} {found} is not UTF-8 text: line {line} holds the byte "
            f"0x{content[error.start]:02x}; save it as UTF-8"
        ) from error


def yaml_value(text: str, what: str) -> Any:
    """Return what a YAML text holds: mappings with names as keys, lists, texts and numbers.

    Dates are texts, times of day are refused. Numbers are read as in YAML 1.2 (`1e3` is one, `010` is
    ten), words for yes and no as in YAML 1.1.

    Raises:
        ConfigError: it is no YAML, too long or too deep; it has tags, aliases or several documents; a
            key is given twice or is no name; a number is not finite or too large.
    """
    check_text(text, what)
    try:
        return _Builder(what).build(text)
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        problem = error.problem or error.context or "it cannot be read"
        where = f" in line {mark.line + 1}, column {mark.column + 1}" if mark else ""
        raise ConfigError(f"{what} is not YAML: {problem}{where}") from error
    except yaml.YAMLError as error:
        raise ConfigError(f"{what} is not YAML: {str(error).splitlines()[0]}") from error


class _Builder:
    """Builds the value of a YAML text from the parser's events, without recursion."""

    def __init__(self, what: str) -> None:
        self._what = what
        self._open: list[Any] = []  # lists and mappings that are not at their end
        self._keys: list[str | None] = []  # of each open one: the key that waits for a value
        self._value: Any = None
        self._documents = 0

    def build(self, text: str) -> Any:
        loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
        for event in yaml.parse(text, Loader=loader):
            self._take(event)
        return self._value

    def _take(self, event: Any) -> None:
        if isinstance(event, yaml.DocumentStartEvent):
            self._documents += 1
            if self._documents > 1:
                self._refuse(event, "a second document begins; write one only")
        elif isinstance(event, yaml.CollectionEndEvent):
            self._keys.pop()
            self._open.pop()
        elif isinstance(event, yaml.NodeEvent):
            self._node(event)

    def _node(self, event: Any) -> None:
        if isinstance(event, yaml.AliasEvent) or event.anchor is not None:
            self._refuse(event, "anchors and aliases (&, *) are not read; write the value out")
        if event.tag not in (None, "!"):
            self._refuse(event, f"tags such as {shown(event.tag)} are not read; write plain values")
        if isinstance(event, yaml.ScalarEvent):
            check_text(
                event.value, self._what
            )  # escapes can write what the text itself cannot hold
            if not self._is_key() and _CLOCK.fullmatch(event.value):
                self._refuse(event, f"{event.value} is a time of day, and no option takes one")
            self._add(event, event.value if self._is_key() else self._scalar(event))
            return
        value: Any = {} if isinstance(event, yaml.MappingStartEvent) else []
        self._add(event, value)
        self._open.append(value)
        self._keys.append(None)
        if len(self._open) > DEEPEST:
            self._refuse(event, f"more than {DEEPEST} lists or mappings lie within each other")

    def _is_key(self) -> bool:
        return bool(self._open) and isinstance(self._open[-1], dict) and self._keys[-1] is None

    def _add(self, event: Any, value: Any) -> None:
        if not self._open:
            self._value = value
        elif isinstance(self._open[-1], list):
            self._open[-1].append(value)
        elif self._keys[-1] is None:
            if not isinstance(value, str) or not value:
                self._refuse(event, f"a name is expected before ':', not {shown(value)}")
            if value in self._open[-1]:
                self._refuse(event, f"{shown(value)} is given twice")
            self._keys[-1] = value
        else:
            self._open[-1][self._keys[-1]] = value
            self._keys[-1] = None

    def _scalar(self, event: Any) -> Any:
        text: str = event.value
        if event.style is not None and event.style != "":
            return text  # in quotes, or a block
        if text in _WORDS:
            return _WORDS[text]
        if _WHOLE.fullmatch(text) or _HEXADECIMAL.fullmatch(text):
            if len(text) > 40:
                self._refuse(event, f"the number {shown(text, 24)} has {len(text):,} digits")
            return int(text.replace("_", ""), 16 if "x" in text else 10)
        if _NO_NUMBER.fullmatch(text) or (
            _NUMBER.fullmatch(text) and not math.isfinite(float(text))
        ):
            self._refuse(event, f"{shown(text, 24)} is not a finite number")
        return float(text) if _NUMBER.fullmatch(text) else text

    def _refuse(self, event: Any, reason: str) -> NoReturn:
        mark = event.start_mark
        raise ConfigError(
            f"{self._what} cannot be used: {reason} (line {mark.line + 1}, column {mark.column + 1})"
        )


def plain_value(value: object, what: str) -> Any:
    """Return a value of options as plain data: mappings, lists, texts, numbers, booleans and None.

    Paths become texts; numbers of numpy and torch become Python's; tuples become lists.

    Raises:
        ConfigError: anything else is in it, or a text, a number, its depth or its size is out of bounds.
    """
    return _Plain().copy(value, what, 0)


class _Plain:
    """Copies plain data and counts what it has copied, since lists may hold one list many times."""

    def __init__(self) -> None:
        self._copied = 0

    def copy(self, value: Any, what: str, depth: int) -> Any:
        self._copied += 1
        if depth > DEEPEST or self._copied > LONGEST:
            raise ConfigError(
                f"{what} is too deep or too long: at most {DEEPEST} levels of lists or mappings and "
                f"{LONGEST:,} values are read"
            )
        if isinstance(value, Mapping):
            return {
                _key(name, what): self.copy(one, f"{what}.{name}" if what else name, depth + 1)
                for name, one in value.items()
            }
        if isinstance(value, list | tuple):
            return [self.copy(one, what, depth + 1) for one in value]
        return _simple(value, what)


def _simple(value: Any, what: str) -> Any:
    """Return a text, a number, a boolean or None.

    Raises:
        ConfigError: it is something else, or out of bounds.
    """
    if isinstance(value, os.PathLike):
        value = os.fspath(value)
    if callable(getattr(value, "item", None)) and getattr(value, "ndim", None) == 0:
        value = value.item()
    if isinstance(value, str):
        check_text(value, what)
        _check_clock(value, what)
        return str(value)
    if isinstance(value, int) and abs(value) >= LARGEST:
        raise ConfigError(f"{what} is a number of {value.bit_length():,} bits; at most 63 are used")
    if isinstance(value, float) and not math.isfinite(value):
        raise ConfigError(f"{what} is {value}, which is not a finite number")
    if value is None or isinstance(value, int | float):
        return value
    raise ConfigError(
        f"the option {what} is {shown(value)}; options are texts, numbers, lists and dictionaries"
    )


def _key(name: object, what: str) -> str:
    if not isinstance(name, str) or not name:
        raise ConfigError(f"names within {what or 'options'} are texts, not {shown(name)}")
    check_text(name, f"a name within {what or 'options'}")
    return name

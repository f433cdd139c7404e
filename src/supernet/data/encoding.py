"""Files of text as texts, whatever their encoding."""

from __future__ import annotations

import codecs
from pathlib import Path

from supernet.data.files import read_data
from supernet.errors import ConfigError, DataError

__all__ = ["check_encoding", "decoded", "encoding_of"]

_MARKS = {
    codecs.BOM_UTF32_LE: "utf-32",  # which begins as UTF-16 does
    codecs.BOM_UTF32_BE: "utf-32",
    codecs.BOM_UTF16_LE: "utf-16",
    codecs.BOM_UTF16_BE: "utf-16",
}
"""Encodings by the mark that a file begins with; Excel writes "Unicode text" so."""


def check_encoding(encoding: str) -> None:
    """Check that there is such an encoding.

    Raises:
        ConfigError: it is unknown.
    """
    try:
        "".encode(encoding)
    except (LookupError, ValueError) as error:
        raise ConfigError(
            f"the encoding {encoding!r} is unknown; give for instance utf-8 or latin-1."
        ) from error


def decoded(file: Path, encoding: str) -> str:
    """Return the content of a file, without a byte order mark.

    The mark says which encoding it is, unless another one than UTF-8 is given.

    Raises:
        DataError: it cannot be read, or is not of that encoding.
    """
    content = read_data(file)
    encoding = encoding_of(content, encoding)
    try:
        text = content.decode(encoding)
        text.encode()  # which halves of surrogate pairs cannot
    except UnicodeError as error:
        line = content.count(b"\n", 0, getattr(error, "start", 0)) + 1
        raise DataError(
            f"{file}, line {line}: the bytes are no {encoding} "
            f"({getattr(error, 'reason', error)}); give the file's `encoding`, for instance latin-1."
        ) from error
    if "\0" in text:
        line = text.count("\n", 0, text.index("\0")) + 1
        raise DataError(
            f"{file}, line {line}: there is a character NUL, which no text has; if this is UTF-16, give "
            "the `encoding` utf-16-le (or utf-16-be), else correct the line."
        )
    return text.removeprefix("\ufeff")


def encoding_of(content: bytes, encoding: str = "utf-8") -> str:
    """Return the encoding that a byte order mark says, or else the one that is given."""
    if codecs.lookup(encoding).name == "utf-8":  # the mark knows better
        return next((name for mark, name in _MARKS.items() if content.startswith(mark)), encoding)
    return encoding

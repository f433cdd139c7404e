"""JSON that is read: strictly parsed, of the type that is expected, and as it was written.

A file that decides something carries a digest of its content under "digest". Who changes such a file on
purpose deletes the digest, and says by that that the content is meant.
"""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Mapping, Sequence
from typing import Any, NoReturn

from supernet.typed import MisfitError, T, shown_json, typed

__all__ = ["ChangedError", "parse_json", "seal", "unseal"]

DIGEST = "digest"
"""The key of the digest in an object."""


class ChangedError(ValueError):
    """Content is not what its digest was made of."""


def parse_json(text: str | bytes, kind: type[T]) -> T:
    """Return the JSON in a text as what a type says, see `typed`.

    Raises:
        ValueError: it is no JSON (numbers must be finite, keys of an object different, texts without
            halves of characters, and nothing nested by the hundreds), or of another type
            (a `MisfitError`).
    """
    try:
        decoded = text if isinstance(text, str) else text.decode("utf-8")
        value = json.loads(
            decoded, object_pairs_hook=_object, parse_constant=_no_number, parse_float=_finite
        )
        if "\\ud" in decoded.lower():  # an escape that may stand for half a character
            json.dumps(value, ensure_ascii=False).encode()
        return typed(value, kind)
    except RecursionError:
        raise ValueError("lists or objects are nested too deeply") from None
    except UnicodeEncodeError:
        raise ValueError("a text holds half of a character") from None


def seal(content: Mapping[str, Any]) -> dict[str, Any]:
    """Return an object with a digest of it."""
    return {**content, DIGEST: _digest(content)}


def unseal(content: Mapping[str, Any]) -> dict[str, Any]:
    """Return a sealed object without its digest; one without a digest is taken as it is.

    Raises:
        ChangedError: the digest is of another content.
        MisfitError: it is no digest.
    """
    kept = {name: value for name, value in content.items() if name != DIGEST}
    if DIGEST in content:
        given = content[DIGEST]
        if not isinstance(given, str):
            raise MisfitError((DIGEST,), shown_json(given), "a text")
        if given != _digest(kept):
            raise ChangedError("it was changed since it was written: its digest is another")
    return kept


def _digest(content: Mapping[str, Any]) -> str:
    # Written and read once, as keys become texts by that.
    plain = json.loads(json.dumps(content))
    text = json.dumps(plain, sort_keys=True, separators=(",", ":"))
    return hashlib.blake2b(text.encode(), digest_size=16).hexdigest()


def _object(pairs: Sequence[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        names = [name for name, _ in pairs]
        twice = next(name for name in names if names.count(name) > 1)
        raise ValueError(f"the key {shown_json(twice)} is given twice")
    return found


def _no_number(name: str) -> NoReturn:
    raise ValueError(f"{name} is no number of JSON")


def _finite(text: str) -> float:
    number = float(text)
    if not math.isfinite(number):
        raise ValueError(f"the number {shown_json(text)} is too large")
    return number

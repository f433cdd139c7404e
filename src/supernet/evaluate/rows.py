"""Rows of the table of candidates as they are read: of the right types, and as they were written."""

from __future__ import annotations

import hashlib
import json
import sqlite3
from collections.abc import Mapping
from contextlib import closing
from pathlib import Path
from typing import Any, Literal, NotRequired, TypedDict

from supernet.errors import DamagedFileError
from supernet.files import check_ordinary
from supernet.typed import Count, MisfitError, typed

__all__ = ["REMEDY", "Row", "candidate_rows", "checked_row", "row_digest"]

REMEDY = (
    "Delete it and run the same command again; the candidates are then scored anew with the weights in "
    "supernet.pt"
)

DECIDING = (
    "key",
    "architecture",
    "status",
    "loss",
    "accuracy",
    "error",
    "split",
    "images",
    "batch_norm",
    "batch_size",
    "calibration_batches",
    "weights",
)
"""The columns that a digest is made of. Costs are computed anew when a row is read, and who asked for a
candidate is only shown."""


class Row(TypedDict):
    """A candidate as the table has it."""

    key: str
    architecture: str
    status: Literal["ok", "partial", "failed"]
    loss: float | None
    accuracy: float | None
    params: float | None
    macs: float | None
    latency_ms: float | None
    costs: NotRequired[str | None]
    error: NotRequired[str | None]
    split: str
    images: Count
    batch_norm: str
    batch_size: Count
    calibration_batches: Count
    weights: str
    generation: int | None
    digest: NotRequired[str]


def row_digest(row: Mapping[str, Any]) -> str:
    """Return a hash of what a row says of its candidate."""
    values = {name: row.get(name) for name in DECIDING}
    for name in ("loss", "accuracy"):  # SQLite makes 1.0 of 1
        values[name] = float(row[name]) if isinstance(row[name], int) else row[name]
    text = json.dumps(values, sort_keys=True, default=repr)
    return hashlib.blake2b(text.encode(), digest_size=16).hexdigest()


def checked_row(row: Mapping[str, Any], path: Path, *, verify: bool = True) -> Row:
    """Return a row of the table.

    Args:
        row: values by column name.
        path: path of the table, for messages.
        verify: whether to refuse what was changed since it was written.

    Raises:
        DamagedFileError: a value is of another type, or the row was changed; the row is named.
    """
    name = f"the candidate {row['key']!r} of {path}"
    try:
        found = typed(dict(row), Row)
    except MisfitError as error:
        raise DamagedFileError(f"{name} is damaged: {error}. {REMEDY}") from error
    if verify and found.get("digest") != row_digest(found):
        raise DamagedFileError(f"{name} was changed since it was scored. {REMEDY}")
    return found


def candidate_rows(path: Path) -> tuple[list[Row], list[str]]:
    """Return the rows with whole scores, and the keys of all rows that were changed; for showing.

    Raises:
        DamagedFileError: the table cannot be read.
    """
    check_ordinary(path)
    try:
        with closing(sqlite3.connect(f"{path.resolve().as_uri()}?mode=ro", uri=True)) as store:
            store.row_factory = sqlite3.Row
            rows = [dict(row) for row in store.execute("SELECT * FROM candidates ORDER BY rowid")]
            missing = _NEEDED - {one[0] for one in store.execute(_NAMES)}
    except sqlite3.Error as error:
        raise DamagedFileError(
            f"{path} cannot be read ({error}). Run `supernet search` on this folder: "
            "it repairs what a killed process left, or says what is damaged."
        ) from error
    if missing:
        raise DamagedFileError(
            f"{path} is damaged: it lacks {', '.join(sorted(missing))}. {REMEDY}"
        )
    changed = [
        str(row["key"]) for row in rows if "digest" in row and row["digest"] != row_digest(row)
    ]
    return [checked_row(row, path, verify=False) for row in rows if row["status"] == "ok"], changed


_NEEDED = Row.__annotations__.keys() - {"costs", "error", "digest"}
_NAMES = "SELECT name FROM pragma_table_info('candidates')"

"""Rows of the table of candidates as they are read: of the right types, and as they were written."""

from __future__ import annotations

import hashlib
import json
import sqlite3
from collections.abc import Mapping
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from supernet.errors import DamagedFileError
from supernet.files import check_ordinary
from supernet.record_fields import Inline, Omitted, keys_of, record_fields
from supernet.strict_json import parse_json
from supernet.typed import Count, JsonRecord, MisfitError

__all__ = ["RANK", "REMEDY", "Provenance", "Row", "candidate_rows", "checked_row", "row_digest"]

REMEDY = (
    "Delete it and run the same command again; the candidates are then scored anew with the weights in "
    "supernet.pt"
)


RANK = "rank"
"""Who asked for candidates that no search proposed: they are scored to see what the ranking is worth,
and are none of the search's until it asks for them, too."""


@dataclass(frozen=True)
class Provenance(JsonRecord):
    """What a score was measured with; equal provenance and architecture, equal score.

    Attributes:
        split: the split of the data that was scored on.
        images: the number of images of it.
        batch_norm: how batch norm was treated: "batch" (statistics of the batch), "recalibrate" or
            "running" (those that training left).
        batch_size: the number of images in a batch.
        calibration_batches: the number of batches that statistics were estimated on; 0 where they were
            not.
        weights: a hash of the shared weights.
        tuning: how each candidate was trained before it was measured, from these weights; empty where it
            was not.
        precision: the type that convolutions and matrix products computed in, where it was not float32;
            else empty.
    """

    split: str
    images: Count
    batch_norm: str
    batch_size: Count
    calibration_batches: Count
    weights: str
    tuning: Omitted[str] = ""
    precision: Omitted[str] = ""


@dataclass(frozen=True, kw_only=True)
class Row(JsonRecord):
    """A candidate as the table has it.

    Attributes:
        key: hash of the answers.
        architecture: the answers, as JSON.
        status: "ok", "partial" or "failed", see `Candidate`.
        loss: mean over the images; None where it failed.
        accuracy: in 0–1; None where the task has none.
        measures: all other figures of the task, as JSON.
        params: the number of parameters; None where it is unknown, as for the other costs.
        macs: the number of multiply-adds.
        latency_ms: the latency, in ms.
        costs: all other quantities, as JSON.
        error: message of what was raised, if it failed.
        provenance: the weights and the protocol of the score.
        generation: number of the generation in which the searcher asked for it.
        digest: a hash of what decides.
        tune_seconds: the time of the tuning; None where there was none.
    """

    key: str
    architecture: str
    status: Literal["ok", "partial", "failed"]
    loss: float | None
    accuracy: float | None
    params: float | None
    macs: float | None
    latency_ms: float | None
    costs: str | None = None
    error: str | None = None
    provenance: Inline[Provenance]
    generation: int | None
    digest: str | None = None
    tune_seconds: float | None = None
    measures: str | None = None

    @property
    def figures(self) -> Mapping[str, float]:
        """All figures but loss and accuracy, by name; none where they cannot be read."""
        try:
            return parse_json(self.measures or "{}", dict[str, float])
        except ValueError:
            return {}


DECIDING = (
    *("key", "architecture", "status", "loss", "accuracy", "measures", "error"),
    *(field.name for field in record_fields(Provenance)),
)
"""The columns that a digest is made of. Costs are computed anew when a row is read, and who asked for a
candidate is only shown."""

_LATER = {
    "measures": None,
    **{one.name: one.default for one in record_fields(Provenance) if one.how == "omitted"},
}
"""Columns that older tables lack, with what holds there; a digest has them where something else does."""


def row_digest(row: Mapping[str, Any]) -> str:
    """Return a hash of what a row says of its candidate."""
    values = {
        name: row.get(name)
        for name in DECIDING
        if name not in _LATER or row.get(name, _LATER[name]) != _LATER[name]
    }
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
        found = Row.from_json(dict(row))
    except MisfitError as error:
        raise DamagedFileError(f"{name} is damaged: {error}. {REMEDY}") from error
    if verify and found.digest != row_digest(row):
        raise DamagedFileError(f"{name} was changed since it was scored. {REMEDY}")
    return found


def candidate_rows(path: Path) -> tuple[list[Row], list[str]]:
    """Return the search's rows with whole scores, and the keys of all that were changed; for showing.

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
    whole = [row for row in rows if row["status"] == "ok" and row.get("searcher") != RANK]
    return [checked_row(row, path, verify=False) for row in whole], changed


_NEEDED = keys_of(Row) - {"costs", "error", "digest", "tune_seconds", *_LATER}
_NAMES = "SELECT name FROM pragma_table_info('candidates')"

"""The table of candidates: what was scored, under which weights and protocol, and what it costs."""

from __future__ import annotations

import json
import sqlite3
import time
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Any

from supernet.cost.quantities import LATENCY
from supernet.errors import DamagedFileError, StorageError
from supernet.evaluate.candidate import Candidate
from supernet.evaluate.rows import RANK, REMEDY, Provenance, Row, checked_row, row_digest
from supernet.files import check_ordinary
from supernet.record_fields import record_fields
from supernet.space import Architecture
from supernet.strict_json import parse_json
from supernet.typed import Count

__all__ = ["CandidateTable", "Provenance"]

_COLUMNS = {
    "key": "TEXT NOT NULL",
    "architecture": "TEXT NOT NULL",
    "status": "TEXT NOT NULL",
    "loss": "REAL",
    "accuracy": "REAL",
    "measures": "TEXT",
    "params": "INTEGER",
    "macs": "INTEGER",
    LATENCY: "REAL",
    "costs": "TEXT",
    "error": "TEXT",
    **{
        one.name: "INTEGER NOT NULL" if one.kind == Count else "TEXT NOT NULL"
        for one in record_fields(Provenance)
        if one.required
    },
    "tuning": "TEXT NOT NULL DEFAULT ''",
    "precision": "TEXT NOT NULL DEFAULT ''",
    "tune_seconds": "REAL",
    "searcher": "TEXT NOT NULL",
    "generation": "INTEGER NOT NULL",
    "seed": "INTEGER NOT NULL",
    "created": "TEXT NOT NULL",
    "digest": "TEXT NOT NULL",
}

_SCHEMA = f"""
CREATE TABLE IF NOT EXISTS candidates (
    {", ".join(f"{name} {kind}" for name, kind in _COLUMNS.items())},
    UNIQUE (key, {", ".join(one.name for one in record_fields(Provenance))})
)
"""

_LATER = {
    "tuning": "''",
    "precision": "''",
    "tune_seconds": "NULL",
    "measures": "NULL",
}
"""Columns that tables of earlier versions lack, and what holds there."""

_MADE = "SELECT sql FROM sqlite_master WHERE name = 'candidates'"
"""What made the table."""

_QUANTITIES = ("params", "macs", LATENCY)
"""Costs with a column of their own; the column "costs" holds all others as JSON."""


class CandidateTable:
    """An SQLite file with one row per (architecture, provenance).

    Args:
        path: path of the SQLite file.
        write: whether rows are to be added; otherwise the file is there, and perhaps cannot be
            written.
        by: measure that its candidates are ranked by.
        lower: figures of which lower ones are better, besides the loss.
        tell: function that is given a record of each candidate that is added: stage "candidates", as
            step the number of its row, key, answers, scores and costs.

    Raises:
        DamagedFileError: the file is not such a database.
        StorageError: the disk is full or the file cannot be written.
    """

    def __init__(
        self,
        path: Path,
        *,
        write: bool = True,
        by: str = "accuracy",
        lower: Collection[str] = (),
        tell: Callable[[Mapping[str, Any]], None] = lambda record: None,
    ) -> None:
        self._path = path
        self._tell = tell
        self.by, self.lower = by, lower
        mode = "rwc" if write else "ro"
        if path.exists() and not path.is_dir():
            check_ordinary(path)
        with self._errors():
            self._connection = sqlite3.connect(f"{path.resolve().as_uri()}?mode={mode}", uri=True)
            try:
                self._prepare(write)
            except BaseException:
                self._connection.close()
                raise
        self._committed = time.monotonic()

    def __enter__(self) -> CandidateTable:
        return self

    def __exit__(self, *_: object) -> None:
        try:
            with self._errors():
                self._connection.commit()
        finally:
            self._connection.close()

    def get(self, key: str, provenance: Provenance) -> Candidate | None:
        """Return the candidate with this key that was scored with this provenance, if any."""
        rows = self._select({"key": key, **asdict(provenance)})
        return next(rows, None)

    def partial(self, key: str, provenance: Provenance) -> Candidate | None:
        """Return the candidate as scored on most images, fewer than the provenance says, if any."""
        where = {"key": key, **asdict(provenance), "status": "partial"}
        images = where.pop("images")
        found = self._select(where, f"images < {int(images)} ORDER BY images DESC")
        return next(found, None)

    def all(self, provenance: Provenance) -> list[Candidate]:
        """Return the search's candidates scored with this provenance, in the order they were added."""
        return list(self._select(asdict(provenance), f"searcher != '{RANK}' ORDER BY rowid"))

    def architectures(self) -> list[Architecture]:
        """Return all architectures that were ever scored, whoever asked for them."""
        return list({one.key: one.architecture for one in self._select({})}.values())

    def claim(self, key: str, provenance: Provenance, *, searcher: str, generation: int) -> None:
        """Make a candidate that was scored for its ranking alone one of the search's."""
        where = {"key": key, **asdict(provenance), "searcher": RANK}
        condition = " AND ".join(f"{name} = ?" for name in where)
        with self._errors():
            self._connection.execute(
                f"UPDATE candidates SET searcher = ?, generation = ? WHERE {condition}",
                [searcher, generation, *where.values()],
            )

    def add(
        self,
        candidate: Candidate,
        provenance: Provenance,
        *,
        searcher: str,
        generation: int,
        seed: int,
    ) -> None:
        """Add a row, or replace a failed one; rows are put on disk once a second and on closing."""
        row: dict[str, Any] = {
            "key": candidate.key,
            "architecture": candidate.architecture.to_json(),
            "status": candidate.status,
            "loss": candidate.loss,
            "accuracy": candidate.accuracy,
            "measures": _json(candidate.measures),
            "error": candidate.error,
            **{name: candidate.costs.get(name) for name in _QUANTITIES},
            "costs": _others(candidate.costs),
            **asdict(provenance),
            "tune_seconds": candidate.tune_seconds,
            "searcher": searcher,
            "generation": generation,
            "seed": seed,
            "created": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
        }
        row["digest"] = row_digest(row)
        names, marks = ", ".join(row), ", ".join("?" * len(row))
        where = {"key": candidate.key, **asdict(provenance)}
        with self._errors():
            self._connection.execute(
                f"INSERT INTO candidates ({names}) VALUES ({marks}) ON CONFLICT DO UPDATE SET "
                "status = excluded.status, loss = excluded.loss, accuracy = excluded.accuracy, "
                "measures = excluded.measures, error = excluded.error, "
                "tune_seconds = excluded.tune_seconds, digest = excluded.digest WHERE status = 'failed'",
                list(row.values()),
            )
            if time.monotonic() - self._committed > 1:
                self._connection.commit()
                self._committed = time.monotonic()
            (number,) = self._connection.execute(
                f"SELECT rowid FROM candidates WHERE {' AND '.join(f'{name} = ?' for name in where)}",
                list(where.values()),
            ).fetchone()
        self._tell(
            {
                "stage": "candidates",
                "step": number,
                **{name: row[name] for name in ("key", "architecture", "status")},
                **{name: row[name] for name in ("loss", "accuracy", "error")},
                **candidate.measures,
                **candidate.costs,
                **{name: row[name] for name in ("searcher", "generation")},
            }
        )

    def reprice(self, candidate: Candidate) -> None:
        """Store the costs of a candidate in all its rows, instead of those that they have."""
        costs = {name: candidate.costs.get(name) for name in _QUANTITIES}
        row = {**costs, "costs": _others(candidate.costs)}
        marks = ", ".join(f"{name} = ?" for name in row)
        with self._errors():
            self._connection.execute(
                f"UPDATE candidates SET {marks} WHERE key = ?", [*row.values(), candidate.key]
            )

    def _prepare(self, write: bool) -> None:
        """Check what is there, or make the table."""
        self._connection.row_factory = sqlite3.Row
        if self._connection.execute("PRAGMA quick_check").fetchone()[0] != "ok":
            raise sqlite3.DatabaseError("its check fails")
        if write:
            self._connection.execute(_SCHEMA)
            self._connection.commit()
        (made,) = self._connection.execute(_MADE).fetchone()
        found = {row["name"] for row in self._connection.execute("PRAGMA table_info(candidates)")}
        missing = [name for name in _COLUMNS if name not in found]
        if not _LATER.keys() >= set(missing):
            raise sqlite3.DatabaseError(f"its table of candidates lacks {', '.join(missing)}")
        if "UNIQUE" not in made:
            raise sqlite3.DatabaseError("what it calls candidates is no such table")
        if missing:
            self._add_columns(missing, write)

    def _add_columns(self, missing: Sequence[str], write: bool) -> None:
        """Make a table of an earlier version one of now, as a whole, or what is read of it."""
        added = ", ".join(f"{_LATER[name]} AS {name}" for name in missing)
        if not write:
            view = f"SELECT rowid, *, {added} FROM main.candidates"
            self._connection.execute(f"CREATE TEMP VIEW candidates AS {view}")
            return
        names = ", ".join(_COLUMNS)
        self._connection.executescript(f"""
            BEGIN IMMEDIATE;
            ALTER TABLE candidates RENAME TO earlier;
            {_SCHEMA};
            INSERT INTO candidates ({names})
                SELECT {names} FROM (SELECT *, {added} FROM earlier ORDER BY rowid);
            DROP TABLE earlier;
            COMMIT;
        """)

    def _select(self, where: Mapping[str, Any], more: str = "") -> Iterator[Candidate]:
        condition = " AND ".join(["TRUE", *(f"{name} = ?" for name in where)])
        condition += f" AND {more}" if more else " ORDER BY rowid"
        with self._errors():
            rows = self._connection.execute(
                f"SELECT * FROM candidates WHERE {condition}", list(where.values())
            ).fetchall()
        for row in rows:
            yield self._candidate(checked_row(dict(row), self._path))

    def _candidate(self, row: Row) -> Candidate:
        try:
            others = parse_json(row.costs or "{}", dict[str, float])
            measures = parse_json(row.measures or "{}", dict[str, float])
            architecture = Architecture(parse_json(row.architecture, dict[str, Any]))
        except ValueError as error:
            raise DamagedFileError(
                f"the candidate {row.key!r} of {self._path} is damaged: {error}. {REMEDY}"
            ) from error
        costs = {"params": row.params, "macs": row.macs, LATENCY: row.latency_ms, **others}
        return Candidate(
            row.key,
            architecture,
            row.status,
            row.loss,
            row.accuracy,
            {name: cost for name, cost in costs.items() if cost is not None},
            row.error,
            by=self.by,
            tune_seconds=row.tune_seconds,
            measures=measures,
            lower=self.lower,
        )

    @contextmanager
    def _errors(self) -> Iterator[None]:
        try:
            yield
        except sqlite3.OperationalError as error:
            if "decode" in str(error):  # a text that is none
                raise DamagedFileError(f"{self._path} is damaged: {error}. {REMEDY}") from error
            remedy = (
                "close the programme that is using it"
                if "locked" in str(error)
                else "free some space (or fix the permissions)"
            )
            raise StorageError(
                f"{self._path} could not be read or written: {error}. What was committed is intact; "
                f"{remedy} and run the same command again."
            ) from error
        except sqlite3.DatabaseError as error:
            raise DamagedFileError(f"{self._path} is damaged: {error}. {REMEDY}") from error


def _others(costs: Mapping[str, float]) -> str | None:
    others = {name: cost for name, cost in costs.items() if name not in _QUANTITIES}
    return _json(others)


def _json(values: Mapping[str, float]) -> str | None:
    return json.dumps(dict(values), sort_keys=True) if values else None

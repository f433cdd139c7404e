"""A run that takes a second or two, and a way to call the command line in this process."""

from __future__ import annotations

import json
import sqlite3
from pathlib import Path

import pytest

from supernet.cli import main

TINY = [
    "--model.channels=2",
    "--model.blocks=2",
    "--model.groups=[1]",
    "--split.limit=300",
    "--train.steps=30",
    "--train.batch_size=32",
    "--train.log_every=5",
    "--train.checkpoint_seconds=0",
    "--search.searcher=evolution",
    "--search.searcher.population=6",
    "--search.searcher.generations=4",
    "--search.searcher.parents=2",
    "--search.searcher.mutants=2",
    "--search.searcher.crossovers=2",
    "--retrain.top=2",
    "--retrain.probes=1",
    "--retrain.train.steps=20",
    "--retrain.train.batch_size=32",
    "--retrain.train.log_every=5",
    "--retrain.train.checkpoint_seconds=0",
]


@pytest.fixture
def tiny() -> list[str]:
    return list(TINY)


@pytest.fixture
def call(capsys, monkeypatch):
    """Return a function that runs a command and returns (exit code, stdout, stderr)."""
    monkeypatch.setattr("sys.path", list(__import__("sys").path))

    def run(*arguments: str) -> tuple[int, str, str]:
        code = main(arguments)
        captured = capsys.readouterr()
        return code, captured.out, captured.err

    return run


@pytest.fixture(scope="session")
def finished(tmp_path_factory) -> Path:
    """Return the folder of a finished run; copy it before changing anything."""
    out = tmp_path_factory.mktemp("finished") / "run"
    assert main(["run", "--out", str(out), *TINY]) == 0
    return out


def candidates(folder: Path) -> list[tuple]:
    """Return all rows of the table of candidates but for their timestamps."""
    with sqlite3.connect(folder / "candidates.db") as connection:
        connection.row_factory = sqlite3.Row
        rows = connection.execute("SELECT * FROM candidates ORDER BY rowid").fetchall()
    return [tuple(row[name] for name in row.keys() if name != "created") for row in rows]  # noqa: SIM118


def metrics(folder: Path) -> dict:
    """Return the metrics but for seconds and the digest of all."""

    def strip(value):
        if isinstance(value, dict):
            left_out = ("seconds", "digest")  # which depends on the seconds
            return {name: strip(item) for name, item in value.items() if name not in left_out}
        return [strip(item) for item in value] if isinstance(value, list) else value

    return strip(json.loads((folder / "metrics.json").read_text()))


@pytest.fixture
def read():
    """Return the two readers, for comparing runs."""
    return candidates, metrics

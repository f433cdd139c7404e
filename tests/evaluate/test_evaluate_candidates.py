import dataclasses
import os
import sqlite3
import subprocess
import sys
from pathlib import Path

import pytest

from supernet.errors import DamagedFileError, StorageError
from supernet.evaluate import Candidate, CandidateTable, Provenance
from supernet.evaluate.rows import candidate_rows
from supernet.space import Architecture

COLUMNS = [
    "key",
    "architecture",
    "loss",
    "accuracy",
    "params",
    "macs",
    "latency_ms",
    "split",
    "images",
    "calibration_batches",
    "weights",
    "searcher",
    "generation",
    "seed",
    "created",
]
"""What others may rely on."""

BY = {"searcher": "RandomSearch", "generation": 3, "seed": 2**40}


@pytest.fixture
def path(tmp_path):
    return tmp_path / "candidates.db"


def test_candidates_come_back(path, provenance, make_candidate):
    candidates = [
        make_candidate("a", loss=0.1 + 0.2, accuracy=1 / 3),
        make_candidate("b", accuracy=None, params=7),
        make_candidate("c", status="failed", loss=None, accuracy=None),
        make_candidate("d", latency_ms=1.25),
        make_candidate("e", energy_mj=0.75, memory=3),
        dataclasses.replace(make_candidate("f"), measures={"mean_iou": 0.1 + 0.2, "errors": 4.0}),
    ]
    with CandidateTable(path) as table:
        for candidate in candidates:
            table.add(candidate, provenance, **BY)
        assert table.all(provenance) == candidates
    with CandidateTable(path) as table:
        assert table.all(provenance) == candidates
        for candidate in candidates:
            assert table.get(candidate.key, provenance) == candidate
        assert table.get("no such key", provenance) is None


def test_a_table_that_is_only_read_is_neither_made_nor_changed(path, provenance, make_candidate):
    with pytest.raises(StorageError, match="could not be read"):
        CandidateTable(path, write=False)
    assert not path.exists()
    candidate = make_candidate("a")
    with CandidateTable(path) as table:
        table.add(candidate, provenance, **BY)
    with CandidateTable(path, write=False) as table:
        assert table.all(provenance) == [candidate]
        with pytest.raises(StorageError, match="readonly"):
            table.add(make_candidate("b"), provenance, **BY)


@pytest.mark.parametrize(
    "change",
    [
        {"split": "train"},
        {"images": 99},
        {"batch_norm": "recalibrate"},
        {"batch_size": 33},
        {"calibration_batches": 1},
        {"weights": "w1"},
        {"tuning": "3 steps"},
        {"precision": "bfloat16"},
    ],
)
def test_scores_of_another_provenance_are_other_scores(path, provenance, make_candidate, change):
    other = dataclasses.replace(provenance, **change)
    first, second = make_candidate("a", loss=1.0), make_candidate("a", loss=2.0)
    with CandidateTable(path) as table:
        table.add(first, provenance, **BY)
        assert table.get(first.key, other) is None
        assert table.all(other) == []
        table.add(second, other, **BY)
        assert table.get(first.key, provenance) == first
        assert table.get(first.key, other) == second


def test_every_provenance_field_separates():
    changes = {"split", "images", "batch_norm", "batch_size", "calibration_batches", "weights"}
    assert {field.name for field in dataclasses.fields(Provenance)} == {
        *changes,
        "tuning",
        "precision",
    }


EARLIER = """
CREATE TABLE candidates (
    key TEXT NOT NULL, architecture TEXT NOT NULL, status TEXT NOT NULL, loss REAL, accuracy REAL,
    params INTEGER, macs INTEGER, latency_ms REAL, costs TEXT, error TEXT, split TEXT NOT NULL,
    images INTEGER NOT NULL, batch_norm TEXT NOT NULL, batch_size INTEGER NOT NULL,
    calibration_batches INTEGER NOT NULL, weights TEXT NOT NULL, searcher TEXT NOT NULL,
    generation INTEGER NOT NULL, seed INTEGER NOT NULL, created TEXT NOT NULL, digest TEXT NOT NULL,
    UNIQUE (key, split, images, batch_norm, batch_size, calibration_batches, weights)
);
INSERT INTO candidates VALUES(
    'd7b81ec50f56e0e6','{"op":"a","width":3}','ok',0.5,0.75,10,20,NULL,NULL,NULL,'search',100,'batch',32,0,'w0','RandomSearch',0,1,'2026-11-30T11:00:40Z',
    '408ff5dca11d55c53a0c51f02abb3b88');
"""
"""A table as it was before candidates could be tuned."""


def test_an_earlier_table_is_read_and_written(path, provenance, make_candidate):
    with sqlite3.connect(path) as connection:
        connection.executescript(EARLIER)
    connection.close()
    architecture = Architecture({"op": "a", "width": 3})
    costs = {"params": 10, "macs": 20}
    known = Candidate(architecture.key, architecture, "ok", 0.5, 0.75, costs)
    tuned = dataclasses.replace(provenance, tuning="3 steps")
    before = path.read_bytes()
    with CandidateTable(path, write=False) as table:
        assert table.all(provenance) == [table.get(known.key, provenance)] == [known]
        assert table.all(tuned) == []
    rows, changed = candidate_rows(path)
    assert ([row.provenance for row in rows], changed) == ([provenance], [])
    assert path.read_bytes() == before  # who only reads leaves it as it was
    better = dataclasses.replace(known, loss=0.25, tune_seconds=1.5)
    for _ in range(2):
        with CandidateTable(path) as table:
            table.add(better, tuned, **BY)
    with CandidateTable(path) as table:
        assert table.all(provenance) == [known]
        assert table.all(tuned) == [better]
        assert table.all(tuned)[0].tune_seconds == 1.5
    assert candidate_rows(path)[1] == []


def test_a_candidate_is_stored_once(path, provenance, make_candidate):
    with CandidateTable(path) as table:
        table.add(make_candidate("a", loss=1.0), provenance, **BY)
        table.add(make_candidate("a", loss=2.0), provenance, **BY)
        assert table.all(provenance) == [make_candidate("a", loss=1.0)]


def test_the_file_is_what_others_rely_on(path, provenance, make_candidate):
    candidate = make_candidate("a")
    with CandidateTable(path) as table:
        table.add(candidate, provenance, **BY)
    connection = sqlite3.connect(path)
    connection.row_factory = sqlite3.Row
    (row,) = connection.execute("SELECT * FROM candidates").fetchall()
    connection.close()
    assert set(COLUMNS) <= set(row.keys())
    assert row["architecture"] == '{"inputs":["x","y"],"op":"a","width":3}'
    assert row["macs"] == 2**40
    assert (row["loss"], row["accuracy"], row["latency_ms"]) == (0.5, 0.75, None)
    assert {name: row[name] for name in BY} == BY
    assert len(row["created"]) == len("2020-01-01T00:00:00Z")
    assert row["created"].endswith("Z")


KILLED = """
import os, signal, sys
from pathlib import Path
from supernet.evaluate import Candidate, CandidateTable, Provenance
from supernet.space import Architecture

table = CandidateTable(Path(sys.argv[1]))
with table:
    for number in range(100):
        architecture = Architecture({"number": number})
        candidate = Candidate(architecture.key, architecture, "ok", 0.5, 0.5, {"params": number})
        provenance = Provenance("search", 1, "batch", 1, 0, "w")
        table.add(candidate, provenance, searcher="s", generation=0, seed=0)
    if sys.argv[2] == "inside":
        os.kill(os.getpid(), signal.SIGKILL)
os.kill(os.getpid(), signal.SIGKILL)
"""


@pytest.mark.slow
@pytest.mark.parametrize("when", ["closed", "inside"])
def test_the_file_outlives_the_process(path, when):
    killed = subprocess.run([sys.executable, "-c", KILLED, str(path), when], check=False)
    assert killed.returncode == -9
    with CandidateTable(path) as table:
        found = table.all(Provenance("search", 1, "batch", 1, 0, "w"))
        assert [candidate.costs["params"] for candidate in found] == list(range(len(found)))
        assert when == "inside" or len(found) == 100


def test_rows_are_kept_when_an_exception_passes(path, provenance, make_candidate):
    def search():
        with CandidateTable(path) as table:
            table.add(make_candidate("a"), provenance, **BY)
            raise KeyError

    with pytest.raises(KeyError):
        search()
    with CandidateTable(path) as table:
        assert table.all(provenance) == [make_candidate("a")]


def full_table(path, provenance, make_candidate):
    with CandidateTable(path) as table:
        for number in range(200):
            table.add(make_candidate(f"candidate {number}"), provenance, **BY)
    return path.read_bytes()


def assert_damaged(path):
    with pytest.raises(DamagedFileError, match="Delete it and run the same command") as caught:
        CandidateTable(path)
    assert str(path) in str(caught.value)


def test_a_damaged_file_is_recognised(path, provenance, make_candidate):
    whole = full_table(path, provenance, make_candidate)
    path.write_bytes(whole[: len(whole) // 2])
    assert_damaged(path)
    path.write_bytes(whole[:4096] + b"\xff" * 200 + whole[4296:])
    assert_damaged(path)
    path.write_bytes(whole)
    with CandidateTable(path) as table:
        assert len(table.all(provenance)) == 200


@pytest.mark.parametrize("content", [b"no database", bytes(range(256)) * 20])
def test_what_is_no_database_is_recognised(path, content):
    path.write_bytes(content)
    assert_damaged(path)
    assert path.read_bytes() == content


def test_a_table_of_other_columns_is_recognised(path):
    connection = sqlite3.connect(path)
    connection.execute("CREATE TABLE candidates (key TEXT, loss REAL)")
    connection.close()
    with pytest.raises(DamagedFileError, match="lacks architecture, status, accuracy"):
        CandidateTable(path)


def test_a_path_that_cannot_be_used_is_reported(tmp_path):
    (tmp_path / "file").touch()
    for path in (tmp_path, tmp_path / "missing" / "a.db", tmp_path / "file" / "a.db"):
        with pytest.raises(StorageError, match="could not be read or written") as caught:
            CandidateTable(path)
        assert str(path) in str(caught.value)


def test_a_pipe_is_not_waited_for(path):
    os.mkfifo(path)
    for read in (CandidateTable, candidate_rows):
        with pytest.raises(DamagedFileError, match="no ordinary file"):
            read(path)


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() == 0, reason="root writes anywhere")
def test_a_file_that_cannot_be_written_is_reported(path, provenance, make_candidate):
    full_table(path, provenance, make_candidate)
    path.chmod(0o400)
    with CandidateTable(path) as table, pytest.raises(StorageError, match="readonly"):
        table.add(make_candidate("another"), provenance, **BY)


FULL_DISK = """
import resource, sys
from pathlib import Path
from supernet.errors import StorageError
from supernet.evaluate import Candidate, CandidateTable, Provenance
from supernet.space import Architecture

def add(table, first, count):
    for number in range(first, first + count):
        architecture = Architecture({"number": number, "text": "x" * 500})
        candidate = Candidate(architecture.key, architecture, "ok", 0.5, 0.5, {"params": number})
        provenance = Provenance("search", 1, "batch", 1, 0, "w")
        table.add(candidate, provenance, searcher="s", generation=0, seed=0)

path = Path(sys.argv[1])
with CandidateTable(path) as table:
    add(table, 0, 50)
size = path.stat().st_size
resource.setrlimit(resource.RLIMIT_FSIZE, (size + 20_000, size + 20_000))
try:
    with CandidateTable(path) as table:
        add(table, 50, 5000)
except StorageError as error:
    print(error)
"""


@pytest.mark.slow
def test_a_full_disk_keeps_what_was_committed(path):
    pytest.importorskip("resource")
    command = [sys.executable, "-W", "error", "-c", FULL_DISK, str(path)]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert str(path) in done.stdout
    assert "free some space" in done.stdout
    with CandidateTable(path) as table:
        found = table.all(Provenance("search", 1, "batch", 1, 0, "w"))
        assert [candidate.costs["params"] for candidate in found][:50] == list(range(50))


def test_a_failed_open_leaves_no_connection(path):
    """An open connection would keep the file busy, and warn when it is collected."""
    path.write_bytes(b"no database")
    before = open_files()
    for _ in range(5):
        with pytest.raises(DamagedFileError) as caught:
            CandidateTable(path)
        del caught
    assert open_files() == before


def open_files():
    folder = Path("/dev/fd")
    if not folder.exists():
        pytest.skip("open files cannot be counted here")
    return len(list(folder.iterdir()))


def test_the_best_come_first_and_failed_ones_last(make_candidate):
    best = make_candidate("a", loss=2.0, accuracy=0.9)
    even = make_candidate("b", loss=0.1, accuracy=0.8)
    worse = make_candidate("c", loss=0.2, accuracy=0.8)
    worst = make_candidate("d", loss=0.0, accuracy=0.0)
    failed = make_candidate("e", status="failed", loss=None, accuracy=None)
    ranked = sorted([failed, worst, worse, even, best], key=lambda one: one.rank_key)
    assert ranked == [best, even, worse, worst, failed]


def test_by_loss_the_lowest_comes_first_and_accuracy_breaks_ties(make_candidate):
    given = [("a", 2.0, 0.9), ("b", 0.1, 0.8), ("c", 0.2, 0.8), ("d", 0.2, 0.9), ("e", None, None)]
    candidates = [
        dataclasses.replace(make_candidate(key, loss=loss, accuracy=accuracy), by="loss")
        for key, loss, accuracy in given
    ]
    candidates[-1] = dataclasses.replace(candidates[-1], status="failed")
    ranked = sorted(candidates, key=lambda one: one.rank_key)
    assert [one.loss for one in ranked] == [0.1, 0.2, 0.2, 2.0, None]
    assert [one.accuracy for one in ranked] == [0.8, 0.9, 0.8, 0.9, None]
    assert [one.score for one in ranked] == [-0.1, -0.2, -0.2, -2.0, None]
    assert dataclasses.replace(ranked[0], by="accuracy").score == 0.8
    assert dataclasses.replace(ranked[0], by="accuracy", accuracy=None).score == -0.1


@pytest.mark.parametrize(("lower", "order"), [((), "cab"), (("f1",), "bac")])
def test_by_another_figure_the_best_is_as_the_task_says(make_candidate, lower, order):
    figures = {"a": 0.5, "b": 0.25, "c": 0.75}
    candidates = [
        dataclasses.replace(make_candidate(name), measures={"f1": value}, by="f1", lower=lower)
        for name, value in figures.items()
    ]
    failed = make_candidate("d", status="failed", loss=None, accuracy=None)
    ranked = sorted(
        [dataclasses.replace(failed, by="f1"), *candidates], key=lambda one: one.rank_key
    )
    assert [one.measures.get("f1") for one in ranked] == [*(figures[one] for one in order), None]
    assert ranked[0].score == (-0.25 if lower else 0.75)
    even = dataclasses.replace(ranked[0], loss=ranked[0].loss - 1)
    assert even.rank_key < ranked[0].rank_key  # the loss breaks ties


def test_a_table_says_by_what_its_candidates_are_ranked(path, provenance, make_candidate):
    with CandidateTable(path) as table:
        table.add(make_candidate("a"), provenance, **BY)
    for by in ("accuracy", "loss"):
        with CandidateTable(path, by=by) as table:
            assert [one.by for one in table.all(provenance)] == [by]


def test_without_accuracy_the_loss_ranks(make_candidate):
    losses = [3.0, 0.5, 2.0, -1.0]
    candidates = [make_candidate(str(loss), loss=loss, accuracy=None) for loss in losses]
    ranked = sorted(candidates, key=lambda one: one.rank_key)
    assert [one.loss for one in ranked] == sorted(losses)
    failed = make_candidate("e", status="failed", loss=None, accuracy=None)
    assert failed.rank_key > ranked[-1].rank_key


def change(path, statement, *values):
    connection = sqlite3.connect(path)
    connection.execute(statement, values)
    connection.commit()
    connection.close()


@pytest.mark.parametrize(
    ("column", "value", "words"),
    [
        ("accuracy", 0.7500001, "was changed since it was scored"),
        ("loss", None, "was changed since it was scored"),
        ("status", "partial", "was changed since it was scored"),
        ("architecture", '{"op":"b"}', "was changed since it was scored"),
        ("digest", "0" * 32, "was changed since it was scored"),
        ("status", "fine", "at status there is 'fine', where 'ok' or 'partial' or 'failed'"),
        ("accuracy", "high", "at accuracy there is 'high', where a number or nothing"),
        ("architecture", b"\xff", "at architecture there is b'.xff', where a text"),
        ("macs", "many", "at macs there is 'many'"),
        ("costs", "{", "Expecting property name"),
        ("costs", '{"energy_mj": "low"}', "at energy_mj there is 'low', where a number"),
    ],
)
def test_a_row_that_was_changed_is_named(path, provenance, make_candidate, column, value, words):
    candidates = [make_candidate(name) for name in "abc"]
    with CandidateTable(path) as table:
        for candidate in candidates:
            table.add(candidate, provenance, **BY)
    change(path, f"UPDATE candidates SET {column} = ? WHERE key = ?", value, candidates[1].key)
    with CandidateTable(path) as table, pytest.raises(DamagedFileError, match=words) as caught:
        table.all(provenance)
    assert f"the candidate '{candidates[1].key}' of {path}" in str(caught.value)
    assert "Delete it and run the same command again" in str(caught.value)
    with CandidateTable(path) as table:
        assert table.get(candidates[0].key, provenance) == candidates[0]


def test_what_others_write_beside_a_candidate_is_no_change(path, provenance, make_candidate):
    failed, scored = (
        make_candidate("a", status="failed", loss=None, accuracy=None),
        make_candidate("a"),
    )
    with CandidateTable(path) as table:
        table.add(failed, provenance, **BY)
        table.add(scored, provenance, **{**BY, "generation": 7})
        table.reprice(dataclasses.replace(scored, costs={"params": 3, "energy_mj": 0.5}))
    change(path, "UPDATE candidates SET searcher = 'me', macs = 5")
    with CandidateTable(path) as table:
        (found,) = table.all(provenance)
    assert (found.status, found.accuracy) == ("ok", 0.75)
    assert found.costs == {"params": 3, "macs": 5, "energy_mj": 0.5}


@pytest.mark.parametrize(
    ("statement", "words"),
    [
        ("CREATE VIEW candidates AS SELECT 1 AS key", "lacks architecture"),
        ("CREATE TABLE candidates AS SELECT * FROM whole.candidates", "no such table"),
    ],
)
def test_what_only_looks_like_the_table_is_recognised(path, tmp_path, statement, words):
    with CandidateTable(tmp_path / "whole.db"):
        pass
    connection = sqlite3.connect(path)
    connection.execute("ATTACH ? AS whole", (str(tmp_path / "whole.db"),))
    connection.execute(statement)
    connection.commit()
    connection.close()
    with pytest.raises(DamagedFileError, match=words):
        CandidateTable(path)


def test_a_table_that_another_programme_holds_is_said_so(
    path, provenance, make_candidate, monkeypatch
):
    connect = sqlite3.connect
    monkeypatch.setattr(sqlite3, "connect", lambda *a, **k: connect(*a, **{**k, "timeout": 0}))
    with CandidateTable(path) as table:
        other = connect(path)
        other.execute("BEGIN EXCLUSIVE")
        with pytest.raises(StorageError, match=r"locked.*close the programme that is using it"):
            table.get("a", provenance)
        other.close()

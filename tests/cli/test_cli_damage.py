"""Files of a finished run, damaged in every way: refused with one message, or without effect."""

from __future__ import annotations

import json
import os
import random
import shutil
import sqlite3
from pathlib import Path

import pytest
from tests.json_changes import WRONG, changed, places

REFUSED = ("damaged", "was changed", "cannot be read", "another run", "by a later supernet")
PICK = ("--pick", "macs <= 60%")


@pytest.fixture
def copy(tmp_path, finished) -> Path:
    shutil.copytree(finished, tmp_path / "copy")
    return tmp_path / "copy"


def refused(result, name):
    code, _, err = result
    assert code == 2, err
    assert name in err
    assert any(words in err for words in REFUSED), err
    assert "Traceback" not in err


@pytest.mark.slow
def test_what_was_changed_by_hand_is_refused_and_shown_with_a_warning(copy, call):
    for name, old, new in (
        ("metrics.json", '"role": "probe"', '"role": "top"'),
        ("config.yaml", "steps: 20", "steps: 10"),
    ):
        file = copy / name
        whole = file.read_text()
        assert old in whole
        file.write_text(whole.replace(old, new))
        refused(call("run", "--out", str(copy)), name)
        code, _, err = call("report", "--run", str(copy))
        assert code == 0
        assert ("warning: metrics.json was changed" in err) == (name == "metrics.json")
        file.write_text(whole)
    assert call("run", "--out", str(copy))[0] == 0


@pytest.mark.slow
def test_a_score_that_was_changed_is_refused_and_the_search_repeats_it(copy, finished, call, read):
    with sqlite3.connect(copy / "candidates.db") as connection:
        connection.execute("UPDATE candidates SET accuracy = 0.99 WHERE rowid = 2")
    connection.close()
    refused(call("export", "--run", str(copy), *PICK), "candidates.db")
    assert "warning: candidates.db was changed" in call("report", "--run", str(copy))[2]
    (copy / "candidates.db").unlink()
    assert call("run", "--out", str(copy))[0] == 0
    assert read[0](copy) == read[0](finished)


@pytest.mark.slow
def test_values_of_other_types(copy, finished, call):
    """With the digest, whatever is changed is refused; without it, what is shown is refused or shown."""
    draws = random.Random(0)
    for name in ("metrics.json", "architecture.json"):
        content = json.loads((finished / name).read_text())
        content.pop("digest", None)
        digest = json.loads((finished / name).read_text()).get("digest")
        found = [(place, new) for place in places(content) if place for new in WRONG]
        for place, new in draws.sample(found, 60):
            mutated = changed(content, place, new)
            (copy / name).write_text(json.dumps(mutated))
            code, _, err = call("report", "--run", str(copy))
            assert code in (0, 2), (place, new, err)
            if digest and mutated != content:
                (copy / name).write_text(json.dumps({**mutated, "digest": digest}))
                refused(call("run", "--out", str(copy)), name)
        shutil.copy(finished / name, copy / name)


@pytest.mark.slow
@pytest.mark.parametrize("name", ["metrics.json", "config.yaml", "supernet.pt", "candidates.db"])
def test_truncated_files_and_flipped_bytes(name, copy, finished, call):
    """What succeeds exports the same network."""
    assert call("export", "--run", str(copy), *PICK)[0] == 0
    exported = next((copy / "exports").glob("*/architecture.json"))
    expected = exported.read_text()
    whole, draws = (finished / name).read_bytes(), random.Random(name)
    for number in range(16):
        damaged = bytearray(whole)
        if number % 4 == 0:
            damaged = damaged[: draws.randrange(len(whole))]
        else:
            damaged[draws.randrange(len(whole))] ^= 1 << draws.randrange(8)
        (copy / name).write_bytes(damaged)
        code, _, err = call("export", "--run", str(copy), *PICK)
        assert code in (0, 2), err
        assert code == 2 or exported.read_text() == expected
        assert call("report", "--run", str(copy))[0] in (0, 2)


@pytest.mark.slow
@pytest.mark.parametrize(
    "name", ["metrics.json", "config.yaml", "supernet.pt", "candidates.db", "log.jsonl"]
)
def test_something_else_than_a_file(name, copy, call):
    for make in (Path.mkdir, os.mkfifo):
        (copy / name).unlink(missing_ok=True)
        make(copy / name)
        for command in ("report", "export"):
            code, _, err = call(command, "--run", str(copy), *(PICK if command == "export" else ()))
            unread = {"supernet.pt": "report", "log.jsonl": "export"}.get(name)
            assert code == (0 if command == unread else code)
            assert code in (0, 1, 2), err
            assert code == 0 or name in err
        (copy / name).rmdir() if make is Path.mkdir else (copy / name).unlink()

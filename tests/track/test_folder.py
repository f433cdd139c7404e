"""The run folder: whole files, logs that are rewound, one process at a time."""

from __future__ import annotations

import json

import pytest

from supernet.errors import DamagedFileError, RunFolderError
from supernet.track import RunFolder


@pytest.fixture
def folder(tmp_path):
    opened = RunFolder(tmp_path / "a" / "run")
    yield opened
    opened.close()


def records(folder):
    return [json.loads(line) for line in folder.log.read_text().splitlines()]


def test_new_folder_has_nothing(folder):
    assert folder.read_config() is None
    assert folder.metrics == {}
    assert not folder.has_results()
    assert folder.checkpoint.load() is None


def test_config_and_metrics_round_trip(folder):
    folder.write_config({"seed": 3, "search": {"constraints": ["macs <= 3"]}})
    assert folder.read_config() == {"seed": 3, "search": {"constraints": ["macs <= 3"]}}
    folder.record("train", {"steps": 1})
    folder.record("search", {"candidates": 2})
    folder.record("train", {"steps": 4})
    assert folder.metrics == {"train": {"steps": 4}, "search": {"candidates": 2}}
    assert folder.has_results()


def test_metrics_refuse_what_is_no_json_number(folder):
    folder.record("train", {"loss": 1.0})
    with pytest.raises(ValueError, match="nan"):
        folder.record("train", {"loss": float("nan")})
    assert folder.metrics == {"train": {"loss": 1.0}}


def test_config_that_would_execute_is_refused(folder, tmp_path):
    folder.config.write_text(f"!!python/object/apply:os.mkdir ['{tmp_path / 'executed'}']")
    with pytest.raises(DamagedFileError, match="config"):
        folder.read_config()
    assert not (tmp_path / "executed").exists()


def test_log_is_rewound_per_stage(folder):
    train, other = folder.stage_log("train"), folder.stage_log("search")
    for step in (5, 10, 15):
        train.write({"step": step, "loss": 1 / step})
    other.write({"step": 12})
    again = folder.stage_log("train")
    again.rewind(10)
    assert [(r["stage"], r["step"]) for r in records(folder)] == [
        ("train", 5),
        ("train", 10),
        ("search", 12),
    ]
    assert again.last["loss"] == 1 / 10


def test_seconds_add_up_over_attempts(folder):
    folder.log.write_text(
        '{"stage": "train", "step": 5, "seconds": 100.0}\n'
        '{"stage": "train", "step": 9, "seconds": 170.0}\n'
    )
    log = folder.stage_log("train")
    log.rewind(5)
    log.write({"step": 6})
    assert 100 <= records(folder)[-1]["seconds"] < 110


def test_torn_and_foreign_lines_are_dropped(folder):
    folder.log.write_text('{"stage": "train", "step": 5}\nnonsense\n[1]\n{"stage": "train", "st')
    log = folder.stage_log("train")
    log.rewind(7)
    log.write({"step": 8})
    assert [r["step"] for r in records(folder)] == [5, 8]


def test_one_process_at_a_time(folder):
    with pytest.raises(RunFolderError, match="another process"):
        RunFolder(folder.path)
    folder.close()
    RunFolder(folder.path).close()
    folder._lock = RunFolder(folder.path)._lock  # for the fixture's close


@pytest.mark.parametrize("name", ["stages/0.pt", "retrain/key.pt", "few_shot/1.pt", "metrics.json"])
def test_what_a_killed_process_left_is_deleted(folder, name):
    file = folder.path / name
    file.parent.mkdir(exist_ok=True)
    file.write_text("{}")
    left = file.with_name(f".{file.name}.123.tmp")
    left.write_text("half")
    folder.clean()
    assert file.exists()
    assert not left.exists()

"""The run folder: whole files, logs that are rewound, one process at a time."""

from __future__ import annotations

import errno
import fcntl
import json
import os
import subprocess
from dataclasses import replace

import pytest

from supernet.errors import DamagedFileError, RunFolderError
from supernet.folders import MARK, folder_kind, write_mark
from supernet.track import RunFolder, write_report
from supernet.track.lock import LOCK, FolderLock
from supernet.track.metrics import Metrics
from supernet.track.sections import FewShotRecord, TrainRecord

NOBODY = 2**30
"""The number of a process that no system has."""


@pytest.fixture
def folder(tmp_path):
    opened = RunFolder(tmp_path / "a" / "run")
    yield opened
    opened.close()


def records(folder):
    return [json.loads(line) for line in folder.log.read_text().splitlines()]


def test_new_folder_has_nothing(folder):
    assert folder.read_config() is None
    assert folder.metrics == Metrics()
    assert not folder.has_results()
    assert folder.checkpoint.load() is None


def test_config_and_metrics_round_trip(folder):
    folder.write_config({"seed": 3, "search": {"constraints": ["macs <= 3"]}})
    assert folder.read_config() == {"seed": 3, "search": {"constraints": ["macs <= 3"]}}
    first, second = (TrainRecord(seconds=1.0, steps=steps, loss=None) for steps in (1, 4))
    folder.record(first)
    folder.record(FewShotRecord(parts=2))
    folder.record(second)
    assert folder.metrics == Metrics(train=second, few_shot=FewShotRecord(parts=2))
    assert folder.has_results()


def test_metrics_refuse_what_is_no_json_number(folder):
    good = TrainRecord(seconds=1.0, steps=1, loss=1.0)
    folder.record(good)
    with pytest.raises(ValueError, match="nan"):
        folder.record(replace(good, loss=float("nan")))
    assert folder.metrics == Metrics(train=good)


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


def test_records_of_another_process_take_the_place_of_those_of_their_stage(folder):
    told = []
    log = folder.stage_log("train")
    for step in (5, 10, 15):
        log.write({"step": step, "loss": 1.0})
    folder.stage_log("search").write({"step": 12})
    new = [{"stage": "train", "seconds": 9.0, "step": step, "loss": 1.0} for step in (5, 7)]
    folder.stage_log("train", told.append).replace(new)
    assert folder.stage_records("train") == new
    assert [(r["stage"], r["step"]) for r in records(folder)] == [
        ("search", 12),
        ("train", 5),
        ("train", 7),
    ]
    assert [one["step"] for one in told] == [7]  # 5 came out the same


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


def test_many_read_while_none_writes(folder):
    with pytest.raises(RunFolderError, match="another process"):
        RunFolder(folder.path, write=False)
    folder.close()
    folder.path.mkdir()
    first, second = (RunFolder(folder.path, write=False) for _ in range(2))
    assert list(folder.path.iterdir()) == []  # reading leaves no trace
    first.close()
    second.close()
    with pytest.raises(RunFolderError, match="no run folder"):
        RunFolder(folder.path / "missing", write=False)


def test_readers_keep_writers_out(folder):
    folder.write_config({})
    folder.close()
    readers = [RunFolder(folder.path, write=False) for _ in range(2)]
    with pytest.raises(RunFolderError, match="another process"):
        RunFolder(folder.path)
    for reader in readers:
        reader.close()
    RunFolder(folder.path).close()


@pytest.mark.parametrize("write", [True, False])
def test_without_locks_of_the_file_system_the_folder_says_so(folder, monkeypatch, write):
    folder.write_config({})
    folder.close()

    def none(*_):
        raise OSError(errno.ENOLCK, "No locks available")

    monkeypatch.setattr("fcntl.flock", none)
    opened = RunFolder(folder.path, write=write)
    assert opened.unlocked == "No locks available"
    opened.close()


def test_a_lock_that_was_removed_meanwhile_is_taken_anew(tmp_path, monkeypatch):
    """Another process, which left no trace, removed the file between its opening and its locking."""
    real, removed = fcntl.flock, []

    def flock(file, kind):
        if not removed:
            removed.append((tmp_path / LOCK).unlink())
        real(file, kind)

    monkeypatch.setattr("fcntl.flock", flock)
    lock = FolderLock(tmp_path, write=True)
    assert removed
    with pytest.raises(RunFolderError, match="another process"):
        FolderLock(tmp_path, write=True)
    lock.close()


@pytest.mark.parametrize("name", ["stages/0.pt", "retrain/key.pt", "few_shot/1.pt", "metrics.json"])
def test_what_a_killed_process_left_is_deleted(folder, name):
    file = folder.path / name
    file.parent.mkdir(exist_ok=True)
    file.write_text("{}")
    left = file.with_name(f".{file.name}.{NOBODY}.supernet-tmp")
    mine = [file.with_name(f".{file.name}.{NOBODY}{end}") for end in (".tmp", ".supernet-tmp.txt")]
    at_work = file.with_name(f".{file.name}.{os.getppid()}.supernet-tmp")
    for one in (left, *mine, at_work):
        one.write_text("half")
    folder.clean()
    assert not left.exists()
    assert all(one.exists() for one in (file, *mine, at_work))


@pytest.mark.parametrize("name", ["config.yaml", "model.pt", "report.html", "retrain/mine.pt"])
def test_files_of_a_stranger_are_left_as_they_are(tmp_path, name):
    file = tmp_path / name
    file.parent.mkdir(exist_ok=True)
    file.write_text("mine")
    with pytest.raises(RunFolderError, match=f"holds {file.relative_to(tmp_path).parts[0]}, which"):
        RunFolder(tmp_path)
    assert [one for one in tmp_path.rglob("*") if one.is_file()] == [file]
    assert file.read_text() == "mine"


def test_other_files_do_not_hinder(tmp_path):
    for name in ("net.py", ".lock"):
        (tmp_path / name).write_text("")
    RunFolder(tmp_path).close()  # nothing came of it, so no trace of it is left
    assert sorted(one.name for one in tmp_path.iterdir()) == [".lock", "net.py"]
    folder = RunFolder(tmp_path)
    folder.write_config({})
    folder.close()
    assert folder_kind(tmp_path) == "run"
    assert RunFolder(tmp_path).read_config() == {}


def test_an_empty_folder_of_the_user_stays_where_nothing_comes_of_it(tmp_path):
    (tmp_path / "mine").mkdir()
    RunFolder(tmp_path / "mine").close()
    RunFolder(tmp_path / "new").close()
    assert [one.name for one in tmp_path.iterdir()] == ["mine"]


def test_a_run_whose_mark_is_lost_is_adopted_as_the_message_says(tmp_path):
    folder = RunFolder(tmp_path / "of mine; and more")
    folder.write_config({"seed": 1})
    folder.record(TrainRecord(seconds=1.0, steps=1, loss=None))
    folder.close()
    (folder.path / MARK).unlink()
    with pytest.raises(RunFolderError, match="write the mark: echo") as refused:
        RunFolder(folder.path)
    subprocess.run(str(refused.value).partition("the mark: ")[2], shell=True, check=True)
    again = RunFolder(folder.path)
    assert again.read_config() == {"seed": 1}
    again.close()


@pytest.mark.parametrize("name", ["stages", "few_shot", "retrain", "exports"])
def test_a_run_is_not_put_where_another_has_its_files(folder, name):
    with pytest.raises(RunFolderError, match="belongs to the run in"):
        RunFolder(folder.path / name)
    RunFolder(folder.path / "inner").close()


def test_files_and_exports_are_no_run_folders(tmp_path):
    (tmp_path / "file").write_text("mine")
    with pytest.raises(RunFolderError, match="no folder"):
        RunFolder(tmp_path / "file")
    write_mark(tmp_path, "export")
    with pytest.raises(RunFolderError, match="holds an export"):
        RunFolder(tmp_path)


def test_finished_stages_are_results(folder):
    folder.stage(0).save({"step": 1})
    assert folder.has_results()


def test_dropping_a_step_leaves_the_users_files_in_its_folder(folder):
    folder.retrained("0123456789abcdef-inherited").save({"step": 1})
    (folder.path / "retrain" / "0123456789abcdef.failed.json").touch()
    mine = [folder.path / "retrain" / f"best of all.{end}" for end in ("failed.json", "pt")]
    for file in mine:
        file.write_text("mine")
    folder.drop_files("retrain")
    assert sorted((folder.path / "retrain").iterdir()) == mine


def test_forgotten_retraining_that_is_killed_half_way_is_repeated(folder, monkeypatch, metrics):
    """The files go first, so that nothing takes what they were for what is there."""
    for file in (folder.architecture, folder.weights):
        file.write_text("{}")
    folder.record(replace(Metrics.from_json(metrics).retrain, steps=0))
    assert folder.complete("retrain")

    def killed(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr("supernet.track.folder.forget_sections", killed)
    with pytest.raises(KeyboardInterrupt):
        folder.forget(["retrain"])
    assert not folder.complete("retrain")


@pytest.mark.parametrize("name", ["log.jsonl", "model.pt", "retrain", "retrain/ab.pt", "exports"])
def test_nothing_is_written_through_links_that_lead_out_of_a_run(tmp_path, name):
    """As in a folder that was received: they could lead to any file of the user."""
    RunFolder(tmp_path / "run").close()
    run = tmp_path / "run"
    (run / name).parent.mkdir(parents=True, exist_ok=True)
    write_mark(run, "run")
    (run / name).symlink_to(tmp_path / "profile")
    for write in (True, False):
        with pytest.raises(RunFolderError, match="outside the folder"):
            RunFolder(run, write=write)
    assert not (tmp_path / "profile").exists()
    (run / name).unlink()
    (run / name).symlink_to(run / "inside")
    (tmp_path / "link").symlink_to(run)
    RunFolder(tmp_path / "link").close()


def test_no_page_is_written_through_a_link_that_leads_out_of_a_run(tmp_path):
    (tmp_path / "log.jsonl").touch()
    write_mark(tmp_path, "run")
    (tmp_path / "report.html").symlink_to(tmp_path.parent / "profile")
    with pytest.raises(RunFolderError, match="outside the folder"):
        write_report(tmp_path)
    assert not (tmp_path.parent / "profile").exists()

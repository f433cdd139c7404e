"""Every record reaches the hook once, whatever hooks do, and none changes a run."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

from supernet.cli import main
from supernet.errors import ConfigError
from supernet.loggers import Logger
from supernet.track import RunFolder


class Kept(Logger):
    """Keeps what it is given, in lists of the class, since each run makes an object."""

    records: list = []  # noqa: RUF012
    calls: list = []  # noqa: RUF012
    known: str | None = "my run"

    def __init__(self, project: str = "mine"):
        self.project = project

    def start(self, folder, options, before):
        self.calls.append(("start", folder.name, options["train"]["steps"], before))
        return self.known

    def log(self, record, step):
        self.records.append((record, step))

    def close(self, *, failed):
        self.calls.append(("close", failed))


@pytest.fixture(autouse=True)
def _nothing_kept():
    Kept.records.clear()
    Kept.calls.clear()


KEPT = {"logger": f"{__name__}.Kept"}


def stages(records):
    return [record["stage"].partition("-")[0] for record, _ in records]


def log_lines(out):
    lines = (out / "log.jsonl").read_text().splitlines()
    return [json.loads(line) for line in lines]


def test_records_are_those_of_the_log_candidates_networks_and_the_test(search, tmp_path):
    given = []
    result = search(tmp_path / "run", on_record=lambda record, step: given.append((record, step)))
    assert all(record["step"] == step for record, step in given)
    written = log_lines(result.folder)
    of_log = {one["stage"] for one in written}
    assert [record for record, _ in given if record["stage"] in of_log] == written
    candidates = [record for record, _ in given if record["stage"] == "candidates"]
    assert [one["step"] for one in candidates] == list(range(1, 7))
    assert all(one["status"] == "ok" and one["loss"] > 0 < one["macs"] for one in candidates)
    assert {json.loads(one["architecture"])["a"] for one in candidates} == {"linear", "relu"}
    retrained = [record for record, _ in given if record["stage"] == "retrained"]
    rows = result.metrics["retrain"]["candidates"]
    assert [one["key"] for one in retrained] == [one["key"] for one in rows]
    assert retrained[0]["validation.loss"] == rows[0]["validation"]["loss"]
    (tested,) = [record for record, _ in given if record["stage"] == "test"]
    assert tested["chosen.accuracy"] == result.metrics["test"]["chosen"]["accuracy"]
    assert given[-1][0] is tested
    order = list(dict.fromkeys(stages(given)))
    assert order == ["train", "candidates", "search", "retrain", "retrained", "test"]


def test_neither_hooks_nor_loggers_change_a_run_and_done_steps_send_nothing(
    search, contents, tmp_path
):
    def spoil(record, step):
        record.clear()

    plain, logged = tmp_path / "plain", tmp_path / "logged"
    search(plain)
    search(logged, options=KEPT, on_record=spoil)
    assert contents(logged) == contents(plain)
    assert stages(Kept.records)[-1] == "test"
    assert Kept.calls == [("start", "logs", 12, None), ("close", False)]
    Kept.records.clear()
    given = []
    before = contents(plain)
    for options in (KEPT, {**KEPT, "logger.project": "other"}, {"logger": None}):
        search(plain, options=options, on_record=lambda record, step: given.append(record))
    assert (Kept.records, given, len(Kept.calls)) == ([], [], 2)
    assert contents(plain) == before


def test_a_resumed_run_goes_on_where_it_is_logged_and_sends_nothing_twice(search, tmp_path):
    def stop_at(number):
        def hook(record, step):
            if record["stage"] == "train" and step == number:
                raise KeyboardInterrupt

        return hook

    out = tmp_path / "run"
    for number in (4, 8):
        with pytest.raises(KeyboardInterrupt):
            search(out, options=KEPT, on_record=stop_at(number))
    assert Kept.calls[:2] == [("start", "logs", 12, None), ("close", True)]
    search(out, options=KEPT)
    assert Kept.calls[-2:] == [("start", "logs", 12, "my run"), ("close", False)]
    steps = [step for record, step in Kept.records if record["stage"] == "train"]
    assert steps == [2, 4, 6, 8, 10, 12]
    assert [one["step"] for one in log_lines(out) if one["stage"] == "train"] == [
        2,
        4,
        6,
        8,
        10,
        12,
    ]
    search(tmp_path / "other", options={**KEPT, "logger.project": "other"})
    assert Kept.calls[-2] == ("start", "logs", 12, None)


def test_what_comes_out_otherwise_than_before_is_sent_again(tmp_path):
    told = []
    folder = RunFolder(tmp_path / "run")
    for value in (1.0, 1.0, 2.0):
        log = folder.stage_log("train", told.append)
        log.rewind(0)
        log.write({"step": 1, "loss": value, "images_per_second": 10 * value})
        log.write({"step": 2, "loss": 5.0, "images_per_second": 1.0})
    folder.close()
    assert [(one["step"], one["loss"]) for one in told] == [(1, 1.0), (2, 5.0), (1, 2.0)]


def test_a_new_logger_on_an_old_run_is_told_what_is_new(search, tmp_path):
    out = tmp_path / "run"
    search(out)
    search(out, options={**KEPT, "retrain.train.steps": 6})
    assert set(stages(Kept.records)) == {"retrain", "retrained", "test"}


def test_a_hook_that_raises_is_said_once_and_the_run_goes_on(search, tmp_path, capfd):
    given = []

    def hook(record, step):
        given.append(record)
        if record["stage"] != "test":
            raise ValueError("no room left")

    result = search(tmp_path / "run", on_record=hook)
    assert given[-1]["stage"] == "test"
    said = capfd.readouterr().err
    assert said.count("ValueError: no room left") == 1
    assert "on_record, at step 2 of train: ValueError: no room left in " in said
    assert "test_hooks.py:" in said
    assert f"on_record raised at {len(given) - 1} records" in said
    assert result.metrics["test"]["chosen"]["accuracy"] > 0


class Bad(Kept):
    """Raises at a moment of one's choice."""

    def __init__(self, at: str):
        super().__init__()
        self.at = at

    def start(self, folder, options, before):
        if self.at == "start":
            raise ConnectionError("the server is away")

    def close(self, *, failed):
        raise ConnectionError("the server went away")


def test_a_logger_that_cannot_be_started_ends_the_run_before_any_training(search, tmp_path, capfd):
    out = tmp_path / "run"
    bad = {"logger": f"{__name__}.Bad", "logger.at": "start"}
    with pytest.raises(Exception, match="starting the logger Bad: ConnectionError: the server is"):
        search(out, options=bad)
    assert not (out / "supernet.pt").exists()
    search(out, options={**bad, "logger.at": "end"})
    assert "closing the logger Bad: ConnectionError: the server went away" in capfd.readouterr().err
    assert (out / "model.pt").exists()


def test_a_failed_run_is_closed_as_one(search, tmp_path):
    Kept.known = None
    try:
        with pytest.raises(Exception, match="learning rate"):
            search(
                tmp_path / "run", options={**KEPT, "train.optimizer.lr": 1e30, "train.clip": None}
            )
    finally:
        Kept.known = "my run"
    assert Kept.calls[-1] == ("close", True)
    assert not (tmp_path / "run" / "logger.json").exists()


def test_commands_that_only_read_start_no_logger(search, tmp_path, capsys):
    out = tmp_path / "run"
    result = search(out, options=KEPT)
    started = len(Kept.calls)
    result.export_networks()
    assert main(["report", "--run", str(out)]) == 0
    assert len(Kept.calls) == started


def test_a_hook_is_a_function(search, tmp_path):
    with pytest.raises(
        ConfigError, match=r"on_record is a function on_record\(record, step\), not 3"
    ):
        search(tmp_path / "run", on_record=3)
    assert not (tmp_path / "run").exists()


def test_nothing_of_a_logger_is_imported_before_it_is_asked_for():
    code = (
        "import sys, supernet.pipeline, supernet.parser, supernet.loggers\n"
        "supernet.parser.parse('x', ['--logger=tensorboard'])\n"
        "services = {'tensorboard', 'mlflow', 'wandb', 'trackio'}\n"
        "assert not services & {name.partition('.')[0] for name in sys.modules}\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True)

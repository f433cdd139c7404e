"""A profile says where time and memory went, and changes no bit."""

from __future__ import annotations

import json

import pytest
import torch

from supernet.cli import main
from supernet.errors import ConfigError, DamagedFileError
from supernet.pipeline import Profiler
from supernet.track import profile_tables
from supernet.track.profile import PARTS, read_profile


def test_a_profiled_run_has_the_same_bits_and_says_where_time_went(search, contents, tmp_path):
    plain, measured = tmp_path / "plain", tmp_path / "measured"
    search(plain)
    profiler = Profiler(trace=3)
    search(measured, profiler=profiler)
    assert contents(measured) == contents(plain)
    assert not (plain / "profile.json").exists()
    found = read_profile(measured / "profile.json")
    assert found == profiler.record
    assert [one.step for one in found.steps] == [
        *("load", "train", "search", "retrain", "test", "report")
    ]
    train, retrain = found.trainings
    assert (train.stage, train.trainings, train.steps) == ("train", 1, 12)
    assert (retrain.stage, retrain.trainings, retrain.steps) == ("retrain", 3, 12)
    for training in found.trainings:
        assert set(training.seconds) == set(PARTS)
        of_step = {one.step: one.seconds for one in found.steps}[training.stage]
        assert 0 < sum(training.seconds.values()) <= of_step
        assert min(training.seconds.values()) > 0
    memory = [one.memory for one in found.steps]
    assert memory == sorted(memory)
    assert memory[0] > 2**20
    assert {one.accelerator for one in found.steps} == (
        {None} if found.device == "cpu" else {one.accelerator for one in found.steps}
    )
    events = json.loads((measured / "trace.json").read_text())["traceEvents"]
    steps = {one["name"] for one in events if one["name"].startswith("ProfilerStep")}
    assert steps == {"ProfilerStep#1", "ProfilerStep#2", "ProfilerStep#3"}
    assert any(one["name"] == "aten::addmm" for one in events)
    assert not list(measured.glob(".*tmp"))
    steps, parts = profile_tables(found)
    assert (steps.row_count, parts.row_count) == (6, 2)


def test_a_profile_is_of_one_call_and_of_what_it_did(search, tmp_path, monkeypatch, capsys):
    out = tmp_path / "run"
    search(out, options={"train.steps": 2, "train.log_every": 1})
    profiler = Profiler(trace=2)
    changed = {"train.steps": 2, "train.log_every": 1, "retrain.train.steps": 5}
    search(out, options=changed, profiler=profiler)
    assert [one.step for one in profiler.record.steps] == ["load", "retrain", "test", "report"]
    assert [one.stage for one in profiler.record.trainings] == ["retrain"]
    assert (out / "trace.json").exists()
    file = out / "profile.json"
    file.write_text(file.read_text().replace('"step": "load"', '"step": "lost"'))
    with pytest.raises(DamagedFileError, match="it decides nothing"):
        read_profile(file)


def test_only_the_outermost_training_is_traced_and_one_without_steps_is_passed_over(tmp_path):
    profiler, trace = Profiler(trace=1), tmp_path / "trace.json"
    with profiler.measured_training("empty", trace):
        pass
    assert not trace.exists()
    with profiler.measured_training("train", trace) as mark:
        with profiler.measured_training("watch-a", trace) as inner:
            inner("start")
        mark("start")
        for _ in range(3):
            torch.zeros(2) + 1
            mark("optimizer")
    names = {one["name"] for one in json.loads(trace.read_text())["traceEvents"]}
    assert {"ProfilerStep#1", "aten::add"} <= names
    trace.unlink()
    with profiler.measured_training("retrain-a", trace) as mark:
        mark("optimizer")
    assert not trace.exists()


def test_bounds_of_a_trace():
    with pytest.raises(ConfigError, match=r"training steps up to 1,000, not 1001"):
        Profiler(1001)


@pytest.mark.parametrize("option", ["--profile", "--profile.trace=2"])
def test_the_command_line_prints_it(tmp_path, capsys, option):
    out = tmp_path / "run"
    tiny = ["--model.channels=2", "--model.blocks=1", "--model.groups=[1]", "--split.limit=100"]
    arguments = ["train", "--run", str(out), option, *tiny, "--train.steps=3"]
    assert main(arguments) == 0
    shown = capsys.readouterr().out
    assert "peak memory" in shown
    assert "optimizer" in shown
    assert read_profile(out / "profile.json").trainings[0].steps == 3
    assert (out / "trace.json").exists() == option.startswith("--profile.trace")
    assert "profile" not in (out / "config.yaml").read_text()

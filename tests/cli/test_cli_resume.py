"""A run killed with SIGKILL at any moment and started again ends with the same bits."""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest


def _logged(stage: str, step: int) -> Callable[[Path], bool]:
    """The stage has logged this step."""

    def reached(folder: Path) -> bool:
        try:
            lines = (folder / "log.jsonl").read_text().splitlines()
        except FileNotFoundError:
            return False
        records = [json.loads(line) for line in lines if line.endswith("}")]
        return any(r["stage"].startswith(stage) and r["step"] >= step for r in records)

    return reached


def _exists(name: str) -> Callable[[Path], bool]:
    return lambda folder: (folder / name).exists()


def _recorded(stage: str) -> Callable[[Path], bool]:
    def reached(folder: Path) -> bool:
        file = folder / "metrics.json"
        return file.exists() and stage in json.loads(file.read_text())

    return reached


MOMENTS = {
    "before the first step": _exists("config.yaml"),
    "early in training": _logged("train", 5),
    "late in training": _logged("train", 25),
    "when training is recorded": _recorded("train"),
    "in the search": _logged("search", 2),
    "when the search is recorded": _recorded("search"),
    "early in retraining": _logged("retrain", 5),
    "when a model is written": _exists("model.pt"),
    "when retraining is recorded": _recorded("retrain"),
    "when the test is recorded": _recorded("test"),
}


def _start(out: Path, options: list[str]) -> subprocess.Popen:
    command = [sys.executable, "-m", "supernet", "run", "--out", str(out), *options]
    return subprocess.Popen(
        command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, start_new_session=True
    )


def _kill(process: subprocess.Popen) -> None:
    os.killpg(process.pid, signal.SIGKILL)
    process.communicate()


def _finish(out: Path, options: list[str]) -> None:
    process = _start(out, options)
    _, err = process.communicate(timeout=300)
    assert process.returncode == 0, err.decode()


def _same(out: Path, finished: Path, read) -> None:
    candidates, metrics = read
    assert (out / "supernet.pt").read_bytes() == (finished / "supernet.pt").read_bytes()
    assert (out / "model.pt").read_bytes() == (finished / "model.pt").read_bytes()
    assert (out / "architecture.json").read_bytes() == (finished / "architecture.json").read_bytes()
    assert candidates(out) == candidates(finished)
    assert metrics(out) == metrics(finished)


@pytest.mark.slow
def test_a_training_that_is_killed_goes_on_to_the_same_bits(tmp_path, call, tiny):
    """The quick tests interrupt within one process; others here kill every step, and more than once."""
    whole, out = tmp_path / "whole", tmp_path / "killed"
    tiny += ["--train.steps=15"]
    assert call("train", "--out", str(whole), *tiny)[0] == 0
    process, reached = _start(out, tiny), _logged("train", 5)
    while process.poll() is None and not reached(out):
        time.sleep(0.002)
    assert process.poll() is None, "the run ended before it could be killed"
    _kill(process)
    assert call("train", "--out", str(out), *tiny)[0] == 0
    assert (out / "supernet.pt").read_bytes() == (whole / "supernet.pt").read_bytes()


@pytest.mark.slow
@pytest.mark.parametrize("moment", MOMENTS)
def test_killed_once(moment, tmp_path, finished, tiny, read):
    out, reached = tmp_path / "run", MOMENTS[moment]
    process = _start(out, tiny)
    while process.poll() is None and not reached(out):
        time.sleep(0.002)
    assert process.poll() is None, "the run ended before it could be killed"
    _kill(process)
    _finish(out, tiny)
    _same(out, finished, read)


DECOUPLED = {
    "few-shot and a race": ["--few_shot.decision=layer1", "--evaluate.race=0.3"],
    "inherited weights": ["--retrain.weights=both"],
    "NSGA-II": ["--search.searcher=nsga2", "--search.searcher.generations=5"],
    "RandomNAS": ["--search.searcher=randomnas", "--search.searcher.count=20"],
}
"""Runs that differ from the tiny one in what can be interrupted."""


@pytest.mark.slow
@pytest.mark.parametrize("kind", DECOUPLED)
def test_other_steps_and_searchers_killed_again_and_again(kind, tmp_path, read):
    options = [
        "--model=nasbench-macro",
        "--model.channels=2",
        "--model.features=8",
        "--strategy=fairnas",
        "--split.limit=300",
        "--train.steps=20",
        "--train.log_every=4",
        "--train.checkpoint_seconds=0",
        "--few_shot.train.steps=12",
        "--few_shot.train.log_every=3",
        "--few_shot.train.checkpoint_seconds=0",
        "--evaluate.batch_size=16",
        "--search.searcher=exhaustive",
        "--model.stages=[2,2]",
        "--retrain.top=2",
        "--retrain.train.steps=12",
        "--retrain.train.log_every=3",
        "--retrain.train.checkpoint_seconds=0",
        *DECOUPLED[kind],
    ]
    whole, out, draws = tmp_path / "whole", tmp_path / "run", random.Random(kind)
    _finish(whole, options)
    for _ in range(10):
        process = _start(out, options)
        try:
            process.communicate(timeout=draws.uniform(2.0, 6.0))
            break
        except subprocess.TimeoutExpired:
            _kill(process)
    _finish(out, options)
    _same(out, whole, read)
    for part in (whole / "few_shot").glob("*.pt"):
        assert (out / "few_shot" / part.name).read_bytes() == part.read_bytes()


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(4))
def test_killed_again_and_again(seed, tmp_path, finished, tiny, read):
    """Killed after random times until it gets through."""
    out, draws = tmp_path / "run", random.Random(seed)
    kills = 0
    while True:
        process = _start(out, tiny)
        try:
            process.communicate(timeout=draws.uniform(1.0, 4.0))
        except subprocess.TimeoutExpired:
            _kill(process)
            kills += 1
            if kills < 12:
                continue
            _finish(out, tiny)
        break
    _same(out, finished, read)

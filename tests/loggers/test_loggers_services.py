"""Each service receives the records, without a network; real packages, where they are installed."""

from __future__ import annotations

import json
import sqlite3
import subprocess
import sys
from importlib.util import find_spec

import pytest

from supernet.errors import ConfigError
from supernet.loggers import LOGGERS, MLflow, TensorBoard, Trackio, WandB, numbers

RECORDS = [
    {"stage": "train", "step": 20, "loss": 1.5, "key": "text", "none": None, "yes": True},
    {"stage": "train", "step": 40, "loss": 0.5},
    {"stage": "test", "step": 1, "chosen.accuracy": 0.75},
]
OPTIONS = {"seed": 3, "train": {"steps": 40}}

CODE = """
import sys, json
from pathlib import Path
from supernet import loggers
logger = getattr(loggers, sys.argv[1])(**json.loads(sys.argv[2]))
before = None
for records in json.loads(sys.argv[3]):
    before = logger.start(Path("logs"), json.loads(sys.argv[4]), before)
    for record in records:
        logger.log(record, record["step"])
    logger.close(failed=False)
assert not sys.stdout.isatty()
Path("before").write_text(str(before))
"""


@pytest.fixture
def send(tmp_path, monkeypatch):
    """Return a function that has a logger take the records in two attempts, in a process of its own.

    Services start threads and processes, and warn as they please.
    """
    monkeypatch.chdir(tmp_path)
    for name, value in {
        "WANDB_MODE": "offline",
        "WANDB_DIR": str(tmp_path),
        "TRACKIO_DIR": str(tmp_path / "trackio"),
        "HOME": str(tmp_path),
    }.items():
        monkeypatch.setenv(name, value)

    def run(kind, package, **options):
        if find_spec(package) is None:
            pytest.skip(f"{package} is not installed")
        attempts = json.dumps([RECORDS[:1], RECORDS[1:]])
        command = [sys.executable, "-c", CODE, kind.__name__, json.dumps(options), attempts]
        done = subprocess.run([*command, json.dumps(OPTIONS)], capture_output=True, text=True)
        assert done.returncode == 0, done.stderr
        assert done.stdout == ""  # which is the command's
        return (tmp_path / "before").read_text()

    return run


def test_numbers_of_a_record_are_curves_by_stage():
    assert numbers(RECORDS[0]) == {"train/loss": 1.5}
    assert numbers(RECORDS[2]) == {"test/chosen.accuracy": 0.75}


@pytest.mark.parametrize("folder", ["logs", "elsewhere"])
def test_tensorboard(send, tmp_path, folder):
    send(TensorBoard, "tensorboard", **({} if folder == "logs" else {"folder": folder}))
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    read = EventAccumulator(str(tmp_path / folder)).Reload()
    found = {
        name: [(one.step, one.value) for one in read.Scalars(name)]
        for name in read.Tags()["scalars"]
    }
    assert found == {"train/loss": [(20, 1.5), (40, 0.5)], "test/chosen.accuracy": [(1, 0.75)]}


def test_mlflow(send, tmp_path):
    run = send(MLflow, "mlflow", uri=f"sqlite:///{tmp_path / 'runs.db'}", experiment="mine")
    with sqlite3.connect(tmp_path / "runs.db") as stored:
        rows = stored.execute("SELECT key, step, value, run_uuid FROM metrics ORDER BY key, step")
        assert rows.fetchall() == [
            ("test/chosen.accuracy", 1, 0.75, run),
            ("train/loss", 20, 1.5, run),
            ("train/loss", 40, 0.5, run),
        ]
        assert stored.execute("SELECT status FROM runs").fetchall() == [("FINISHED",)]
        assert ("mine",) in stored.execute("SELECT name FROM experiments").fetchall()
    (config,) = (tmp_path / "mlruns").rglob("config.json")
    assert json.loads(config.read_text()) == OPTIONS


def test_wandb(send, tmp_path):
    run = send(WandB, "wandb", project="mine")
    files = sorted((tmp_path / "logs" / "wandb").glob(f"offline-run-*-{run}/run-{run}.wandb"))
    assert len(files) == 2  # attempts of one run, which `wandb sync` puts together
    first, second = (file.read_bytes() for file in files)
    assert b"train/loss" in first
    assert b"test/chosen.accuracy" in second
    assert b"mine" in first


def test_trackio(send, tmp_path):
    run = send(Trackio, "trackio", project="mine")
    with sqlite3.connect(tmp_path / "trackio" / "mine.db") as stored:
        rows = stored.execute("SELECT run_name, step, metrics FROM metrics ORDER BY id").fetchall()
    assert [(name, step, json.loads(metrics)) for name, step, metrics in rows] == [
        (run, 20, {"train/loss": 1.5}),
        (run, 40, {"train/loss": 0.5}),
        (run, 1, {"test/chosen.accuracy": 0.75}),
    ]


@pytest.mark.parametrize("name", LOGGERS)
def test_what_is_not_installed_is_named_with_its_extra(tmp_path, monkeypatch, name):
    module, _, kind = LOGGERS[name].rpartition(".")
    logger = getattr(sys.modules[module], kind)()
    (tmp_path / name).mkdir()  # as services leave in the working directory
    monkeypatch.setattr("sys.path", [str(tmp_path)])
    monkeypatch.setattr("sys.meta_path", sys.meta_path[:])
    for loaded in [one for one in sys.modules if one.partition(".")[0] == name]:
        monkeypatch.delitem(sys.modules, loaded)
    wanted = rf"--logger {name} needs the package {name}, .*pip install 'supernet\[{name}\]'"
    with pytest.raises(ConfigError, match=wanted):
        logger.start(tmp_path / "logs", {}, None)

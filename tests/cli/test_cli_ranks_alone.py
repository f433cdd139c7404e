"""Two processes share out the networks that are trained alone, and refuse what they do not share."""

import json
import shutil
import signal
import subprocess
import sys
import time

import pytest
from test_cli_ranks import alone, free_port, started

pytestmark = pytest.mark.slow

MODULE = '''
import os

import torch
from torch import nn

import supernet as sn
from supernet.data import Digits, Raw


class Fails(nn.Conv2d):
    """A convolution that cannot be trained any more once the environment says so."""

    def forward(self, x):
        if os.environ.get("FAILS") and torch.is_grad_enabled():
            raise ValueError("it cannot be trained")
        return super().forward(x)


class Net(nn.Module):
    def __init__(self):
        super().__init__()
        ops = {"a": nn.Conv2d(1, 4, 3, padding=1), "b": nn.Conv2d(1, 4, 1)}
        self.first = sn.Choice({**ops, "f": Fails(1, 4, 5, padding=2)})
        self.norm = nn.BatchNorm2d(4)
        ops = {"c": nn.Conv2d(4, 8, 3, padding=1), "d": nn.Conv2d(4, 8, 1)}
        self.second = sn.Choice({**ops, "e": nn.Conv2d(4, 8, 5, padding=2)})
        self.head = nn.Linear(8, 10)

    def forward(self, images):
        x = self.second(self.norm(self.first(images)).relu())
        return self.head(x.mean((2, 3)) * FACTOR)


class Data(Digits):
    def load(self):
        raw = super().load()
        if os.environ.get("OTHER"):
            raw.train.targets[0] = (raw.train.targets[0] + 1) % 10
        return raw


FACTOR = 1.0
'''
TRAIN = ["--model", "mine.Net", "--data", "mine.Data", "--strategy", "spos", "--train.steps", "12"]
TRAIN += ["--search.searcher", "exhaustive"]
RETRAIN = ["--retrain.top", "4", "--retrain.baselines", "2", "--retrain.train.steps", "40"]
RETRAIN += ["--retrain.train.log_every", "5", "--retrain.train.checkpoint_seconds", "0"]


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    """A folder with the module, and a run in it whose search has ended."""
    folder = tmp_path_factory.mktemp("place")
    (folder / "mine.py").write_text(MODULE)
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        alone(folder / "searched", ["train", *TRAIN])
        alone(folder / "searched", ["search", *RETRAIN])
    return folder


@pytest.fixture
def here(place, tmp_path, monkeypatch):
    """The same, copied for a test that works there."""
    shutil.copytree(place, tmp_path / "place")
    monkeypatch.chdir(tmp_path / "place")
    return tmp_path / "place"


def together(folder, arguments, **environment):
    port = free_port()
    pair = [started(folder, port, rank, arguments, **environment) for rank in range(2)]
    said = [one.communicate(timeout=300)[0] for one in pair]
    assert [one.returncode for one in pair] == [0, 0], said
    return said


def timeless(value):
    """Return plain data without seconds."""
    if isinstance(value, dict):
        return {
            k: timeless(one)
            for k, one in value.items()
            if "seconds" not in k and "per_second" not in k
        }
    return [timeless(one) for one in value] if isinstance(value, list) else value


def retrained(folder):
    """Return what retraining left: bytes of files, what is recorded, and the log by stage."""
    files = {file.name: file.read_bytes() for file in sorted((folder / "retrain").iterdir())}
    record = json.loads((folder / "metrics.json").read_text())["retrain"]
    log = {}
    for line in (folder / "log.jsonl").read_text().splitlines():
        one = timeless(json.loads(line))
        log.setdefault(one["stage"], []).append(one)
    return files, timeless(record), log


def begun(folder):
    return [one for one in folder.glob("retrain/*.pt") if "previous" not in one.name]


def test_networks_are_trained_one_by_each_process_to_the_bits_of_one(here):
    shutil.copytree("searched", "two")
    alone("searched", ["retrain", "--trust"])
    said = together("two", ["retrain", "--trust"])
    assert "done by process 1" in said[0]
    one, two = retrained(here / "searched"), retrained(here / "two")
    assert len(one[0]) == 6
    assert two == one
    # What follows reads networks that another process trained.
    alone("searched", ["test", "--trust"])
    together("two", ["test"])  # which was trusted before, and so its copies
    tests = [
        json.loads((here / name / "metrics.json").read_text())["test"]
        for name in ("searched", "two")
    ]
    assert timeless(tests[0]) == timeless(tests[1])


def test_what_another_process_had_trained_is_not_lost(here):
    shutil.copytree("searched", "two")
    alone("searched", ["retrain", "--trust"])
    port = free_port()
    pair = [started("two", port, rank, ["retrain", "--trust"]) for rank in range(2)]
    until = time.monotonic() + 100
    while len(begun(here / "two")) < 2 and time.monotonic() < until:
        time.sleep(0.01)
    for one in pair:
        one.send_signal(signal.SIGKILL)
        one.communicate(timeout=300)
    assert len(begun(here / "two")) >= 2
    together("two", ["retrain", "--trust"])
    one, two = retrained(here / "searched"), retrained(here / "two")
    assert (two[0], two[1]) == (one[0], one[1])
    assert two[2].keys() == one[2].keys()


def test_a_network_that_fails_in_one_process_is_a_failed_network(here, monkeypatch):
    shutil.copytree("searched", "two")
    monkeypatch.setenv("FAILS", "1")
    # All candidates, so that none takes the place of another, which both would train together.
    arguments = ["retrain", "--trust", "--retrain.top", "9"]
    alone("searched", ["search", *arguments[1:]])
    alone("searched", arguments)
    together("two", ["search", *arguments[1:]])
    said = together("two", arguments)
    one, two = retrained(here / "searched"), retrained(here / "two")
    assert len(one[1]["failed"]) == 3
    assert all("it cannot be trained" in failed["error"] for failed in one[1]["failed"])
    assert two == one
    assert said[0].count("failed: ") == 3


def test_probes_are_trained_one_by_each_process(here):
    arguments = ["rank", "--probes", "4", "--twice", "1", "--training_free", "none", "--trust"]
    shutil.copytree("searched", "two")
    alone("searched", arguments)
    said = together("two", arguments)
    assert "done by process 1" in said[0]
    assert "ranking: two/ranking.json" in said[0]
    rankings = [
        json.loads((here / name / "ranking.json").read_text()) for name in ("searched", "two")
    ]
    for one in rankings:
        one.pop("digest", None)
    assert timeless(rankings[0]) == timeless(rankings[1])
    probes = [sorted((here / name / "probes").iterdir()) for name in ("searched", "two")]
    assert [one.read_bytes() for one in probes[0]] == [one.read_bytes() for one in probes[1]]


@pytest.mark.parametrize("command", ["latency", "export", "report", "zoo", "doctor"])
def test_what_one_process_does_is_refused_to_several(here, command):
    arguments = ["doctor", "mine.Net"] if command == "doctor" else [command]
    found = subprocess.run(
        [
            sys.executable,
            "-m",
            "torch.distributed.run",
            "--nproc-per-node",
            "2",
            "-m",
            "supernet",
            *arguments,
        ],
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert found.returncode != 0
    assert (
        f"supernet {command}: this is done by one process, and torchrun started 2" in found.stderr
    )


@pytest.mark.parametrize(
    ("what", "said"),
    [
        ("code", "process 1 differs from process 0 in the code of the model"),
        ("data", "process 1 differs from process 0 in the examples or the shapes of the model"),
    ],
)
def test_processes_with_other_code_or_data_are_refused(here, tmp_path, monkeypatch, what, said):
    other = tmp_path / "other"
    other.mkdir()
    changed = MODULE.replace("* FACTOR", "+ FACTOR - FACTOR") if what == "code" else MODULE
    (other / "mine.py").write_text(changed)
    environment = {"OTHER": "1"} if what == "data" else {}
    port, pair = free_port(), []
    for rank, folder in enumerate((here, other)):
        monkeypatch.chdir(folder)
        pair.append(
            started(
                tmp_path / "run", port, rank, ["train", *TRAIN], **(environment if rank else {})
            )
        )
    found = [one.communicate(timeout=300)[0] for one in pair]
    assert [one.returncode for one in pair] == [2, 2], found
    assert all(said in one for one in found)
    assert not (tmp_path / "run" / "supernet.pt").exists()


def test_torchrun_starts_again_after_a_process_was_killed_and_ends_with_the_same_bits(here):
    options = ["--nproc-per-node", "2", "--max-restarts", "1", "-m", "supernet", "train", *TRAIN]
    options += ["--train.steps", "120", "--train.log_every", "5", "--train.checkpoint_seconds", "0"]

    def start(name):
        return subprocess.Popen(
            [
                sys.executable,
                "-m",
                "torch.distributed.run",
                "--rdzv-backend",
                "c10d",
                "--rdzv-endpoint",
                "127.0.0.1:0",
                *options,
                "--out",
                name,
            ],
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )

    whole = start("whole")
    said = whole.communicate(timeout=300)[0]
    assert whole.returncode == 0, said
    cut = start("cut")
    until = time.monotonic() + 100
    while not (here / "cut" / "supernet.previous.pt").exists() and time.monotonic() < until:
        time.sleep(0.01)
    children = subprocess.run(["pgrep", "-P", str(cut.pid)], capture_output=True, text=True)
    subprocess.run(["kill", "-9", children.stdout.split()[-1]], check=True)
    said = cut.communicate(timeout=300)[0]
    assert cut.returncode == 0, said
    assert "exitcode: -9" in said
    assert (here / "cut" / "supernet.pt").read_bytes() == (
        here / "whole" / "supernet.pt"
    ).read_bytes()

"""Runs by two processes, as `torchrun` starts them."""

import os
import re
import shutil
import signal
import socket
import sqlite3
import subprocess
import sys
import time

import pytest

pytestmark = pytest.mark.slow

SHORT = ["--strategy", "spos", "--train.steps", "30", "--search.searcher.count", "12"]
SHORT += ["--retrain.train.steps", "10", "--retrain.top", "1"]


def free_port():
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return one.getsockname()[1]


def started(folder, port, rank, arguments, **environment):
    """Start a process as `torchrun` does, each with an output of its own."""
    address = {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port), "WORLD_SIZE": "2"}
    return subprocess.Popen(
        [sys.executable, "-m", "supernet", *arguments, "--out", str(folder)],
        env={**os.environ, "OMP_NUM_THREADS": "1", **address, "RANK": str(rank), **environment},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


def alone(folder, arguments):
    subprocess.run(
        [sys.executable, "-m", "supernet", *arguments, "--out", str(folder)],
        env={**os.environ, "OMP_NUM_THREADS": "1"},
        check=True,
        capture_output=True,
    )


def candidates(folder):
    with sqlite3.connect(folder / "candidates.db") as connection:
        return connection.execute(
            "SELECT key, loss, accuracy FROM candidates ORDER BY key"
        ).fetchall()


def test_two_processes_score_as_one_does_to_the_bit(tmp_path):
    alone(tmp_path / "one", ["train", *SHORT])
    shutil.copytree(tmp_path / "one", tmp_path / "two")
    alone(tmp_path / "one", ["search"])
    port = free_port()
    pair = [started(tmp_path / "two", port, rank, ["search"]) for rank in range(2)]
    said = [one.communicate(timeout=200)[0] for one in pair]
    assert [one.returncode for one in pair] == [0, 0], said
    assert len(candidates(tmp_path / "one")) == 12
    assert candidates(tmp_path / "two") == candidates(tmp_path / "one")


def test_a_whole_run_is_said_once(tmp_path):
    port = free_port()
    pair = [started(tmp_path / "run", port, rank, ["run", *SHORT]) for rank in range(2)]
    said = [one.communicate(timeout=300)[0] for one in pair]
    assert [one.returncode for one in pair] == [0, 0], said
    assert "chosen" in said[0]
    assert said[1] == ""
    assert (tmp_path / "run" / "report.html").exists()
    content = (tmp_path / "run" / "supernet.pt").read_bytes()
    # One process goes on with what two made, and finds nothing to do.
    alone(tmp_path / "run", ["run", *SHORT])
    assert (tmp_path / "run" / "supernet.pt").read_bytes() == content


def test_processes_with_other_options_are_refused(tmp_path):
    port = free_port()
    other = [*SHORT[:2], "--train.steps", "31"]
    pair = [
        started(tmp_path / "run", port, rank, ["train", *arguments])
        for rank, arguments in enumerate((SHORT[:4], other))
    ]
    said = [one.communicate(timeout=100)[0] for one in pair]
    assert [one.returncode for one in pair] == [2, 2]
    assert all("need the same versions and options" in one for one in said)
    assert not (tmp_path / "run" / "supernet.pt").exists()


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["--strategy", "spos", "--train.batch_size", "33"], "33 cannot be divided into 2 equal"),
        (
            ["--strategy", "bender", "--strategy.ghost_size", "64"],
            "has 1 ghost batches of about 64",
        ),
    ],
)
def test_a_batch_that_processes_cannot_share_is_refused(tmp_path, options, said):
    port = free_port()
    arguments = ["train", "--train.steps", "9", *options]
    pair = [started(tmp_path / "run", port, rank, arguments) for rank in range(2)]
    found = [one.communicate(timeout=100)[0] for one in pair]
    assert [one.returncode for one in pair] == [2, 2]
    assert all(said in one for one in found)


def test_a_process_that_hangs_is_given_up(tmp_path):
    port = free_port()
    arguments = ["train", "--strategy", "spos", "--train.steps", "5000"]
    pair = [
        started(tmp_path / "run", port, rank, arguments, SUPERNET_RANK_TIMEOUT="15")
        for rank in range(2)
    ]
    until = time.monotonic() + 100
    while not (tmp_path / "run" / "log.jsonl").exists() and time.monotonic() < until:
        time.sleep(0.05)
    pair[1].send_signal(signal.SIGSTOP)
    said = pair[0].communicate(timeout=100)[0]
    pair[1].kill()
    pair[1].communicate(timeout=100)
    assert pair[0].returncode == 1
    assert "process 0 of 2 lost the others" in said


def test_a_killed_process_is_noticed_and_the_run_goes_on_to_the_same_bits(tmp_path):
    arguments = ["train", "--strategy", "spos", "--train.steps", "60", "--train.log_every", "5"]
    arguments += ["--train.checkpoint_seconds", "0"]
    port = free_port()
    pair = [started(tmp_path / "whole", port, rank, arguments) for rank in range(2)]
    said = [one.communicate(timeout=300)[0] for one in pair]
    assert [one.returncode for one in pair] == [0, 0], said
    port = free_port()
    pair = [started(tmp_path / "cut", port, rank, arguments) for rank in range(2)]
    until = time.monotonic() + 100
    while not (tmp_path / "cut" / "supernet.previous.pt").exists() and time.monotonic() < until:
        time.sleep(0.02)
    pair[1].send_signal(signal.SIGKILL)
    pair[1].communicate(timeout=100)
    said = pair[0].communicate(timeout=100)[0]
    assert pair[0].returncode == 1
    assert re.search(r"process 0 of 2 lost the others", said)
    assert "goes on from the last checkpoint" in said
    port = free_port()
    pair = [started(tmp_path / "cut", port, rank, arguments) for rank in range(2)]
    said = [one.communicate(timeout=300)[0] for one in pair]
    assert [one.returncode for one in pair] == [0, 0], said
    whole, cut = (tmp_path / name / "supernet.pt" for name in ("whole", "cut"))
    assert cut.read_bytes() == whole.read_bytes()


def test_batch_norm_of_parts_goes_on_with_as_many_processes(tmp_path):
    """Two processes with statistics of their own, killed, are not what one would be."""
    parts = [*SHORT, "--train.batch_norm", "part", "--train.checkpoint_seconds", "0"]
    slowly = ["--train.log_every", "1", "--train.steps", "400"]
    port = free_port()
    pair = [started(tmp_path / "run", port, rank, ["train", *parts, *slowly]) for rank in range(2)]
    checkpoint = tmp_path / "run" / "supernet.pt"
    while not checkpoint.exists():
        assert pair[0].poll() is None
        time.sleep(0.05)
    for one in pair:
        one.send_signal(signal.SIGKILL)
        one.communicate()
    one = subprocess.run(
        [sys.executable, "-m", "supernet", "train", "--out", str(tmp_path / "run")],
        env={**os.environ, "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
    )
    assert one.returncode == 2
    assert "was trained by 2 process(es)" in one.stderr
    port = free_port()
    pair = [started(tmp_path / "run", port, rank, ["train"]) for rank in range(2)]
    said = [one.communicate(timeout=300)[0] for one in pair]
    assert [one.returncode for one in pair] == [0, 0], said

"""A run that learns the architecture, killed and started again, ends with the same bits."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time

import pytest

TINY = [
    "--model=nasbench201",
    "--model.channels=4",
    "--model.cells=1",
    "--model.stages=1",
    "--split.limit=300",
    "--strategy=darts",
    "--strategy.alpha.learning_rate=0.05",
    "--train.batch_size=16",
    "--train.log_every=2",
    "--train.checkpoint_seconds=0",
    "--search.searcher=learned",
    "--retrain.top=1",
    "--retrain.train.steps=6",
]
KINDS = {
    "first order, charged and watched": [
        "--train.steps=60",
        "--strategy.cost.quantity=macs",
        "--strategy.alpha.early_stop=1.05",
    ],
    "in stages": [
        "--strategy=pdarts",
        '--strategy.stages=[{"keep": 3}, {"model": {"channels": 8}, "keep": 2}]',
        "--strategy.alpha.warmup=0",
        "--train.steps=24",
    ],
    "settled by perturbation": ["--strategy=dartspt", "--train.steps=40"],
    "beside auxiliary skips": ["--strategy=dartsminus", "--train.steps=40"],
    "second order": ["--train.steps=40", "--strategy.order=2"],
}


def start(out, options):
    command = [sys.executable, "-m", "supernet", "run", "--out", str(out), *TINY, *options]
    return subprocess.Popen(
        command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, start_new_session=True
    )


def finish(out, options):
    process = start(out, options)
    _, err = process.communicate(timeout=300)
    assert process.returncode == 0, err.decode()


def trained_until(out):
    """Return how many steps are in the log, those of stages before the supernet's included."""
    log = out / "log.jsonl"
    lines = log.read_text().splitlines() if log.exists() else []
    records = [json.loads(line) for line in lines if line.endswith("}")]
    steps: dict[str, int] = {}
    for record in records:
        if record["stage"].startswith(("train", "stage")):
            steps[record["stage"]] = record["step"]
    return sum(steps.values())


@pytest.mark.slow
@pytest.mark.parametrize("kind", KINDS)
def test_killed_in_training_again_and_again(kind, tmp_path, read):
    options = KINDS[kind]
    whole, out = tmp_path / "whole", tmp_path / "run"
    finish(whole, options)
    for step in (4, 16, 30):
        process = start(out, options)
        while process.poll() is None and trained_until(out) < step:
            time.sleep(0.002)
        assert process.poll() is None, "the run ended before it could be killed"
        os.killpg(process.pid, signal.SIGKILL)
        process.communicate()
    finish(out, options)
    candidates, metrics = read
    for name in ("supernet.pt", "model.pt", "architecture.json"):
        assert (out / name).read_bytes() == (whole / name).read_bytes()
    assert candidates(out) == candidates(whole)
    assert metrics(out) == metrics(whole)

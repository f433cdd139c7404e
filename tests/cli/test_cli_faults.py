"""Killed before any file operation, or out of space at it: nothing is lost, and the same bits follow.

The quick tests try a few moments: of runs in `test_cli_resume.py` and `test_cli_bad_input.py` (a full
disk), of folders that are replaced in `test_folders.py`.
"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

CAMPAIGN = Path(__file__).with_name("campaign.py")

TINY = [
    "--model=nasbench-macro",
    "--model.channels=2",
    "--model.features=4",
    "--model.stages=[1]",
    "--strategy=spos",
    "--split.limit=60",
    "--train.steps=4",
    "--train.batch_size=8",
    "--train.log_every=2",
    "--train.checkpoint_seconds=0",
    "--search.searcher=exhaustive",
    "--evaluate.batch_size=12",
    "--retrain.top=1",
    "--retrain.train.steps=2",
]
KINDS = {
    "few-shot": ["--few_shot.decision=layer0", "--few_shot.train.steps=2"],
    "in stages": [
        "--model=nasbench201",
        "--model.channels=2",
        "--model.cells=1",
        "--model.stages=1",
        "--strategy=pdarts",
        '--strategy.stages=[{"keep": 3}, {"keep": 2}]',
        "--strategy.alpha.warmup=0",
        "--search.searcher=learned",
    ],
}


def campaign(kind: str, what: str, folder: Path, most: int, options: list[str]) -> None:
    command = [sys.executable, str(CAMPAIGN), kind, what, str(folder), str(most), *options]
    done = subprocess.run(command, capture_output=True, text=True, timeout=900, check=False)
    assert done.returncode == 0, done.stderr[-3000:]
    moments = int(done.stdout.rpartition("moments: ")[2])
    assert moments > {"run": 60, "export": 10, "latency": 3, "reading": 2}[what]


@pytest.mark.slow
@pytest.mark.parametrize("fault", ["kill", "full"])
@pytest.mark.parametrize("kind", KINDS)
def test_a_run_that_is_disturbed_at_any_operation(kind, fault, tmp_path):
    options = [option for option in TINY if kind == "few-shot" or "model" not in option]
    campaign(fault, "run", tmp_path, 30, [*options, *KINDS[kind]])


@pytest.mark.slow
@pytest.mark.parametrize("fault", ["kill", "full"])
@pytest.mark.parametrize("what", ["export", "latency"])
def test_what_is_replaced_is_there_before_or_after(what, fault, tmp_path):
    campaign(fault, what, tmp_path, 40, TINY)


@pytest.mark.slow
def test_reading_tries_to_write_nothing(tmp_path):
    campaign("full", "reading", tmp_path, 0, TINY)

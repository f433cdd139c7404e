"""Scripts that call `supernet.run` and `supernet.rank`, as `torchrun` starts them."""

import json
import os
import subprocess
import sys

import pytest
from tests.cli.test_cli_ranks import candidates, free_port

pytestmark = pytest.mark.slow

SCRIPT = """
import json, sys
import torch
import supernet as sn
from supernet.zoo import NASBench201

{before}
records = []
def model(image, classes, cells=1):
    return NASBench201(image, classes, channels=4, cells=cells)

options = {{"train.steps": 6, "search.searcher.count": 12, "retrain.train.steps": 4, "retrain.top": 2,
            "retrain.promising": 1, "evaluate.batch_norm": "batch", "train.batch_size": 16}}
result = sn.run(model, "digits", strategy="spos", searcher="random", out=sys.argv[1], options=options,
                on_record=lambda record, step: records.append(record))
ranking = sn.rank(result, probes=9, twice=1, train={{"steps": 2}}, model={{"cells": 2}})
with torch.no_grad():
    said = result.model(torch.ones(2, 1, 8, 8)).double().sum().item()
print(json.dumps([str(result.folder), result.metrics["retrain"]["chosen"], said, list(ranking.keys),
                  list(ranking.values), len(records) > 0]))
"""


def started(script, folder, port=None, rank=0):
    """Start the script alone, or as `torchrun` starts one of two."""
    address = {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port), "WORLD_SIZE": "2"}
    ranked = {**address, "RANK": str(rank)} if port else {}
    return subprocess.Popen(
        [sys.executable, str(script), str(folder)],
        env={**os.environ, "OMP_NUM_THREADS": "1", **ranked},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def said_by(processes):
    """Return what each printed last, and check that all ended well."""
    found = [one.communicate(timeout=300) for one in processes]
    assert [one.returncode for one in processes] == [0] * len(processes), found
    return [json.loads(out.splitlines()[-1]) for out, _ in found]


def test_all_processes_of_a_script_are_returned_the_same(tmp_path):
    script = tmp_path / "script.py"
    script.write_text(SCRIPT.format(before=""))
    port, folder = free_port(), tmp_path / "two"
    first, second = said_by([started(script, folder, port, rank) for rank in range(2)])
    assert first[-1]
    assert not second[-1]  # the hook is called once
    assert first[:-1] == second[:-1]
    assert first[0] == str(folder)
    assert (folder / "report.html").exists()
    assert (folder / "ranking.json").exists()
    assert len(first[3]) == 9
    # One process goes on with what two made, and finds nothing to do.
    before, free = candidates(folder), (folder / "training-free.json").read_bytes()
    (again,) = said_by([started(script, folder)])
    assert again[1:-1] == first[1:-1]
    assert candidates(folder) == before
    assert (folder / "training-free.json").read_bytes() == free


def test_scores_without_training_by_two_are_those_of_one(tmp_path):
    script = tmp_path / "script.py"
    script.write_text(SCRIPT.format(before=""))
    port = free_port()
    said_by([started(script, tmp_path / "two", port, rank) for rank in range(2)])
    said_by([started(script, tmp_path / "one")])
    one, two = (
        json.loads((tmp_path / name / "training-free.json").read_text())["scores"]
        for name in ("one", "two")
    )
    assert one == two


def test_a_script_that_has_a_group_of_its_own_is_told_so(tmp_path):
    script = tmp_path / "script.py"
    script.write_text(SCRIPT.format(before='torch.distributed.init_process_group("gloo")'))
    port = free_port()
    pair = [started(script, tmp_path / "run", port, rank) for rank in range(2)]
    found = [one.communicate(timeout=100)[1] for one in pair]
    assert [one.returncode for one in pair] == [1, 1]
    assert all("init_process_group() was called before" in one for one in found)

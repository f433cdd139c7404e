"""Neither steps nor candidates leave memory or open files behind."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

CODE = """
import json, os, resource, sys
import torch
from torch import nn
import supernet as sn

torch.set_num_threads(1)
PAGE = resource.getpagesize()


def option():
    linear, deep = nn.Linear(8, 8), nn.Sequential(nn.Linear(8, 8), nn.ReLU())
    return {"id": nn.Identity(), "relu": nn.ReLU(), "linear": linear, "deep": deep}


class Net(nn.Sequential):
    def __init__(self, classes=10):
        choices = [sn.Choice(option(), label=f"c{i}") for i in range(8)]
        super().__init__(nn.Flatten(), nn.Linear(64, 8), *choices, nn.Linear(8, classes))


samples = {"train": [], "search": []}
candidates = 0


def note(kind):
    resident = int(open("/proc/self/statm").read().split()[1]) * PAGE
    samples[kind].append((resident, len(os.listdir("/proc/self/fd"))))


def on_record(record, step):
    global candidates
    if "learning_rate" in record and record["stage"] == "train":
        note("train")
    elif "key" in record:
        candidates += 1
        if candidates % 1000 == 0:
            note("search")


options = {"train.steps": 10_000, "train.batch_size": 16, "train.log_every": 500, "retrain.top": 1}
options |= {"train.checkpoint_seconds": 0, "retrain.train.steps": 2, "split.limit": 300}
options |= {"search.searcher.count": 10_000}
run = dict(strategy="spos", searcher="random", progress=False, out=sys.argv[1], options=options)
sn.run(Net, "digits", on_record=on_record, **run)
print(json.dumps(samples))
"""


@pytest.mark.slow
@pytest.mark.skipif(not Path("/proc/self/statm").exists(), reason="the memory in use is unknown")
def test_ten_thousand_steps_and_candidates_need_what_a_thousand_do(tmp_path):
    command = [sys.executable, "-c", CODE, str(tmp_path / "run")]
    done = subprocess.run(command, capture_output=True, text=True, timeout=500, check=False)
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout.splitlines()[-1])
    assert [len(found[kind]) for kind in ("train", "search")] == [20, 10]
    for kind, first in (("train", 1), ("search", 0)):
        memory, files = zip(*found[kind][first:], strict=True)
        assert max(memory) <= 1.02 * memory[0], kind
        assert len(set(files)) == 1, kind

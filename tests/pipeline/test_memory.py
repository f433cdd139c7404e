"""A process with little memory says so, and blames neither a network nor a file."""

from __future__ import annotations

import resource
import subprocess
import sys
from pathlib import Path

import pytest

CODE = """
import resource, sys
import torch
from torch import nn
import supernet as sn, supernet.pipeline

torch.set_num_threads(1)


class Wide(nn.Module):
    def __init__(self, width):
        super().__init__()
        self.layers = nn.Sequential(nn.Linear(8, width), nn.ReLU(), nn.Linear(width, 8))

    def forward(self, x):
        return self.layers(x)


class Net(nn.Module):
    def __init__(self, classes=2):
        super().__init__()
        self.a = sn.Choice({str(width): Wide(width) for width in (8, 16, 65_536)}, label="a")
        self.head = nn.Linear(8, classes)

    def forward(self, x):
        return self.head(self.a(x))


x = torch.rand(40_000, 8, generator=torch.Generator().manual_seed(0))
y = (x[:, 0] > 0.5).long()
options = {"train.steps": 2, "train.batch_size": 8, "retrain.train.steps": 2, "retrain.top": 1}
options |= {"retrain.train.batch_size": 8, "evaluate.batch_size": int(sys.argv[2])}
if len(sys.argv) > 3:
    used = int(open("/proc/self/statm").read().split()[0]) * resource.getpagesize()
    limit = used + int(sys.argv[3]) * 2**20
    resource.setrlimit(resource.RLIMIT_AS, (limit, limit))
run = dict(strategy="spos", searcher="exhaustive", progress=False, out=sys.argv[1], options=options)
try:
    result = sn.run(Net, (x, y), **run)
except sn.SupernetError as error:
    sys.exit(f"{type(error).__name__}: {error}")
print(result.metrics["search"]["failed"], result.metrics["search"]["candidates"])
"""


def run(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-c", CODE, str(folder), *arguments]
    return subprocess.run(command, capture_output=True, text=True, timeout=300, check=False)


@pytest.mark.slow
@pytest.mark.skipif(not hasattr(resource, "RLIMIT_AS"), reason="the system has no such limit")
@pytest.mark.skipif(not Path("/proc/self/statm").exists(), reason="the memory in use is unknown")
def test_the_largest_candidate_does_not_fail_for_a_lack_of_memory(tmp_path):
    """6,400 examples times 65,536 numbers of 4 bytes are 1.7 GB."""
    little = run(tmp_path / "run", "6400", "1200")
    assert little.returncode == 1
    assert "TooLittleMemoryError: the step 'search' needs more memory" in little.stderr
    assert "--evaluate.batch_size (now 6400)" in little.stderr
    assert "Traceback" not in little.stderr
    assert "elete" not in little.stderr
    smaller = run(tmp_path / "run", "128", "1200")
    assert smaller.returncode == 0, smaller.stderr
    assert smaller.stdout.split() == ["0", "3"]
    assert "train: done before" in smaller.stderr

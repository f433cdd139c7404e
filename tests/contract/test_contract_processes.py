"""No identity depends on the process: on addresses in memory or on how Python orders sets."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from processes import seen
from small_spaces import ARGUMENTS

import supernet as sn
from supernet.cli import main
from supernet.zoo import SPACES
from supernet.zoo.resnet import ResNet

HERE = Path(__file__).parent


def started(*command, seed="1"):
    """Return what another process prints, in which Python orders sets in another way."""
    environment = {**os.environ, "PYTHONHASHSEED": seed, "OMP_NUM_THREADS": "1"}
    done = subprocess.run(
        [sys.executable, *command], capture_output=True, text=True, cwd=HERE, env=environment
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.slow
def test_a_space_is_the_same_in_another_process():
    assert json.loads(started("processes.py", "ofa")) == {"ofa": seen("ofa")}


@pytest.mark.slow
def test_every_space_is_the_same_in_every_process():
    first, second = (json.loads(started("processes.py", *SPACES, seed=seed)) for seed in "12")
    assert first.keys() == SPACES.keys()
    for name in SPACES:
        assert first[name] == second[name], name


AGAIN = """
import sys
from supernet.cli import main
for command in (["run"], ["export"]):
    assert main([*command, "--out", sys.argv[1]]) == 0
"""


@pytest.mark.slow
@pytest.mark.parametrize("name", SPACES)
def test_another_process_goes_on_with_the_folder_and_exports(name, tmp_path):
    given = {"image", "classes", "vocabulary", "context"}
    config = {
        "model": {
            "class_path": name,
            "init_args": {k: v for k, v in ARGUMENTS[name].items() if k not in given},
        },
        "data": _data(name),
        "split": {"limit": 200},
        "strategy": "spos",
        "train": {"steps": 3, "batch_size": 8},
        "search": {"searcher": {"class_path": "random", "init_args": {"count": 2}}},
        "retrain": {"top": 1, "weights": "inherited", "train": {"steps": 0}},
    }
    if name == "gpt":
        config["task"] = "supernet.task.LanguageModel"
    file = tmp_path / "config.yaml"
    file.write_text(json.dumps(config))
    out = tmp_path / "run"
    assert main(["train", "--config", str(file), "--out", str(out)]) == 0
    weights = (out / "supernet.pt").read_bytes()
    started("-c", AGAIN, str(out))
    assert (out / "supernet.pt").read_bytes() == weights  # nothing was trained again
    assert any((out / "exports").rglob("model.pt2"))


def _data(name):
    if name == "gpt":
        return {"class_path": "prose", "init_args": {"length": 8}}
    return "docstrings" if "vocabulary" in ARGUMENTS[name] else "digits"


def _built():
    model = ResNet(image=(1, 8, 8), widths=(16, 32), blocks=2)
    return sn.convert(model, torch.zeros(2, 1, 8, 8))


@pytest.mark.slow
def test_a_converted_model_is_exported_right_after_its_run(tmp_path):
    options = {"train.steps": 4, "search.searcher.count": 3, "retrain.top": 1}
    options |= {"retrain.weights": "inherited", "retrain.train.steps": 0}
    result = sn.run(
        _built,
        data="digits",
        strategy="sandwich",
        searcher="random",
        constraints="macs <= 60%",
        out=tmp_path / "run",
        options=options,
    )
    (exported,) = result.export_networks("macs <= 60%")
    assert exported.content["costs"]["macs"] > 0

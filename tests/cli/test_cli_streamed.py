"""Runs on data that is read as it is needed: the bits of runs in memory, also after a kill."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch
from PIL import Image

NAMES = ("ant", "bee", "cat")


@pytest.fixture(scope="module")
def images(tmp_path_factory) -> Path:
    """Return a folder of 150 small images, of which a share is divided off for the test."""
    folder = tmp_path_factory.mktemp("images")
    pixels = torch.randint(0, 256, (150, 8, 8), generator=torch.Generator().manual_seed(0))
    for number, image in enumerate(pixels.to(torch.uint8).numpy()):
        (folder / "train" / NAMES[number % 3]).mkdir(parents=True, exist_ok=True)
        Image.fromarray(image).save(folder / "train" / NAMES[number % 3] / f"{number}.png")
    return folder


@pytest.fixture
def own(images, tmp_path) -> Path:
    """Return a copy of the images that may be changed."""
    subprocess.run(["cp", "-r", str(images), str(tmp_path / "own")], check=True)
    return tmp_path / "own"


def options(tiny: list[str], images: Path, stream: str = "true") -> list[str]:
    kept = [one for one in tiny if not one.startswith(("--data", "--split"))]
    return [*kept, "--data=folder", f"--data.folder={images}", f"--data.stream={stream}"]


def weights(folder: Path) -> dict[str, torch.Tensor]:
    return torch.load(folder / "supernet.pt", weights_only=True)["model"]


@pytest.mark.quick_with("spos")
@pytest.mark.parametrize("strategy", ["spos", "darts"])
def test_runs_end_with_the_same_bits_however_data_is_read(
    strategy, tmp_path, call, tiny, images, read
):
    candidates, metrics = read
    found, extra = {}, [f"--strategy={strategy}", "--train.steps=10", "--retrain.train.steps=5"]
    extra += ["--retrain.top=1", "--retrain.probes=0"]
    extra += ["--search.searcher=learned"] if strategy == "darts" else []
    for name, stream, workers in (("memory", "false", 2), ("main", "true", 0), ("two", "true", 2)):
        found[name] = tmp_path / name
        given = [*options(tiny, images, stream), *extra, f"--workers={workers}"]
        code, _, err = call("run", "--out", str(found[name]), *given)
        assert code == 0, err
    main, two, memory = found["main"], found["two"], found["memory"]
    for name in ("supernet.pt", "model.pt", "architecture.json"):
        assert (main / name).read_bytes() == (two / name).read_bytes()
    assert candidates(main) == candidates(two)
    assert metrics(main) == metrics(two)
    assert all(torch.equal(one, weights(main)[name]) for name, one in weights(memory).items())
    assert metrics(memory)["test"] == metrics(main)["test"]


def test_other_data_is_noticed_and_the_number_of_processes_may_change(tmp_path, call, tiny, own):
    out, tiny = tmp_path / "run", [*tiny, "--train.steps=10"]
    given = [*options(tiny, own), "--workers=0"]
    assert call("train", "--out", str(out), *given)[0] == 0
    assert call("train", "--out", str(out), *options(tiny, own), "--workers=1")[0] == 0
    moved = own / "train" / "bee" / "4.png"
    moved.rename(own / "train" / "bee" / "zz.png")  # the same examples in another order
    code, _, err = call("train", "--out", str(out), *given)
    assert code == 2
    assert "holds results of another model or of other data" in err


def test_images_that_are_cut_off_end_a_run_with_the_name_of_one(tmp_path, call, tiny, own):
    for path in own.glob("train/bee/*.png"):
        path.write_bytes(path.read_bytes()[:70])  # what it begins with is intact
    code, _, err = call("train", "--out", str(tmp_path / "run"), *options(tiny, own))
    assert code == 1
    assert "train/bee/" in err
    assert ".png cannot be used as an image" in err


@pytest.mark.slow
def test_a_streamed_training_that_is_killed_goes_on_to_the_same_bits(tmp_path, call, tiny, images):
    """Also at once: processes that read do not hold the folder of the one that was killed."""
    given = [*options(tiny, images), "--train.steps=40", "--train.checkpoint_seconds=0"]
    whole, out = tmp_path / "whole", tmp_path / "killed"
    assert call("train", "--out", str(whole), *given, "--workers=0")[0] == 0
    command = [sys.executable, "-m", "supernet", "train", "--out", str(out), *given, "--workers=2"]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    while process.poll() is None and not (out / "supernet.pt").exists():
        time.sleep(0.002)
    assert process.poll() is None, "the run ended before it could be killed"
    os.kill(process.pid, signal.SIGKILL)  # this process alone, not those that read
    process.wait()
    assert call("train", "--out", str(out), *given, "--workers=1")[0] == 0
    assert (out / "supernet.pt").read_bytes() == (whole / "supernet.pt").read_bytes()

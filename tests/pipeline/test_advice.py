"""What messages advise is done, and then the command that was refused goes through."""

from __future__ import annotations

import json
import re
import shutil
from pathlib import Path

import pytest

from supernet.cli import main
from supernet.train import Checkpoint

RUN = [
    "--model=bender",
    "--data=digits",
    "--strategy=spos",
    "--split.limit=120",
    "--train.steps=2",
    "--train.batch_size=8",
    "--search.searcher=random",
    "--search.searcher.count=3",
    "--retrain.top=1",
    "--retrain.train.steps=2",
    "--retrain.train.batch_size=8",
]


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    folder = tmp_path_factory.mktemp("advice") / "run"
    assert main(["run", "--out", str(folder), *RUN]) == 0
    return folder


@pytest.fixture
def folder(whole, tmp_path):
    shutil.copytree(whole, tmp_path / "run")
    return tmp_path / "run"


def follow(message: str) -> None:
    """Delete what a message says, and run the command that it names."""
    paths = re.findall(r"[Dd]elete (/[\w./-]*\w)", message)
    paths += re.findall(r"(/\S+) is damaged: .* Delete it", message)
    for path in paths:
        Path(path).unlink(missing_ok=True)
    for command in re.findall(r"run: supernet ([\w./ -]*\w)", message):
        assert main(command.split()) == 0


def chosen(folder: Path) -> Path:
    return (
        folder / "retrain" / f"{json.loads((folder / 'architecture.json').read_text())['key']}.pt"
    )


DAMAGES = {
    "retrained": (lambda folder: chosen(folder).unlink(), "export"),
    "unfinished": (lambda folder: other_options(folder), "export"),
    "no candidates": (
        lambda folder: (folder / "candidates.db").unlink(),
        "export --pick macs<=100%",
    ),
    "other weights": (lambda folder: other_weights(folder), "export --pick macs<=100%"),
    "table": (lambda folder: (folder / "candidates.db").write_bytes(b"no table" * 999), "report"),
}


def other_options(folder: Path) -> None:
    """As after training was interrupted."""
    checkpoint = Checkpoint(chosen(folder))
    checkpoint.save({**checkpoint.load(), "step": 1})


def other_weights(folder: Path) -> None:
    metrics = json.loads((folder / "metrics.json").read_text())
    metrics["search"]["protocol"]["weights"] = "others"
    del metrics["digest"]  # as who means it
    (folder / "metrics.json").write_text(json.dumps(metrics))


@pytest.mark.slow
@pytest.mark.parametrize("damage", DAMAGES)
def test_advice_is_followed_once(damage, folder, capsys):
    harm, command = DAMAGES[damage]
    harm(folder)
    name, *options = command.split()
    given = [name, "--run", str(folder), *options]
    assert main(given) != 0
    message = capsys.readouterr().err
    follow(message)
    assert main(given) == 0, message + capsys.readouterr().err


@pytest.mark.slow
def test_a_damaged_checkpoint_of_a_retrained_network_is_trained_again(folder, capsys):
    checkpoint = chosen(folder)
    before = (folder / "model.pt").read_bytes()
    checkpoint.write_bytes(b"no checkpoint")
    assert main(["export", "--run", str(folder)]) != 0
    follow(capsys.readouterr().err)
    assert not checkpoint.exists()
    assert main(["run", "--out", str(folder)]) == 0
    assert checkpoint.exists()
    assert (folder / "model.pt").read_bytes() == before

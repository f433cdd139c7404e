"""`--json` prints one JSON object on standard output, and nothing else there."""

from __future__ import annotations

import json
import shutil
import sys
from pathlib import Path

import pytest

from supernet.commands import COMMANDS, Command
from supernet.commands.base import Answer
from supernet.errors import NoNetworkError
from supernet.terminal import Arguments


@pytest.fixture
def folder(finished, tmp_path):
    shutil.copytree(finished, tmp_path / "run")
    return tmp_path / "run"


def answer(call, *arguments, code=0):
    """Return the object on standard output, which is all of it, and what went to standard error."""
    found, out, err = call(*arguments, "--json")
    assert found == code, err
    return json.loads(out), err


def test_every_command_with_an_answer_names_the_option(call):
    asked = [name for name, command in COMMANDS.items() if command.answers]
    assert {"run", "report", "export", "rank", "latency", "doctor", "zoo", "configs"} <= set(asked)
    for name in asked:
        assert "--json" in call(name, "--help")[1], name


def test_steps_and_reports_answer_with_the_metrics(call, folder, tiny):
    stored = json.loads((folder / "metrics.json").read_text())
    for command in ("run", "test", "report"):
        found, _ = answer(call, command, "--out", str(folder))
        assert found["folder"] == str(folder)
        assert found["metrics"]["retrain"] == stored["retrain"]
        assert found["metrics"]["test"] == stored["test"]
    assert found["report"] == str(folder / "report.html")


def test_exports_are_answered(call, folder):
    picks = ["--pick", "params <= 100%", "--pick", "macs <= 100%"]
    found, err = answer(call, "export", "--run", str(folder), *picks)
    assert [one["pick"] for one in found["networks"]] == ["params <= 100%", "macs <= 100%"]
    assert all((Path(one["folder"]) / "model.pt").exists() for one in found["networks"])
    assert found["left_out"] == 0
    assert "is the best network known" in err


@pytest.mark.parametrize(
    ("arguments", "printed"), [([], "words\n"), (["--json"], '{\n  "a": 1\n}\n')]
)
def test_what_could_be_done_is_printed_before_what_could_not_is_raised(arguments, printed, capsys):
    some = Answer({"a": 1}, lambda: print("words"), NoNetworkError("one is missing"))
    command = Command("some", "do some", Arguments, lambda *_: some, leaves=False)
    with pytest.raises(NoNetworkError, match="one is missing"):
        command.run(arguments)
    assert capsys.readouterr().out == printed


def test_latencies_are_answered(call, folder):
    found, _ = answer(call, "latency", "--run", str(folder), "--repeats", "2")
    assert found["table"] == str(folder / "latency.json")
    assert found["entries"]


def test_what_a_model_prints_goes_to_standard_error(call, tmp_path, monkeypatch):
    (tmp_path / "talk.py").write_text(
        """
from torch import nn
import supernet as sn

class Net(nn.Module):
    def __init__(self):
        super().__init__()
        print("I am made")
        self.choice = sn.Choice([nn.Flatten(), nn.Flatten()])

    def forward(self, x):
        return self.choice(x)
"""
    )
    monkeypatch.chdir(tmp_path)
    found, err = answer(call, "doctor", "talk:Net", "--shape", "1,2,2")
    assert found
    assert "I am made" in err
    sys.modules.pop("talk")


def test_an_error_leaves_standard_output_empty(call):
    code, out, err = call("zoo", "nothing-like-it", "--json")
    assert (code, out) == (2, "")
    assert "nothing has the name" in err

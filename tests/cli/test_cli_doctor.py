"""`supernet doctor`: what of a model is open, and what its networks cost."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest
import torch
from torch import nn

from supernet.cli import main
from supernet.cost import kept_for_backward

SMALL = ["--shape", "1,8,8", "--arguments", '{"widths": [16, 32], "blocks": 2}']
NET = "supernet.zoo.resnet:ResNet"


def doctor(capsys, *arguments):
    code = main(["doctor", *arguments])
    out = capsys.readouterr()
    return code, out.out, out.err


@pytest.mark.slow
def test_a_model_without_choices_is_converted(capsys):
    code, out, _ = doctor(capsys, NET, *SMALL, "--constraint", "macs <= 1e5", "--depth", "0")
    assert code == 0
    assert "stages.0.depth: 0, 1, 2" in " ".join(out.split())
    assert "the model's output" in out
    assert "decisions" in out
    assert "'macs <= 1e5' can be met" in out


@pytest.mark.slow
def test_as_json_with_a_constraint_that_cannot_be_met(capsys):
    code, out, _ = doctor(capsys, NET, *SMALL, "--constraint", "params <= 10", "--json")
    found = json.loads(out)
    assert code == 0
    assert "params reaches from" in found["constraints"]["params <= 10"]
    assert found["ranges"]["params"][0] < found["ranges"]["params"][1]
    assert found["ranges"]["train_bytes"][0] < found["ranges"]["train_bytes"][1]
    assert found["decisions"]["conv"] == [8, 16]
    assert {row["name"] for row in found["rows"]} >= {"conv", "stages.0", "classifier"}


def test_a_space_of_the_zoo_shows_its_decisions(capsys):
    arguments = '{"channels": 4, "groups": [1, 1], "blocks": 2}'
    code, out, _ = doctor(capsys, "bender", "--shape", "1,8,8", "--arguments", arguments)
    assert code == 0
    assert "Choice" in out
    assert "architectures" in out


@pytest.mark.slow
def test_what_is_kept_and_what_is_wider(capsys):
    options = ["--keep", "conv", "--widths", "0.5,1", "--multiple", "4", "--json"]
    _, out, _ = doctor(capsys, NET, *SMALL, *options)
    found = json.loads(out)
    assert "conv" not in found["decisions"]
    assert found["decisions"]["stages.1.0.conv1"] == [16, 32]


@pytest.mark.slow_with("arguments5-matches no module")
@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["no.such:Model"], "'no.such:Model' cannot be imported"),
        (["torch.nn:Linear"], "cannot be built: TypeError"),
        (
            ["supernet.zoo.converted:rules_of"],
            "does not say that it returns a torch.nn.modules.module.Module",
        ),
        (["torch.nn:Identity"], "nothing of the model can be open"),
        ([NET, "--shape", "2,3,8,8"], "image"),
        ([NET, *SMALL, "--keep", "nothing"], "matches no module"),
        ([NET, *SMALL, "--widths", "0,1"], "widths are fractions above 0"),
    ],
)
def test_bad_input(capsys, arguments, message):
    code, _, err = doctor(capsys, *arguments)
    assert code == 2
    assert message in err


def test_no_model():
    found = subprocess.run(
        [sys.executable, "-m", "supernet", "doctor"], capture_output=True, text=True, check=False
    )
    assert found.returncode == 2
    assert "the following arguments are required: model" in found.stderr


def test_what_training_keeps_is_the_activations():
    model = nn.Sequential(nn.Linear(3, 5, bias=False), nn.ReLU(), nn.Linear(5, 2, bias=False))
    x = torch.randn(7, 3)
    # The input for the first weight, and what ReLU returns, for itself and the second weight.
    assert kept_for_backward(model, x) == 4 * (7 * 3 + 7 * 5)
    assert model.training


def test_a_model_that_takes_other_examples_says_how_to_give_them(capsys):
    code, _, err = doctor(capsys, NET, "--arguments", '{"image": [1, 8, 8]}')
    assert code == 2
    assert "cannot be run on examples of shape [3, 32, 32]" in err
    assert "--shape 1,28,28" in err


INPUTS = '{"mask": ["bool", 6], "tokens": ["int64", 6]}'


def test_a_model_of_several_inputs_is_told_of_them_by_name(capsys):
    code, out, _ = doctor(capsys, "two_inputs.Masked", "--inputs", INPUTS, "--json")
    assert code == 0
    found = json.loads(out)
    assert found["size"] == 4
    per_token = 8 * 8, 8 * 16 + 16 * 8  # of the two options of the first choice
    head = 8 * 10  # of the ten classes that are given where the data does not say
    assert found["ranges"]["macs"] == [6 * per_token[0] + head, 6 * per_token[1] + 64 + head]


@pytest.mark.parametrize(
    ("inputs", "message"),
    [
        (
            INPUTS.replace("mask", "padding"),
            "'padding', 'tokens', but Masked.forward takes (tokens, mask)",
        ),
        (INPUTS.replace("bool", "int8"), "'mask' is described by its type (float32, int64, bool)"),
        (INPUTS.replace("6", "0"), "'mask' is described by its type"),
        (INPUTS.replace("int64", "float32"), "cannot be run on examples of mask torch.bool [6]"),
    ],
)
def test_inputs_that_are_none_of_the_model_are_refused(capsys, inputs, message):
    code, _, err = doctor(capsys, "two_inputs.Masked", "--inputs", inputs)
    assert code == 2
    assert message in " ".join(err.split())

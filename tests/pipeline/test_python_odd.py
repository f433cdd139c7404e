"""What Python is given is refused in words where it cannot be meant, before anything is computed."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn

import supernet as sn
from supernet.errors import SupernetError
from supernet.space import OneOf, SomeOf

X, Y = torch.rand(20, 1, 8, 8), torch.arange(20) % 2


class Net(nn.Sequential):
    """Two networks."""

    def __init__(self) -> None:
        super().__init__(nn.Flatten(), sn.Choice([nn.Linear(64, 2), nn.Linear(64, 2)], label="c"))


def run(folder, model=Net, data=(X, Y), **arguments):
    """Run what must be refused."""
    arguments = {"out": folder / "run", "progress": False, **arguments}
    with pytest.raises(SupernetError) as caught:
        sn.run(model, data, **arguments)
    assert len(str(caught.value)) < 1500
    assert not (folder / "run" / "supernet.pt").exists()
    return str(caught.value)


@pytest.mark.slow
def test_models_and_data_that_are_none(tmp_path):
    assert "not None" in run(tmp_path, None)
    assert "built into Python" in run(tmp_path, int)
    for data, word in (
        ("x" * 5000, "too long"),
        ("a\0b", "data"),
        ((np.array(["a", "b"]), Y[:2]), "numbers"),
        ((np.array([None, {}], dtype=object), Y[:2]), "object"),
        ((X.to_sparse(), Y), "sparse"),
        ((X.to("meta"), Y), "meta"),
        ((X.to(torch.complex64), Y), "complex"),
        ((X, Y[:5]), "5"),
        ({"x": X, "y": Y}, "dict"),
    ):
        assert word in run(tmp_path, data=data)


@pytest.mark.parametrize(
    ("arguments", "word"),
    [
        ({"out": None}, "out"),
        ({"out": b"x"}, "out"),
        ({"out": "a\0b"}, "out"),
        ({"out": ""}, "out"),
        ({"initial": np.zeros(3)}, "initial"),
        ({"constraints": 3}, "constraints"),
        ({"constraints": ["macs <= 1e9", 3]}, "constraints"),
        ({"strategy": 3}, "strategy"),
        ({"strategy": nn.Linear}, "strategy"),
        ({"searcher": b"random"}, "searcher"),
        ({"task": object()}, "task"),
        ({"options": 3}, "options"),
        ({"options": [("train.steps", 1)]}, "options"),
        ({"options": {3: 4}}, "3"),
        ({"options": {"": 1}}, "''"),
        ({"options": {"train.steps=3 --seed": 1}}, "train.steps=3"),
        ({"options": {"print_config": ""}}, "print_config"),
        ({"options": {"strategy.help": "spos"}}, "strategy.help"),
        ({"options": {"train.steps": 10**5000}}, "train.steps"),
        ({"options": {"train.warmup": float("nan")}}, "train.warmup"),
        ({"options": {"train.steps": [1]}}, "train.steps"),
        ({"options": {"train.stps": 1}}, "did you mean 'train.steps'"),
        ({"options": {"split": {"limit": object()}}}, "split.limit"),
        ({"options": {"threads": 10**9}}, "threads"),
    ],
)
def test_arguments_of_a_run(tmp_path, arguments, word):
    assert word in run(tmp_path, **arguments)


ODD = [None, 3, True, b"x", "x", {}, object(), int, torch.zeros(3), np.zeros(3), float("nan")]


@pytest.mark.parametrize("number", range(len(ODD)))
def test_parts_are_made_of_what_they_hold(number):
    value = ODD[number]
    text = isinstance(value, str | bytes)
    two = [nn.ReLU(), nn.Identity()]
    tries = {
        "supernet": lambda: sn.SuperNet(value),
        "convert": lambda: sn.convert(value, torch.zeros(1, 2)),
        "example": lambda: sn.convert(nn.Linear(2, 2), value),
        "rules": lambda: sn.convert(nn.Linear(2, 2), torch.zeros(1, 2), rules=value),
        "options": lambda: sn.Choice(value),
        "option": lambda: sn.Choice([value, nn.ReLU()]),
        "label": lambda: sn.Choice(two, label=value),
        "pick": lambda: sn.Choice(two, pick=value),
        "answers": lambda: sn.Architecture(value),
        "text": lambda: sn.Architecture.from_json(value),
        "space": lambda: sn.SearchSpace(value),
        "low": lambda: SomeOf("l", ("a", "b"), value, 2),
        "decision": lambda: OneOf("l", value),
        "derive": lambda: sn.derive(sn.SuperNet(Net()), value),
    }
    fits = {
        "label": (None, "x"),
        "decision": (value,) if text else (),  # its letters
        "low": (True,),
        "answers": (value,) if isinstance(value, dict) else (),
    }
    for name, make in tries.items():
        if any(value is one for one in fits.get(name, ())):
            continue
        with pytest.raises(SupernetError):
            make()


def test_labels_answers_and_nesting_that_do_not_fit():
    with pytest.raises(SupernetError, match="no options"):
        sn.Choice([])
    twice = [sn.Choice([nn.ReLU()] * n, label="x") for n in (2, 3)]
    with pytest.raises(SupernetError, match="share the label 'x'"):
        sn.SuperNet(nn.Sequential(*twice))
    with pytest.raises(SupernetError, match="'zz'"):
        sn.derive(sn.SuperNet(Net()), sn.Architecture({"c": "zz"}))
    with pytest.raises(SupernetError, match="no architecture"):
        sn.Architecture.from_json("[" * 100_000)

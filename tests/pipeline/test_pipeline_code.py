"""Hashes of the user's code: what changes them, and what must not."""

from __future__ import annotations

import threading
from dataclasses import dataclass

import numpy as np
import pytest
import torch
from torch import nn

from supernet.pipeline.code import code_of, described
from supernet.train import digest

SOURCE = """
import torch
from torch.nn import functional as F

SCALE = 2
NAMES = ("b", "a")
calls = 0

def helper(x):
    return x * SCALE if len(NAMES) else x

class Base:
    def outer(self, x):
        return helper(x) + 1

class Thing(Base):
    kind = "tuple"
    used = 0

    def loss(self, x):
        global calls
        calls += 1
        type(self).used += 1
        return self.outer(x) + self.extra(x)

    def extra(self, x):
        return -x if x in {"p", "q", "r"} else x

    def measure(self, x):
        return self.only_measured(x) + self.extra(x)

    def only_measured(self, x):
        return x

    @property
    def size(self):
        return 3
"""


def made(source: str = SOURCE) -> dict[str, object]:
    space: dict[str, object] = {"__name__": "typed_into_a_notebook"}
    exec(compile(source, "<cell>", "exec"), space)
    return space


def changed(old: str, new: str) -> str:
    assert SOURCE.count(old) == 1
    return code_of([made(SOURCE.replace(old, new))["Thing"]])


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("SCALE = 2", "SCALE = 3"),
        ('NAMES = ("b", "a")', 'NAMES = ("b", "c")'),
        ("return x * SCALE", "return x + SCALE"),
        ("helper(x) + 1", "helper(x) + 2"),
        ('{"p", "q", "r"}', '{"p", "q", "s"}'),
        ('kind = "tuple"', 'kind = "dict"'),
        ("return 3", "return 4"),
        ("class Thing(Base)", "class Thing(Base, threading.Thread)"),
    ],
)
def test_what_is_computed_is_in_it(old, new):
    new = new.replace("threading.Thread", "__import__('threading').Thread")
    assert changed(old, new) != code_of([made()["Thing"]])


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("return 3", "return 3  # a comment"),
        ("    def extra(self, x):\n", '    def extra(self, x):\n        """What it does."""\n\n'),
        (
            "self.outer(x) + self.extra(x)",
            "(\n            self.outer(x)\n            + self.extra(x)\n        )",
        ),
        ("class Thing(Base):\n", 'class Thing(Base):\n    """A thing."""\n\n'),
        ("calls = 0", "calls = 7"),
        ("used = 0", "used = 9"),
        ("import torch\n", "import torch\nimport math\n\n\nUNUSED = 4\n"),
        ('{"p", "q", "r"}', '{"r", "q", "p"}'),
    ],
)
def test_what_is_not_computed_is_not_in_it(old, new):
    assert changed(old, new) == code_of([made()["Thing"]])


def test_parts_of_a_class_are_told_apart():
    def parts(source: str) -> tuple[str, str]:
        thing = made(source)["Thing"]
        return code_of([thing], without=("measure",)), code_of([thing], only=("measure",))

    before = parts(SOURCE)
    measured = parts(
        SOURCE.replace(
            "def only_measured(self, x):\n        return x",
            "def only_measured(self, x):\n        return 2 * x",
        )
    )
    assert (measured[0] == before[0], measured[1] == before[1]) == (True, False)
    both = parts(SOURCE.replace("return -x", "return x"))
    assert (both[0] == before[0], both[1] == before[1]) == (False, False)
    trained = parts(SOURCE.replace("self.outer(x) + ", "2 * self.outer(x) + "))
    assert (trained[0] == before[0], trained[1] == before[1]) == (False, True)


def test_what_a_function_keeps_is_in_it():
    def maker(width: int, act: object = torch.relu):
        return lambda: (width, act)

    def decorated(scale: int):
        @torch.no_grad()
        def inner(x):
            return scale * x

        return inner

    assert code_of([maker(3)]) == code_of([maker(3)]) != code_of([maker(4)])
    assert code_of([maker(3)]) != code_of([maker(3, torch.tanh)])
    assert code_of([decorated(1)]) == code_of([decorated(1)]) != code_of([decorated(2)])


def test_installed_code_counts_by_name_only():
    assert code_of([nn.Linear]) != code_of([nn.Conv2d])
    assert code_of([nn.Linear]) == digest(["Linear", "Module"])


@dataclass
class Plan:
    steps: int
    places: object = None


class Keeper:
    def __init__(self, value: object) -> None:
        self._value = value
        self.lock = threading.Lock()
        self.itself = self


def test_values_are_told_apart_by_what_they_hold():
    def of(value: object) -> str:
        return digest(described(value))

    values: list[object] = [
        *(1, 1.0, True, "1", None, (), [2], {"a": 1}, {"a": 2}, {3, 1, 2}, {3, 1}),
        *(np.arange(3), np.arange(3.0), torch.arange(3), torch.float32, torch.device("cpu")),
        *(Plan(1), Plan(2), Plan(1, {"x": {2}}), Keeper(1), Keeper(2), len, lambda: 1, lambda: 2),
    ]
    found = [of(value) for value in values]
    assert len(set(found)) == len(found)
    assert of({"a": 1, "b": {2, 1}}) == of({"b": {1, 2}, "a": 1})
    assert of(Keeper([1])) == of(Keeper([1]))
    torch.manual_seed(0)
    one, two = nn.Linear(2, 2), nn.Linear(2, 2)
    assert of(one) != of(two)
    two.load_state_dict(one.state_dict())
    assert of(one) == of(two)
    assert of(nn.Dropout(0.1)) != of(nn.Dropout(0.2))

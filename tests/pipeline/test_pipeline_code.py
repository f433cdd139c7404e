"""Hashes of the user's code: what changes them, and what must not."""

from __future__ import annotations

import importlib
import logging
import re
import sys
import threading
from collections import deque
from dataclasses import dataclass

import numpy as np
import pytest
import torch
from torch import nn

from supernet.pipeline.code import classes_of, code_of, plain_description
from supernet.train import digest

SOURCE = """
import torch
from functools import partialmethod
from torch.nn import functional as F

SCALE = 2
NAMES = ("b", "a")
calls = 0

def helper(x):
    return x * SCALE if len(NAMES) else x

class Twice:
    def __get__(self, thing, kind):
        return 2 * thing.size

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

    doubled = Twice()
    shifted = partialmethod(lambda self, by: by, 7)
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
        ("SCALE = 2", "SCALE = range(3)"),
        ("return x * SCALE", "return x + SCALE"),
        ("helper(x) + 1", "helper(x) + 2"),
        ('{"p", "q", "r"}', '{"p", "q", "s"}'),
        ('kind = "tuple"', 'kind = "dict"'),
        ("return 3", "return 4"),
        ("return 2 * thing.size", "return 3 * thing.size"),
        ("by, 7", "by, 8"),
        ("by: by,", "by: -by,"),
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


STATE = """
step = 0
def tick():
    global step
    step += 1
    Count.n += 1

def ramp():
    return min(1, step / 100)

class Count:
    n = 0

def made(width):
    n = 0
    def tick():
        nonlocal n
        n += 1
    def read():
        return n * width
    return tick, read
count, read = made(WIDTH)

class Thing:
    def loss(self):
        tick(), count()
        return ramp() + Count.n + read()
"""


def test_what_the_code_itself_changes_is_not_in_it_wherever_it_is_read():
    space = made(STATE.replace("WIDTH", "2"))
    before = code_of([space["Thing"]])
    space["Thing"]().loss()
    assert (space["step"], space["Count"].n, space["read"]()) == (1, 1, 2)
    assert code_of([space["Thing"]]) == before
    assert code_of([made(STATE.replace("WIDTH", "3"))["Thing"]]) != before


PLACES = """
from pathlib import Path
import torch

DEVICE = torch.device(NAME)
ROOT = Path(__file__).parent

def use(x):
    return x.to(DEVICE), ROOT / "weights.pt", __file__, __name__
"""


def test_the_machine_that_code_runs_on_is_not_in_it():
    def code(name: str, file: str) -> str:
        space: dict[str, object] = {"__name__": name, "__file__": file, "NAME": "cpu"}
        exec(
            compile(PLACES.replace("NAME", "'cpu'" if file < "/b" else "'cuda'", 1), file, "exec"),
            space,
        )
        return code_of([space["use"]])

    assert code("package.mine", "/a/mine.py") == code("mine", "/home/b/mine.py")


@pytest.mark.parametrize(
    "use",
    [
        "import PKG.inner.helpers\ndef use(x): return PKG.inner.helpers.helper(x)",
        "from PKG import inner\ndef use(x): return inner.helpers.helper(x)",
        "def use(x):\n    import PKG.inner.helpers as other\n    return other.helper(x)",
        "def use(x):\n    from PKG.inner.helpers import helper\n    return helper(x)",
        "def use(x):\n    from .inner.helpers import helper\n    return helper(x)",
    ],
)
def test_functions_of_other_modules_are_in_it_however_they_are_imported(use, tmp_path, monkeypatch):
    monkeypatch.syspath_prepend(tmp_path)

    def code(factor: int) -> str:
        name = f"pkg_{len(use)}_{factor}"
        inner = tmp_path / name / "inner"
        inner.mkdir(parents=True)
        (inner / "__init__.py").write_text("from . import helpers\n")
        (inner / "helpers.py").write_text(f"def helper(x): return {factor} * x\n")
        (tmp_path / name / "__init__.py").write_text("")
        (tmp_path / name / "main.py").write_text(use.replace("PKG", "pkg"))
        monkeypatch.syspath_prepend(tmp_path)
        for known in [one for one in sys.modules if one.partition(".")[0] == "pkg"]:
            del sys.modules[known]
        (tmp_path / name).rename(tmp_path / "pkg")
        importlib.invalidate_caches()
        found = code_of([importlib.import_module("pkg.main").use])
        (tmp_path / "pkg").rename(tmp_path / f"{name}_old")
        return found

    assert code(2) != code(3)


def test_modules_and_objects_that_are_known_by_name_are_not_read():
    def takes(x, functional=nn.functional):
        return functional.relu(x)

    assert code_of([takes]) == code_of([takes])
    holder = Keeper(logging.getLogger("mine"))
    before = digest(plain_description(holder))
    logging.getLogger("mine").isEnabledFor(10)
    logging.getLogger("another.one")
    assert (
        digest(plain_description(holder))
        == before
        != digest(plain_description(Keeper(logging.getLogger("o"))))
    )


class Part:
    pass


def test_classes_of_an_object_are_those_of_what_it_holds_too():
    thing = Keeper([{"a": Part()}, nn.Linear(2, 2), Plan(1, Exception())])
    assert classes_of(thing) == [Keeper, Part, Plan]
    assert classes_of(nn.Linear(2, 2)) == [nn.Linear]


def test_installed_code_counts_by_name_only():
    assert code_of([nn.Linear]) != code_of([nn.Conv2d])
    assert code_of([nn.Linear]) == digest(["Linear", "Module"])


@dataclass
class Plan:
    steps: int
    places: object = None


@dataclass(slots=True)
class Slots:
    steps: int


class Keeper:
    def __init__(self, value: object) -> None:
        self._value = value
        self.lock = threading.Lock()
        self.itself = self


def test_values_are_told_apart_by_what_they_hold():
    def of(value: object) -> str:
        return digest(plain_description(value))

    values: list[object] = [
        *(1, 1.0, True, "1", None, (), [2], {"a": 1}, {"a": 2}, {3, 1, 2}, {3, 1}),
        *(np.arange(3), np.arange(3.0), torch.arange(3), torch.float32, torch.device("cpu")),
        *(range(3), range(4), deque([1]), deque([2]), re.compile("a"), re.compile("b")),
        *(
            Slots(1),
            Slots(2),
            Plan(1),
            Plan(2),
            Plan(1, {"x": {2}}),
            Keeper(1),
            Keeper(2),
            len,
            lambda: 1,
            lambda: 2,
        ),
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

"""What code of others raises is said with its place, and is our error."""

from __future__ import annotations

import sys
import warnings

import pytest
import torch
from torch import nn

import supernet as sn
from supernet.data import Datasets
from supernet.errors import CodeError, ConfigError, DataError, SpaceError
from supernet.space import Architecture
from supernet.user_code import calling


class Faulty(nn.Module):
    """An option that raises what it is given, or returns what it makes of its input."""

    def __init__(self, does=None):
        super().__init__()
        self.layer = nn.Conv2d(2, 2, 1)
        self.does = does

    def forward(self, x):
        y = self.layer(x)
        return self.does(y) if self.does else y


class Net(nn.Module):
    def __init__(self, does=None):
        super().__init__()
        options = {"good": Faulty(), "odd": Faulty(does)}
        self.blocks = nn.Sequential(nn.Identity(), sn.Choice(options, label="kind"))

    def forward(self, x):
        return self.blocks(x)


X = torch.rand(2, 2, 3, 3)


def wrong(y):
    return {}["missing"]


def narrow(y):
    return nn.functional.conv2d(y[:, :1], torch.ones(1, 2, 1, 1))


def ends(y):
    sys.exit(0)


def stops(y):
    return next(iter(()))


def nests(y):
    return nests(y)


def warns(y):
    warnings.warn("mine", stacklevel=1)
    return y


def raised(work, **options):
    with pytest.raises(CodeError) as caught, calling("trying", **options):
        work()
    return str(caught.value), caught.value.__cause__


def test_a_forward_is_named_with_option_choice_module_and_line():
    supernet = sn.SuperNet(Net(wrong))
    text, cause = raised(lambda: supernet(X, Architecture({"kind": "odd"})))
    assert text.startswith("trying: KeyError: 'missing' in wrong(y) at tests/test_foreign.py:")
    assert """(return {}["missing"]), called from""" in text
    assert "in the module blocks.1.options.1 (Faulty), option 'odd' of the choice 'kind'" in text
    assert isinstance(cause, KeyError)


def test_a_failure_inside_torch_is_named_with_the_users_line():
    text, _ = raised(lambda: sn.SuperNet(Net(narrow))(X, Architecture({"kind": "odd"})))
    assert "in narrow(y) at tests/test_foreign.py:" in text
    model = sn.derive(sn.SuperNet(Net(narrow)), Architecture({"kind": "odd"}))
    text, _ = raised(lambda: model(X))
    assert "in the module blocks.1 (Faulty)" in text
    text, _ = raised(lambda: model(X[:, :1]))
    assert "in Faulty.forward(self, x) at tests/test_foreign.py:" in text
    assert "in the module blocks.1.layer (Conv2d)" in text


@pytest.mark.parametrize(
    ("does", "words"),
    [
        (ends, "exit(0) was called in ends(y) at"),
        (stops, "StopIteration in stops(y) at"),
        (nests, "RecursionError: calls are nested without an end in nests(y) at"),
        (warns, "UserWarning: mine in warns(y) at"),
    ],
)
def test_what_is_no_ordinary_exception(does, words):
    route = sn.Routing.masked((supernet := sn.SuperNet(Net(does))).space, {})
    text, _ = raised(lambda: supernet(X, route))
    assert words in text
    assert "option 'odd' of the choice 'kind'" in text


def test_what_is_nobodys_fault_passes_through():
    def interrupted():
        raise KeyboardInterrupt

    def too_large():
        raise MemoryError

    def ours():
        raise ConfigError("ours")

    for work, kind in (
        (interrupted, KeyboardInterrupt),
        (too_large, MemoryError),
        (ours, ConfigError),
    ):
        with pytest.raises(kind), calling("trying"):
            work()


def test_a_mistake_of_ours_is_not_disguised():
    with pytest.raises(RuntimeError, match="mat1") as caught:
        _library_call()
    assert type(caught.value) is RuntimeError
    with pytest.raises(DataError, match="trying: RuntimeError: mat1"):
        _library_call(always=True)


def _library_call(always=False):
    """Run a block in which no code of the user takes part: the frame of the block is ours there."""
    code = (
        "import torch\n"
        "from supernet.errors import DataError\n"
        "from supernet.user_code import calling\n"
        f"with calling('trying', DataError, always={always}):\n"
        "    torch.ones(1, 2) @ torch.ones(1, 2)\n"
    )
    exec(code, {"__name__": "supernet.made"})


@pytest.mark.parametrize(
    ("does", "words"),
    [
        (lambda y: {"y": y}, "a dict"),
        (lambda y: None, "None"),
        (lambda y: (y,), "a tuple"),
        (lambda y: y[:, :1, :2], r"float32 \[2, 1, 2, 3\] on cpu"),
    ],
)
@pytest.mark.parametrize("soft", [True, False])
def test_options_that_cannot_be_added_up_are_named(does, words, soft):
    supernet = sn.SuperNet(Net(does))
    route = sn.Routing.masked(supernet.space, {})
    if soft:
        route = sn.Routing.soft(supernet.space, {"kind": torch.ones(2) / 2})
    good = r"'good' returns float32 \[2, 2, 3, 3\] on cpu, but 'odd' returns "
    with pytest.raises(SpaceError, match=f"of 'kind' cannot be added up: {good}{words}"):
        supernet(X, route)


@pytest.mark.slow
@pytest.mark.parametrize("does", [lambda y: y.double()])
def test_options_that_differ_are_refused_before_training(does, tmp_path):
    data = (torch.rand(60, 2, 3, 3), torch.arange(60) % 2)
    with pytest.raises(sn.SupernetError, match=r"'good' returns float32.* but 'odd' returns"):
        sn.run(Logits(does), data, strategy="spos", out=tmp_path / "run", progress=False)
    assert not (tmp_path / "run/supernet.pt").exists()


class Logits(Net):
    def forward(self, x):
        return self.blocks(x).mean((2, 3))


class Examples(torch.utils.data.Dataset):
    def __init__(self, count):
        self.count = count

    def __len__(self):
        return self.count

    def __getitem__(self, number):
        return torch.zeros(1, 2, 2), [0, 1, 0][number]


def test_an_example_is_named():
    with pytest.raises(
        DataError,
        match=r"Examples\[3\]: IndexError: list index .* in Examples.__getitem__\(self, number\)",
    ):
        Datasets(Examples(5)).load()
    with pytest.raises(DataError, match=r"the length of Examples: TypeError: 'str' object"):
        Datasets(Examples("many")).load()


@pytest.mark.slow
def test_the_step_of_a_training_is_named(tmp_path):
    calls = []

    def later(y):
        calls.append(y)
        return wrong(y) if y.requires_grad and len(calls) > 20 else y

    data = (torch.rand(60, 2, 3, 3), torch.arange(60) % 2)
    with pytest.raises(CodeError, match=r"step \d+ of 99 of the training: KeyError: 'missing'"):
        sn.run(
            Logits(later),
            data,
            strategy="spos",
            out=tmp_path / "run",
            options={"train.steps": 99, "train.batch_size": 4},
            progress=False,
        )

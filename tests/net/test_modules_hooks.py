"""Hooks last as long as their block."""

import pytest
import torch
from torch import nn

from supernet.modules.hooks import hooked, noting

X = torch.ones(1, 2)


def hooks(model):
    return [len(m._forward_hooks) + len(m._forward_pre_hooks) for m in model.modules()]


def test_functions_are_called_before_and_after_each_call_and_no_longer():
    model, called = nn.Sequential(nn.Identity(), nn.Flatten()), []
    with hooked(
        model, lambda m, _: called.append(("in", m)), lambda m, _, __: called.append(("out", m))
    ):
        model(X)
    assert called == [("in", model[0]), ("out", model[0]), ("in", model[1]), ("out", model[1])]
    model(X)
    assert len(called) == 4


def test_what_they_return_takes_the_place():
    model = nn.Identity()
    with hooked([model], lambda _, given: (given[0] + 1,), lambda _, __, output: output * 3):
        assert torch.equal(model(X), X * 6)
    assert torch.equal(model(X), X)


@pytest.mark.parametrize("first", [False, True])
def test_first_is_before_what_is_there(first):
    model, called = nn.Identity(), []
    model.register_forward_pre_hook(lambda *_: called.append("there"))
    with hooked([model], lambda *_: called.append("new"), first=first):
        model(X)
    assert called == (["new", "there"] if first else ["there", "new"])


def test_no_hook_is_left_by_what_raises_within_or_while_they_are_set():
    model = nn.Sequential(nn.Identity(), nn.Identity())
    with pytest.raises(RuntimeError), hooked(model, print, print):
        raise RuntimeError
    with pytest.raises(AttributeError), hooked([*model, "no module"], print, print):
        pass
    assert sum(hooks(model)) == 0


def test_what_raises_stays_noted():
    inside: list[str] = []
    model = nn.Sequential(nn.Identity(), nn.Linear(3, 1))
    with pytest.raises(RuntimeError), noting(model, inside):
        model(X)
    assert inside == ["", "1"]
    assert sum(hooks(model)) == 0

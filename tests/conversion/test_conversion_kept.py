"""What `convert` returns can be copied, pickled, saved, and given to other processes."""

from __future__ import annotations

import copy
import io
import pickle
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from conversion_models import Gated, Transformer
from torch import nn

from supernet.conversion import DEFAULT, Kernels, conversion_of, convert
from supernet.net import SuperNet, derive

X = torch.randn(2, 3, 8, 8)


def pickled(value):
    return pickle.loads(pickle.dumps(value))


def saved(value):
    buffer = io.BytesIO()
    torch.save(value, buffer)
    return torch.load(io.BytesIO(buffer.getvalue()), weights_only=False)


def smallest(supernet):
    return supernet.space.build(lambda d: d.value(range(d.low)))


@pytest.fixture(scope="module")
def space():
    """A transformer, and a convolution of which the kernel is open too."""
    rules = (Kernels(sizes=(1, 3)), *DEFAULT)
    return nn.ModuleList([convert(Transformer(), X), convert(Gated(), X, rules=rules)]).eval()


@pytest.mark.slow
@pytest.mark.parametrize("keep", [copy.deepcopy, pickled, saved], ids=lambda f: f.__name__)
def test_a_kept_space_is_the_same_and_its_own(space, keep):
    for model, again in zip(space, keep(space), strict=True):
        assert type(again) is type(model)
        assert conversion_of(again) == conversion_of(model)
        first, second = SuperNet(model).eval(), SuperNet(again).eval()
        assert first.space.size == second.space.size
        architecture = smallest(second)
        expected = first(X, smallest(first))
        torch.testing.assert_close(second(X, architecture), expected, rtol=0, atol=0)
        torch.testing.assert_close(derive(second, architecture)(X), expected)
        with second.route(architecture):
            assert all(choice.gate is None for choice in first.choices)


def test_a_kept_supernet_is_the_same():
    supernet = SuperNet(convert(Gated(), X)).eval()
    again = pickled(supernet)
    torch.testing.assert_close(again(X, smallest(again)), supernet(X, smallest(supernet)))


@pytest.mark.slow
def test_a_space_is_loaded_by_another_process(space, tmp_path):
    supernet = SuperNet(space[1]).eval()
    torch.save((space[1], X, supernet(X, smallest(supernet))), tmp_path / "space.pt")
    code = """
import sys, torch
from supernet.net import SuperNet
model, x, expected = torch.load(sys.argv[1], weights_only=False)
supernet = SuperNet(model)
y = supernet(x, supernet.space.build(lambda d: d.value(range(d.low))))
torch.testing.assert_close(y, expected)
"""
    here = Path(__file__).parent  # where the model's class is
    subprocess.run(
        [sys.executable, "-c", code, str(tmp_path / "space.pt")], check=True, cwd=here, timeout=100
    )

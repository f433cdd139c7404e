"""Choices pass on what they are called with, and options may return several values."""

from __future__ import annotations

from typing import NamedTuple

import pytest
import torch
from torch import nn

from supernet.choice import Choice, Routing
from supernet.errors import SpaceError
from supernet.net import SuperNet, derive


class Pair(NamedTuple):
    first: torch.Tensor
    second: object


class Layer(nn.Module):
    """Returns as it is told, a scaled input with what else there is."""

    def __init__(self, factor, kind):
        super().__init__()
        self.weight, self.kind = nn.Parameter(torch.tensor(float(factor))), kind

    def forward(self, hidden, *, mask=None):
        y = hidden * self.weight + (0 if mask is None else mask)
        if self.kind is torch.Tensor:
            return y
        if self.kind is Pair:
            return Pair(y, f"from {self.weight.item():g}")
        return self.kind([None, y, "further"])


class Model(nn.Module):
    def __init__(self, kind, pick=1):
        super().__init__()
        self.layer = Choice({"two": Layer(2, kind), "three": Layer(3, kind)}, pick, label="layer")

    def forward(self, x, mask):
        return self.layer(hidden=x, mask=mask)


def tensor_of(output):
    if isinstance(output, torch.Tensor):
        return output
    return next(one for one in output if isinstance(one, torch.Tensor))


X, MASK = torch.tensor([1.0, 2.0]), torch.tensor([10.0, 20.0])


@pytest.mark.parametrize("kind", [torch.Tensor, tuple, list, Pair])
def test_one_option_is_called_as_the_layer_would_be(kind):
    supernet = SuperNet(Model(kind))
    for architecture in supernet.space:
        output = supernet(X, MASK, routing=architecture)
        alone = derive(supernet, architecture)(X, MASK)
        assert type(output) is type(alone)
        torch.testing.assert_close(tensor_of(output), tensor_of(alone))
        factor = {"two": 2, "three": 3}[architecture["layer"]]
        torch.testing.assert_close(tensor_of(output), factor * X + MASK)
        if kind is Pair:
            assert output.second == f"from {factor}"


@pytest.mark.parametrize("kind", [torch.Tensor, tuple, list, Pair])
def test_sums_of_several_are_sums_of_their_tensors(kind):
    supernet = SuperNet(Model(kind, pick=2))
    (both,) = supernet.space
    for output in (supernet(X, MASK, routing=both), derive(supernet, both)(X, MASK)):
        torch.testing.assert_close(tensor_of(output), 5 * X + 2 * MASK)
        assert kind is not Pair or output.second == "from 3"
        assert not isinstance(output, tuple | list) or kind is Pair or output[2] == "further"


@pytest.mark.parametrize("kind", [torch.Tensor, tuple])
def test_mixtures_weigh_the_tensors(kind):
    supernet = SuperNet(Model(kind))
    weights = torch.tensor([0.25, 0.75], requires_grad=True)
    routing = Routing.soft(supernet.space, {"layer": weights})
    output = tensor_of(supernet(X, MASK, routing=routing))
    torch.testing.assert_close(output, 0.25 * (2 * X + MASK) + 0.75 * (3 * X + MASK))
    output.sum().backward()
    torch.testing.assert_close(
        weights.grad, torch.stack([(2 * X + MASK).sum(), (3 * X + MASK).sum()])
    )


def test_options_that_return_one_and_several_values_are_refused():
    model = Model(torch.Tensor, pick=2)
    model.layer.options[1].kind = tuple
    supernet = SuperNet(model)
    (both,) = supernet.space
    with pytest.raises(
        SpaceError, match=r"'two' returns float32 \[2\] on cpu, but 'three' returns a tuple"
    ):
        supernet(X, MASK, routing=both)

"""Class token and positions of elastic width."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from supernet import elastic as el
from supernet.cost import count_macs, count_params, measure_costs
from supernet.net import SuperNet, derive, reinitialise
from supernet.space import Architecture

WIDTHS = (2, 5, 8)


@pytest.fixture
def net():
    torch.manual_seed(0)
    width = el.Dimension("width", WIDTHS)
    layers = [el.Linear(3, width), el.ClassToken(width), el.Positions(5, width)]
    return SuperNet(nn.Sequential(*layers))


@pytest.mark.parametrize("width", WIDTHS)
def test_tokens_are_the_leading_numbers(net, width):
    x, architecture = torch.randn(7, 4, 3), Architecture({"width": width})
    linear, token, positions = net.model
    found = net(x, architecture)
    projected = x @ linear.weight[:width].T + linear.bias[:width]
    first = token.vectors.weight[0, :width].expand(7, 1, width)
    expected = torch.cat((first, projected), 1) + positions.vectors.weight[:, :width]
    torch.testing.assert_close(found, expected)
    torch.testing.assert_close(derive(net, architecture)(x), expected)


def test_costs_are_exact_and_nobody_warns(net):
    x = torch.randn(1, 4, 3)
    tables = measure_costs(net, x)
    for width in WIDTHS:
        derived = derive(net, Architecture({"width": width}))
        assert tables["params"].cost({"width": width}) == count_params(derived) == 10 * width
        assert tables["macs"].cost({"width": width}) == count_macs(derived, x) == 4 * 3 * width


def test_gradients_reach_the_used_numbers_only(net):
    net(torch.randn(2, 4, 3), Architecture({"width": 5})).sum().backward()
    for module in net.model[1:]:
        gradient = module.vectors.weight.grad
        assert (gradient[:, :5] == 2).all()
        assert (gradient[:, 5:] == 0).all()


def test_tokens_start_small_and_can_be_drawn_anew():
    wide = nn.Sequential(el.ClassToken(4000), el.Positions(4000, 3))
    derived = derive(
        SuperNet(nn.Sequential(wide, el.Linear(3, el.Dimension("out", [1, 2])))),
        Architecture({"out": 1}),
    )
    with torch.no_grad():
        for parameter in derived.parameters():
            parameter.fill_(7)
    reinitialise(derived, 1)
    before = [parameter.clone() for parameter in derived.parameters()]
    for vectors in before[:2]:
        assert 0.019 < vectors.std() < 0.021
        assert abs(vectors.mean()) < 0.002
    reinitialise(derived, 1)
    assert all(torch.equal(a, b) for a, b in zip(before, derived.parameters(), strict=True))
    reinitialise(derived, 2)
    assert not torch.equal(before[0], next(derived.parameters()))

"""Channels are sorted by importance without changing what the largest network computes."""

from __future__ import annotations

import copy

import pytest
import torch
from torch import nn

from supernet import elastic as el
from supernet.elastic.composed import JoinedSize, ProductSize
from supernet.elastic.size import FixedSize
from supernet.elastic.sorting import reorder, sort_channels
from supernet.net import SuperNet
from supernet.space import Architecture
from supernet.zoo.ofa import OFA


def attention():
    w = el.Dimension("width", [4, 8])
    block = el.SelfAttention(w, el.Dimension("heads", [1, 2, 3]), el.Dimension("head", [2, 4]))
    return nn.Sequential(el.Linear(5, w), el.LayerNorm(w), block, el.Linear(w, 3)), (2, 7, 5)


def grouped():
    w, u = el.Dimension("width", [4, 8]), el.Dimension("free", [4, 8])
    return nn.Sequential(
        el.Conv2d(1, w, 3),
        el.BatchNorm2d(w),
        el.Conv2d(w, el.ScaledSize(w, 2), 3, groups=4),
        el.Conv2d(el.ScaledSize(w, 2), w, 3),
        el.GroupNorm(2, w),
        el.Conv2d(w, u, 1),
        el.Conv2d(u, 3, 3),
    ), (2, 1, 6, 6)


def ofa():
    return OFA(
        image=(1, 8, 8),
        classes=10,
        stem=8,
        widths=((6, 8), (12, 16)),
        strides=(1, 2),
        depths=(1, 2),
        kernels=(3, 5),
        expansions=(2, 3),
        features=64,
        stem_stride=1,
    ), (3, 1, 8, 8)


@pytest.fixture(params=[attention, grouped, ofa])
def net(request):
    torch.manual_seed(0)
    model, shape = request.param()
    for parameter in model.parameters():
        nn.init.normal_(parameter)
    supernet = SuperNet(model)
    largest = Architecture({d.label: d.options[-1] for d in supernet.space.decisions})
    x = torch.randn(shape)
    supernet(torch.randn(shape), largest)  # statistics of batch norm that differ by channel
    return supernet.eval(), largest, x


def test_the_largest_network_computes_what_it_did(net):
    supernet, largest, x = net
    supernet.double()
    before = supernet(x.double(), largest)
    smallest = Architecture(
        {d.label: d.options[0] for d in supernet.space.decisions}
        if "stage0.depth" not in supernet.space.labels
        else dict(supernet.space[0])
    )
    small = supernet(x.double(), smallest)
    changed = sort_channels(supernet)
    assert changed
    torch.testing.assert_close(supernet(x.double(), largest), before)
    assert not torch.allclose(supernet(x.double(), smallest), small)


def test_sorting_twice_changes_nothing(net):
    supernet, _, _ = net
    sort_channels(supernet)
    before = copy.deepcopy(supernet.state_dict())
    for changes in sort_channels(supernet).values():
        assert all(torch.equal(order, torch.arange(len(order))) for _, order in changes)
    for name, value in supernet.state_dict().items():
        assert torch.equal(value, before[name])


def test_the_first_channels_are_those_that_weigh_most():
    w = el.Dimension("width", [2, 4])
    first, second = el.Linear(3, w), el.Linear(w, 2, bias=False)
    with torch.no_grad():
        second.weight.copy_(torch.tensor([[1.0, -5, 2, 0], [0, 1, -3, 0]]))
    rows = first.weight.detach().clone()
    changed = sort_channels(nn.Sequential(first, second))
    assert torch.equal(second.weight, torch.tensor([[-5.0, 2, 1, 0], [1, -3, 0, 0]]))
    assert torch.equal(first.weight, rows[[1, 2, 0, 3]])
    assert torch.equal(reorder(rows, changed[first.weight]), first.weight)


def test_heads_are_sorted_as_wholes():
    size = ProductSize(el.Dimension("heads", [1, 2]), 3)
    order = {"heads": torch.tensor([1, 0])}
    assert size.order(order).tolist() == [3, 4, 5, 0, 1, 2]
    assert size.positions("heads").tolist() == [0, 0, 0, 1, 1, 1]


def test_positions_of_joined_sizes():
    a, b = el.Dimension("a", [1, 2]), el.Dimension("b", [2, 3])
    size = JoinedSize(a, FixedSize(1), ProductSize(b, 2))
    assert size.largest == 9
    assert size.positions("b").tolist() == [-1, -1, -1, 0, 0, 1, 1, 2, 2]
    order = {"a": torch.tensor([1, 0]), "b": torch.tensor([2, 0, 1])}
    assert size.order(order).tolist() == [1, 0, 2, 7, 8, 3, 4, 5, 6]

"""Images lie channels last, except where a gradient would be wrong with it."""

import pytest
import torch
from torch import nn

from supernet import elastic
from supernet.net.memory_format import memory_format
from supernet.zoo import Bender

CPU = torch.device("cpu")


def convolution(entering, kernel=1, stride=2, groups=1):
    return nn.Sequential(nn.Conv2d(entering, 8, kernel, stride, groups=groups))


@pytest.mark.parametrize("entering", [1, 4, 7])
def test_narrow_convolutions_of_one_place_with_a_stride(entering):
    assert memory_format(convolution(entering), CPU) == torch.contiguous_format


def test_narrow_groups():
    assert memory_format(convolution(16, groups=4), CPU) == torch.contiguous_format


@pytest.mark.parametrize(
    "model", [convolution(8), convolution(4, kernel=3), convolution(4, stride=1)]
)
def test_others_lie_channels_last(model):
    assert memory_format(model, CPU) == torch.channels_last


def test_other_devices():
    assert memory_format(convolution(4), torch.device("cuda")) == torch.channels_last


def test_the_smallest_number_counts_and_gates_are_as_before():
    width = elastic.Dimension("width", (4, 8))
    model = nn.Sequential(elastic.Conv2d(3, width, 3), elastic.Conv2d(width, 8, 1, stride=2))
    assert memory_format(model, CPU) == torch.contiguous_format
    assert width.gate is None
    assert width.now == 8


def test_other_numbers_of_channels_leave_the_ready_spaces_as_they_were():
    assert memory_format(Bender((1, 8, 8), channels=8), CPU) == torch.channels_last

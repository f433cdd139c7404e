"""Small models in which every routing can be computed by hand."""

import pytest
import torch
from torch import nn

import supernet as sn


class Times(nn.Module):
    """Multiply by one learned number."""

    def __init__(self, factor):
        super().__init__()
        self.factor = nn.Parameter(torch.tensor(float(factor)))

    def forward(self, x):
        return self.factor * x


class Nested(nn.Module):
    """A choice whose option holds another choice, and a batch norm after it."""

    def __init__(self):
        super().__init__()
        inner = sn.Choice({"p": Times(3), "q": Times(5)})
        self.outer = sn.Choice({"deep": nn.Sequential(inner, Times(2)), "flat": Times(7)})

    def forward(self, x):
        return self.outer(x)


class Net(nn.Module):
    """A small image classifier with an operation choice, an input choice and batch norm."""

    def __init__(self):
        super().__init__()
        self.stem = conv(1, 4, 3)
        self.a = sn.Choice({"conv3": conv(4, 4, 3), "conv1": conv(4, 4, 1), "skip": nn.Identity()})
        self.b = sn.Choice({"conv3": conv(4, 4, 3), "pool": nn.AvgPool2d(3, 1, 1)}, pick=(1, 2))
        self.join = sn.InputChoice(
            {"stem": conv(4, 4, 1), "a": conv(4, 4, 1), "b": nn.Identity()}, (1, 3)
        )
        self.head = nn.Linear(4, 3)

    def forward(self, x):
        stem = self.stem(x)
        a = self.a(stem)
        return self.head(self.join([stem, a, self.b(a)]).mean((2, 3)))


def conv(channels_in, channels_out, kernel):
    return nn.Sequential(
        nn.Conv2d(channels_in, channels_out, kernel, padding=kernel // 2),
        nn.BatchNorm2d(channels_out),
        nn.ReLU(),
    )


@pytest.fixture
def times():
    return Times


@pytest.fixture
def net():
    torch.manual_seed(0)
    return sn.SuperNet(Net())


@pytest.fixture
def nested():
    return sn.SuperNet(Nested())


@pytest.fixture
def snapshot():
    """Return a function that copies all parameters and buffers of a model."""
    return lambda model: {name: value.clone() for name, value in model.state_dict().items()}

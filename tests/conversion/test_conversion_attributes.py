"""Numbers that no operator is passed: they follow where they tell a size, and are named where not."""

from __future__ import annotations

from types import SimpleNamespace

import pytest
import torch
from torch import nn

from supernet.conversion import Widths, conversion_of, convert
from supernet.net import SuperNet, derive


def narrow(model, *inputs):
    """Return the smallest network of a converted model, and the rows of the conversion."""
    supernet = SuperNet(convert(model.eval(), *inputs)).eval()
    smallest = supernet.space.build(lambda d: d.value(range(d.low)))
    derived = derive(supernet, smallest)
    torch.testing.assert_close(derived(*inputs), supernet(*inputs, smallest))
    return derived, {row.name: row for row in conversion_of(supernet.model).rows}


@pytest.mark.slow_with("InstanceNorm2d", "PReLU", "GroupNorm")
@pytest.mark.parametrize(
    "norm",
    [
        nn.InstanceNorm2d(16),
        nn.BatchNorm2d(16, affine=False, track_running_stats=False),
        nn.GroupNorm(4, 16, affine=False),
        nn.PReLU(16),
    ],
    ids=lambda norm: type(norm).__name__,
)
def test_norms_tell_the_channels_that_they_are_given(norm):
    model = nn.Sequential(nn.Conv2d(3, 16, 1), norm, nn.ConvTranspose2d(16, 16, 2), nn.Flatten())
    model.append(nn.Linear(16 * 81, 5))
    derived, _ = narrow(model, torch.randn(2, 3, 8, 8))
    told = {"num_features", "num_channels", "num_parameters"} & vars(derived[1]).keys()
    assert [vars(derived[1])[name] for name in told] == [8]
    assert (derived[2].in_channels, derived[2].out_channels) == (8, 8)
    assert derived[2].weight.shape[:2] == (8, 8)


class Checking(nn.Module):
    """A layer of one's own, which checks what it is given."""

    def __init__(self, entering, leaving):
        super().__init__()
        self.in_features, self.out_features = entering, leaving
        self.weight = nn.Parameter(torch.randn(leaving, entering) / entering**0.5)

    def forward(self, x):
        if x.shape[-1] != self.in_features:
            raise ValueError(f"{self.in_features} features are needed")
        return x @ self.weight.t()


class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.embed_dim, self.max_dim, self.rounds_of_dim = 32, 32, 32
        self.scale, self.rate, self.config = (
            32**0.5,
            0.3,
            SimpleNamespace(hidden_size=32, layers=32),
        )
        self.stem, self.own, self.head = nn.Linear(6, 32), Checking(32, 24), nn.Linear(24, 5)

    def forward(self, x):
        x = self.stem(x)
        for _ in range(self.rounds_of_dim):  # not a width, whatever it is called
            x = 0.9 * x
        return self.head(self.own(x * self.scale).relu())


@pytest.mark.slow
def test_attributes_that_tell_a_size_follow_it():
    derived, rows = narrow(Net(), torch.randn(2, 6))
    assert (derived.own.out_features, derived.own.in_features) == derived.own.weight.shape
    assert derived.own.in_features == 8
    assert derived.embed_dim == 8
    assert (derived.max_dim, derived.rounds_of_dim) == (32, 32)
    assert derived.scale == 32**0.5
    closed = rows[""].closed
    assert "scale (5.657) is 32 ** 0.5, and stays so in narrower networks" in closed
    assert "config.hidden_size (32) stays that of the largest network" in closed
    assert not any("rate" in reason or "layers" in reason for reason in closed)


def test_attributes_of_two_sizes_stay():
    class Two(nn.Module):
        def __init__(self):
            super().__init__()
            self.hidden = 16
            self.first, self.second, self.head = (
                nn.Linear(6, 16),
                nn.Linear(16, 16),
                nn.Linear(16, 5),
            )

        def forward(self, x):
            return self.head(self.second(self.first(x).relu()).relu())

    derived, _ = narrow(Two(), torch.randn(2, 6))
    assert (derived.first.out_features, derived.second.out_features) == (8, 8)
    assert derived.hidden == 16


class Computing(nn.Module):
    """Divides by its width, by a number of its own."""

    def __init__(self, width):
        super().__init__()
        self.d, self.layers = width, width
        self.gain = nn.Parameter(torch.ones(width))

    def forward(self, x):
        for _ in range(self.layers):
            x = x + 0
        return self.gain * x / (x.square().sum(-1, keepdim=True) / self.d + 1e-6).sqrt()


@pytest.mark.slow
def test_numbers_that_code_computes_with_are_named():
    model = nn.Sequential(nn.Embedding(9, 16), nn.Linear(16, 4), nn.Linear(4, 32))
    model += nn.Sequential(Computing(32), nn.Linear(32, 5))
    supernet = SuperNet(
        convert(model, torch.zeros(2, 3, dtype=torch.long), rules=[Widths(multiple=1)])
    )
    rows = {row.name: row for row in conversion_of(supernet.model).rows}
    assert rows["3"].closed == ("d (32) stays that of the largest network",)
    assert {"0", "2"} <= set(rows)
    assert not any("norm_type" in reason for reason in rows["0"].closed)  # 2.0 is not 4 ** 0.5

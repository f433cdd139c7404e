"""Operations with a stride, partial channels and dropped paths, against plain tensors."""

from __future__ import annotations

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from supernet.ops import DropPath, FactorizedReduce, Noise, PartialChannels, Zero, depthwise


@pytest.mark.parametrize("size", [6, 7])
def test_the_second_half_of_a_factorized_reduction_reads_the_other_pixels(size):
    module = FactorizedReduce(1, 3).eval()
    with torch.no_grad():
        module.even.weight.fill_(1)
        module.odd.weight.fill_(1)
    x = torch.arange(1.0, size * size + 1).view(1, 1, size, size)
    even, odd = module(x)[0, 0], module(x)[0, 2]
    expected = F.pad(x, (0, size % 2, 0, size % 2))[0, 0]

    assert module(x).shape == (1, 3, -(-size // 2), -(-size // 2))
    torch.testing.assert_close(even, expected[::2, ::2], rtol=1e-4, atol=0)
    torch.testing.assert_close(odd, expected[1::2, 1::2], rtol=1e-4, atol=0)


def test_a_factorized_reduction_begins_with_a_relu():
    assert not FactorizedReduce(2, 2).eval()(-torch.rand(1, 2, 4, 4)).any()


@pytest.mark.parametrize(("kernel", "dilation", "reach"), [(3, 1, 1), (3, 2, 2), (5, 2, 4)])
def test_dilation_widens_the_view(kernel, dilation, reach):
    module = depthwise(1, kernel, dilation=dilation).eval()
    with torch.no_grad():
        for conv in module[1:3]:
            conv.weight.fill_(1)
    x = torch.zeros(1, 1, 11, 11)
    x[0, 0, 5, 5] = 1
    seen = module(x)[0, 0].nonzero()
    assert seen.min() == 5 - reach
    assert seen.max() == 5 + reach
    assert len(seen) == kernel**2


def test_partial_channels_pass_the_others_by_and_shuffle():
    class Negate(nn.Module):
        def forward(self, x):
            assert x.shape[1] == 2
            return -x

    x = torch.arange(1.0, 7).view(1, 6, 1, 1).expand(2, 6, 4, 4)
    y = PartialChannels(Negate(), 3)(x)
    # groups (-1, -2), (3, 4), (5, 6): one of each in turn
    assert y[1, :, 0, 0].tolist() == [-1, 3, 5, -2, 4, 6]


@pytest.mark.parametrize("size", [4, 5])
def test_partial_channels_halve_what_passes_by(size):
    pool = nn.AvgPool2d(3, 2, 1)
    x = torch.randn(2, 4, size, size)
    y = PartialChannels(pool, 2, stride=2)(x)
    torch.testing.assert_close(y[:, 0::2], pool(x[:, :2]))
    torch.testing.assert_close(y[:, 1::2], F.max_pool2d(x[:, 2:], 2, ceil_mode=True))


def test_zeros_are_zeros_whatever_comes_in():
    x = torch.full((1, 2, 5, 5), torch.nan)
    assert torch.equal(Zero(2)(x), torch.zeros(1, 2, 3, 3))
    assert torch.equal(Zero()(x), torch.zeros(1, 2, 5, 5))


def test_noise_is_standard_normal_and_new_in_every_pass():
    x, noise = torch.full((4, 8, 32, 32), 7.0), Noise(2).eval()
    y = noise(x)
    assert y.shape == (4, 8, 16, 16)
    assert abs(y.mean()) < 0.05
    assert abs(y.std() - 1) < 0.05
    assert not torch.equal(noise(x), y)


def test_dropped_paths_keep_the_mean():
    drop, x = DropPath(nn.Identity(), 0.25), torch.ones(4000, 1, 2, 2)
    torch.manual_seed(0)
    y = drop(x)
    assert y.unique().tolist() == [0.0, pytest.approx(4 / 3)]
    assert torch.equal(y.amin((1, 2, 3)), y.amax((1, 2, 3)))  # an image as a whole
    assert (y == 0).float().mean() == pytest.approx(0.25, abs=0.03)
    assert torch.equal(drop.eval()(x), x)


def test_the_probability_of_dropping_rises_linearly_to_its_last_value():
    drop, x = DropPath(nn.Identity(), 0.4), torch.ones(4000, 1, 2, 2)
    for progress, expected in ((0.0, 0.0), (0.25, 0.1), (1.0, 0.4), (0.5, 0.2)):
        drop.set_progress(progress)
        torch.manual_seed(0)
        y = drop(x)
        assert (y == 0).float().mean() == pytest.approx(expected, abs=0.03)
        assert y.max().item() == pytest.approx(1 / (1 - expected))
        assert torch.equal(drop.eval()(x), x)
        drop.train()

import pytest
import torch

from supernet.cost import count_params
from supernet.ops import asymmetric, pointwise, pool, separable


@pytest.mark.parametrize("kernel", [3, 5, 7])
def test_sizes_of_convolutions(kernel):
    c = 6

    assert count_params(pointwise(c, 4)) == c * 4
    assert count_params(separable(c, kernel)) == 2 * (c * kernel**2 + c * c)
    assert count_params(separable(c, kernel, affine=True)) == 2 * (c * kernel**2 + c * c + 2 * c)
    assert count_params(asymmetric(c, kernel)) == 2 * kernel * c * c
    assert count_params(asymmetric(c, kernel, affine=True)) == 2 * kernel * c * c + 2 * c


@pytest.mark.parametrize(
    "block", [separable(4, 5), asymmetric(4, 7), pool("max"), pool("avg"), pointwise(4, 4)], ids=str
)
def test_blocks_keep_the_shape(block):
    x = torch.randn(2, 4, 5, 8)

    assert block(x).shape == x.shape


def test_pooling_sees_only_pixels_inside_the_image():
    x = torch.full((1, 1, 3, 3), -2.0)
    x[0, 0, 0, 0] = -5

    assert torch.equal(pool("max")(x), torch.full_like(x, -2))
    assert pool("avg")(x)[0, 0, 0, 0] == (-5 - 3 * 2) / 4
    assert pool("avg")(x)[0, 0, 2, 2] == -2


def test_convolutions_start_with_relu():
    x = -torch.rand(4, 4, 5, 5)

    for block in (separable(4, 3), asymmetric(4, 7)):
        assert torch.count_nonzero(block(x)) == 0

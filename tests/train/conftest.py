import pytest
import torch

from supernet.data import Augment, Examples, Loader


class DoubleLoader(Loader):
    """A loader whose inputs are doubles."""

    def batch(self, step):
        inputs, targets = super().batch(step)
        return inputs.double(), targets


@pytest.fixture
def make_loader():
    """Return a function that builds the same loader of 40 coloured images every time."""

    def make(seed=5, batch_size=8, augment=Augment(flip=True, crop=1, cutout=2), double=False):  # noqa: B008
        random = torch.Generator().manual_seed(0)
        images = torch.randint(256, (40, 3, 6, 6), generator=random, dtype=torch.uint8)
        examples = Examples(images, torch.arange(40) % 4, tuple("abcd"))
        return (DoubleLoader if double else Loader)(examples, batch_size, seed, augment)

    return make

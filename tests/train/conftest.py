import pytest
import torch

from supernet.data import Augment, Examples, Loader


@pytest.fixture
def make_loader():
    """Return a function that builds the same loader of 40 coloured images every time."""

    def make(seed=5, batch_size=8, augment=Augment(flip=True, crop=1, cutout=2)):  # noqa: B008
        random = torch.Generator().manual_seed(0)
        images = torch.randint(256, (40, 3, 6, 6), generator=random, dtype=torch.uint8)
        examples = Examples(images, torch.arange(40) % 4, tuple("abcd"))
        return Loader(examples, batch_size, seed, augment)

    return make

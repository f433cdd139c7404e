"""On a GPU no step waits for the device."""

import pytest
import torch
from torch import nn

from supernet.choice import Choice
from supernet.data import Augment, Examples, Loader
from supernet.net import SuperNet
from supernet.strategies import SPOS
from supernet.task import Classification
from supernet.train import Fit

pytestmark = pytest.mark.skipif(not torch.cuda.is_available(), reason="there is no GPU")


@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
def test_no_step_but_a_record_waits_for_the_device(precision):
    images = torch.randint(256, (64, 3, 8, 8), dtype=torch.uint8)
    examples = Examples(images, torch.arange(64) % 4, tuple("abcd")).to("cuda")
    choice = Choice({"conv3": nn.Conv2d(8, 8, 3, padding=1), "conv1": nn.Conv2d(8, 8, 1)})
    layers = [nn.Conv2d(3, 8, 3, padding=1), nn.BatchNorm2d(8), choice, nn.Flatten()]
    supernet = SuperNet(nn.Sequential(*layers, nn.Linear(512, 4))).to("cuda")
    done = []

    def advance():
        done.append(1)
        if len(done) == 2:  # what is made once is there
            torch.cuda.set_sync_debug_mode("error")
        if len(done) == 9:  # the next step is a record
            torch.cuda.set_sync_debug_mode("default")

    fit = Fit(
        steps=10,
        optimizer=lambda parameters: torch.optim.SGD(parameters, lr=0.1, momentum=0.9),
        schedule="cosine",
        warmup=0.1,
        clip=5.0,
        log_every=10,
        checkpoint_seconds=1e9,
        seed=0,
        advance=advance,
        precision=precision,
    )
    augment = Augment(flip=True, crop=1, cutout=2)
    try:
        fit.run(supernet, SPOS(), Classification(), Loader(examples, 16, 0, augment))
    finally:
        torch.cuda.set_sync_debug_mode("default")
    assert len(done) == 10

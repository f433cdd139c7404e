"""Steps of NNI's one-shot strategies beside the same methods here, on the space of NAS-Bench-201.

NNI trains through PyTorch Lightning, as it is made to. Before each of its steps, one of the strategy
here is made on a batch of the same images, so that both take turns in one process; what is between steps
(reading batches, Lightning's loop) is not counted. Times are CPU seconds of one thread. A step of SPOS
trains the path that NNI's step drew before. Both networks have affine batch norms and the same number of
parameters; weights move by SGD with momentum. NNI's is measured in PyTorch's own memory format, and as
a user may put it, in channels-last, which is what runs here choose by themselves.
"""

from __future__ import annotations

import importlib.metadata
import logging
import statistics
import time
import warnings
from collections.abc import Iterator, Mapping
from random import Random
from typing import Any

import torch
from torch import nn
from torch.nn import functional as F
from torch.utils.data import DataLoader

from benchmarks.measure import spread
from supernet.data import Examples, Loader, Normalise
from supernet.net import SuperNet
from supernet.space import Architecture, SearchSpace
from supernet.strategies import DARTS, SPOS, FBNet, ProxylessNAS, Strategy
from supernet.strategies.base import TrainingContext
from supernet.task import Classification
from supernet.train import Moment
from supernet.zoo import NASBench201

BATCH, CHANNELS, STEPS = 64, 16, 10_000
Batch = tuple[torch.Tensor, torch.Tensor]


class SamePath(SPOS):
    """Trains the path that it is told."""

    path: Architecture

    def draw(self, space: SearchSpace, random: Random) -> Architecture:
        """Return the path."""
        return self.path


def main() -> None:
    import nni.nas.strategy as theirs

    torch.set_num_threads(1)
    warnings.simplefilter("ignore")
    for name in ("pytorch_lightning", "lightning_fabric", "lightning", "nni"):
        logging.getLogger(name).setLevel(logging.ERROR)
    versions = [f"{name} {importlib.metadata.version(name)}" for name in ("nni", "torch")]
    print(f"{', '.join(versions)}; NAS-Bench-201, {CHANNELS} channels, batch {BATCH}, one thread")
    for their, name, own, repeats in (
        (theirs.DARTS, "DARTS", lambda: DARTS(order=1), 7),
        (theirs.RandomOneShot, "SPOS", SamePath, 40),
        (theirs.Proxyless, "ProxylessNAS", lambda: ProxylessNAS(every=1, start=0.0), 5),
        (theirs.GumbelDARTS, "FBNet", lambda: FBNet(cost=None), 5),
    ):
        for layout in (torch.contiguous_format, torch.channels_last):
            compared(their(), name, own(), repeats, layout)


def compared(
    their: Any, name: str, own: Strategy, repeats: int, layout: torch.memory_format
) -> None:
    """Print the CPU seconds of steps of both, and their ratios turn by turn.

    Args:
        their: strategy of NNI.
        name: name of the strategy here.
        own: the strategy here.
        repeats: number of turns.
        layout: memory format of NNI's network and its images.
    """
    from nni.nas.hub.pytorch import NasBench201

    torch.manual_seed(0)
    images = torch.randint(0, 256, (4 * BATCH, 3, 32, 32), dtype=torch.uint8)
    examples = Examples(images, torch.arange(4 * BATCH) % 10, tuple("0123456789"))
    last = layout == torch.channels_last
    batches = Loader(examples, BATCH, seed=0, normalise=Normalise.of(examples, channels_last=last))
    space = NasBench201(CHANNELS, 5).to(memory_format=layout)
    model = NASBench201(channels=CHANNELS, affine=True)
    sizes = [sum(one.numel() for one in each.parameters()) for each in (space, model)]
    if sizes[0] != sizes[1]:
        raise AssertionError(f"the networks have {sizes} parameters")
    turns = list(_turns(their, space, _Own(own, model, examples), batches, repeats + 1))[1:]
    mine, others = (statistics.median(each) for each in zip(*turns, strict=True))
    print(
        f"{type(their).__name__}{', channels-last' * last}: {others:.3f} CPU seconds a step, {name} "
        f"here {mine:.3f}; here / NNI {spread([a / b for a, b in turns])}",
        flush=True,
    )


class _Own:
    """A strategy of this library, step by step.

    Args:
        strategy: strategy to be measured.
        model: model with choices.
        examples: examples of all batches.
    """

    def __init__(self, strategy: Strategy, model: nn.Module, examples: Examples) -> None:
        normalise = Normalise.of(examples, channels_last=True)
        self.loader = Loader(examples, BATCH, seed=0, normalise=normalise)
        self.supernet = SuperNet(model.to(memory_format=torch.channels_last))
        self.strategy, self.sgd = strategy, _sgd(self.supernet.parameters())
        strategy.prepare(self.supernet, TrainingContext(0, {}, search=self.loader))

    def step(self, number: int) -> float:
        """Make a step; return its CPU seconds."""
        batch = self.loader.batch(number)
        moment = Moment(STEPS // 2 + number, STEPS, seed=0)
        began = time.process_time()
        self.strategy.backward(self.supernet, Classification(), batch, moment)
        self.sgd.step()
        self.sgd.zero_grad()
        return time.process_time() - began


def _turns(
    their: Any, space: nn.Module, own: _Own, batches: Loader, count: int
) -> Iterator[tuple[float, float]]:
    """Yield the CPU seconds of a step here and of one of NNI, turn by turn."""
    import pytorch_lightning as pl
    from nni.nas.evaluator.pytorch import LightningModule

    class Module(LightningModule):  # type: ignore[misc]  # NNI has no types
        def training_step(self, batch: Batch, batch_idx: int) -> torch.Tensor:
            return F.cross_entropy(self.model(batch[0]), batch[1])

        def configure_optimizers(self) -> torch.optim.Optimizer:
            return _sgd(self.parameters())

    found, paths = list[tuple[float, float]](), list[Mapping[str, str]]()

    class Clock(pl.Callback):  # type: ignore[misc]  # nor has Lightning here
        began = 0.0

        def on_train_batch_start(self, *_: Any) -> None:
            self.began = time.process_time()

        def on_train_batch_end(self, *_: Any) -> None:
            spent = time.process_time() - self.began
            if isinstance(own.strategy, SamePath):
                own.strategy.path = _path(paths[-1])
            found.append((own.step(len(found)), spent))

    module = Module()
    module.set_model(their.mutate_model(space))
    step = their.configure_oneshot_module(module)
    step.set_model(module.model)
    sample = step.resample

    def resample() -> Mapping[str, str]:
        paths.append(sample())
        return paths[-1]

    step.resample = resample
    trainer = pl.Trainer(
        accelerator="cpu",
        max_steps=-1,
        max_epochs=1,
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        callbacks=[Clock()],
    )
    ready = DataLoader([batches.batch(number) for number in range(count)], batch_size=None)
    loader = their.train_dataloader(lambda: ready, lambda: ready)
    trainer.fit(step, loader)
    yield from found


def _path(sample: Mapping[str, str]) -> Architecture:
    """Return the architecture of a sample of NNI."""
    names = {
        "none": "none",
        "skip_connect": "skip_connect",
        "conv_1x1": "nor_conv_1x1",
        "conv_3x3": "nor_conv_3x3",
        "avg_pool_3x3": "avg_pool_3x3",
    }
    found = dict[str, str]()
    for label, option in sample.items():
        source, node = label.removeprefix("cell/").split("_")
        found[f"{node}<-{source}"] = names[option]
    return Architecture(found)


def _sgd(parameters: Any) -> torch.optim.Optimizer:
    return torch.optim.SGD(parameters, lr=0.01, momentum=0.9, weight_decay=5e-4)


if __name__ == "__main__":
    main()

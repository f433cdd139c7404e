"""A supernet step over a step of the plain network that the sampled architecture is (limit 1)."""

from __future__ import annotations

import time

import torch

from benchmarks.measure import interleaved, spread
from supernet.data import Digits, Examples, Loader, Normalise, split_data
from supernet.net import SuperNet, derive
from supernet.random import stream
from supernet.strategies import SPOS, BenderOneShot, FairNAS, Strategy
from supernet.strategies.fairnas import fair_paths
from supernet.task import Classification
from supernet.train import Moment, Plain
from supernet.zoo import Bender, NASBenchMacro

BATCH = 64


def main() -> None:
    for name, image, channels in (("8x8 grey", (1, 8, 8), 8), ("32x32 colour", (3, 32, 32), 16)):
        single_path(name, image, channels)
    fair()
    throughput(BenderOneShot())
    throughput(SPOS())


def single_path(name: str, image: tuple[int, int, int], channels: int, repeats: int = 100) -> None:
    """Compare SPOS steps with plain steps on the same architectures and batches."""
    inputs = torch.randint(0, 256, (4 * BATCH, *image), dtype=torch.uint8)
    examples = Examples(inputs, torch.arange(4 * BATCH) % 10, tuple("0123456789"))
    normalise = Normalise.of(examples, channels_last=True)
    loader = Loader(examples, BATCH, seed=0, normalise=normalise)
    model = Bender(image, 10, channels, (1, 1)).to(memory_format=torch.channels_last)
    supernet, task = SuperNet(model), Classification()
    shared = _sgd(supernet)
    architectures = [
        supernet.space.sample(stream(0, "path", repeat)) for repeat in range(repeats + 5)
    ]
    plain = [derive(supernet, architecture) for architecture in architectures]
    own = [_sgd(module) for module in plain]

    def one_shot(repeat: int) -> None:
        moment = Moment(repeat, repeats + 5, seed=0)
        SPOS().backward(supernet, task, loader.batch(repeat), moment)
        shared.step()
        shared.zero_grad()

    def alone(repeat: int) -> None:
        moment = Moment(repeat, repeats + 5, seed=0)
        Plain().backward(plain[repeat], task, loader.batch(repeat), moment)
        own[repeat].step()
        own[repeat].zero_grad()

    a, b, ratios = interleaved(one_shot, alone, repeats)
    print(
        f"SPOS step / plain step, Bender {name} C{channels}, batch {BATCH}: {spread(ratios)}; "
        f"{1e3 * a:.1f} ms / {1e3 * b:.1f} ms (aim: at most 1.05)"
    )


def fair(image: tuple[int, int, int] = (3, 32, 32), channels: int = 8, repeats: int = 25) -> None:
    """Compare FairNAS steps with plain steps on the same paths, one after the other."""
    inputs = torch.randint(0, 256, (4 * BATCH, *image), dtype=torch.uint8)
    examples = Examples(inputs, torch.arange(4 * BATCH) % 10, tuple("0123456789"))
    normalise = Normalise.of(examples, channels_last=True)
    loader = Loader(examples, BATCH, seed=0, normalise=normalise)
    model = NASBenchMacro(image, 10, channels, features=64).to(memory_format=torch.channels_last)
    supernet, task = SuperNet(model), Classification()
    shared = _sgd(supernet)
    moments = [Moment(repeat, repeats + 5, seed=0) for repeat in range(repeats + 5)]
    plain = [
        [derive(supernet, path) for path in fair_paths(supernet.space, m.stream("permutations"))]
        for m in moments
    ]
    own = [[_sgd(module) for module in modules] for modules in plain]
    options = len(plain[0])

    def one_shot(repeat: int) -> None:
        FairNAS().backward(supernet, task, loader.batch(repeat), moments[repeat])
        shared.step()
        shared.zero_grad()

    def alone(repeat: int) -> None:
        for module, optimizer in zip(plain[repeat], own[repeat], strict=True):
            Plain().backward(module, task, loader.batch(repeat), moments[repeat])
            optimizer.step()
            optimizer.zero_grad()

    a, b, ratios = interleaved(one_shot, alone, repeats)
    print(
        f"FairNAS step / its {options} plain steps, NAS-Bench-Macro C{channels}, batch {BATCH}: "
        f"{spread(ratios)}; {1e3 * a:.1f} ms / {1e3 * b:.1f} ms (aim: at most 1.05)"
    )


def throughput(strategy: Strategy, steps: int = 60) -> None:
    """Print images per second of training on digits, averaged over the whole schedule."""
    splits = split_data(Digits().load(), seed=0)
    normalise = Normalise.of(splits.train, channels_last=True)
    loader = Loader(splits.train, BATCH, 0, splits.augment, normalise=normalise)
    model = Bender((1, 8, 8), 10, 8, (1, 1)).to(memory_format=torch.channels_last)
    supernet, task, learner = SuperNet(model), Classification(), strategy
    optimizer = _sgd(supernet)
    started = time.perf_counter()
    for step in range(steps):
        _step(learner, supernet, task, loader, optimizer, Moment(step, steps, seed=0))
    rate = steps * BATCH / (time.perf_counter() - started)
    print(f"training, {type(strategy).__name__}, digits, Bender C8: {rate:,.0f} images/s")


def _step(
    learner: Strategy,
    supernet: SuperNet,
    task: Classification,
    loader: Loader,
    optimizer: torch.optim.Optimizer,
    moment: Moment,
) -> None:
    learner.backward(supernet, task, loader.batch(moment.step), moment)
    optimizer.step()
    optimizer.zero_grad()


def _sgd(module: torch.nn.Module) -> torch.optim.Optimizer:
    return torch.optim.SGD(module.parameters(), lr=0.01, momentum=0.9, weight_decay=5e-4)

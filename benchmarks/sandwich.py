"""A step of the sandwich rule over the plain steps of its sub-networks, of the same supernet and batch.

A plain step is a forward and backward pass of one architecture under its route, with the labels. The
step of the sandwich adds the draws, what it watches and the distillation. Times are CPU seconds of one
thread, which do not count the waiting for others; the ways take turns.
"""

from __future__ import annotations

import statistics
import time

import torch

from benchmarks.measure import spread
from supernet.cost import measure_costs
from supernet.data import Examples, Loader, Normalise
from supernet.net import SuperNet
from supernet.strategies import AlphaNet, Sandwich, TrainingContext
from supernet.task import Classification
from supernet.train import Moment, backward
from supernet.zoo import OFA

BATCH = 64


def main() -> None:
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        small, large = models()
        compare("8x8 grey", small, (1, 8, 8), Sandwich())
        compare("8x8 grey", small, (1, 8, 8), AlphaNet())
        compare("32x32 colour", large, (3, 32, 32), Sandwich(), repeats=15)
    finally:
        torch.set_num_threads(threads)


def models() -> tuple[OFA, OFA]:
    """Return the space of the configuration `digits/sandwich`, and a larger one."""
    widths, depths, kernels = ((6, 8), (12, 16)), (1, 2, 3), (3, 5)
    small = OFA((1, 8, 8), 10, 8, widths, (1, 2), depths, kernels, (2, 3, 4), 64, stem_stride=1)
    widths = (24, 32), (40, 48)
    large = OFA((3, 32, 32), 10, 16, widths, (2, 2), depths, features=128, stem_stride=1)
    return small, large


def compare(
    name: str, model: OFA, image: tuple[int, int, int], strategy: Sandwich, repeats: int = 100
) -> None:
    """Compare steps of the sandwich with those of its architectures, one after the other."""
    inputs = torch.randint(0, 256, (4 * BATCH, *image), dtype=torch.uint8)
    examples = Examples(inputs, torch.arange(4 * BATCH) % 10, tuple("0123456789"))
    normalise = Normalise.of(examples, channels_last=True)
    loader = Loader(examples, BATCH, seed=0, normalise=normalise)
    supernet = SuperNet(model.to(memory_format=torch.channels_last)).train()
    costs, task = measure_costs(supernet, normalise(inputs[:1])), Classification()
    strategy.prepare(supernet, TrainingContext(0, costs))
    ends = costs["macs"].extremes(supernet.space)
    moments = [Moment(repeat, repeats + 5, seed=0) for repeat in range(repeats + 5)]
    architectures = [
        [*ends, *strategy.middle(supernet, task, loader.batch(moment.step), moment)]
        for moment in moments
    ]

    def together(repeat: int) -> None:
        strategy.backward(supernet, task, loader.batch(repeat), moments[repeat])
        supernet.zero_grad()

    def alone(repeat: int) -> None:
        batch = loader.batch(repeat)
        for architecture in architectures[repeat]:
            with supernet.route(architecture):
                backward(task.loss(supernet, batch))
        supernet.zero_grad()

    pairs = []
    for repeat in range(-5, repeats):
        spent = {}
        for way in (together, alone)[:: 1 if repeat % 2 else -1]:
            started = time.process_time()
            way(repeat + 5)
            spent[way] = time.process_time() - started
        pairs += [(spent[together], spent[alone])] if repeat >= 0 else []
    a, b = (statistics.median(times) for times in zip(*pairs, strict=True))
    ratios = spread([x / y for x, y in pairs])
    print(
        f"{type(strategy).__name__} step / its {strategy.paths} plain steps, once-for-all {name}, batch "
        f"{BATCH}: {ratios}; {1e3 * a:.1f} ms / {1e3 * b:.1f} ms (aim: at most 1.05)"
    )


if __name__ == "__main__":
    main()

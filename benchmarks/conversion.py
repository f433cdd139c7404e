"""What it costs to convert a model, and what the converted one's steps cost.

A ResNet-50 of timm: the seconds of its conversion; a training step of the largest sub-network over the
original's; steps of drawn sub-networks over those of the modules that are derived from them. Times of
steps are CPU seconds of one thread, which do not count the waiting for others; the ways take turns.
"""

from __future__ import annotations

import random
import time
from collections.abc import Callable

import torch
from torch import nn

from benchmarks.measure import spread
from benchmarks.timm_models import create_model
from supernet.conversion import convert
from supernet.net import SuperNet, derive
from supernet.space import Architecture


def main() -> None:
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        measured(batch=16, side=64)
        measured(batch=32, side=96)
    except ImportError as error:
        print(f"conversion: left out, since timm cannot be imported ({error})")
    finally:
        torch.set_num_threads(threads)


def measured(batch: int, side: int) -> None:
    """Print the three figures for batches of images of this side."""
    torch.manual_seed(0)
    original = create_model("resnet50", num_classes=10)
    inputs, targets = torch.randn(batch, 3, side, side), torch.arange(batch) % 10
    start, began = time.perf_counter(), time.process_time()
    converted = convert(original, inputs[:2])
    spent, processor = time.perf_counter() - start, time.process_time() - began
    supernet = SuperNet(converted).train()
    with torch.no_grad():
        apart = float((largest_output(supernet, inputs) - original.eval()(inputs)).abs().max())
    print(
        f"conversion of ResNet-50 ({batch} images of {side}x{side}): {spent:.1f} s "
        f"({processor:.1f} s CPU), {supernet.space.size:.1e} "
        f"networks, largest apart from the original by {apart:.1e}"
    )
    original.train()
    largest = ends(supernet)

    def step(model: nn.Module, route: Architecture | None = None) -> Callable[[], None]:
        def run() -> None:
            outputs = model(inputs) if route is None else model(inputs, route)
            nn.functional.cross_entropy(outputs, targets).backward()
            model.zero_grad()

        return run

    print(
        "largest sub-network's step over the original's: "
        + ratios([(step(supernet, largest), step(original))], repeats=7)
    )
    stream = random.Random(0)
    pairs = []
    for _ in range(8):
        architecture = supernet.space.sample(stream)
        pairs.append((step(supernet, architecture), step(derive(supernet, architecture).train())))
    print("sub-networks' steps over their derived modules': " + ratios(pairs, repeats=5))


def ends(supernet: SuperNet) -> Architecture:
    """Return the largest sub-network."""
    return supernet.space.build(lambda d: d.value(range(len(d.options) - d.high, len(d.options))))


def largest_output(supernet: SuperNet, inputs: torch.Tensor) -> torch.Tensor:
    """Return what the largest sub-network says in evaluation mode."""
    supernet.eval()
    outputs: torch.Tensor = supernet(inputs, ends(supernet))
    supernet.train()
    return outputs.detach()


def ratios(pairs: list[tuple[Callable[[], None], Callable[[], None]]], repeats: int) -> str:
    """Return the median ratio of CPU times, each pair of calls one right after the other."""
    found = []
    for first, second in pairs:
        for repeat in range(-1, repeats):
            spent = []
            for way in (first, second) if repeat % 2 else (second, first):
                began = time.process_time()
                way()
                spent.append(time.process_time() - began)
            if repeat >= 0:
                mine, other = spent if repeat % 2 else spent[::-1]
                found.append(mine / other)
    return spread(found)

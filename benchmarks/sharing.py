"""Shared evaluation and races over plain evaluation, in NAS-Bench-Macro's space, and their memory.

The space is the published one (3^8 architectures), the network a small one. Plain candidates are timed
in between the shared ones, so that both see the same machine. Beside each ratio stands the one that the
multiply-adds say: with every answer's layers run once per different beginning, over all candidates'.
"""

from __future__ import annotations

import statistics
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path

import torch

from benchmarks.measure import spread
from supernet.cost import Constraints, count_macs, measure_costs
from supernet.data import Digits, Examples, Loader, Normalise, split_data
from supernet.evaluate import Candidate, Evaluator, Protocol
from supernet.net import SuperNet
from supernet.random import stream
from supernet.search import Evolution, Problem, Search
from supernet.space import Architecture
from supernet.strategies import SPOS
from supernet.task import Classification
from supernet.train import Moment
from supernet.zoo.nasbench_macro import NASBenchMacro

IMAGE = (3, 16, 16)
IMAGES = 500
SAMPLE = 200
"""Architectures whose plain time stands for that of all."""

BLOCK = 10
"""Plain candidates that are timed one after the other."""


def main() -> None:
    net, evaluator = prepared(IMAGE, channels=4, features=16, batch=250)
    everything = list(net.space)
    report("all 6,561", evaluator, [everything], net, aim=7, sample=SAMPLE)
    generations = evolved(net)
    report("evolution, generations of 50", evaluator, generations, net, aim=2.5)
    random = [net.space.sample(stream(0, "random", i)) for i in range(250)]
    several = [list(dict.fromkeys(random[i : i + 50])) for i in range(0, 250, 50)]
    report("50 random members", evaluator, several, net, aim=2)
    race("recalibrate", images=500, candidates=1000)
    race("recalibrate", images=5000, candidates=300)
    race("batch", images=5000, candidates=300)
    memory()


def prepared(
    image: tuple[int, int, int], channels: int, features: int, batch: int, memory: int = 2**29
) -> tuple[SuperNet, Evaluator]:
    """Return a supernet and an evaluator on random images, with recalibration."""
    torch.manual_seed(0)
    pixels = torch.randint(0, 256, (2 * IMAGES, *image), dtype=torch.uint8)
    examples = Examples(pixels, torch.arange(2 * IMAGES) % 10, tuple("0123456789"))
    train, search = (examples.select(part) for part in torch.arange(2 * IMAGES).split(IMAGES))
    model = NASBenchMacro(image, 10, channels, features=features)
    net = SuperNet(model.to(memory_format=torch.channels_last))
    normalise = Normalise.of(train, channels_last=True)
    protocol = Protocol("recalibrate", batch, -(-IMAGES // batch))
    return net, Evaluator(net, Classification(), search, train, normalise, protocol, memory)


def evolved(net: SuperNet, generations: int = 6) -> list[list[Architecture]]:
    """Return the generations of an evolution after its first, under scores drawn at random."""
    problem = Problem(net.space, Constraints([], {}, net.space), 0)
    search, random = Search(Evolution(generations=generations), problem), stream(0, "scores")
    found: list[list[Architecture]] = []
    while asked := search.ask():
        found.append(asked)
        search.tell([Candidate(a.key, a, "ok", 1.0, random.random(), {}) for a in asked])
    return found[1:]


def report(
    name: str,
    evaluator: Evaluator,
    lists: Sequence[Sequence[Architecture]],
    net: SuperNet,
    aim: float,
    sample: int | None = None,
) -> None:
    """Print how much faster lists are scored together than one by one."""
    list(evaluator.scores(lists[0][:4]))  # warmed up, and scored both ways once
    ratios, each, alone, macs = [], [], [], []
    for architectures in lists:
        probes = list(architectures) if sample is None else stream(0).sample(architectures, sample)
        blocks = [probes[i : i + BLOCK] for i in range(0, len(probes), BLOCK)]
        every = len(architectures) // len(blocks)
        shared, plain = 0.0, []
        started = time.perf_counter()
        for count, _ in enumerate(evaluator.scores(architectures), 1):
            if count % every == 0 and blocks:
                shared += time.perf_counter() - started
                plain.append(timed(evaluator, blocks.pop()))
                started = time.perf_counter()
        shared += time.perf_counter() - started
        each.append(shared / len(architectures))
        alone.append(statistics.mean(plain))
        ratios.append(alone[-1] / each[-1])
        macs.append(saved(net, architectures))
    assert not evaluator.plain_because, evaluator.plain_because
    found = spread(ratios) if len(ratios) > 1 else f"{ratios[0]:.2f}"
    print(
        f"shared evaluation, {name}: {1e3 * statistics.mean(each):.2f} ms per candidate, plain "
        f"{1e3 * statistics.mean(alone):.1f} ms; {found}x faster (multiply-adds "
        f"{statistics.mean(macs):.2f}x; aim: at least {aim}x)"
    )


def timed(evaluator: Evaluator, architectures: Sequence[Architecture]) -> float:
    """Return the mean seconds of plain scores, after one that warms the caches again."""
    evaluator.score(architectures[0])
    started = time.perf_counter()
    for architecture in architectures:
        evaluator.score(architecture)
    return (time.perf_counter() - started) / len(architectures)


def saved(net: SuperNet, architectures: Sequence[Architecture]) -> float:
    """Return the multiply-adds of all candidates over those that run when beginnings are shared."""
    image = torch.zeros(1, *IMAGE)
    table = measure_costs(net, image)["macs"]
    stem, base = count_macs(net.model.stem, image), table.cost({})
    labels = sorted(architectures[0])
    beginnings = {
        tuple(architecture[label] for label in labels[: depth + 1])
        for architecture in architectures
        for depth in range(len(labels))
    }
    once = sum(table.cost({labels[len(b) - 1]: b[-1]}) - base for b in beginnings)
    plain = sum(map(table.cost, architectures))
    return plain / (stem + once + len(architectures) * (base - stem))


def race(batch_norm: str, images: int, candidates: int, keep: int = 5) -> None:
    """Compare a race with full shared evaluation, of random candidates on noisy digits."""
    splits = split_data(Digits().load(), 0)
    train, search = noisy(splits.train, 1000), noisy(splits.search, images)
    torch.manual_seed(0)
    model = NASBenchMacro((1, 16, 16), 10, 4, features=16).to(memory_format=torch.channels_last)
    net, task, normalise = (
        SuperNet(model),
        Classification(),
        Normalise.of(train, channels_last=True),
    )
    learn(net, task, Loader(train, 64, 0, normalise=normalise), 1000)
    batch = images // 10 if images == 500 else images // 20
    protocol = Protocol(batch_norm, batch, IMAGES // batch)
    evaluator = Evaluator(net, task, search, train, normalise, protocol, 2**29)
    everything = stream(0, "race").sample(list(net.space), candidates)
    list(evaluator.scores(everything[:4]))
    started = time.perf_counter()
    scores = dict(evaluator.scores(everything))
    full = time.perf_counter() - started
    started = time.perf_counter()
    fates = dict(evaluator.race(everything, keep))
    raced = time.perf_counter() - started

    def ranked(found: dict[Architecture, dict[str, float]]) -> list[str]:
        order = sorted(found, key=lambda a: (-found[a]["accuracy"], found[a]["loss"], a.key))
        return [a.key for a in order[:keep]]

    finalists = {a: fate for a, fate in fates.items() if isinstance(fate, dict)}
    looked = sum(getattr(fate, "images", images) for fate in fates.values())
    accuracies = [score["accuracy"] for score in scores.values() if isinstance(score, dict)]
    low, _, high = statistics.quantiles(accuracies, n=4)
    equal = ranked(finalists) == ranked({a: s for a, s in scores.items() if isinstance(s, dict)})
    print(
        f"race, '{batch_norm}', {len(everything):,} candidates of accuracy {low:.2f} to "
        f"{high:.2f} (quartiles) on {len(search)} images: "
        f"{full / raced:.2f}x faster than shared ({full:.1f} s / {raced:.1f} s), "
        f"{len(search) * len(everything) / looked:.2f}x fewer images, {len(finalists):,} finalists; "
        f"the best {keep} are {'the same' if equal else 'NOT the same'} (aim: 2x, the same)"
    )


def noisy(examples: Examples, count: int) -> Examples:
    """Return digits at twice the size, as often as needed, each shifted and with noise of its own."""
    random = torch.Generator().manual_seed(count)
    chosen = examples.select(torch.arange(count) % len(examples))
    images = chosen.inputs.repeat_interleave(2, 2).repeat_interleave(2, 3)
    shifts = torch.randint(-2, 3, (count, 2), generator=random).tolist()
    moved = torch.stack([image.roll(s, (1, 2)) for image, s in zip(images, shifts, strict=True)])
    noise = 40 * torch.randn(moved.shape, generator=random)
    order = torch.randperm(count, generator=random)
    inputs = (moved + noise).clamp(0, 255).to(torch.uint8)
    return Examples(inputs, chosen.targets, examples.classes).select(order)


def learn(net: SuperNet, task: Classification, loader: Loader, steps: int) -> None:
    optimizer = torch.optim.SGD(net.parameters(), lr=0.05, momentum=0.9)
    for step in range(steps):
        SPOS().backward(net, task, loader.batch(step), Moment(step, steps, seed=0))
        optimizer.step()
        optimizer.zero_grad()


def memory(bound: int = 64) -> None:
    """Print the peak memory of shared over that of plain evaluation, each in a process of its own."""
    peak = {}
    for way in ("plain", "shared"):
        code = f"from benchmarks.sharing import peak_memory; peak_memory({way!r}, {bound})"
        out = subprocess.run(
            [sys.executable, "-c", code], check=True, capture_output=True, text=True
        )
        peak[way] = float(out.stdout)
    allowed = 1.5 * peak["plain"] + bound
    print(
        f"peak memory over that before, bound {bound} MiB: shared {peak['shared']:.0f} MiB, plain "
        f"{peak['plain']:.0f} MiB: {peak['shared'] / peak['plain']:.2f}x, without the bound "
        f"{(peak['shared'] - bound) / peak['plain']:.2f}x (limit 1.5x and the bound: {allowed:.0f} MiB)"
    )


def peak_memory(way: str, bound: int) -> None:
    """Print the MiB that an evaluation adds to the peak of this process."""
    torch.set_num_threads(1)
    net, evaluator = prepared((3, 32, 32), 16, 64, 250, bound * 2**20 if way == "shared" else 0)
    some = [net.space.sample(stream(0, i)) for i in range(8)] + [
        net.space[net.space.size - 2],
        net.space[net.space.size - 1],
    ]
    torch.relu(torch.zeros(2, 2))
    before = _peak()
    list(evaluator.scores(some))
    after = _peak()
    assert way == "plain" or not evaluator.plain_because
    print((after - before) / 1024)


def _peak() -> float:
    """Return the peak KiB of this process (`getrusage` would count its parent's; Linux only)."""
    status = Path("/proc/self/status").read_text()
    return float(status.split("VmHWM:")[1].split()[0])


if __name__ == "__main__":
    torch.set_num_threads(1)
    main()

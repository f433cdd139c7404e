"""What half the precision does to a step: `python -m benchmarks.precision [--device cuda]`.

SPOS on NAS-Bench-201 (one cell in a stage) trains on random images by each precision in turn, with the
same paths. Printed is the time of a step over that of float32, the median over the repeats and their
range, and on a GPU the peak of memory over that of float32.
"""

from __future__ import annotations

import argparse
import statistics
import time

import torch

import supernet as sn
from supernet.data import Examples, Loader
from supernet.precision import Precision
from supernet.strategies import SPOS
from supernet.task import Classification
from supernet.train import Fit
from supernet.zoo import NASBench201

PRECISIONS: tuple[Precision, ...] = ("float32", "bfloat16", "float16")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--channels", type=int, default=16)
    parser.add_argument("--size", type=int, default=32, help="pixels of an image's side")
    parser.add_argument("--batch", type=int, default=128)
    parser.add_argument("--steps", type=int, default=10)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--precisions", nargs="+", choices=PRECISIONS, default=PRECISIONS[:2])
    given = parser.parse_args()
    images = torch.randint(256, (4 * given.batch, 3, given.size, given.size), dtype=torch.uint8)
    targets = torch.arange(len(images)) % 10
    examples = Examples(images, targets, tuple("0123456789")).to(given.device)
    model = NASBench201((3, given.size, given.size), 10, channels=given.channels, cells=1)
    supernet = sn.SuperNet(model).to(given.device, memory_format=torch.channels_last)
    loader = Loader(examples, given.batch, 0)
    times: dict[Precision, list[float]] = {}
    peaks: dict[Precision, float] = {}
    for repeat in range(given.repeats + 1):  # the first one warms up
        for precision in dict.fromkeys(("float32", *given.precisions)):
            seconds, peak = trained(supernet, loader, precision, given.steps)
            if repeat:
                times.setdefault(precision, []).append(seconds)
                peaks[precision] = peak
    for precision, every in times.items():
        ratios = [one / whole for one, whole in zip(every, times["float32"], strict=True)]
        memory = peaks[precision] / peaks["float32"] if peaks["float32"] else None
        print(
            f"{precision}: {1e3 * statistics.median(every) / given.steps:.1f} ms a step, "
            f"{statistics.median(ratios):.2f} [{min(ratios):.2f}, {max(ratios):.2f}] of float32"
            + (f"; memory {memory:.2f}" if memory else "")
        )


def trained(
    supernet: sn.SuperNet, loader: Loader, precision: Precision, steps: int
) -> tuple[float, float]:
    """Return the seconds of a training, and on a GPU the bytes at its peak."""
    cuda = next(supernet.parameters()).is_cuda
    if cuda:
        torch.cuda.reset_peak_memory_stats()
        torch.cuda.synchronize()
    fit = Fit(
        steps=steps,
        optimizer=lambda parameters: torch.optim.SGD(parameters, lr=0.05, momentum=0.9),
        schedule="constant",
        warmup=0.0,
        clip=5.0,
        log_every=steps,
        checkpoint_seconds=1e9,
        seed=0,
        precision=precision,
    )
    started = time.perf_counter()
    fit.run(supernet, SPOS(), Classification(), loader)
    return time.perf_counter() - started, torch.cuda.max_memory_allocated() if cuda else 0.0


if __name__ == "__main__":
    main()

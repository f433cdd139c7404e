"""What watching a training costs: `python -m benchmarks.fidelity.watching [--repeats 2]`.

The supernet of the digits (500 steps of 64 examples by SPOS) is trained plainly and watched, one after
the other in one process. Printed are processor seconds of each training, and the median of their ratios
to the plain training beside it.
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
import time
from pathlib import Path

from supernet.pipeline import execute, open_run

SETTINGS = {
    "plain": [],
    "16 networks": ["--watch.networks=16", "--watch.alone=0"],
    "16 networks, one of them alone": ["--watch.networks=16"],
    "8 networks, 100 images": ["--watch.networks=8", "--watch.images=100", "--watch.alone=0"],
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--repeats", type=int, default=2)
    repeats = parser.parse_args().repeats
    found = [{name: seconds(more) for name, more in SETTINGS.items()} for _ in range(repeats)]
    for name in SETTINGS:
        each = ", ".join(f"{one[name]:.1f}" for one in found)
        ratio = statistics.median(one[name] / one["plain"] for one in found)
        print(f"{name}: {each} s of a core, {ratio:.2f} times the plain training (n = {repeats})")


def seconds(options: list[str]) -> float:
    """Return the processor seconds of a training."""
    with tempfile.TemporaryDirectory() as folder:
        arguments = ["--strategy=spos", *options]
        with open_run(arguments, Path(folder) / "run", progress=False) as state:
            assert state.costs  # which is no part of the training
            started = time.process_time()
            execute(state, ["train"])
            return time.process_time() - started


if __name__ == "__main__":
    main()

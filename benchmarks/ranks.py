"""What two processes are worth beside one: `python -m benchmarks.ranks`.

On NAS-Bench-201 (one cell in a stage) SPOS trains, or candidates are scored (`--part scoring`), by one
process and by two, of one thread each. The commands run in turn. Training is measured in images per
second, with the same batch, by the median of the log's records but the first; scoring in candidates per
second of the whole step, all of it included. Printed is the median over the repeats of two processes
divided by one, and divided by what two processes reach that know nothing of each other (in training with
half the batch each), which is what the machine can do. Further options are those of the run, such as
`--train.batch_norm=part`.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import socket
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

OPTIONS = [
    "--strategy=spos",
    "--model=nasbench201",
    "--model.cells=1",
    "--data=digits",
    "--threads=1",
    "--train.log_every=10",
]

SEARCH = ["search", "--threads=1"]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--part", choices=["training", "scoring"], default="training")
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--steps", type=int, default=30)
    parser.add_argument("--batch", type=int, default=256)
    parser.add_argument("--channels", type=int, default=16)
    parser.add_argument("--canvas", type=int, default=32, help="side of the images, in pixels")
    parser.add_argument("--candidates", type=int, default=300)
    given, rest = parser.parse_known_args()
    options = [
        *rest,
        *OPTIONS,
        f"--model.channels={given.channels}",
        f"--data.canvas={given.canvas}",
    ]
    with tempfile.TemporaryDirectory() as name:
        measure: Callable[[int], float]
        separate: Callable[[], float]
        trained, run = Path(name) / "trained", Path(name) / "run"
        if given.part == "training":
            unit = f"images/s, batch {given.batch}"
            long = [*options, f"--train.steps={given.steps}"]

            def measure(count: int) -> float:
                shutil.rmtree(run, ignore_errors=True)
                started(["train", *long, f"--train.batch_size={given.batch}"], run, count)
                return images_per_second(run)

            def separate() -> float:
                halves = ["train", *long, f"--train.batch_size={given.batch // 2}"]
                return sum(map(images_per_second, both(halves, run, None)))
        else:
            unit = f"candidates/s, {given.candidates} candidates"
            fewer = f"--search.searcher.count={given.candidates}"
            started(["train", *options, fewer, "--train.steps=1"], trained, 1)

            def measure(count: int) -> float:
                started(SEARCH, copied(trained, run), count)
                return given.candidates / seconds_of(run)

            def separate() -> float:
                pair = both(SEARCH, run, trained)
                return given.candidates * sum(1 / seconds_of(each) for each in pair)

        ratios, of_machine = [], []
        for repeat in range(given.repeats):
            one, two, apart = measure(1), measure(2), separate()
            ratios.append(two / one)
            of_machine.append(two / apart)
            print(
                f"repeat {repeat + 1}: {one:,.1f} and {two:,.1f}, {apart:,.1f} apart, {unit}",
                flush=True,
            )
    print(f"two processes ÷ one: {summary(ratios)}, {given.repeats} repeats, {unit}")
    print(f"two processes ÷ two apart: {summary(of_machine)}")


def summary(ratios: list[float]) -> str:
    """Return the median of ratios, and the lowest and highest."""
    return f"{statistics.median(ratios):.2f} [{min(ratios):.2f}, {max(ratios):.2f}]"


def images_per_second(folder: Path) -> float:
    """Return the speed of a training."""
    records = [json.loads(line) for line in (folder / "log.jsonl").read_text().splitlines()]
    return statistics.median(record["images_per_second"] for record in records[1:])


def both(command: list[str], folder: Path, start: Path | None) -> list[Path]:
    """Run a command by two processes that know nothing of each other; return their folders.

    Args:
        command: command and its options.
        folder: folder that theirs are made in.
        start: run folder that theirs are copies of at first.
    """
    shutil.rmtree(folder, ignore_errors=True)
    pair = [folder / str(number) for number in range(2)]
    if start is not None:
        for each in pair:
            copied(start, each)
    assert [one.wait() for one in [process(command, each) for each in pair]] == [0, 0]
    return pair


def copied(trained: Path, folder: Path) -> Path:
    shutil.rmtree(folder, ignore_errors=True)
    return Path(shutil.copytree(trained, folder))


def seconds_of(folder: Path) -> float:
    """Return the seconds that the search of a run took."""
    found: float = json.loads((folder / "metrics.json").read_text())["search"]["seconds"]
    return found


def started(command: list[str], folder: Path, count: int) -> None:
    """Run a command by so many processes."""
    with socket.socket() as port:
        port.bind(("127.0.0.1", 0))
        address = {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port.getsockname()[1])}
    size = {**address, "WORLD_SIZE": str(count)}
    every = [process(command, folder, **size, RANK=str(rank)) for rank in range(count)]
    assert [one.wait() for one in every] == [0] * count


def process(command: list[str], folder: Path, **environment: str) -> subprocess.Popen[bytes]:
    return subprocess.Popen(
        [sys.executable, "-m", "supernet", *command, "--out", str(folder)],
        env={**os.environ, "OMP_NUM_THREADS": "1", **environment},
        stdout=subprocess.DEVNULL,
    )


if __name__ == "__main__":
    main()

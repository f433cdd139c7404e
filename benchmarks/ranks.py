"""What two processes are worth beside one: `python -m benchmarks.ranks`.

On NAS-Bench-201 (one cell in a stage) SPOS trains, or candidates are scored (`--part scoring`), by one
process and by two, of one thread each. The commands run in turn. Training is measured in images per
second, with the same batch, by the median of the log's records but the first; scoring in candidates per
second of the whole step, all of it included. Printed is the median over the repeats of two processes
divided by one; of scoring also divided by what two processes reach that know nothing of each other,
which is what the machine can do.
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
    parser.add_argument("--steps", type=int, default=60)
    parser.add_argument("--batch", type=int, default=512)
    parser.add_argument("--channels", type=int, default=16)
    parser.add_argument("--candidates", type=int, default=300)
    given = parser.parse_args()
    options = [*OPTIONS, f"--model.channels={given.channels}", f"--train.batch_size={given.batch}"]
    with tempfile.TemporaryDirectory() as name:
        measure: Callable[[int], float]
        trained = Path(name) / "trained"
        if given.part == "training":
            unit = f"images/s, batch {given.batch}"

            def measure(count: int) -> float:
                return training(
                    Path(name) / "run", [*options, f"--train.steps={given.steps}"], count
                )
        else:
            unit = f"candidates/s, {given.candidates} candidates"
            fewer = f"--search.searcher.count={given.candidates}"
            started(["train", *options, fewer, "--train.steps=1"], trained, 1)

            def measure(count: int) -> float:
                return given.candidates / scoring(trained, Path(name) / "run", count)

        ratios, of_machine = [], []
        for repeat in range(given.repeats):
            one, two = (measure(count) for count in (1, 2))
            ratios.append(two / one)
            text = f"repeat {repeat + 1}: {one:,.1f} and {two:,.1f}"
            if given.part == "scoring":
                both = given.candidates * apart(trained, Path(name) / "apart")
                of_machine.append(two / both)
                text += f", {both:,.1f} apart,"
            print(f"{text} {unit}", flush=True)
    print(f"two processes ÷ one: {summary(ratios)}, {given.repeats} repeats, {unit}")
    if of_machine:
        print(f"two processes ÷ two apart: {summary(of_machine)}")


def summary(ratios: list[float]) -> str:
    """Return the median of ratios, and the lowest and highest."""
    return f"{statistics.median(ratios):.2f} [{min(ratios):.2f}, {max(ratios):.2f}]"


def training(folder: Path, options: list[str], count: int) -> float:
    """Return the images per second of a training by so many processes."""
    shutil.rmtree(folder, ignore_errors=True)
    started(["train", *options], folder, count)
    records = [json.loads(line) for line in (folder / "log.jsonl").read_text().splitlines()]
    return statistics.median(record["images_per_second"] for record in records[1:])


def scoring(trained: Path, folder: Path, count: int) -> float:
    """Return the seconds of a search by so many processes."""
    started(SEARCH, copied(trained, folder), count)
    return seconds_of(folder)


def apart(trained: Path, folder: Path) -> float:
    """Return the searches per second of two processes that know nothing of each other."""
    pair = [copied(trained, folder / str(number)) for number in range(2)]
    for one in [process(SEARCH, each) for each in pair]:
        assert one.wait() == 0
    return sum(1 / seconds_of(each) for each in pair)


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
        stderr=subprocess.DEVNULL,
    )


if __name__ == "__main__":
    main()

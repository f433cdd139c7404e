"""What two processes are worth beside one: `python -m benchmarks.ranks`.

SPOS on NAS-Bench-201 (one cell in a stage) trains by one process and by two, of one thread each, with
the same batch. The commands run in turn, and of each the images per second are the median of the log's
records but the first. Printed is the median over the repeats of two processes divided by one.
"""

from __future__ import annotations

import argparse
import json
import os
import socket
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

OPTIONS = [
    "--strategy=spos",
    "--model=nasbench201",
    "--model.cells=1",
    "--data=digits",
    "--train.log_every=10",
]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--steps", type=int, default=60)
    parser.add_argument("--batch", type=int, default=512)
    parser.add_argument("--channels", type=int, default=16)
    given = parser.parse_args()
    options = [
        *OPTIONS,
        f"--train.steps={given.steps}",
        f"--train.batch_size={given.batch}",
        f"--model.channels={given.channels}",
    ]
    ratios = []
    for repeat in range(given.repeats):
        one, two = (speed(options, count) for count in (1, 2))
        ratios.append(two / one)
        print(f"repeat {repeat + 1}: {one:,.0f} and {two:,.0f} images/s", flush=True)
    print(
        f"two processes ÷ one: {statistics.median(ratios):.2f} "
        f"[{min(ratios):.2f}, {max(ratios):.2f}], {given.repeats} repeats, batch {given.batch}"
    )


def speed(options: list[str], count: int) -> float:
    """Return the images per second of a training by so many processes."""
    with tempfile.TemporaryDirectory() as name, socket.socket() as port:
        port.bind(("127.0.0.1", 0))
        address = {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port.getsockname()[1])}
        port.close()
        folder = Path(name) / "run"
        every = [
            subprocess.Popen(
                [sys.executable, "-m", "supernet", "train", *options, "--out", str(folder)],
                env={
                    **os.environ,
                    "OMP_NUM_THREADS": "1",
                    **(address | {"WORLD_SIZE": str(count), "RANK": str(rank)}),
                },
                stdout=subprocess.DEVNULL,
            )
            for rank in range(count)
        ]
        assert [one.wait() for one in every] == [0] * count
        records = [json.loads(line) for line in (folder / "log.jsonl").read_text().splitlines()]
        return statistics.median(record["images_per_second"] for record in records[1:])


if __name__ == "__main__":
    main()

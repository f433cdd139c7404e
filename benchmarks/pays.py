"""Whether searching pays: `python -m benchmarks.pays --seeds 5`, with options of the run.

A configuration runs with each seed. Printed are, for each, the test accuracy of the best network that
the search found, the mean of the random networks of about its cost, and that of the network that was
chosen among all that were retrained; at the end the mean advantages over the random ones with intervals
of 95 % over the runs (Student's t), and the processor time of a run.
"""

from __future__ import annotations

import argparse
import json
import math
import os
import statistics
import subprocess
import sys
from pathlib import Path

from scipy import stats


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--config", default="digits/lost")
    parser.add_argument("--folder", type=Path, default=Path("runs/pays"))
    parser.add_argument("--seeds", type=int, default=5)
    given, rest = parser.parse_known_args()
    advantages: dict[str, list[float]] = {"the best found": [], "the chosen one": []}
    seconds = []
    for seed in range(given.seeds):
        found, spent = run(given.config, given.folder / str(seed), seed, rest)
        seconds.append(spent)
        random = statistics.mean(one["accuracy"] for one in found["random"])
        best = (found.get("searched") or found["chosen"])["accuracy"]
        chosen = found["chosen"]["accuracy"]
        print(
            f"seed {seed}: best found {best:.2%}, random {random:.2%}, chosen {chosen:.2%}",
            flush=True,
        )
        advantages["the best found"].append(best - random)
        advantages["the chosen one"].append(chosen - random)
    for name, each in advantages.items():
        low, high = interval(each)
        print(
            f"{name}: {100 * statistics.mean(each):+.2f} points over random ones of its cost, 95 % "
            f"[{100 * low:+.2f}, {100 * high:+.2f}] over {given.seeds} runs"
        )
    print(f"processor time of a run: {statistics.median(seconds):.0f} s (median)")


def run(config: str, folder: Path, seed: int, options: list[str]) -> tuple[dict, float]:
    """Run a configuration; return what was tested, and the seconds of processor time."""
    before = os.times()
    command = [sys.executable, "-m", "supernet", "run", "--config", config, "--out", str(folder)]
    subprocess.run([*command, f"--seed={seed}", *options], check=True, stdout=subprocess.DEVNULL)
    after = os.times()
    spent = after.children_user + after.children_system
    spent -= before.children_user + before.children_system
    return json.loads((folder / "metrics.json").read_text())["test"], spent


def interval(values: list[float]) -> tuple[float, float]:
    """Return where the mean lies, with 95 %."""
    if len(values) < 2:
        return -math.inf, math.inf
    half = stats.sem(values) * stats.t.ppf(0.975, len(values) - 1)
    return statistics.mean(values) - half, statistics.mean(values) + half


if __name__ == "__main__":
    main()

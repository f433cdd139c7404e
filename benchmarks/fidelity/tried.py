"""What may raise a supernet's fidelity: `python -m benchmarks.fidelity.tried NAME ... --seeds 3`.

Each way is a run of `benchmarks.fidelity.supernets` with other options, by default on the two spaces of
which every network was trained alone. Steps are fewer where a step trains several paths, so that every
run has as many passes of a path. Printed are Kendall's τ by loss and by accuracy, the mean over the
seeds and each. `plain` is SPOS as it is.
"""

from __future__ import annotations

import argparse
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from scipy import stats

from benchmarks.fidelity.own_truths import FASHION
from benchmarks.fidelity.supernets import SETTINGS, table_and_data
from supernet.pipeline import execute, open_run
from supernet.pipeline.ranking import rank_run

WAYS: Mapping[str, tuple[float, list[str]]] = {
    # Passes of a path in a step (0: as many as a decision has options), and options of the run.
    "plain": (1, []),
    "networks": (1, ["--strategy.sampling=networks"]),
    "ema": (1, ["--train.ema=0.999"]),
    "ema, rate kept": (1, ["--train.ema=0.999", "--train.schedule=constant"]),
    "fair": (0, ["--strategy=fairnas"]),
    "sandwich": (4, ["--strategy=sandwich"]),
    "sandwich, labels": (4, ["--strategy=sandwich", "--strategy.distil=false"]),
    "shared": (1, ["--sharing.until=0.5"]),
    "shared, model": (1, ["--sharing.until=0.5", "--sharing.among=model"]),
    "shared to the end": (1, ["--sharing.until=1"]),
    "batch 128": (2, ["--train.batch_size=128"]),
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("ways", nargs="+", choices=WAYS)
    parser.add_argument("--settings", nargs="+", default=["own-cell", "own-chain"])
    parser.add_argument("--folder", type=Path, default=Path("runs/tried"))
    parser.add_argument("--data", type=Path, help="folder of CIFAR-10's images")
    parser.add_argument("--fashion", default=FASHION, help="folder of Fashion-MNIST's IDX files")
    parser.add_argument("--macro", type=Path, help="published file of NAS-Bench-Macro")
    parser.add_argument("--cells", default="nasbench201", help="table of NAS-Bench-201")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--count", type=int, default=1000)
    given, rest = parser.parse_known_args()
    for setting in given.settings:
        for way in given.ways:
            print(f"{setting}, {way}: {tried(setting, way, given, rest)}", flush=True)


def tried(setting: str, way: str, given: argparse.Namespace, rest: Sequence[str]) -> str:
    """Train and rank with each seed; return what is printed of it."""
    passes, options = WAYS[way]
    found: dict[str, list[float]] = {}
    truth, data = table_and_data(setting, given)
    for seed in range(given.seeds):
        arguments = [*SETTINGS[setting][1], f"--data.folder={data}", f"--seed={seed}", *options]
        arguments += [f"--train.steps={steps(setting, passes)}", *rest]
        folder = given.folder / way.replace(", ", "-").replace(" ", "-") / f"{setting}-{seed}"
        with open_run(arguments, folder, progress=False) as opened:
            execute(opened, ["train"])
            ranking = rank_run(opened, truth, count=given.count, free=())
        for score in ("-loss", "accuracy"):
            tau = stats.kendalltau(ranking.scores[score], ranking.values).statistic
            found.setdefault(score, []).append(float(tau))
    return "; ".join(
        f"{score} {np.mean(taus):.3f} [{', '.join(f'{tau:.3f}' for tau in taus)}]"
        for score, taus in found.items()
    )


def steps(setting: str, passes: float) -> int:
    """Return for how many steps a way is trained, so that all have as many passes."""
    options = dict(option[2:].split("=", 1) for option in SETTINGS[setting][1])
    return round(int(options["train.steps"]) / (passes or (3 if "chain" in setting else 4)))


if __name__ == "__main__":
    main()

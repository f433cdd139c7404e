"""What scores under shared weights are worth beside published truths.

`python -m benchmarks.fidelity.supernets SETTING ... --data FOLDER`, with further options of the run at
the end, such as `--train.steps=1000`.

Each setting is a run of `supernet train` on CIFAR-10, scaled to 16×16, or on Fashion-MNIST, followed by
`supernet rank`; both can be stopped, and go on from the folder. Printed is a row for each setting and
seed: the steps and processor minutes of the training, and of scoring; of each score and count Kendall's
τ with what networks are worth, among all and among the best half and decile, and what the network is
worth that it would choose. Networks are drawn at random from the table, each once.

The folder of CIFAR-10's images holds train/<class>/* and test/<class>/*. The truths of "own-cell" and
"own-chain" are those of `benchmarks.fidelity.own_truths`.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Mapping
from pathlib import Path

from benchmarks.fidelity.own_truths import FASHION, TRUTHS
from supernet.evaluate.resampling import Interval
from supernet.pipeline import execute, open_run
from supernet.pipeline.ranking import rank_run
from supernet.track.ranking import Ranking

COMMON = [
    "--strategy=spos",
    "--train.optimizer=SGD",
    "--train.optimizer.momentum=0.9",
    "--train.optimizer.nesterov=true",
    "--train.log_every=100",
]
CIFAR = [
    *COMMON,
    "--data=folder",
    "--data.size=16",
    "--split.search_fraction=0.05",
    "--train.batch_size=128",
    "--train.optimizer.weight_decay=2.5e-4",
]
OWN = [
    *COMMON,
    "--data=idx",
    "--split.limit=14500",
    f"--split.search_fraction={2500 / 14500}",
    "--split.augment=supernet.data.Augment",
    "--split.augment.crop=0",
    "--train.batch_size=64",
    "--train.optimizer.lr=0.1",
    "--train.optimizer.weight_decay=5e-4",
    "--train.steps=6000",
    # Networks alone are trained as those of the truths were.
    "--retrain.train.optimizer=SGD",
    "--retrain.train.optimizer.lr=0.1",
    "--retrain.train.optimizer.momentum=0.9",
    "--retrain.train.optimizer.nesterov=true",
    "--retrain.train.optimizer.weight_decay=5e-4",
    "--retrain.train.steps=748",
    "--retrain.train.warmup=0",
]
CELLS = [*CIFAR, "--model=nasbench201", "--model.channels=8"]
CHAIN = [*CIFAR, "--model=nasbench-macro", "--model.channels=8", "--model.features=320"]
SETTINGS: Mapping[str, tuple[str, list[str]]] = {
    # Names: the depth of stages, what paths are uniform over, the learning rate.
    "cells-5": ("nasbench201", [*CELLS, "--train.optimizer.lr=0.05", "--train.steps=12000"]),
    "cells-1": (
        "nasbench201",
        [
            *CELLS,
            "--model.cells=1",
            "--strategy.sampling=networks",
            "--train.optimizer.lr=0.1",
            "--train.steps=8000",
        ],
    ),
    "cells-1-decisions": (
        "nasbench201",
        [*CELLS, "--model.cells=1", "--train.optimizer.lr=0.1", "--train.steps=8000"],
    ),
    # Full size, for a GPU: 250 epochs of 25,000 images, and 10,000 to score all networks on, as
    # `full --count 15625 --device=cuda`; stopped and started again, it goes on.
    "full": (
        "nasbench201",
        [
            *COMMON,
            "--data=folder",
            "--model=nasbench201",
            "--split.limit=35000",
            f"--split.search_fraction={10_000 / 35_000}",
            "--train.batch_size=256",
            "--train.steps=24414",
            "--train.optimizer.lr=0.1",
            "--train.optimizer.weight_decay=5e-4",
            "--train.precision=bfloat16",
            "--sharing.until=0.5",
            "--evaluate.batch_size=1000",
        ],
    ),
    "chain": (
        "nasbench-macro",
        [
            *CHAIN,
            "--strategy.sampling=networks",
            "--train.optimizer.lr=0.1",
            "--train.steps=12000",
        ],
    ),
    "own-cell": ("own-cell", [*OWN, "--model=benchmarks.fidelity.spaces.SmallCell"]),
    "own-chain": ("own-chain", [*OWN, "--model=benchmarks.fidelity.spaces.SmallChain"]),
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("settings", nargs="+", choices=SETTINGS)
    parser.add_argument("--folder", type=Path, default=Path("runs/fidelity"))
    parser.add_argument("--data", type=Path, help="folder of CIFAR-10's images")
    parser.add_argument("--fashion", default=FASHION, help="folder of Fashion-MNIST's IDX files")
    parser.add_argument("--macro", type=Path, help="published file of NAS-Bench-Macro")
    parser.add_argument("--cells", default="nasbench201", help="table of NAS-Bench-201")
    parser.add_argument("--seeds", type=int, default=1)
    parser.add_argument("--count", type=int, default=1000)
    given, rest = parser.parse_known_args()
    for name in given.settings:
        _, options = SETTINGS[name]
        truth, data = table_and_data(name, given)
        for seed in range(given.seeds):
            arguments = [*options, f"--data.folder={data}", f"--seed={seed}"]
            folder = given.folder / f"{name}-{seed}"
            print(f"{name}, seed {seed}: {row([*arguments, *rest], folder, truth, given.count)}")


def table_and_data(setting: str, given: argparse.Namespace) -> tuple[str | Path, Path | str]:
    """Return what the networks of a setting are worth, and the folder of its images."""
    return {
        "nasbench201": (given.cells, given.data),
        "nasbench-macro": (f"nasbench-macro:{given.macro}", given.data),
        "own-cell": (TRUTHS / "cell.json", given.fashion),
        "own-chain": (TRUTHS / "chain.json", given.fashion),
    }[SETTINGS[setting][0]]


def row(arguments: list[str], folder: Path, truth: str | Path, count: int) -> str:
    """Train and rank; return what is printed of it."""
    with open_run(arguments, folder, progress=False) as opened:
        started = time.process_time()
        execute(opened, ["train"])
        trained = time.process_time()
        ranking = rank_run(opened, truth, count=count)
        seconds = trained - started, time.process_time() - trained
        steps = opened.run.config.train.steps
    return (
        f"{steps:,} steps in {seconds[0] / 60:.1f} CPU minutes, {ranking.figures.n:,} networks scored "
        f"in {seconds[1] / 60:.1f} (less where they were there before)\n{table(ranking)}\n  "
        f"{ranking.verdict.text}"
    )


def table(ranking: Ranking) -> str:
    """Return a line for each score."""
    lines = []
    for name, figures in ranking.figures.scores.items():
        parts = taus(figures)
        best = max(range(len(ranking.keys)), key=lambda i, n=name: ranking.scores[n][i])
        parts.append(f"chooses {ranking.values[best]:.4f} of {max(ranking.values):.4f}")
        lines.append(f"  {name}: {', '.join(parts)}")
    return "\n".join(lines)


def taus(figures: Mapping[str, Interval]) -> list[str]:
    """Return Kendall's τ among all networks and among the best, as far as they are known."""
    return [
        f"{what} {written(figures[figure])}"
        for what, figure in (
            ("τ", "kendall_tau"),
            ("best half", "kendall_tau_best_50"),
            ("best decile", "kendall_tau_best_10"),
        )
        if figure in figures
    ]


def written(one: Interval) -> str:
    return f"{one.value:.3f} [{one.low:.3f}, {one.high:.3f}]"


if __name__ == "__main__":
    main()

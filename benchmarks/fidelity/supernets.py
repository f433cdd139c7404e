"""What scores under shared weights are worth beside published truths.

`python -m benchmarks.fidelity.supernets SETTING ... --data FOLDER`, with further options of the run at
the end, such as `--train.steps=1000`.

Each setting is a run of `supernet train` on CIFAR-10, scaled to 16×16, followed by `supernet rank`; both
can be stopped, and go on from the folder. Printed is a row for each setting and seed: the steps and
processor minutes of the training, and of scoring; Kendall's τ of scores by loss and by accuracy and of
the counts with the published accuracies, among all and among the best half and decile; and what the
network is worth that the run would choose. Networks are drawn at random from the table, each once.

The folder of images holds train/<class>/* and test/<class>/*.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Mapping
from pathlib import Path

from supernet.evaluate.resampling import Interval
from supernet.pipeline import execute, open_run
from supernet.pipeline.ranking import rank_run
from supernet.track.ranking import Ranking

COMMON = [
    "--data=folder",
    "--data.size=16",
    "--split.search_fraction=0.05",
    "--strategy=spos",
    "--train.batch_size=128",
    "--train.optimizer=SGD",
    "--train.optimizer.momentum=0.9",
    "--train.optimizer.nesterov=true",
    "--train.optimizer.weight_decay=2.5e-4",
    "--train.log_every=100",
]
CELLS = ["--model=nasbench201", "--model.channels=8"]
CHAIN = ["--model=nasbench-macro", "--model.channels=8", "--model.features=320"]
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
    "chain": (
        "nasbench-macro",
        [
            *CHAIN,
            "--strategy.sampling=networks",
            "--train.optimizer.lr=0.1",
            "--train.steps=12000",
        ],
    ),
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("settings", nargs="+", choices=SETTINGS)
    parser.add_argument("--folder", type=Path, default=Path("runs/fidelity"))
    parser.add_argument("--data", type=Path, required=True, help="folder of CIFAR-10's images")
    parser.add_argument("--macro", type=Path, help="published file of NAS-Bench-Macro")
    parser.add_argument("--cells", default="nasbench201", help="table of NAS-Bench-201")
    parser.add_argument("--seeds", type=int, default=1)
    parser.add_argument("--count", type=int, default=1000)
    given, rest = parser.parse_known_args()
    for name in given.settings:
        bench, options = SETTINGS[name]
        truth = given.cells if bench == "nasbench201" else f"nasbench-macro:{given.macro}"
        for seed in range(given.seeds):
            arguments = [*COMMON, f"--data.folder={given.data}", *options, f"--seed={seed}"]
            folder = given.folder / f"{name}-{seed}"
            print(f"{name}, seed {seed}: {row([*arguments, *rest], folder, truth, given.count)}")


def row(arguments: list[str], folder: Path, truth: str, count: int) -> str:
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
        parts = [
            f"{what} {written(figures[figure])}"
            for what, figure in (
                ("τ", "kendall_tau"),
                ("best half", "kendall_tau_best_50"),
                ("best decile", "kendall_tau_best_10"),
            )
            if figure in figures
        ]
        best = max(range(len(ranking.keys)), key=lambda i, n=name: ranking.scores[n][i])
        parts.append(f"chooses {ranking.values[best]:.4f} of {max(ranking.values):.4f}")
        lines.append(f"  {name}: {', '.join(parts)}")
    return "\n".join(lines)


def written(one: Interval) -> str:
    return f"{one.value:.3f} [{one.low:.3f}, {one.high:.3f}]"


if __name__ == "__main__":
    main()

"""Where DARTS collapses, and what helps: `python -m benchmarks.collapse FOLDER`.

A small NAS-Bench-201 supernet on 4,000 images of Fashion-MNIST, halved to 14×14: DARTS ends with options
that have no parameters nearly everywhere. Printed is, for each guard or method and seed, in how many of
the six decisions the strongest option has none (as the monitor has it), whether the run warns of
collapse, and the derived network's accuracy on the search split after training alone. The test split is
not read.
Everything is kept in the folder, so that it can be stopped; about an hour on one core.
"""

from __future__ import annotations

import json
import statistics
import sys
from pathlib import Path
from typing import Any

from benchmarks.alone import accuracy, opened
from supernet.files import write_json
from supernet.pipeline import execute
from supernet.pipeline.trained import architectures_of

SEEDS = (0, 1, 2)
RATE = "--strategy.alpha.learning_rate=0.01"
METHODS = {
    "DARTS": ["--strategy=darts", RATE],
    "DARTS, early stopping": ["--strategy=darts", RATE, "--strategy.alpha.early_stop=1.3"],
    "DARTS-PT": ["--strategy=dartspt", RATE],
    "DARTS-": ["--strategy=dartsminus", RATE],
    "FairDARTS": ["--strategy=fairdarts", RATE],
}
SETTING = [
    "--split.limit=4000",
    "--split.search_fraction=0.5",
    "--model=nasbench201",
    "--model.channels=8",
    "--model.cells=3",
    "--train.steps=1000",
    "--retrain.train.steps=300",
]


def main(folder: Path) -> None:
    for method, arguments in METHODS.items():
        rows = [row(folder, method, arguments, seed) for seed in SEEDS]
        accuracies = [one["accuracy"] for one in rows]
        print(
            f"{method}: alone {100 * statistics.mean(accuracies):.1f} % "
            f"({', '.join(f'{100 * a:.1f}' for a in accuracies)}); without parameters "
            f"{', '.join(str(one['free']) for one in rows)} of 6; warned of collapse "
            f"{sum(one['warned'] for one in rows)} of {len(rows)}; derived "
            f"{'; '.join(one['derived'] for one in rows)}",
            flush=True,
        )


def row(folder: Path, method: str, arguments: list[str], seed: int) -> dict[str, Any]:
    """Train a supernet, and what it leads to alone."""
    out = folder / f"{method} {seed}"
    file = out / "row.json"
    if not file.exists():
        given = [*SETTING, *arguments, f"--seed={seed}"]
        with opened(out, given) as state:
            execute(state, ["train"])
            (found,) = architectures_of(state.run, state.inputs, state.costs, state.trained)
            log = [json.loads(line) for line in (out / "log.jsonl").read_text().splitlines()]
            dominance = [one["skip_dominance"] for one in log if one["stage"] == "train"][-1]
            warnings = state.run.folder.metrics.train.warnings
            write_json(
                file,
                {
                    "accuracy": accuracy(state, found, seed),
                    "free": round(6 * dominance),
                    "warned": any("collapsed" in text for text in warnings),
                    "derived": " ".join(str(value) for value in found.values()),
                },
            )
    read: dict[str, Any] = json.loads(file.read_text())
    return read


if __name__ == "__main__":
    main(Path(sys.argv[1] if len(sys.argv) > 1 else "runs/collapse"))

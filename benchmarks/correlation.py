"""How well the scores of a method rank architectures: `python -m benchmarks.correlation FOLDER`.

60 random architectures of a small NAS-Bench-201 space are trained alone on 6,000 images of
Fashion-MNIST, halved to 14×14, with three seeds each; the truth is their mean accuracy on the search
split. Each method then trains a supernet with three seeds and scores all 60. Printed is Kendall's τ with
this truth, of every seed and the mean over seeds, beside those of the numbers of parameters and
multiply-adds, and how much higher that of each supernet is than that of parameters, on the same
architectures. All have 95 % intervals over architectures. A score that
knew what each architecture is worth would not reach 1, since the mean of three trainings is noisy:
the noise ceiling is what it would reach, estimated from how three seeds agree (see
`supernet.evaluate.noise_ceiling`). For comparison, the lower figure that pages named so before: the τ of
the accuracies of one seed with the mean of the other two. Everything is kept in the folder, so that it
can be stopped; about an hour on one core.
"""

from __future__ import annotations

import json
import statistics
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from benchmarks.alone import accuracy, opened
from supernet.data import Splits
from supernet.evaluate import RankCorrelation, kendall, kendall_difference, noise_ceiling
from supernet.files import write_json
from supernet.pipeline import RunState, execute
from supernet.pipeline.inputs import inputs_of
from supernet.pipeline.scoring import evaluator, protocol_of
from supernet.random import stream
from supernet.space import Architecture

COUNT = 60
SEEDS = (0, 1, 2)
METHODS = {
    "spos": ["--strategy=spos"],
    "enas": ["--strategy=enas", "--strategy.interval=50", "--strategy.updates=5"],
    "smash": ["--strategy=smash"],
    "ghn": ["--strategy=ghn"],
}
SETTING = [
    "--split.limit=6000",
    "--split.search_fraction=0.33",
    "--model=nasbench201",
    "--model.channels=8",
    "--model.cells=1",
    "--train.steps=1500",
    "--retrain.train.steps=300",
]


def main(folder: Path) -> None:
    with method_run(folder, "spos", 0, None) as state:
        architectures = drawn(state)
        splits = state.inputs.splits
        costs = {
            quantity: [state.costs[quantity].cost(one) for one in architectures]
            for quantity in ("params", "macs")
        }
        alone = [accuracies(state, folder, architectures, seed) for seed in SEEDS]
    truth = [statistics.mean(values) for values in zip(*alone, strict=True)]
    print(
        f"{COUNT} architectures trained alone with {len(SEEDS)} seeds each: mean accuracies from "
        f"{100 * min(truth):.1f} to {100 * max(truth):.1f} %, median "
        f"{100 * statistics.median(truth):.1f} %"
    )
    print(f"Kendall's τ with these means, 95 % intervals over the {COUNT} architectures:")
    print(f"noise ceiling, what a perfect score would reach: {shown(noise_ceiling(alone))}")
    for quantity, values in costs.items():
        print(f"{quantity}: {shown(kendall(values, truth))}")
    for method in METHODS:
        found = []
        for seed in SEEDS:
            with method_run(folder, method, seed, splits) as state:
                found.append(scores(state, architectures))
        print(f"{method}: {compared(found, costs['params'], truth)}", flush=True)
    print(f"one training with the mean of the two others (no ceiling): {written(once(alone))}")


def compared(
    found: Sequence[Sequence[float]], params: Sequence[float], truth: Sequence[float]
) -> str:
    """Return the τ of each supernet, their mean, and by how much that is higher than parameters' τ."""
    each = [kendall(values, truth) for values in found]
    mean = statistics.mean(one.kendall_tau or 0.0 for one in each)
    differences = [kendall_difference(values, params, truth) for values in found]
    beside = ", ".join(
        "—" if one is None else f"{one.value:+.2f} [{one.low:.2f}, {one.high:.2f}]"
        for one in differences
    )
    return f"mean {mean:.2f}; seeds {', '.join(map(shown, each))}; less that of params {beside}"


def once(alone: Sequence[Sequence[float]]) -> list[float]:
    """Return the τ of the accuracies of one seed with the mean of the others, for each seed."""
    found = []
    for seed, values in enumerate(alone):
        others = [other for number, other in enumerate(alone) if number != seed]
        means = [statistics.mean(row) for row in zip(*others, strict=True)]
        found.append(kendall(values, means).kendall_tau or 0.0)
    return found


@contextmanager
def method_run(folder: Path, method: str, seed: int, splits: Splits | None) -> Iterator[RunState]:
    """Open a run whose data is split as that of all others."""
    arguments = [*SETTING, *METHODS[method], f"--seed={seed}"]
    with opened(folder / f"{method}-{seed}", arguments) as state:
        if splits is not None:
            state.inputs = inputs_of(state.run, splits)
        yield state


def drawn(state: RunState) -> list[Architecture]:
    """Return different architectures, drawn uniformly."""
    random, space = stream(0, "correlation"), state.inputs.space
    found: dict[str, Architecture] = {}
    while len(found) < COUNT:
        one = space.canonical(space.sample(random))
        found[one.key] = one
    return list(found.values())


def accuracies(
    state: RunState, folder: Path, architectures: Sequence[Architecture], seed: int
) -> list[float]:
    """Return by architecture the accuracy on the search split after training alone."""
    file = folder / f"alone-{seed}.json"
    known: dict[str, float] = json.loads(file.read_text()) if file.exists() else {}
    for one in architectures:
        if one.key in known:
            continue
        known[one.key] = accuracy(state, one, seed)
        write_json(file, known)
    return [known[one.key] for one in architectures]


def scores(state: RunState, architectures: Sequence[Architecture]) -> list[float]:
    """Train the supernet and return its scores."""
    file = state.run.folder.path / "scores.json"
    if not file.exists():
        execute(state, ["train"])
        scorer = evaluator(state.run, state.inputs, state.shared, protocol_of(state.run.config))
        found = dict[str, float]()
        for architecture, score in scorer.scores(architectures):
            if isinstance(score, Exception):
                raise score
            found[architecture.key] = float(score["accuracy"] or 0.0)
        write_json(file, [found[one.key] for one in architectures])
    values: list[float] = json.loads(file.read_text())
    return values


def shown(found: RankCorrelation) -> str:
    """Return τ with its interval."""
    if found.kendall_tau is None or found.low is None or found.high is None:
        return "undefined"
    return f"{found.kendall_tau:.2f} [{found.low:.2f}, {found.high:.2f}]"


def written(values: Sequence[float]) -> str:
    return f"{statistics.mean(values):.2f} ({', '.join(f'{v:.2f}' for v in values)})"


if __name__ == "__main__":
    main(Path(sys.argv[1] if len(sys.argv) > 1 else "runs/correlation"))

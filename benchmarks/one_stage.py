"""Whether sub-networks are good as they are: `python -m benchmarks.one_stage FOLDER`.

The sandwich rule trains a supernet of once-for-all networks on 9,600 images of Fashion-MNIST, halved to
14×14. Its smallest, its largest and ten random sub-networks, with inherited weights and re-estimated
batch norm, are compared with the same networks trained alone from fresh weights, on the same images with
the same optimizer, batch size and schedule, and as many optimizer steps of their own as the supernet
had. A step of the supernet trains six networks: beside each row is in how many steps the network itself
was among them. Accuracies are of the official test images, which nothing was chosen by.

Everything is kept in the folder, so that it can be stopped; about ten minutes on one core for each seed.
"""

from __future__ import annotations

import statistics
import sys
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

import torch
from torch.nn.functional import avg_pool2d

from benchmarks.alone import FASHION, trained
from supernet.data import Augment, DataSource, Examples, Idx, Raw
from supernet.evaluate import Evaluator, measure
from supernet.pipeline import RunState, execute, open_run, settings
from supernet.pipeline.scoring import protocol_of
from supernet.pipeline.trained import training_context
from supernet.random import derive_seed, stream
from supernet.space import Architecture
from supernet.train import Moment

RANDOM = 10
SEEDS = (0, 1, 2)
SETTING = [
    "--split.limit=12000",
    "--model=ofa",
    "--model.stem=16",
    "--model.widths=[[16, 24], [24, 32]]",
    "--model.strides=[2, 2]",
    "--model.depths=[1, 2]",
    "--model.kernels=[3, 5]",
    "--model.expansions=[2, 3, 4]",
    "--model.features=128",
    "--model.stem_stride=1",
    "--strategy=sandwich",
    "--strategy.paths=6",
    "--train.steps=3000",
    "--train.optimizer.lr=0.1",
]


class Halved(DataSource):
    """Fashion-MNIST, halved to 14×14, with its official test split."""

    def load(self) -> Raw:
        """Return the images, [n, 1, 14, 14] uint8."""
        raw = Idx(FASHION).load()
        assert raw.test is not None
        return Raw(raw.name, halved(raw.train), halved(raw.test), Augment())


def halved(examples: Examples) -> Examples:
    images = avg_pool2d(examples.inputs.float(), 2).round().to(torch.uint8)
    return replace(examples, inputs=images)


@dataclass(frozen=True)
class Row:
    """One network: its costs, in how many steps it was trained, and its accuracies."""

    key: str
    macs: float
    params: float
    steps: int
    inherited: float
    alone: float

    @property
    def difference(self) -> float:
        """Inherited less alone, in percentage points."""
        return 100 * (self.inherited - self.alone)


def main(folder: Path) -> None:
    rows = []
    for seed in SEEDS:
        with opened(folder / f"seed-{seed}", [f"--seed={seed}"]) as state:
            found = compared(state)
        print(f"seed {seed}:")
        show(found)
        rows += found
    print(f"all seeds: {between(rows)}")


@contextmanager
def opened(folder: Path, arguments: Sequence[str]) -> Iterator[RunState]:
    """Open a run of this benchmark."""
    data, given = {"data": Halved()}, [*SETTING, *arguments]
    with open_run(given, folder, objects=data, progress=False) as state, settings(state.run):
        yield state


def compared(state: RunState) -> list[Row]:
    """Train the supernet and the twelve networks alone, and measure them on the test split."""
    execute(state, ["train"])
    examples = state.inputs.splits.test.open("all twelve")
    inputs, protocol = state.inputs, protocol_of(state.run.config)
    supernet, train = state.trained.supernet, inputs.splits.train
    evaluator = Evaluator(supernet, inputs.task, examples, train, inputs.normalise, protocol)
    architectures, steps, rows = twelve(state), trainings(state), []
    for one in architectures:
        inherited = evaluator.score(one)["accuracy"]
        model = trained(state, one, state.run.config.train, f"alone-{one.key}")
        size = protocol.batch_size
        alone = measure(model, inputs.task, examples, inputs.normalise, size)["accuracy"]
        macs, params = (state.costs[quantity].cost(one) for quantity in ("macs", "params"))
        found = float(inherited or 0), float(alone or 0)
        rows.append(Row(one.key, macs, params, steps[one], *found))
    return rows


def twelve(state: RunState) -> list[Architecture]:
    """Return the smallest architecture, the largest, and ten drawn uniformly; the same for all seeds."""
    space, random = state.inputs.space, stream(0, "one-stage")
    return [*state.costs["macs"].extremes(space), *(space.sample(random) for _ in range(RANDOM))]


def trainings(state: RunState) -> Counter[Architecture]:
    """Return by architecture in how many steps of the supernet it was trained."""
    run, inputs = state.run, state.inputs
    strategy, options = run.config.strategy, run.config.train
    strategy.prepare(inputs.supernet, training_context(run, inputs, state.costs))
    smallest, largest = state.costs["macs"].extremes(inputs.space)
    found = Counter({smallest: options.steps, largest: options.steps})
    batch = (inputs.example, torch.zeros(1, dtype=torch.int64))
    for step in range(options.steps):
        moment = Moment(step, options.steps, derive_seed(run.seed, "train"))
        middle = strategy.middle(inputs.supernet, inputs.task, batch, moment)
        found.update(set(middle) - {smallest, largest})
    return found


def show(rows: Sequence[Row]) -> None:
    """Print a table."""
    print("  steps  multiply-adds  parameters  inherited    alone  difference  architecture")
    for row in rows:
        print(
            f"{row.steps:7,} {row.macs:14,.0f} {row.params:11,.0f} {100 * row.inherited:8.2f} % "
            f"{100 * row.alone:6.2f} % {row.difference:+11.2f}  {row.key}"
        )
    print(between(rows), flush=True)


def between(rows: Sequence[Row]) -> str:
    """Return in words how far inherited accuracies are from those alone."""
    found = [row.difference for row in rows]
    return (
        f"differences from {min(found):+.2f} to {max(found):+.2f} points, mean "
        f"{statistics.mean(found):+.2f} (aim: -1.50 to +1.50)"
    )


if __name__ == "__main__":
    main(Path(sys.argv[1] if len(sys.argv) > 1 else "runs/one-stage"))

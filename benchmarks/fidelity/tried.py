"""What may raise a supernet's fidelity: `python -m benchmarks.fidelity.tried NAME ... --seeds 3`.

Each way is a run of `benchmarks.fidelity.supernets` with other options, by default on the two spaces of
which every network was trained alone. Steps are fewer where a step trains several paths, so that every
run has as many passes of a path. Printed are Kendall's τ by loss and by accuracy, the mean over the
seeds and each. `plain` is SPOS as it is.

The strategies in this file are no part of the library: each was tried here first.
"""

from __future__ import annotations

import argparse
from collections.abc import Mapping, Sequence
from pathlib import Path
from random import Random

import numpy as np
import torch
from scipy import stats

from benchmarks.fidelity.own_truths import FASHION
from benchmarks.fidelity.supernets import SETTINGS, table_and_data
from supernet.evaluate import CandidateTable
from supernet.fidelity import load_truth
from supernet.net import SuperNet
from supernet.pipeline import execute, open_run
from supernet.pipeline.ranking import rank_run
from supernet.space import Architecture, SearchSpace
from supernet.strategies import SPOS, TrainingContext
from supernet.strategies.spos import train_path
from supernet.task import Batch, Task
from supernet.track.ranking import Ranking
from supernet.train import Moment, backward

HERE = "benchmarks.fidelity.tried"


class Important(SPOS):
    """Options are drawn by the gradients of their paths, as in PA&DA (Lu et al., CVPR 2023).

    An option's probability goes from uniform at the first step to being in proportion to the mean norm
    of the gradients of the paths that it lay in. Not taken over are the weights of single examples.
    """

    def prepare(self, supernet: SuperNet, setting: TrainingContext) -> None:
        """Begin with nothing known."""
        self._norms = {
            decision.label: np.ones(len(decision.options)) for decision in supernet.space.decisions
        }

    def backward(self, model: SuperNet, task: Task, batch: Batch, moment: Moment) -> torch.Tensor:
        """Add the gradients of one drawn architecture, and keep in mind how large they are."""
        random = moment.stream("path")
        answers = {
            decision.label: random.choices(
                decision.options, self._probabilities(decision.label, moment.progress)
            )[0]
            for decision in model.space.decisions
        }
        loss = train_path(model, Architecture(answers), task, batch)
        squares = [p.grad.square().sum() for p in model.parameters() if p.grad is not None]
        norm = float(torch.stack(squares).sum().sqrt())
        for decision in model.space.decisions:
            norms = self._norms[decision.label]
            index = decision.options.index(answers[decision.label])
            norms[index] += 0.05 * (norm - norms[index])
        return loss

    def _probabilities(self, label: str, progress: float) -> list[float]:
        norms = self._norms[label]
        mixed = progress * norms / norms.sum() + (1 - progress) / len(norms)
        return list(map(float, mixed))


class Landmarks(SPOS):
    """The supernet must rank a few networks as they are worth: Yu et al. (CVPR 2021).

    From half of the steps on, each also takes two networks of which it is known which one is better,
    and adds the hinge max(0, loss of the better − loss of the worse).

    Args:
        truth: table of what networks are worth.
        count: number of them that are known.
        weight: factor of the hinge.
        start: share of the steps before the first hinge.
    """

    def __init__(
        self, truth: str, count: int = 24, weight: float = 1.0, start: float = 0.5
    ) -> None:
        super().__init__()
        self.truth = truth
        self.count = count
        self.weight = weight
        self.start_at = start

    def prepare(self, supernet: SuperNet, setting: TrainingContext) -> None:
        """Draw the networks whose worth is known."""
        self._known = known(self.truth, supernet.space, self.count)

    def backward(self, model: SuperNet, task: Task, batch: Batch, moment: Moment) -> torch.Tensor:
        """Add the gradients of one drawn architecture and of the hinge of two known ones."""
        loss = super().backward(model, task, batch, moment)
        if moment.progress >= self.start_at:
            worse, better = sorted(moment.stream("pair").sample(self._known, 2), key=lambda a: a[1])
            losses = []
            for architecture, _ in (better, worse):
                with model.route(architecture):
                    losses.append(task.loss(model, batch))
            backward(self.weight * torch.relu(losses[0] - losses[1]))
        return loss


def known(truth: str, space: SearchSpace, count: int) -> list[tuple[Architecture, float]]:
    """Return networks of a table that are drawn at random, and their worth."""
    networks = list(load_truth(truth, space).networks.values())
    drawn = Random(0).sample(networks, count)
    return [(one.architecture, one.value) for one in drawn]


WAYS: Mapping[str, tuple[float, list[str]]] = {
    # Passes of a path in a step, and options of the run.
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
    "important": (1, [f"--strategy={HERE}.Important"]),
    "landmarks": (2, [f"--strategy={HERE}.Landmarks"]),
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
        if way == "landmarks":
            arguments.append(f"--strategy.truth={truth}")
        folder = given.folder / way.replace(", ", "-").replace(" ", "-") / f"{setting}-{seed}"
        with open_run(arguments, folder, progress=False) as opened:
            execute(opened, ["train"])
            ranking = rank_run(opened, truth, count=given.count, free=())
        drawn = others(ranking, folder, truth) if way == "landmarks" else slice(None)
        values = np.array(ranking.values)[drawn]
        for score in ("-loss", "accuracy"):
            tau = stats.kendalltau(np.array(ranking.scores[score])[drawn], values).statistic
            found.setdefault(score, []).append(float(tau))
    return "; ".join(
        f"{score} {np.mean(taus):.3f} [{', '.join(f'{tau:.3f}' for tau in taus)}]"
        for score, taus in found.items()
    )


def steps(setting: str, passes: float) -> int:
    """Return for how many steps a way is trained, so that all have as many passes."""
    options = dict(option[2:].split("=", 1) for option in SETTINGS[setting][1])
    return round(int(options["train.steps"]) / (passes or (3 if "chain" in setting else 4)))


def others(
    ranking: Ranking, folder: Path, truth: str | Path
) -> np.ndarray[tuple[int], np.dtype[np.intp]]:
    """Return the numbers of the networks that were not known to the training."""
    with open_run([], folder, mode="read", progress=False) as opened:
        space = opened.inputs.space
        keys = {space.canonical(one).key for one, _ in known(str(truth), space, 24)}
        with CandidateTable(opened.run.folder.candidates, write=False) as table:
            found = [table.get(key, ranking.protocol) for key in ranking.keys]
    ours = [space.canonical(one.architecture).key in keys for one in found if one is not None]
    return np.flatnonzero(~np.array(ours))


if __name__ == "__main__":
    main()

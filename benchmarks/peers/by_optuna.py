"""Full trainings that Optuna's TPE chooses, beside one-shot runs of the same processor time.

For each seed `supernet run --config digits/lost` is run, and its processor time is measured, with
that of starting Python. A second process then has Optuna choose architectures of the same space, trains
each alone from fresh weights as the run retrains networks, and goes on for several times the time of the
run. What TPE asks again is answered from what is known, and what breaks the constraint is pruned; both
take no time. Of all trainings that ended within the time, the best on the search split is tested.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import time
import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from statistics import mean

from torch import nn

from benchmarks.pays import interval, run
from supernet.evaluate import measure
from supernet.net import derive
from supernet.pipeline import RunState, open_run, settings
from supernet.pipeline.costs import problem_of
from supernet.pipeline.scoring import protocol_of, validate
from supernet.pipeline.training import fit
from supernet.space import Architecture
from supernet.train import Plain

CONFIG = "digits/lost"
TIMES = (1, 3)
"""Budgets of Optuna, in processor times of the run with the same seed."""


def main(folder: Path = Path("runs/peers/optuna"), seeds: int = 3) -> None:
    import optuna

    print(f"Optuna {optuna.__version__} beside `supernet run --config {CONFIG}`, {seeds} seeds")
    ours, theirs = list[float](), {times: list[float]() for times in TIMES}
    for seed in range(seeds):
        found, seconds = run(CONFIG, folder / f"run-{seed}", seed, [])
        ours.append(found["chosen"]["accuracy"])
        print(f"seed {seed}: one-shot {ours[-1]:.2%} in {seconds:.0f} CPU seconds", flush=True)
        for times, one in zip(TIMES, _apart(folder / f"optuna-{seed}", seed, seconds), strict=True):
            theirs[times].append(one["accuracy"])
            print(
                f"  Optuna, {times} times that: {one['accuracy']:.2%}, the best of "
                f"{one['trainings']} trainings",
                flush=True,
            )
    print(f"one-shot: {_percent(ours)}")
    for times, values in theirs.items():
        gain = [a - b for a, b in zip(ours, values, strict=True)]
        print(
            f"Optuna, {times} times the time: {_percent(values)}; one-shot less it {_percent(gain)}"
        )


def _percent(values: list[float]) -> str:
    low, high = interval(values)
    return (
        f"{100 * mean(values):.2f} % (95 % [{100 * low:.2f}, {100 * high:.2f}] over "
        f"{len(values)} runs)"
    )


def _apart(folder: Path, seed: int, seconds: float) -> list[dict[str, float]]:
    """Return what Optuna led to within each budget, in a process of its own."""
    command = [sys.executable, "-m", __spec__.name, str(folder), str(seed)]
    budgets = [str(times * seconds) for times in TIMES]
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)}
    done = subprocess.run(
        [*command, *budgets], check=True, stdout=subprocess.PIPE, text=True, env=environment
    )
    found: list[dict[str, float]] = json.loads(done.stdout.splitlines()[-1])
    return found


@dataclass(frozen=True)
class _Training:
    """A training that ended.

    Attributes:
        ended: processor time of the process when it ended, in seconds.
        worth: what the network is ranked by on the search split, higher being better.
        model: the network.
    """

    ended: float
    worth: tuple[float, ...]
    model: nn.Module


def _trials(opened: RunState, seconds: float) -> Iterator[_Training]:
    """Yield trainings of networks that TPE asks for, until the processor time is used up."""
    import optuna

    optuna.logging.set_verbosity(optuna.logging.ERROR)
    run, inputs = opened.run, opened.inputs
    constraints = problem_of(run, inputs, opened.costs).constraints
    decisions, known = inputs.space.decisions, dict[str, _Training]()
    sampler = optuna.samplers.TPESampler(seed=run.seed)
    study = optuna.create_study(direction="maximize", sampler=sampler)
    while time.process_time() < seconds:
        trial = study.ask()
        chosen = {one.label: trial.suggest_categorical(one.label, one.options) for one in decisions}
        architecture = Architecture(chosen)
        if not constraints.hold(architecture):
            study.tell(trial, state=optuna.trial.TrialState.PRUNED)
            continue
        if architecture.key not in known:
            yield (found := _trained(opened, architecture))
            known[architecture.key] = found
        study.tell(trial, known[architecture.key].worth[0])


def _trained(opened: RunState, architecture: Architecture) -> _Training:
    """Train a network alone, as the run retrains networks."""
    run, inputs, key = opened.run, opened.inputs, architecture.key
    model = derive(inputs.models.retraining(key, {}), architecture)
    options = run.config.retrain
    fit(run, inputs, options.train, key, model, Plain(), None, augment=options.augment)
    worth = run.config.preference.key(validate(run, inputs, model))
    return _Training(time.process_time(), worth, model)


def _main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("folder", type=Path)
    parser.add_argument("seed")
    parser.add_argument("seconds", type=float, nargs="+")
    given = parser.parse_args()
    warnings.simplefilter("ignore")
    options = ["--config", CONFIG, "--seed", given.seed]
    told = list[dict[str, float | None]]()
    with open_run(options, given.folder, progress=False) as opened, settings(opened.run):
        trainings = list(_trials(opened, max(given.seconds)))
        inputs, size = opened.inputs, protocol_of(opened.run.config).batch_size
        test = inputs.splits.test.open("the best of each budget")
        for seconds in given.seconds:
            ended = [one for one in trainings if one.ended <= seconds]
            best = max(ended, key=lambda one: one.worth)
            found = measure(best.model, inputs.task, test, inputs.normalise, size)
            told.append({"accuracy": found["accuracy"], "trainings": len(ended)})
    print(json.dumps(told))


if __name__ == "__main__":
    _main()

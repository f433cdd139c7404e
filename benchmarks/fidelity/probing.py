"""What the word of a short training is worth: `python -m benchmarks.fidelity.probing --data FOLDER`.

Networks of NAS-Bench-201, drawn at random from its different ones, are trained alone on CIFAR-10, scaled
to 16×16, smaller and shorter than the benchmark trained them. Options of the run may follow, such as
`--model.cells=1 --model.channels=16 --retrain.train.steps=2000`. Printed is Kendall's τ, with intervals
over networks, between what the benchmark says they are worth and what the short training says, at its
end and by its training losses: their mean over all steps, and over the first and the last quarter of
them; beside parameters and scores without training, of networks of the benchmark's size, and together
with one of these. What was trained is kept in the folder, and not trained again.
"""

from __future__ import annotations

import argparse
import json
import random
import statistics
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from benchmarks.alone import trained
from benchmarks.fidelity.supernets import CELLS, taus
from benchmarks.fidelity.training_free import read_batch
from supernet.cost import measure_costs
from supernet.fidelity import fidelity, load_truth, together
from supernet.files import write_json
from supernet.net import SuperNet
from supernet.pipeline import RunState, open_run, settings
from supernet.pipeline.scoring import validate
from supernet.space import Architecture
from supernet.training_free import training_free_scores
from supernet.zoo import NASBench201

LOG_EVERY = 25


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, required=True, help="folder of CIFAR-10's images")
    parser.add_argument("--folder", type=Path, default=Path("runs/probing"))
    parser.add_argument("--networks", type=int, default=32)
    parser.add_argument("--seed", type=int, default=0, help="of the draw of networks")
    given, rest = parser.parse_known_args()
    options = [*CELLS, f"--data.folder={given.data}", f"--retrain.train.log_every={LOG_EVERY}"]
    with open_run([*options, *rest], given.folder, progress=False) as opened, settings(opened.run):
        truth = load_truth("nasbench201", SuperNet(NASBench201()).space)
        keys = random.Random(given.seed).sample(sorted(truth.networks), given.networks)
        chosen = {key: truth.networks[key] for key in keys}
        found: dict[str, dict[str, Any]] = {}
        for count, (key, one) in enumerate(chosen.items(), 1):
            found[key] = probed(opened, one.architecture, given.folder / f"probe-{key}.json")
            seconds = found[key]["seconds"]
            print(f"{count} of {len(chosen)}: {seconds:.0f} s, worth {one.value:.4f}", flush=True)
        architectures = [one.architecture for one in chosen.values()]
        scores = {**of_probes(list(found.values())), **beside(given.data, architectures)}
        for name in ("accuracy", "-training loss, first quarter"):
            scores[f"{name}, with az_nas"] = list(together([scores[name], scores["az_nas"]]))
    steps = opened.run.config.retrain.train.steps
    figures = fidelity(scores, [one.value for one in chosen.values()], [], 0.95, 0)
    mean = statistics.mean(one["seconds"] for one in found.values())
    print(f"{len(found)} networks, {steps:,} steps in {mean:.0f} CPU seconds each")
    for name, one in figures.scores.items():
        print(f"  {name}: {', '.join(taus(one))}")


def probed(opened: RunState, architecture: Architecture, kept: Path) -> dict[str, Any]:
    """Return what a network's training says, from its file if it was trained before."""
    if kept.exists():
        found: dict[str, Any] = json.loads(kept.read_text())
        return found
    started, name = time.process_time(), f"probe-{architecture.key}"
    model = trained(opened, architecture, opened.run.config.retrain.train, name)
    worth = validate(opened.run, opened.inputs, model)
    seconds = time.process_time() - started
    opened.run.folder.retrained(name).path.unlink(missing_ok=True)
    records = map(json.loads, opened.run.folder.log.read_text().splitlines())
    losses = [one["loss"] for one in records if one.get("stage") == name]
    made = {**worth, "seconds": round(seconds, 1), "losses": losses}
    write_json(kept, made)
    return made


def of_probes(probes: list[dict[str, Any]]) -> dict[str, list[float]]:
    """Return scores of networks, each higher for a better one."""

    def losses(part: slice) -> list[float]:
        return [-statistics.mean(one["losses"][part]) for one in probes]

    quarter = len(probes[0]["losses"]) // 4
    return {
        "accuracy": [one["accuracy"] for one in probes],
        "-loss": [-one["loss"] for one in probes],
        "-training loss": losses(slice(None)),
        "-training loss, first quarter": losses(slice(0, quarter)),
        "-training loss, last quarter": losses(slice(-quarter, None)),
    }


def beside(data: Path, architectures: Sequence[Architecture]) -> dict[str, list[float]]:
    """Return the number of parameters, and scores without training, at the benchmark's size."""
    supernet, batch = SuperNet(NASBench201(affine=True)), read_batch(data, 32, 0)
    costs = measure_costs(supernet, batch[0][:1])
    free = training_free_scores(supernet, architectures, batch, names=["az_nas", "naswot"], seed=0)
    return {"params": [float(costs["params"].cost(one)) for one in architectures], **free}


if __name__ == "__main__":
    main()

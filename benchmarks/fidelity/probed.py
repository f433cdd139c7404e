"""What short trainings of a few networks and scores without training tell together of all of them.

`python -m benchmarks.fidelity.probed FILE --data FOLDER`; options of the trainings may follow.

The file is what `python -m benchmarks.fidelity.training_free --out FILE` writes: scores of random cells
of NAS-Bench-201, and their published accuracies. Of their different networks some are drawn at random in
each group, the probes, and trained alone on CIFAR-10 scaled to 16×16, smaller and shorter than the
benchmark trained them (`benchmarks.fidelity.probing`). Groups have no network in common. Printed is, for
each group and for all together, Kendall's τ over the cells, and over those that are no probe, between
their published accuracies and what `supernet.fidelity.combine` makes of scores, counts, operations and
probes; beside that of the scores alone. What was trained is kept in the folder, and not trained again.
"""

from __future__ import annotations

import argparse
import json
import random
from pathlib import Path

import numpy as np

from benchmarks.fidelity.probing import LOG_EVERY, of_probes, probed
from benchmarks.fidelity.supernets import CELLS, taus, written
from supernet.fidelity import combine, fidelity
from supernet.net import SuperNet
from supernet.pipeline import open_run, settings
from supernet.zoo import NASBench201

SMALL = [
    "--model.cells=1",
    "--model.channels=16",
    "--retrain.train.steps=375",
    "--retrain.train.optimizer.lr=0.1",
    f"--retrain.train.log_every={LOG_EVERY}",
]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("file", type=Path)
    parser.add_argument("--data", type=Path, required=True, help="folder of CIFAR-10's images")
    parser.add_argument("--folder", type=Path, default=Path("runs/probed"))
    parser.add_argument("--probes", type=int, default=64, help="of a group")
    parser.add_argument("--groups", type=int, default=3)
    parser.add_argument("--by", default="accuracy", help="what a training is worth by")
    parser.add_argument("--start", default="az_nas", help="scores believed beforehand, by commas")
    parser.add_argument("--trust", type=float, default=0.3, help="in what probes consistently say")
    given, rest = parser.parse_known_args()
    content = json.loads(given.file.read_text())
    space = SuperNet(NASBench201(image=(1, 8, 8), channels=4, cells=1)).space
    cells = [space.canonical(NASBench201.from_string(one)) for one in content["cells"]]
    different = {one.key: one for one in cells}
    drawn = random.Random(0).sample(list(different), given.probes * given.groups)
    options = [*CELLS, f"--data.folder={given.data}", *SMALL, *rest]
    reached = dict[str, float]()
    seconds = 0.0
    with open_run(options, given.folder, progress=False) as opened, settings(opened.run):
        for count, key in enumerate(drawn, 1):
            found = probed(opened, different[key], given.folder / f"probe-{key}.json")
            reached[key] = of_probes([found])[given.by][0]
            seconds += found["seconds"]
            if count % 8 == 0:
                print(f"{count} of {len(drawn)} after {seconds / 60:.1f} CPU minutes", flush=True)
    truth = np.array(content["truth"])
    values = {one.key: float(value) for one, value in zip(cells, truth, strict=True)}
    names = given.start.split(",")
    size = given.probes
    groups = [drawn[number * size : (number + 1) * size] for number in range(given.groups)]
    first = {key: number for number, key in reversed(list(enumerate(one.key for one in cells)))}
    places = [first[key] for key in different]
    number = {key: place for place, key in enumerate(different)}
    features = {name: [one[place] for place in places] for name, one in content["scores"].items()}
    for title, group in [*((f"group {n}", one) for n, one in enumerate(groups, 1)), ("all", drawn)]:
        worth = {number[key]: reached[key] for key in group}
        told = combine(
            features, worth, names, architectures=list(different.values()), trust=given.trust
        )
        rows = {"evidence": told.mean[[number[one.key] for one in cells]], **content["scores"]}
        minutes = seconds / 60 * len(group) / len(drawn)
        own = fidelity({"own": [reached[k] for k in group]}, [values[k] for k in group])
        print(
            f"{title}: {len(group)} probes, {minutes:.0f} CPU minutes; own word "
            f"{written(own.scores['own']['kendall_tau'])}; left-out ones are predicted with "
            f"{told.left_out.kendall_tau:.3f}"
        )
        probes = set(group)
        rest_of = [place for place, one in enumerate(cells) if one.key not in probes]
        for what, some in (("all cells", list(range(len(cells)))), ("no probes", rest_of)):
            judged = fidelity({k: np.array(v)[some].tolist() for k, v in rows.items()}, truth[some])
            for name in ("evidence", *names):
                best = truth[some][int(np.argmax(np.array(rows[name])[some]))]
                over = judged.over.get(name)
                higher = "" if over is None else f", the first is higher by {written(over)}"
                print(
                    f"  {what}, n = {judged.n}, {name}: {', '.join(taus(judged.scores[name]))}, "
                    f"chooses {best:.4f} of {truth[some].max():.4f}{higher}"
                )


if __name__ == "__main__":
    main()

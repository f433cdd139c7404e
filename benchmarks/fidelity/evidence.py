"""What probes add to scores without training: `python -m benchmarks.fidelity.evidence FILE`.

The file is what `python -m benchmarks.fidelity.training_free --out FILE` writes: scores of cells of
NAS-Bench-201 and their published accuracies. Of cells that are the same network the first is taken. So
many of these, drawn at random, are the probes; what is known of each is the normal quantile of the rank
of its published accuracy, and normal noise of so many standard deviations, as trainings have that are
short. Printed is Kendall's τ, on all other networks, of what `supernet.fidelity.combine` makes of all
scores and counts, and of the start alone: means over draws, with the standard deviation of their
difference over draws. With `--answers` the operations on the edges are evidence, too.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

import numpy as np
from scipy import stats

from supernet.fidelity import combine
from supernet.space import Architecture
from supernet.zoo import NASBench201

PROBES = (12, 24, 48)
NOISE = (0.0, 0.4, 0.8)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("file", type=Path)
    parser.add_argument("--start", default="az_nas", help="score that is believed beforehand")
    parser.add_argument("--draws", type=int, default=8)
    parser.add_argument("--answers", action="store_true")
    given = parser.parse_args()
    content = json.loads(given.file.read_text())
    kept = different(content["cells"])
    truth = np.array(content["truth"])[kept]
    features = {name: np.array(one)[kept].tolist() for name, one in content["scores"].items()}
    cells = [NASBench201.from_string(content["cells"][place]) for place in kept]
    whole = tau(features[given.start], truth)
    print(f"{len(truth)} networks; {given.start} alone: τ {whole:.3f}")
    for probes in PROBES:
        for noise in NOISE:
            found = [
                once(
                    features, truth, given.start, probes, noise, n, cells if given.answers else None
                )
                for n in range(given.draws)
            ]
            learned, alone = (np.array(column) for column in zip(*found, strict=True))
            difference = learned - alone
            print(
                f"{probes} probes, noise {noise}: τ {learned.mean():.3f}, {given.start} alone "
                f"{alone.mean():.3f} (difference {difference.mean():+.3f}, standard deviation "
                f"{difference.std(ddof=1):.3f} over {given.draws} draws)",
                flush=True,
            )


def once(
    features: dict[str, list[float]],
    truth: np.ndarray,
    start: str,
    probes: int,
    noise: float,
    seed: int,
    cells: list[Architecture] | None,
) -> tuple[float, float]:
    """Return τ on the cells that are no probes, of all evidence and of the start."""
    random = np.random.default_rng(seed)
    known = random.choice(len(truth), probes, replace=False)
    values = stats.norm.ppf((stats.rankdata(truth) - 0.5) / len(truth))
    worth = {int(i): float(values[i] + noise * random.standard_normal()) for i in known}
    rest = np.setdiff1d(np.arange(len(truth)), known)
    found = combine(features, worth, start=start, architectures=cells)
    return tau(found.mean[rest], truth[rest]), tau(np.array(features[start])[rest], truth[rest])


def different(cells: list[str]) -> list[int]:
    """Return the places of cells that are the first of a network."""
    model, found = NASBench201(), dict[str, int]()
    for place, cell in enumerate(cells):
        found.setdefault(model.canonical(NASBench201.from_string(cell)).key, place)
    return list(found.values())


def tau(scores: list[float] | np.ndarray, truth: np.ndarray) -> float:
    return float(stats.kendalltau(scores, truth).statistic)


if __name__ == "__main__":
    main()

"""What every network of two small spaces is worth alone: `python -m benchmarks.fidelity.own_truths`.

The 64 networks of `spaces.SmallCell` and the 81 of `spaces.SmallChain` are trained from fresh weights
on Fashion-MNIST, three seeds each, by the plain loop below, which uses nothing of the library's
training. The tables, `benchmarks/fidelity/truths/cell.json` and `chain.json`, are what `supernet rank
--truth` reads; they name protocol, versions and date. What was computed is kept in the file given by
`--out` and not computed again.

Protocol: images are scaled to 14×14 by means of 2×2 pixels, and normalised to mean 0 and deviation 1;
12,000 random training images, the same for all; 4 epochs of batches of 64; SGD with Nesterov momentum
0.9, weight decay 5e-4, learning rate 0.1 that falls to 0 as a cosine; no augmentation. The value of a
seed is the accuracy on the 10,000 test images.
"""

from __future__ import annotations

import argparse
import datetime
import json
import platform
import statistics
import time
from collections.abc import Mapping, Sequence
from itertools import combinations
from pathlib import Path

import torch
from scipy.stats import kendalltau
from torch import Tensor, nn
from torch.nn import functional

from benchmarks.fidelity.spaces import SPACES
from supernet.data import Idx
from supernet.files import write_json
from supernet.net import SuperNet, derive
from supernet.net.derive import reinitialise
from supernet.space import Architecture

IMAGES, EPOCHS, BATCH, RATE, DECAY = 12_000, 4, 64, 0.1, 5e-4
FASHION = "/usr/share/datasets/fashion-mnist"
"""Where Debian's package dataset-fashion-mnist puts the IDX files."""

TRUTHS = Path(__file__).parent / "truths"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("spaces", nargs="*", help=" and ".join(SPACES))
    parser.add_argument("--data", default=FASHION, help="IDX files")
    parser.add_argument("--out", type=Path, default=Path("runs/own_truths.json"))
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument(
        "--count", type=int, help="the first so many networks only, without a table"
    )
    given = parser.parse_args()
    torch.set_num_threads(1)
    given.out.parent.mkdir(parents=True, exist_ok=True)
    train, test = images(given.data)
    known: dict[str, float] = json.loads(given.out.read_text()) if given.out.exists() else {}
    for name in given.spaces or SPACES:
        supernet = SuperNet(SPACES[name]())
        networks = list(supernet.space)[: given.count]
        for seed in range(given.seeds):
            for architecture in networks:
                place = f"{name} {architecture.key} {seed}"
                if place in known:
                    continue
                start = time.process_time()
                model = reinitialise(derive(supernet, architecture), seed)
                known[place] = accuracy_alone(model, train, test, seed)
                write_json(given.out, known)
                seconds = time.process_time() - start
                print(f"{place}: {known[place]:.4f} in {seconds:.1f} s", flush=True)
        if given.count is None:
            write_table(name, supernet, known, given.seeds)
            print(f"{name}: seeds rank as each other with τ {twins(name, known, networks):.3f}")


def images(folder: str) -> tuple[tuple[Tensor, Tensor], tuple[Tensor, Tensor]]:
    """Return images `[n, 1, 14, 14]` and classes `[n]`, to train and to test with."""
    raw = Idx(folder).load()
    assert raw.test is not None
    chosen = torch.randperm(len(raw.train), generator=torch.Generator().manual_seed(0))[:IMAGES]
    train, test = (
        functional.avg_pool2d(one.float(), 2) for one in (raw.train.inputs[chosen], raw.test.inputs)
    )
    mean, deviation = train.mean(), train.std()
    return (
        ((train - mean) / deviation, raw.train.targets[chosen]),
        ((test - mean) / deviation, raw.test.targets),
    )


def accuracy_alone(
    model: nn.Module, train: tuple[Tensor, Tensor], test: tuple[Tensor, Tensor], seed: int
) -> float:
    """Train a network; return its accuracy on the test images, 0 to 1."""
    random = torch.Generator().manual_seed(seed)
    optimizer = torch.optim.SGD(
        model.parameters(), RATE, momentum=0.9, nesterov=True, weight_decay=DECAY
    )
    steps = EPOCHS * (len(train[0]) // BATCH)
    falling = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, steps)
    model.train()
    for _ in range(EPOCHS):
        order = torch.randperm(len(train[0]), generator=random)
        for batch in order.split(BATCH)[: len(order) // BATCH]:
            optimizer.zero_grad()
            functional.cross_entropy(model(train[0][batch]), train[1][batch]).backward()
            optimizer.step()
            falling.step()
    model.eval()
    with torch.no_grad():
        right = sum(
            int((model(x).argmax(1) == y).sum())
            for x, y in zip(test[0].split(1000), test[1].split(1000), strict=True)
        )
    return right / len(test[0])


def twins(name: str, known: Mapping[str, float], networks: Sequence[Architecture]) -> float:
    """Return the mean of Kendall's τ of every two seeds."""
    seeds = sorted({place.rpartition(" ")[2] for place in known if place.startswith(f"{name} ")})
    values = [[known[f"{name} {one.key} {seed}"] for one in networks] for seed in seeds]
    return statistics.mean(float(kendalltau(*two).statistic) for two in combinations(values, 2))


def write_table(name: str, supernet: SuperNet, known: Mapping[str, float], seeds: int) -> None:
    """Write what `supernet rank --truth` reads."""
    rows = []
    for one in supernet.space:
        values = [known[f"{name} {one.key} {seed}"] for seed in range(seeds)]
        rows.append(
            {
                "architecture": dict(one.items()),
                "value": round(statistics.mean(values), 6),
                "spread": round(statistics.stdev(values) / seeds**0.5, 6),
                "seeds": values,
            }
        )
    TRUTHS.mkdir(exist_ok=True)
    write_json(
        TRUTHS / f"{name}.json",
        {
            "measures": "test accuracy on Fashion-MNIST, mean of three trainings alone",
            "protocol": " ".join((__doc__ or "").partition("Protocol: ")[2].split()),
            "date": datetime.date.today().isoformat(),
            "torch": torch.__version__,
            "python": platform.python_version(),
            "networks": rows,
        },
    )


if __name__ == "__main__":
    main()

"""`compress` beside straight pruning: `python -m benchmarks.pruning --data FOLDER`.

The small ResNet of `benchmarks.importance`, trained on CIFAR-10 scaled to 16×16, is made smaller to
half, a quarter and 15 % of its multiply-adds. `supernet.compress` does that by one training of all
sizes, a search and a further training of each. torch-pruning (which must be installed, without its
dependencies: `pip install --no-deps torch-pruning`) removes channels step by step until the target is
met, by groups' first-order Taylor importance over all layers or by their magnitude in each layer, and
the network is trained for what is left of a third of the processor time that `compress` took for all
three, pruning included; by labels, or nine tenths by the outputs of the model. So all have the same
time for the three sizes together. Printed is the accuracy on the test images, and by how much `compress`
is better, with its interval over these images; of one trained model, and a seed of all that follows.
"""

from __future__ import annotations

import argparse
import copy
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import torch
from torch import nn
from torch.nn import functional as F

import supernet as sn
from benchmarks.importance import CHUNK, Images, images, trained
from supernet.data import Augment, Tensors
from supernet.evaluate import paired_difference

TARGETS = {"macs <= 50%": 0.5, "macs <= 25%": 0.25, "macs <= 15%": 0.15}
BATCH, RATE = 64, 1e-3
OPTIONS = {
    "train.steps": 500,
    "retrain.train.steps": 1700,
    "retrain.baselines": 0,
    "split.search_fraction": 0.05,
    "search.searcher.population": 16,
    "search.searcher.generations": 4,
    "search.searcher.parents": 6,
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, required=True, help="folder of CIFAR-10's images")
    parser.add_argument("--folder", type=Path, default=Path("runs/pruning"))
    parser.add_argument("--seed", type=int, default=0)
    given, rest = parser.parse_known_args()
    torch.set_num_threads(1)
    given.folder.mkdir(parents=True, exist_ok=True)
    train, test = images(given.data)
    model = trained("ResNet", train, given.folder / "ResNet.pt")
    data = Tensors(
        (train.inputs, train.labels), (test.inputs, test.labels), augment=Augment(flip=True)
    )
    options = {**OPTIONS, "seed": given.seed, **dict(one[2:].split("=", 1) for one in rest)}
    started = time.process_time()
    out = given.folder / f"run-{given.seed}"
    found = sn.compress(model, data, list(TARGETS), out=out, options=options, progress=False)
    seconds = time.process_time() - started
    print(f"model: {100 * correct(model, test).mean():.2f} %; compress: {seconds:.0f} CPU seconds")
    right = [correct(network.model, test) for network in found.networks]
    for network, share, ours in zip(found.networks, TARGETS.values(), right, strict=True):
        left = network.costs["macs"] / found.original.costs["macs"]
        print(
            f"{share:.0%}: compress {100 * ours.mean():.2f} % with {100 * left:.1f} % of the "
            "multiply-adds",
            flush=True,
        )
    for share, ours in zip(TARGETS.values(), right, strict=True):
        for importance in ("taylor", "magnitude"):
            for teacher in (0.0, 0.9):
                torch.manual_seed(given.seed)
                start = time.process_time()
                small, left = pruned(model, train, importance, share)
                tune(small, model, train, teacher, start + seconds / len(TARGETS))
                theirs = correct(small, test)
                over = paired_difference(ours, theirs, shares=True)
                print(
                    f"{share:.0%}: torch-pruning, {importance}, teacher {teacher:g}: "
                    f"{100 * theirs.mean():.2f} % with {100 * left:.1f} %; compress is better by "
                    f"{100 * over.value:.2f} [{100 * over.low:.2f}, {100 * over.high:.2f}]",
                    flush=True,
                )


def pruned(
    model: nn.Module, train: Images, importance: str, share: float
) -> tuple[nn.Module, float]:
    """Return the model without its least important channels, and the share of multiply-adds left."""
    import torch_pruning as tp

    small = copy.deepcopy(model)
    example = train.inputs[:2]
    whole, _ = tp.utils.count_ops_and_params(small, example)
    kinds = {
        "taylor": tp.importance.GroupTaylorImportance(),
        "magnitude": tp.importance.GroupMagnitudeImportance(p=1),
    }
    last = [one for one in small.modules() if isinstance(one, nn.Linear)]
    pruner = tp.pruner.BasePruner(
        small,
        example,
        importance=kinds[importance],
        global_pruning=importance == "taylor",
        pruning_ratio=0.95,
        max_pruning_ratio=0.95,
        iterative_steps=100,
        ignored_layers=last,
    )
    small.eval()
    macs = whole
    while macs > share * whole:
        if importance == "taylor":
            small.zero_grad()
            for inputs, labels in train.first(512).batches(64):
                F.cross_entropy(small(inputs), labels).backward()
        pruner.step()
        macs, _ = tp.utils.count_ops_and_params(small, example)
    return small, macs / whole


def tune(small: nn.Module, model: nn.Module, train: Images, teacher: float, until: float) -> None:
    """Train a network further until the processor's time is used up, at a falling rate."""
    small.train()
    optimizer = torch.optim.AdamW(small.parameters(), RATE)
    begun = time.process_time()
    for chosen in draws(len(train.labels)):
        passed = (time.process_time() - begun) / max(until - begun, 1e-9)
        if passed >= 1:
            break
        for group in optimizer.param_groups:
            group["lr"] = RATE * (1 + np.cos(np.pi * passed)) / 2
        inputs, labels = train.inputs[chosen], train.labels[chosen]
        inputs = torch.where(torch.rand(BATCH, 1, 1, 1) < 0.5, inputs, inputs.flip(3))
        outputs = small(inputs)
        loss = (1 - teacher) * F.cross_entropy(outputs, labels)
        if teacher:
            with torch.no_grad():
                said = model(inputs).softmax(1)
            loss = loss + teacher * F.cross_entropy(outputs, said)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    small.eval()


def draws(count: int) -> Iterator[torch.Tensor]:
    while True:
        yield from torch.randperm(count)[: count // BATCH * BATCH].split(BATCH)


def correct(model: nn.Module, test: Images) -> np.ndarray:
    """Return which test images a model is right on, `[images]`, 1 or 0."""
    model.eval()
    with torch.no_grad():
        found = [(model(inputs).argmax(1) == labels) for inputs, labels in test.batches(CHUNK)]
    return torch.cat(found).double().numpy()


if __name__ == "__main__":
    main()

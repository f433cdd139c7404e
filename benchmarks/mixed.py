"""A bi-level DARTS step on the NAS-Bench-201 supernet over the same step written straightforwardly.

Straightforward is `Σ_o w_o · o(x)` in every mixed operation, as it stands in the paper, in PyTorch's own
memory format and in channels-last. A step is a forward and backward pass for α with Adam, and one for
the weights with SGD, of first order. Times are CPU seconds of one thread, which do not count the waiting
for others; the ways take turns.
"""

from __future__ import annotations

import copy
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path

import torch
from torch import nn
from torch.nn import functional as F

from benchmarks.measure import spread
from supernet.choice import ChoiceModule, Routing
from supernet.data import Examples, Loader, Normalise
from supernet.net import SuperNet
from supernet.strategies import DARTS
from supernet.strategies.base import TrainingContext
from supernet.task import Classification
from supernet.train import Moment
from supernet.zoo import NASBench201

BATCH = 64
WAYS = ("straightforward", "straightforward, channels-last", "supernet, channels-last")
Alphas = Mapping[str, torch.Tensor]


class Mixed(nn.Module):
    """A mixed operation as it is written."""

    def __init__(self, choice: ChoiceModule) -> None:
        super().__init__()
        self.options = choice.options
        self.label = str(choice.label)
        self.weights = torch.ones(len(choice.options))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Return the weighted sum."""
        terms = [w * option(x) for w, option in zip(self.weights, self.options, strict=True)]
        total = terms[0]
        for term in terms[1:]:
            total = total + term
        return total


def main() -> None:
    equal()
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        timed()
    finally:
        torch.set_num_threads(threads)
    memory()


def equal() -> None:
    """Print how far both ways are from each other in float64, with one cell in a stage."""
    model = NASBench201(channels=8, cells=1).double()
    plain, supernet = straightforward(model), SuperNet(model)
    alphas = {d.label: 0.1 * torch.randn(5).double() for d in supernet.space.decisions}
    x, y = torch.randn(16, 3, 32, 32).double(), torch.arange(16) % 10
    found = []
    for module in (plain, supernet):
        given = {label: alpha.clone().requires_grad_() for label, alpha in alphas.items()}
        weights = {label: alpha.softmax(0) for label, alpha in given.items()}
        if module is plain:
            logits = gated(plain, weights)(x)
        else:
            logits = supernet(x, Routing.soft(supernet.space, weights))
        F.cross_entropy(logits, y).backward()
        gradients = [tensor.grad for tensor in (*given.values(), *module.parameters())]
        found.append([logits, *gradients, *module.buffers()])
    with torch.no_grad():
        pairs = zip(*found, strict=True)
        errors = [float((a - b).abs().max() / b.abs().max()) for a, b in pairs]
    print(
        "mixed operations / straightforward, float64: outputs, gradients and running statistics "
        f"differ by at most {max(errors):.1e} of the largest (aim: 1e-8)"
    )


def timed(repeats: int = 9, warmup: int = 1) -> None:
    """Print the time of a step in each way, and the ratios within each turn."""
    steps = {way: prepared(way) for way in WAYS}
    turns = []
    for repeat in range(-warmup, repeats):
        spent = {}
        for way in WAYS[:: 1 if repeat % 2 else -1]:
            started = time.process_time()
            steps[way](repeat + warmup)
            spent[way] = time.process_time() - started
        turns += [spent] if repeat >= 0 else []
    for way in WAYS:
        seconds = statistics.median(turn[way] for turn in turns)
        print(f"DARTS step, NAS-Bench-201 C16, 15 cells, batch {BATCH}, {way}: {seconds:.2f} s")
    for way, aim in zip(WAYS[:2], (0.5, 0.8), strict=True):
        ratios = [turn[WAYS[2]] / turn[way] for turn in turns]
        print(f"DARTS step, supernet / {way}: {spread(ratios)} (aim: at most {aim})")


def memory() -> None:
    """Print the largest memory of each way, in a process of its own."""
    peaks = {}
    for way in WAYS:
        done = subprocess.run(
            [sys.executable, "-m", "benchmarks.mixed", way],
            env={**os.environ, "OMP_NUM_THREADS": "1"},
            capture_output=True,
            text=True,
            check=True,
        )
        peaks[way] = float(done.stdout)
    print(
        "memory of a DARTS step above that of the libraries: "
        + "; ".join(f"{way} {peak:,.0f} MB" for way, peak in peaks.items())
    )


def prepared(way: str) -> Callable[[int], None]:
    """Return a function that makes one step, given its number."""
    torch.manual_seed(0)
    images = torch.randint(0, 256, (4 * BATCH, 3, 32, 32), dtype=torch.uint8)
    examples = Examples(images, torch.arange(4 * BATCH) % 10, tuple("0123456789"))
    normalise = Normalise.of(examples, channels_last=way != WAYS[0])
    loader = Loader(examples, BATCH, seed=0, normalise=normalise)
    model: nn.Module = NASBench201()
    if way != WAYS[0]:
        model = model.to(memory_format=torch.channels_last)
    if way == WAYS[2]:
        return strategy(SuperNet(model), loader)
    return by_hand(straightforward(model), loader)


def strategy(supernet: SuperNet, loader: Loader) -> Callable[[int], None]:
    """Return the step of the library."""
    darts, sgd = DARTS(order=1), _sgd(supernet)
    darts.prepare(supernet, TrainingContext(0, {}, search=loader))

    def step(number: int) -> None:
        moment = Moment(number, 100, seed=0)
        darts.backward(supernet, Classification(), loader.batch(number), moment)
        sgd.step()
        sgd.zero_grad()

    return step


def by_hand(model: nn.Module, loader: Loader) -> Callable[[int], None]:
    """Return the step as one writes it."""
    labels = {module.label for module in model.modules() if isinstance(module, Mixed)}
    alphas = {label: (1e-3 * torch.randn(5)).requires_grad_() for label in sorted(labels)}
    sgd = _sgd(model)
    adam = torch.optim.Adam(alphas.values(), lr=3e-4, betas=(0.5, 0.999), weight_decay=1e-3)

    def loss(number: int, alphas: Alphas) -> torch.Tensor:
        images, targets = loader.batch(number)
        weights = {label: alpha.softmax(0) for label, alpha in alphas.items()}
        return F.cross_entropy(gated(model, weights)(images), targets)

    def step(number: int) -> None:
        found = torch.autograd.grad(loss(number, alphas), list(alphas.values()))
        for alpha, gradient in zip(alphas.values(), found, strict=True):
            alpha.grad = gradient
        adam.step()
        loss(number, {label: alpha.detach() for label, alpha in alphas.items()}).backward()
        sgd.step()
        sgd.zero_grad()

    return step


def straightforward(model: nn.Module) -> nn.Module:
    """Return a copy in which mixed operations are computed as they are written."""
    model = copy.deepcopy(model)
    for parent in list(model.modules()):
        for name, child in parent.named_children():
            if isinstance(child, ChoiceModule):
                setattr(parent, name, Mixed(child))
    return model


def gated(model: nn.Module, weights: Alphas) -> nn.Module:
    """Give the mixed operations their weights."""
    for module in model.modules():
        if isinstance(module, Mixed):
            module.weights = weights[module.label]
    return model


def _sgd(module: nn.Module) -> torch.optim.Optimizer:
    return torch.optim.SGD(module.parameters(), lr=0.01, momentum=0.9, weight_decay=5e-4)


def _peak() -> float:
    """Return the largest memory that this process has had, in MB."""
    status = Path("/proc/self/status").read_text()
    return int(status.partition("VmHWM:")[2].split()[0]) / 1e3


if __name__ == "__main__":
    before = _peak()
    step = prepared(sys.argv[1])
    for number in range(2):
        step(number)
    print(_peak() - before)

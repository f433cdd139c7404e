"""In which order of channels narrow networks begin best.

`python -m benchmarks.importance --data FOLDER`.
A small ResNet, a ViT and a MobileNetV2 (the last two of timm) are trained on CIFAR-10, scaled to 16×16
(`FOLDER/train/CLASS/*` and `FOLDER/test/CLASS/*`). Each is converted, its channels are put in order by
each importance, measured on a thousand training images, and narrower networks are measured on test
images as they are, without any training; statistics of batch norm are estimated anew, as candidates'
are. Printed are, for each importance,

* the accuracy at uniform fractions of all widths, and the area under the curve of accuracy over the
  logarithm of relative multiply-adds, divided by its width, which is a mean of accuracies;
* the mean accuracy of random architectures;
* what architecture has the least damage by it (`Damage`) of 200 random ones within half of the
  multiply-adds: its accuracy, that of the uniform one within the half, of random ones of the 200, and of
  the costliest of them.

Intervals (95 %) are over test images: of one trained model and one draw of training images each. What
was trained is kept in the folder, and not trained again. About twenty minutes of one core.
"""

from __future__ import annotations

import argparse
import copy
import itertools
import math
import random
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
import torch
from torch import nn
from torch.nn import functional as F

import supernet as sn
from benchmarks.timm_models import create_model
from supernet.conversion import Widths
from supernet.conversion.trial_networks import largest
from supernet.cost import measure_costs
from supernet.data import ImageFolder, Normalise
from supernet.elastic.sorting import sort_channels
from supernet.evaluate import mean_interval, paired_difference, recalibrated
from supernet.evaluate.resampling import Array
from supernet.importance import L1, Activation, Damage, Fisher, Importance, Taylor
from supernet.space import Architecture
from supernet.zoo.resnet import ResNet

FRACTIONS = (0.25, 0.375, 0.5, 0.625, 0.6875, 0.75, 0.875, 1.0)
CURVE = (0.25, 0.5, 0.75, 0.875, 1.0)
"""Uniform fractions that are measured; the others are there for the random architectures."""
RANDOM, DRAWN, TESTED = 10, 200, 2000
"""Random architectures that are measured, those that damage chooses among, and test images."""
CHUNK = 500


@dataclass(frozen=True)
class Trained:
    """A model and how it is trained."""

    build: Callable[[], nn.Module]
    steps: int
    optimizer: Callable[[nn.Module], torch.optim.Optimizer]


def sgd(model: nn.Module) -> torch.optim.Optimizer:
    return torch.optim.SGD(model.parameters(), 0.1, 0.9, weight_decay=5e-4, nesterov=True)


def adamw(model: nn.Module, rate: float = 1e-3) -> torch.optim.Optimizer:
    return torch.optim.AdamW(model.parameters(), rate, weight_decay=0.05)


def mobilenet() -> nn.Module:
    """Return MobileNetV2 of half the width for images of 16×16, halved three times."""
    model = create_model("mobilenetv2_050", num_classes=10, output_stride=16)
    model.conv_stem.stride = (1, 1)
    model.classifier.reset_parameters()  # timm's are for a thousand classes, too large for ten
    return model


MODELS = {
    "ResNet": Trained(lambda: ResNet(image=(3, 16, 16), widths=(16, 32, 64), blocks=2), 2000, sgd),
    "ViT": Trained(
        lambda: create_model(
            "vit_tiny_patch16_224",
            img_size=16,
            patch_size=4,
            embed_dim=96,
            depth=4,
            num_heads=8,
            num_classes=10,
        ),
        2000,
        adamw,
    ),
    "MobileNetV2": Trained(mobilenet, 1500, partial(adamw, rate=3e-3)),
}


@dataclass(frozen=True)
class Images:
    """Normalised images `[n, 3, 16, 16]` and classes `[n]`."""

    inputs: torch.Tensor
    labels: torch.Tensor

    def first(self, count: int) -> Images:
        """Return the first ones."""
        return Images(self.inputs[:count], self.labels[:count])

    def batches(self, size: int) -> list[tuple[torch.Tensor, torch.Tensor]]:
        """Return them in batches."""
        return list(zip(self.inputs.split(size), self.labels.split(size), strict=True))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, required=True, help="folder of CIFAR-10's images")
    parser.add_argument("--folder", type=Path, default=Path("runs/importance"))
    parser.add_argument("--models", nargs="*", default=list(MODELS), choices=list(MODELS))
    given = parser.parse_args()
    torch.set_num_threads(1)
    given.folder.mkdir(parents=True, exist_ok=True)
    train, test = images(given.data)
    for name in given.models:
        started = time.process_time()
        model = trained(name, train, given.folder / f"{name}.pt")
        between = time.process_time()
        found = compared(name, model, train, test.first(TESTED))
        print(
            f"{found}\n({name}: {between - started:.0f} CPU seconds of training, "
            f"{time.process_time() - between:.0f} of the rest)\n",
            flush=True,
        )


def images(folder: Path) -> tuple[Images, Images]:
    """Return training and test images in a random order, normalised by the training ones."""
    raw = ImageFolder(str(folder), size=16).load()
    assert raw.test is not None, "the folder has no test images"
    normalise = Normalise.of(raw.train)
    shuffled = []
    for examples in (raw.train, raw.test):
        order = torch.randperm(len(examples.targets), generator=torch.Generator().manual_seed(0))
        shuffled.append(Images(normalise(examples.inputs[order]), examples.targets[order]))
    return shuffled[0], shuffled[1]


def trained(name: str, train: Images, kept: Path) -> nn.Module:
    """Return a model as it is after its training, with flipped images and a falling rate."""
    torch.manual_seed(0)
    how = MODELS[name]
    model = how.build()
    if kept.exists():
        model.load_state_dict(torch.load(kept))
        return model.eval()
    optimizer = how.optimizer(model)
    schedule = torch.optim.lr_scheduler.OneCycleLR(
        optimizer, optimizer.param_groups[0]["lr"], total_steps=how.steps
    )
    for _ in range(how.steps):
        chosen = torch.randint(len(train.labels), (64,))
        inputs = train.inputs[chosen]
        inputs = torch.where(torch.rand(64, 1, 1, 1) < 0.5, inputs, inputs.flip(3))
        loss = F.cross_entropy(model(inputs), train.labels[chosen])
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        schedule.step()
    torch.save(model.state_dict(), kept)
    return model.eval()


def importances(train: Images) -> dict[str, Importance | None]:
    """Return the importances that are compared; None leaves channels as they are."""
    few = train.first(1024)
    return {
        "as trained": None,
        "L1": L1(),
        "activation": Activation(few.batches(64)),
        "Taylor": Taylor(few.batches(32)),
        "Fisher": Fisher([inputs for inputs, _ in few.batches(64)], part=4),
    }


class Measured:
    """A converted model whose channels are in an order, and the accuracies of its networks."""

    def __init__(self, supernet: sn.SuperNet, train: Images, test: Images) -> None:
        self.supernet, self.train, self.test = supernet, train, test
        self.known: dict[Architecture, Array] = {}

    def right(self, architecture: Architecture) -> Array:
        """Return which test images a network gets right, `[images]` of 0 or 1."""
        if architecture not in self.known:
            batches = self.train.first(2048).inputs.split(256)
            with (
                torch.no_grad(),
                self.supernet.route(architecture),
                recalibrated(self.supernet, batches, self.supernet),
            ):
                said = torch.cat(
                    [self.supernet(x).argmax(1) for x in self.test.inputs.split(CHUNK)]
                )
            self.known[architecture] = (said == self.test.labels).double().numpy()
        return self.known[architecture]

    def mean_right(self, architectures: Sequence[Architecture]) -> Array:
        """Return the mean over networks, `[images]`."""
        return np.mean([self.right(one) for one in architectures], axis=0)


def compared(name: str, model: nn.Module, train: Images, test: Images) -> str:
    """Return the tables of a model."""
    space = sn.convert(model, train.inputs[:2], rules=[Widths("*", FRACTIONS, 2)], sort=False)
    plain = sn.SuperNet(space)
    table = measure_costs(plain, train.inputs[:1])["macs"]
    whole = largest(plain)

    def relative(one: Architecture) -> float:
        return table.cost(one) / table.cost(whole)

    uniform = {fraction: narrowed(plain, fraction) for fraction in FRACTIONS}
    draws = random.Random(0)
    mixed = [plain.space.sample(draws) for _ in range(RANDOM)]
    drawn = (plain.space.sample(draws) for _ in itertools.count())
    within = (one for one in drawn if relative(one) <= 0.5)
    half = list(itertools.islice(within, DRAWN))
    thin = next(one for one in reversed(uniform.values()) if relative(one) <= 0.5)
    costs = ", ".join(f"{f:g}: {100 * relative(uniform[f]):.0f} %" for f in CURVE)
    lines = [
        f"{name}, {table.cost(whole):,.0f} multiply-adds, {len(plain.space.labels)} widths; "
        f"multiply-adds of uniform fractions: {costs}",
        f"| {name} | {' | '.join(f'{f:g}' for f in CURVE)} | area | above L1 | random |",
        f"|{'---|' * (len(CURVE) + 4)}",
    ]
    below = [
        f"| {name}, within 50 % | uniform | random | costliest | least damage | above uniform |"
    ]
    below.append(f"|{'---|' * 6}")
    areas: dict[str, Array] = {}
    rows: dict[str, list[str]] = {}
    for method, importance in importances(train).items():
        supernet = sn.SuperNet(copy.deepcopy(space))
        if importance is not None:
            with supernet.route(whole):
                sort_channels(supernet.model, importance=importance)
        of = Measured(supernet, train, test)
        accuracies = [of.right(uniform[fraction]) for fraction in CURVE]
        areas[method] = area(accuracies, [relative(uniform[fraction]) for fraction in CURVE])
        rows[method] = [percent(one) for one in [*accuracies, of.mean_right(mixed)]]
        if importance is not None:
            damage = Damage(supernet, importance)
            least, costly = min(half, key=damage.of), max(half, key=relative)
            chosen, thinner = of.right(least), of.right(thin)
            ones = [thinner, of.mean_right(half[:RANDOM]), of.right(costly), chosen]
            below.append(
                f"| {method} | {' | '.join(percent(one) for one in ones)} | "
                f"{difference(chosen, thinner)} |"
            )
    for method, cells in rows.items():
        lines.append(
            f"| {method} | {' | '.join(cells[:-1])} | {interval(areas[method])} | "
            f"{'' if method == 'L1' else difference(areas[method], areas['L1'])} | {cells[-1]} |"
        )
    return "\n".join([*lines, "", *below])


def narrowed(supernet: sn.SuperNet, fraction: float) -> Architecture:
    """Return the architecture in which each width is nearest to a fraction of the whole one."""

    def nearest(options: Sequence[float]) -> int:
        aim = fraction * options[-1]
        return min(range(len(options)), key=lambda i: abs(options[i] - aim))

    return supernet.space.build(lambda d: d.value([nearest(d.options)]))


def area(accuracies: Sequence[Array], relative: Sequence[float]) -> Array:
    """Return the area under accuracy over log multiply-adds of each image, over the curve's width."""
    at = [math.log(one) for one in relative]
    total = np.zeros_like(accuracies[0])
    for (low, high), (first, second) in zip(
        itertools.pairwise(at), itertools.pairwise(accuracies), strict=True
    ):
        total += (high - low) * (first + second) / 2
    return total / (at[-1] - at[0])


def percent(right: Array) -> str:
    return f"{100 * right.mean():.1f}"


def interval(right: Array) -> str:
    found = mean_interval(list(right))
    assert found is not None, "all images are alike to these networks"
    return f"{100 * right.mean():.1f} ({100 * found.low:.1f} to {100 * found.high:.1f})"


def difference(right: Array, others: Array) -> str:
    found = paired_difference(right, others, shares=True)
    return f"{100 * found.value:+.1f} ({100 * found.low:+.1f} to {100 * found.high:+.1f})"


if __name__ == "__main__":
    main()

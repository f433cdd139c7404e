"""Blocks chosen by the scores of single replacements: `python -m benchmarks.blocks`.

A small language model (a causal transformer of six layers, character by character, on the docstrings of
installed packages) is trained for two minutes of one core, and made smaller to half of its
multiply-adds. Open are the heads and the hidden width of each layer, and whether it has attention, and
an MLP.

* `blockwise` and `milp`: the forms of a layer learn from the model's own layer; each is scored by its
  replacement alone; an integer programme chooses;
* `sandwich` and `evolution`, as `compress` does by default: all sizes are trained together;
* uniform: half of the heads in each layer, and the same hidden width, the widest within the half, in
  steps of eight.

The supernets are trained for about the same processor time, and as many networks are scored; each chosen
network is trained further for the same number of steps, half by the labels and half by the model as the
teacher, and so is a random one of the same multiply-adds beside each. The uniform network has the same
steps, and in a second row the processor time of `blockwise` and `milp`, less that of the random network.
Printed are losses in nats per character on the test split, with the differences from the model and from
the uniform network and their intervals (95 %) over its windows of text: of one trained model, and a seed
of all that follows. What was found is kept in the folder, and not done again.
"""

from __future__ import annotations

import argparse
import copy
import dataclasses
import math
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import torch
from torch import nn
from torch.nn import functional as F

import supernet as sn
from supernet.conversion import Operations, Widths, left_out
from supernet.conversion.trial_networks import largest
from supernet.cost import measure_costs
from supernet.data import DataSource, Examples, Prose, Raw
from supernet.evaluate import paired_difference
from supernet.evaluate.resampling import Array
from supernet.importance import Importance
from supernet.space import Decision, Value
from supernet.task import LanguageModel
from supernet.zoo import GPT

LENGTH, WIDTH, HEADS, LAYERS = 32, 64, 4, 6
EXAMPLE = torch.zeros(1, LENGTH, dtype=torch.long)
STEPS, BATCH, RATE = 2500, 32, 2e-3
FRACTIONS, HALF = (0.25, 0.5, 0.75, 1.0), 0.5
NEAR = (14 / 32, 15 / 32, 0.5, 1.0)
"""Fractions of widths of which one, with half of the heads, is the widest within the half."""
RECOVERY, RECOVERY_RATE = 500, 1e-3

COMMON = {
    "train.batch_size": BATCH,
    "train.optimizer": "AdamW",
    "train.optimizer.lr": 1e-3,
    "retrain.weights": "inherited",
    "retrain.top": 1,
    "retrain.baselines": 1,
    "retrain.train.steps": RECOVERY,
    "retrain.train.batch_size": BATCH,
    "retrain.train.optimizer": "AdamW",
    "retrain.train.optimizer.lr": RECOVERY_RATE,
    "retrain.train.teacher": 0.5,
}
WAYS = {
    "blockwise": {
        "train.steps": 300,
        "train.teacher": "null",
        "search.searcher.design": "replacements",
        "search.searcher.count": 90,
        "search.searcher.batch": 10,
    },
    "sandwich": {
        "train.steps": 240,
        "train.teacher": 0.9,
        "search.searcher.population": 18,
        "search.searcher.generations": 5,
        "search.searcher.parents": 6,
    },
}
"""Options of the runs; the first is the one whose processor time the uniform network has, too."""


class FewToSelect(DataSource):
    """The text, with a part of what there is to select with."""

    def load(self) -> Raw:
        """Return windows of text, of which 1,000 are to select with."""
        raw = Prose(size=2_000_000, length=LENGTH).load()
        assert raw.search is not None
        return dataclasses.replace(raw, search=raw.search.select(torch.arange(1000)))


def plain(words: int) -> nn.Module:
    """Return the model, an ordinary module, with fresh weights."""
    torch.manual_seed(0)
    space = GPT(words, LENGTH, (WIDTH,), (HEADS,), WIDTH // HEADS, (4,), (LAYERS,), dropout=0.0)
    supernet = sn.SuperNet(space)
    return sn.derive(supernet, supernet.space[0])


def trained(train: Examples, words: int, kept: Path) -> nn.Module:
    """Return the model as it is after its training at a rate that rises and falls."""
    model = plain(words)
    if kept.exists():
        model.load_state_dict(torch.load(kept))
        return model.eval()
    optimizer = torch.optim.AdamW(model.parameters(), RATE)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, RATE, total_steps=STEPS)
    inputs = train.tensor()
    for _ in range(STEPS):
        chosen = torch.randint(len(inputs), (BATCH,))
        logits = model(inputs[chosen])
        loss = F.cross_entropy(logits.flatten(0, 1), train.targets[chosen].flatten())
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        schedule.step()
    torch.save(model.state_dict(), kept)
    return model.eval()


def order(train: Examples) -> Importance:
    """Return the importance by which heads and hidden widths are put in order."""
    few = train.select(torch.arange(1024))
    batches = list(zip(few.tensor().split(32), few.targets.split(32), strict=True))
    return sn.importance.Taylor(batches, LanguageModel())


def spaced(model: nn.Module, train: Examples) -> nn.Module:
    """Return the model with open heads, hidden widths, and layers that can be left out."""
    rules = [
        Operations("blocks.*.attention", left_out()),
        Operations("blocks.*.layers", left_out()),
        Widths("blocks.*", FRACTIONS, 8),
    ]
    return sn.convert(model, train.tensor()[:2], rules=rules, sort=order(train))


def uniform(model: nn.Module, train: Examples) -> tuple[nn.Module, float]:
    """Return the widest network of half of the heads, equal in all layers, and its multiply-adds."""
    rules = [Widths("blocks.*", NEAR, 8)]
    supernet = sn.SuperNet(sn.convert(model, train.tensor()[:2], rules=rules, sort=order(train)))
    table = measure_costs(supernet, EXAMPLE)["macs"]
    bound = HALF * table.cost(largest(supernet))
    for place in reversed(range(len(NEAR))):

        def answer(decision: Decision, place: int = place) -> Value:
            heads = HEADS // 2
            return heads if heads in decision.options else decision.options[place]

        found = supernet.space.build(answer)
        if table.cost(found) <= bound:
            return sn.derive(supernet, found), table.cost(found)
    raise ValueError(f"no width of {NEAR} is within the half")


@dataclass(frozen=True)
class Found:
    """What a way led to.

    Attributes:
        name: name of the row.
        macs: multiply-adds.
        seconds: processor time.
        losses: mean loss of each test window, `[windows]`.
    """

    name: str
    macs: float
    seconds: float
    losses: Array


def kept(file: Path, make: Callable[[], list[Found]]) -> list[Found]:
    """Return what was found before, or what is found now, which is kept."""
    if not file.exists():
        rows = [dataclasses.astuple(one) for one in make()]
        torch.save([(*row[:3], torch.as_tensor(row[3])) for row in rows], file)
    return [Found(*row[:3], row[3].numpy()) for row in torch.load(file)]


def searched(name: str, space: nn.Module, data: DataSource, folder: Path) -> list[Found]:
    """Return the network that a way leads to, and a random one beside it."""
    started = time.process_time()
    result = sn.run(
        copy.deepcopy(space),
        data,
        strategy="blockwise" if name == "blockwise" else "sandwich",
        searcher="milp" if name == "blockwise" else "evolution",
        task=LanguageModel(),
        constraints=[f"macs <= {100 * HALF:g}%"],
        out=folder / name,
        options={**COMMON, **WAYS[name]},
        progress=False,
    )
    seconds = time.process_time() - started
    print(f"{name}: {dict(result.architecture)}", flush=True)
    test = data.load().test
    assert test is not None
    rows = []
    with result.again() as opened:
        networks = opened.networks(inherit=True)
        compared = [opened.retrained.searched, *opened.retrained.random]
        for what, (selected, kind) in zip(("", ", random"), compared, strict=True):
            small = networks.retrained(selected, kind).eval()
            rows.append(Found(name + what, selected.costs["macs"], seconds, losses(small, test)))
    return rows


def further(
    small: nn.Module, model: nn.Module, train: Examples, steps: float, until: float
) -> tuple[nn.Module, int]:
    """Train a network as `retrain` does, for so many steps or until so much processor time is used."""
    torch.manual_seed(1)
    small = copy.deepcopy(small).train()
    optimizer = torch.optim.AdamW(small.parameters(), RECOVERY_RATE)
    inputs, begun, step = train.tensor(), time.process_time(), 0
    while True:
        spent = (time.process_time() - begun) / until
        done = max(step / steps, spent) if steps == math.inf else step / steps
        if done >= 1:
            return small.eval(), step
        for group in optimizer.param_groups:
            group["lr"] = RECOVERY_RATE * (1 + math.cos(math.pi * done)) / 2
        chosen = torch.randint(len(inputs), (BATCH,))
        logits = small(inputs[chosen]).flatten(0, 1)
        with torch.no_grad():
            said = model(inputs[chosen]).flatten(0, 1).softmax(1)
        labels = train.targets[chosen].flatten()
        loss = (F.cross_entropy(logits, labels) + F.cross_entropy(logits, said)) / 2
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        step += 1


def losses(model: nn.Module, test: Examples) -> Array:
    """Return the mean loss of each window of text, `[windows]`, in nats per character."""
    found = []
    with torch.no_grad():
        for inputs, targets in zip(test.tensor().split(256), test.targets.split(256), strict=True):
            each = F.cross_entropy(model(inputs).mT, targets, reduction="none")
            found.append(each.mean(1))
    return torch.cat(found).double().numpy()


def over(first: Array, second: Array) -> str:
    found = paired_difference(first, second, shares=False)
    return f"{found.value:+.3f} ({found.low:+.3f} to {found.high:+.3f})"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--folder", type=Path, default=Path("runs/blocks"))
    parser.add_argument("--ways", nargs="*", default=list(WAYS), choices=list(WAYS))
    given = parser.parse_args()
    torch.set_num_threads(1)
    given.folder.mkdir(parents=True, exist_ok=True)
    data = FewToSelect()
    raw = data.load()
    assert raw.test is not None
    test = raw.test
    started = time.process_time()
    model = trained(raw.train, len(raw.train.words), given.folder / "model.pt")
    print(f"the model: {time.process_time() - started:.0f} CPU seconds of training", flush=True)
    space = spaced(model, raw.train)
    supernet = sn.SuperNet(space)
    table = measure_costs(supernet, EXAMPLE)["macs"]
    whole = table.cost(largest(supernet))
    print(f"{supernet.space}; {whole:,.0f} multiply-adds for {LENGTH} characters", flush=True)
    rows = [Found("the model", whole, 0.0, losses(model, test))]
    for name in given.ways:
        find = partial(searched, name, space, data, given.folder)
        rows += kept(given.folder / f"{name}.found.pt", find)
    thin, macs = uniform(model, raw.train)

    def narrowed(steps: float, until: float) -> list[Found]:
        began = time.process_time()
        small, done = further(thin, model, raw.train, steps, until)
        seconds = time.process_time() - began
        said = f"uniform, {done:,} steps"
        return [Found(said, macs, seconds, losses(small, test))]

    same_steps = partial(narrowed, RECOVERY, math.inf)
    rows += (base := kept(given.folder / "uniform.found.pt", same_steps))
    if len(given.ways) == len(WAYS):
        left = rows[1].seconds - base[0].seconds  # a random network was trained, too
        rows += kept(given.folder / "longer.found.pt", partial(narrowed, math.inf, left))
    print("| | multiply-adds | CPU seconds | loss | above the model | above uniform |")
    print("|---|---|---|---|---|---|")
    for one in rows:
        print(
            f"| {one.name} | {100 * one.macs / whole:.1f} % | {one.seconds:.0f} | "
            f"{one.losses.mean():.3f} | {over(one.losses, rows[0].losses)} | "
            f"{over(one.losses, base[0].losses)} |"
        )


if __name__ == "__main__":
    main()

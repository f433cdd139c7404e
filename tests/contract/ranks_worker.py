"""Trains strategies as one of several ranks, or alone; started by `test_contract_ranks.py`.

`python ranks_worker.py FILE STEPS CASE:MODEL ...`; rank 0 writes what was trained into the file.
"""

import os
import sys
from contextlib import suppress
from datetime import timedelta
from pathlib import Path

import torch
from test_contract_strategies import CASES, MODELS, strategy_class
from torch.nn import functional as F

from supernet import ranks
from supernet.cost import measure_costs
from supernet.data import Augment, Digits, Examples, Items, Loader, Mixing, Stored
from supernet.ops import DropPath
from supernet.pooled_norm import pooling_batch_norm
from supernet.strategies import TrainingContext
from supernet.strategies.guards import hessian
from supernet.task import Classification, MultiLabel, batch_figures, checked_measures, of_all_ranks
from supernet.train import Checkpoint, Fit


class DoubleLoader(Loader):
    """A loader whose inputs are doubles."""

    def batch(self, step):
        inputs, targets = super().batch(step)
        return inputs.double(), targets.double() if targets.is_floating_point() else targets


class StopError(BaseException):  # which is no failure of anybody
    """Ends a training as an interruption would."""


def trained(case, model, steps, checkpoint=None, until=None, seconds=1e9, **given):
    """Train a strategy; stop after so many steps, of which all but one are in the checkpoint."""
    raw = Digits().load().train
    train, search = (
        Examples(raw.inputs[part], raw.targets[part], raw.classes)
        for part in (slice(400), slice(400, 600))
    )
    with torch.random.fork_rng():
        torch.manual_seed(0)
        strategy = strategy_class(case)(**CASES[case][1])
        supernet = strategy.build(MODELS[model]().double()).train()
    for module in supernet.modules():  # each rank drops other values than one process does
        if isinstance(module, torch.nn.Dropout):
            module.p = 0.0
        if isinstance(module, DropPath):
            module.last_probability = 0.0
    costs = measure_costs(supernet, torch.zeros(1, 1, 8, 8))
    loader = DoubleLoader(search, 16, 4, purpose="search")
    strategy.prepare(supernet, TrainingContext(4, costs, search=loader))
    losses, moved = [], [0]

    def optimizer(parameters):
        def count(optimizer, *_):
            used = [p.grad for group in optimizer.param_groups for p in group["params"]]
            moved[0] += sum(g.numel() * g.element_size() for g in used if g is not None)

        made = torch.optim.SGD(parameters, lr=0.05, momentum=0.9)
        made.register_step_pre_hook(count)
        return made

    def log(record):
        losses.append(record["loss"])
        if record["step"] == until:
            raise StopError

    fit = Fit(
        steps=steps,
        optimizer=optimizer,
        schedule="cosine",
        warmup=0.1,
        clip=5.0,
        log_every=1,
        checkpoint_seconds=seconds if checkpoint is None else 0.0,
        seed=4,
        log=log,
    )
    before = ranks.reduced_bytes()
    with suppress(StopError):
        batches = DoubleLoader(train, 64, 4, **given)
        fit.run(supernet, strategy, Classification(), batches, checkpoint)
    return {
        "losses": losses,
        "weights": dict(supernet.named_parameters()),
        "buffers": dict(supernet.named_buffers()),
        "alphas": strategy.state_dict().get("alphas", {}),
        "reduced": ranks.reduced_bytes() - before,
        "moved": moved[0],
    }


def normalised(affine):
    """Return batch norm's outputs and its first and second derivatives, of the whole batch."""
    draws = torch.Generator().manual_seed(0)
    whole = torch.randn(12, 3, 2, 2, generator=draws)
    own = ranks.own_part(12)
    x = whole[own].requires_grad_()
    weight, bias = (torch.randn(3, generator=draws).requires_grad_() for _ in range(2))
    means, variances = torch.zeros(3), torch.ones(3)
    learned = (weight, bias) if affine else (None, None)
    alpha = torch.randn(3, generator=draws).requires_grad_()
    factors = torch.randn(12, 3, 2, 2, generator=draws)[own]

    def loss_of(given):
        y = F.batch_norm(given, means, variances, *learned, training=True, momentum=0.3)
        return y, ranks.agreed((y.sin() * factors).mean())

    with pooling_batch_norm():
        y, loss = loss_of(x)
        of_x, *others = torch.autograd.grad(loss, [x, weight, bias] if affine else [x])
        mixed = x.detach().square() + x.detach() * ranks.shared(alpha)[:, None, None]
        second = hessian(loss_of(mixed)[1], [alpha])
    return {
        "outputs": torch.cat([*ranks.gathered(y.detach())]),
        "statistics": torch.stack([means, variances]),
        "inputs": torch.cat([*ranks.gathered(of_x)]) / ranks.ranks(),  # each rank's loss is a mean
        "parameters": ranks.averaged(others),
        "second": second,
    }


def normalised_in_half():
    """Return batch norm's outputs, statistics and derivatives under autocast, of the whole batch."""
    draws = torch.Generator().manual_seed(0)
    whole, slopes = (torch.randn(12, 3, 2, 2, generator=draws).bfloat16() for _ in range(2))
    own = ranks.own_part(12)
    x = whole[own].requires_grad_()
    weight, bias = (torch.rand(3, generator=draws).float().requires_grad_() for _ in range(2))
    means, variances = torch.zeros(3).float(), torch.ones(3).float()
    with pooling_batch_norm():
        y = F.batch_norm(x, means, variances, weight, bias, training=True, momentum=0.3)
        of_x, *others = torch.autograd.grad(y, [x, weight, bias], slopes[own])
    return {
        "outputs": torch.cat([*ranks.gathered(y.detach().float())]),
        "statistics": torch.stack([means, variances]),
        "inputs": torch.cat([*ranks.gathered(of_x.float())]),
        "parameters": torch.stack([g * ranks.ranks() for g in ranks.averaged(others)]),
    }


def figures():
    """Return figures of several labels, which are no means over examples, of the whole batch."""
    draws = torch.Generator().manual_seed(0)
    logits, targets = (
        torch.randn(20, 3, generator=draws),
        torch.rand(20, 3, generator=draws).round(),
    )
    own, task = ranks.own_part(20), of_all_ranks(MultiLabel())
    measures = checked_measures(task, torch.nn.Identity(), (logits[own], targets[own]))
    return batch_figures(task, [measures])


class Shifted(Augment):
    """Changes an image by its neighbour in the batch."""

    def __call__(self, images, generator):
        return images + 0.1 * images.roll(1, 0)


class Rows(Items):
    """Images of a tensor, read one by one."""

    shape, dtype = (1, 8, 8), torch.uint8

    def __init__(self, images):
        self.images = images

    def __len__(self):
        return len(self.images)

    def read(self, number):
        return self.images[number]

    def name(self, number):
        return f"row {number}"

    @property
    def inputs_identity(self):
        return "rows"


def mixed():
    """Return batches of mixed examples, whole, by how they come about."""
    raw, mixing = Digits().load().train, Mixing(0.4, 1.0)
    stored = Examples(Stored(Rows(raw.inputs)), raw.targets, raw.classes)
    loaders = {
        "plain": Loader(raw, 24, 3, mixing=mixing),
        "changed": Loader(raw, 24, 3, Augment(flip=True, crop=1, cutout=3), mixing=mixing),
        "changed together": Loader(raw, 24, 3, Shifted(), mixing=mixing),
        "stored": Loader(stored, 24, 3, Augment(flip=True, crop=1), mixing=mixing),
    }
    return {
        name: [[torch.cat([*ranks.gathered(x)]) for x in one.batch(step)] for step in range(4)]
        for name, one in loaders.items()
    }


def continued(folder, pair, steps):
    """Train half of the steps by two ranks, and the others by whoever comes alone."""
    together = ranks.ranks() > 1
    name = f"half-{ranks.rank()}.pt" if together else "half-0.pt"
    until = steps // 2 + 1 if together else None
    return trained(*pair.split(":"), steps, Checkpoint(folder / name), until)


def main():
    torch.set_num_threads(1)
    torch.set_default_dtype(torch.float64)
    file, steps, *cases = sys.argv[1:]
    if "WORLD_SIZE" in os.environ:
        ranks.begin(timedelta(seconds=120))
    found = {pair: trained(*pair.split(":"), int(steps)) for pair in cases}
    found |= {f"affine {affine}": normalised(affine) for affine in (False, True)}
    # Only the first process's clock says that a checkpoint is due.
    found["clocks"] = trained("spos", "tiny", 6, seconds=1e9 if ranks.rank() else 0.0)
    found["trained on mixed"] = trained(
        "spos", "tiny", 6, mixing=Mixing(0.4, 1.0), augment=Augment(flip=True, crop=1)
    )
    found["mixed"] = mixed()
    found["half"] = normalised_in_half()
    found["figures"] = figures()
    found["continued"] = continued(
        Path(file).parent, next(p for p in cases if p[:5] == "spos:"), int(steps)
    )
    if ranks.rank() == 0:
        torch.save(found, file)
    ranks.end()


if __name__ == "__main__":
    main()

import math

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from supernet.errors import ConfigError
from supernet.net import Choice, SuperNet
from supernet.space import OneOf, SearchSpace, SomeOf
from supernet.strategies import BenderOneShot
from supernet.task import Classification
from supernet.train import Moment

LAST = Moment(9, 10, 3)


def space_of(*counts):
    """Return a space with one decision for each number of options."""
    return SearchSpace([SomeOf(f"k{k}", [f"o{i}" for i in range(k)], 1, k) for k in counts])


def assert_frequency(hits, draws, probability):
    """Check a count against its binomial distribution, at 4.5 standard deviations."""
    spread = math.sqrt(draws * probability * (1 - probability))
    assert abs(hits - draws * probability) <= 4.5 * spread


def masks(strategy, space, progress, draws):
    random = Moment(0, 1, 11).stream("test")
    return [strategy.mask(space, progress, random) for _ in range(draws)]


@pytest.mark.parametrize("vanish", [0.05, 0.1, 0.5])
def test_all_paths_vanish_with_probability_r_at_the_end_whatever_their_number(vanish):
    counts, draws = (1, 2, 3, 5, 7), 4000
    drawn = masks(BenderOneShot(vanish), space_of(*counts), LAST.progress, draws)
    for k in counts:
        empty = sum(not mask[f"k{k}"].options for mask in drawn)
        assert_frequency(empty, draws, vanish)


@pytest.mark.parametrize("progress", [0.25, 0.5, 1.0])
def test_the_rate_rises_linearly_and_options_fall_independently(progress):
    k, draws, vanish = 3, 8000, 0.2
    drawn = masks(BenderOneShot(vanish), space_of(k), progress, draws)
    dropped = progress * vanish ** (1 / k)
    kept = [set(mask["k3"].options) for mask in drawn]
    for option in range(k):
        assert_frequency(sum(option not in one for one in kept), draws, dropped)
    for pair in ({0, 1}, {0, 2}, {1, 2}):
        assert_frequency(sum(not pair & one for one in kept), draws, dropped**2)


def test_nothing_is_dropped_at_the_start_or_when_r_is_zero():
    everything = [("k1", (0,)), ("k4", (0, 1, 2, 3))]
    for strategy, progress in ((BenderOneShot(0.9), 0.0), (BenderOneShot(0.0), 1.0)):
        for mask in masks(strategy, space_of(1, 4), progress, 50):
            assert [(label, gate.options) for label, gate in mask.items()] == everything
            assert all(gate.weights is None for gate in mask.values())


def test_one_of_decisions_are_masked_too():
    space = SearchSpace([OneOf("a", ["x", "y", "z"])])
    sizes = {len(mask["a"].options) for mask in masks(BenderOneShot(0.3), space, 1.0, 200)}
    assert sizes == {0, 1, 2, 3}


class Mixed(nn.Module):
    """Convolutions of which any number is on, batch norm over their sum, a linear classifier."""

    def __init__(self):
        super().__init__()
        torch.manual_seed(0)
        self.convs = [nn.Conv2d(1, 6, kernel, padding=kernel // 2) for kernel in (1, 3, 5)]
        self.choice = Choice(self.convs, pick=(1, 3), label="mix")
        self.norm = nn.BatchNorm2d(6)
        self.head = nn.Linear(6, 10)
        self.seen = []

    def forward(self, images):
        self.seen.append((self.choice.gate.options, len(images)))
        return self.head(F.relu(self.norm(self.choice(images))).mean((2, 3)))

    def by_hand(self, images, kept):
        total = torch.zeros(len(images), 6, 8, 8)
        for index in kept:
            total = total + self.convs[index](images)
        mean, var = total.mean((0, 2, 3)), total.var((0, 2, 3), unbiased=False)
        total = (total - mean.view(-1, 1, 1)) / (var.view(-1, 1, 1) + self.norm.eps).sqrt()
        total = total * self.norm.weight.view(-1, 1, 1) + self.norm.bias.view(-1, 1, 1)
        return self.head(F.relu(total).mean((2, 3)))


def a_batch(size, seed=0):
    random = torch.Generator().manual_seed(seed)
    images = torch.randn(size, 1, 8, 8, generator=random)
    return images, torch.randint(10, (size,), generator=random)


@pytest.mark.parametrize(
    ("images", "ghost_size", "sizes"),
    [
        (64, 32, [32, 32]),
        (70, 32, [35, 35]),
        (100, 32, [34, 33, 33]),
        (20, 32, [20]),
        (10, 4, [5, 5]),
        (3, 1, [1, 1, 1]),
        (1, 32, [1]),
    ],
)
def test_the_batch_is_cut_into_nearly_equal_ghost_batches(images, ghost_size, sizes):
    model = Mixed()
    strategy = BenderOneShot(0.5, ghost_size)
    strategy.backward(SuperNet(model), Classification(), a_batch(images), LAST)
    assert [size for _, size in model.seen] == sizes


def test_ghost_batches_draw_their_own_masks():
    model = Mixed()
    supernet, strategy = SuperNet(model), BenderOneShot(0.5, ghost_size=4)
    for step in range(10):
        strategy.backward(supernet, Classification(), a_batch(32), Moment(step, 10, 3))
    first, *others = ([kept for kept, _ in model.seen[i::8]] for i in range(8))
    assert all(other != first for other in others)
    assert len({kept for kept, _ in model.seen[-8:]}) > 1


def test_loss_and_gradients_are_those_of_a_loop_over_ghost_batches():
    strategy, task = BenderOneShot(0.4, ghost_size=7), Classification(label_smoothing=0.1)
    images, targets = a_batch(50)
    vanished = 0
    for step in range(10):
        model, twin = Mixed(), Mixed()
        loss = strategy.backward(SuperNet(model), task, (images, targets), Moment(step, 10, 3))
        kept = [options for options, _ in model.seen]
        vanished += kept.count(())
        parts = zip(images.tensor_split(len(kept)), kept, strict=True)
        logits = torch.cat([twin.by_hand(part, options) for part, options in parts])
        expected = F.cross_entropy(logits, targets, label_smoothing=0.1)
        expected.backward()
        assert loss.item() == pytest.approx(expected.item(), rel=1e-5)
        for ours, theirs in zip(model.parameters(), twin.parameters(), strict=True):
            assert (ours.grad is None) == (theirs.grad is None)
            if ours.grad is not None:
                torch.testing.assert_close(ours.grad, theirs.grad, rtol=1e-3, atol=1e-5)
    assert vanished


def test_options_that_no_ghost_batch_keeps_have_no_gradient():
    strategy, missing = BenderOneShot(0.6, ghost_size=16), 0
    for seed in range(20):
        model = Mixed()
        moment = Moment(9, 10, seed)
        strategy.backward(SuperNet(model), Classification(), a_batch(32), moment)
        used = {option for kept, _ in model.seen for option in kept}
        missing += len(used) < 3
        for index, conv in enumerate(model.convs):
            assert (conv.weight.grad is not None) == (index in used)
    assert missing


def test_batch_norm_is_that_of_the_paper():
    assert BenderOneShot().batch_norm == "batch"


@pytest.mark.parametrize("arguments", [(-0.1,), (1.0,), (0.1, 0)])
def test_impossible_arguments_are_refused(arguments):
    with pytest.raises(ConfigError, match="not"):
        BenderOneShot(*arguments)

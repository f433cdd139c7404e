import math

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from supernet.choice import Choice
from supernet.errors import ConfigError
from supernet.net import SuperNet
from supernet.ops import Zero
from supernet.space import OneOf, SearchSpace, SomeOf
from supernet.strategies import BenderOneShot
from supernet.strategies.reachability import Reachability
from supernet.task import Classification
from supernet.train import Moment
from supernet.zoo.bender import Bender
from supernet.zoo.nasbench201 import NASBench201
from supernet.zoo.nasbench_macro import NASBenchMacro

LAST = Moment(9, 10, 3)


def space_of(*counts):
    """Return a space with one decision for each number of options."""
    return SearchSpace([SomeOf(f"k{k}", [f"o{i}" for i in range(k)], 1, k) for k in counts])


def assert_frequency(hits, draws, probability):
    """Check a count against its binomial distribution, at 4.5 standard deviations."""
    spread = math.sqrt(draws * probability * (1 - probability))
    assert abs(hits - draws * probability) <= 4.5 * spread


class Elsewhere:
    """Other paths carry the signal, whatever is dropped."""

    def passing(self, decision):
        return tuple(range(len(decision.options)))

    def reaches(self, kept):
        return True


ELSEWHERE = Elsewhere()


def masks(strategy, space, progress, draws, signal=ELSEWHERE):
    random, strategy._signal = Moment(0, 1, 11).stream("test"), signal
    return [strategy.mask(space, progress, random) for _ in range(draws)]


@pytest.mark.parametrize("vanish", [0.05, 0.1, 0.5])
def test_all_paths_vanish_with_probability_r_at_the_end_whatever_their_number(vanish):
    counts, draws = (2, 3, 5, 7), 4000
    drawn = masks(BenderOneShot(vanish), space_of(*counts), LAST.progress, draws)
    for k in counts:
        empty = sum(not mask[f"k{k}"].options for mask in drawn)
        assert_frequency(empty, draws, vanish)


def test_a_single_option_is_never_dropped():
    """As in a part of a supernet that was split: there is nothing left to choose."""
    drawn = masks(BenderOneShot(0.5), space_of(1, 3), 1.0, 200)
    assert all(mask["k1"].options == (0,) for mask in drawn)
    assert not all(mask["k3"].options == (0, 1, 2) for mask in drawn)


@pytest.mark.slow_with("0.1")
@pytest.mark.parametrize("vanish", [0.1, 0.6])
def test_where_nothing_passes_otherwise_every_decision_keeps_an_option_drawn_uniformly(vanish):
    """Of those that keep one, each option is as likely; the others are what they were."""
    k, draws = 3, 6000
    drawn = masks(BenderOneShot(vanish), space_of(k, 2), 1.0, draws, signal=None)
    kept = [mask["k3"].options for mask in drawn]
    assert all(kept)
    assert all(mask["k2"].options for mask in drawn)
    dropped = vanish ** (1 / k)
    alone = dropped**2 * (1 - dropped) + vanish / k
    for option in range(k):
        assert_frequency(kept.count((option,)), draws, alone)
    assert_frequency(kept.count((0, 1, 2)), draws, (1 - dropped) ** 3)


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
        if torch.is_grad_enabled():
            self.seen.append((self.choice.gate.options, len(images)))
        # beside the choice, so that it may vanish
        return self.head(F.relu(self.norm(self.choice(images) + images)).mean((2, 3)))

    def by_hand(self, images, kept):
        total = images.expand(-1, 6, -1, -1)
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


@pytest.mark.slow
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


def dead(outputs):
    """Whether a ghost batch is told the same for all its images."""
    return [torch.allclose(part, part[:1].expand_as(part), atol=1e-6) for part in outputs]


def ghosts_of(model, strategy, steps=12, images=None):
    """Return the outputs of all ghost batches of some steps, and the masks."""
    supernet, found, masks_of = SuperNet(model).train(), [], []
    images = a_batch(64)[0] if images is None else images
    targets = torch.arange(len(images)) % 10

    class Watched(Classification):
        def loss(self, net, batch):
            logits = net(*batch[:-1])
            if torch.is_grad_enabled():
                found.extend(logits.detach().tensor_split(max(1, round(len(logits) / 8))))
            return F.cross_entropy(logits, batch[-1])

    with supernet.observed(masks_of.append):
        for step in range(steps):
            strategy.backward(supernet, Watched(), (images, targets), Moment(99, 100, step))
    return found, masks_of


@pytest.mark.slow
def test_a_chain_is_never_cut_and_most_of_it_would_be():
    torch.manual_seed(0)
    chain = NASBenchMacro(image=(1, 8, 8), channels=2, features=8)
    strategy = BenderOneShot(0.1, ghost_size=8)
    outputs, drawn = ghosts_of(chain, strategy)
    assert len(outputs) == len(drawn) == 12 * 8
    assert all(gate.options for mask in drawn for gate in mask.values())
    assert not any(dead(outputs))
    assert_frequency(strategy.metrics()["revived"] * len(drawn), len(drawn), 1 - 0.9**8)
    assert strategy.metrics() == {"revived": 0.0}  # it counts from record to record
    whole = BenderOneShot(0.1, ghost_size=8)
    strategy._signal = ELSEWHERE
    whole.mask = strategy.mask
    assert sum(dead(ghosts_of(chain, whole)[0])) > 12 * 8 * 0.3


@pytest.mark.slow
def test_the_paper_s_space_is_left_as_it_is():
    """Its blocks lie beside each other, so few ghost batches are cut off."""
    torch.manual_seed(0)
    space = SuperNet(net := Bender((1, 8, 8), channels=2, groups=(1, 1))).space
    strategy = BenderOneShot(0.1, ghost_size=8)
    outputs, drawn = ghosts_of(net, strategy)
    assert not any(dead(outputs))
    revived = strategy.metrics()["revived"]
    assert 0 < revived < 0.06
    empty = sum(not gate.options for mask in drawn for gate in mask.values())
    assert_frequency(empty, len(drawn) * len(space.decisions), 0.1)


@pytest.mark.slow
def test_edges_of_which_only_none_is_left_do_not_cut_a_cell():
    torch.manual_seed(0)
    net, strategy = NASBench201((1, 8, 8), channels=2, cells=1, stages=1), BenderOneShot(0.7, 8)
    outputs, drawn = ghosts_of(net, strategy, steps=20)
    assert strategy.metrics()["revived"] > 0.1
    assert not any(dead(outputs))
    assert any(gate.options in {(), (0,)} for mask in drawn for gate in mask.values())


def test_what_a_signal_passes_is_read_off_the_wiring():
    """Two layers in a row, the second beside a way around it; and one that is inside an option."""

    class Wired(nn.Module):
        def __init__(self):
            super().__init__()
            self.one = Choice([nn.Linear(4, 4), Zero()], label="one")
            inner = Choice([nn.Linear(4, 4), nn.Linear(4, 4)], label="inner")
            self.two = Choice([nn.Linear(4, 4), inner], label="two")
            self.three = Choice([nn.Linear(4, 3), nn.Linear(4, 3)], label="three")

        def forward(self, x):
            x = self.one(x)
            return self.three(x + self.three.options[0].weight.mean() * x) + self.two(x)[:, :3]

    supernet = SuperNet(Wired())
    with torch.no_grad():
        for parameter in supernet.parameters():
            parameter.zero_()  # the wiring is the same
    signal = Reachability(supernet, Classification(), (torch.ones(5, 4), torch.zeros(5).long()))
    every = {d.label: (0, 1) for d in supernet.space.decisions}
    assert signal.passing(supernet.space.decision("one")) == (0,)
    cases = [
        ({}, True),
        ({"one": ()}, False),
        ({"one": (1,)}, False),
        ({"two": ()}, True),
        ({"three": ()}, True),
        ({"two": (), "three": ()}, False),
        ({"two": (1,), "three": ()}, True),
        ({"inner": (), "three": ()}, True),
        ({"two": (1,), "inner": (), "three": ()}, False),
        ({"two": (0,), "inner": (), "three": ()}, True),
    ]
    for off, reaches in cases + cases[::-1]:
        assert signal.reaches({**every, **off}) == reaches, off


def test_tokens_are_followed_from_the_layer_that_reads_them():
    class Words(nn.Module):
        def __init__(self):
            super().__init__()
            self.embedding = nn.Embedding(5, 4)
            self.one = Choice([nn.Linear(4, 4), nn.Linear(4, 4)], label="one")
            self.two = Choice([nn.Linear(4, 3), nn.Linear(4, 3)], label="two")

        def forward(self, words):
            x = self.embedding(words).mean(1)
            return self.two(x + self.one(x))

    supernet = SuperNet(Words())
    batch = torch.randint(5, (4, 6)), torch.zeros(4).long()
    signal = Reachability(supernet, Classification(), batch)
    assert signal.reaches({"one": (), "two": (0,)})
    assert not signal.reaches({"one": (0,), "two": ()})


def test_tokens_beside_numbers_are_followed_too():
    class Both(nn.Module):
        def __init__(self):
            super().__init__()
            self.embedding = nn.Embedding(5, 4)
            self.words = Choice([nn.Linear(4, 3), nn.Linear(4, 3)], label="words")
            self.numbers = Choice([nn.Linear(2, 3), nn.Linear(2, 3)], label="numbers")

        def forward(self, words, numbers):
            return self.words(self.embedding(words).mean(1)) + self.numbers(numbers)

    class Two(Classification):
        def loss(self, model, batch):
            return nn.functional.cross_entropy(model(*batch[:2]), batch[2])

    batch = torch.randint(5, (4, 6)), torch.randn(4, 2), torch.zeros(4).long()
    signal = Reachability(SuperNet(Both()), Two(), batch)
    assert signal.reaches({"words": (0,), "numbers": ()})
    assert signal.reaches({"words": (), "numbers": (1,)})
    assert not signal.reaches({"words": (), "numbers": ()})


def test_a_model_that_takes_marks_out_counts_as_a_chain():
    class Safe(nn.Module):
        def __init__(self):
            super().__init__()
            self.pair = Choice([nn.Linear(4, 3), nn.Linear(4, 3)], label="pair")
            self.other = nn.Linear(4, 3)

        def forward(self, x):
            return self.pair(x.nan_to_num()) + self.other(x.nan_to_num())

    signal = Reachability(
        SuperNet(Safe()), Classification(), (torch.ones(4, 4), torch.zeros(4).long())
    )
    assert signal.reaches({"pair": (1,)})
    assert not signal.reaches({"pair": ()})


def test_looking_for_the_signal_leaves_no_trace():
    model = NASBenchMacro(image=(1, 8, 8), channels=2, features=8)
    supernet, batch = SuperNet(model).train(), a_batch(8)
    before = {name: value.clone() for name, value in supernet.state_dict().items()}
    random = torch.get_rng_state()
    signal = Reachability(supernet, Classification(), batch)
    assert not signal.reaches({"layer0": ()} | {f"layer{i}": (0,) for i in range(1, 8)})
    assert all(torch.equal(before[name], value) for name, value in supernet.state_dict().items())
    assert torch.equal(torch.get_rng_state(), random)
    assert all(module.training for module in supernet.modules())
    assert not any(module._forward_hooks for module in supernet.modules())
    assert batch[0].isfinite().all()


def test_batch_norm_is_that_of_the_paper():
    assert BenderOneShot().batch_norm == "batch"


@pytest.mark.parametrize("arguments", [(-0.1,), (1.0,), (0.1, 0)])
def test_impossible_arguments_are_refused(arguments):
    with pytest.raises(ConfigError, match="not"):
        BenderOneShot(*arguments)

"""Races lose none of the best more often than is allowed, and change no score."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy import stats
from torch import nn

from supernet.choice import Choice
from supernet.data import Examples, Normalise
from supernet.errors import CodeError, ConfigError
from supernet.evaluate import Evaluator, Protocol
from supernet.evaluate.racing import DroppedCandidate, Race, rounds
from supernet.net import SuperNet
from supernet.task import Classification, Task


def race(results, keep, error, batch, higher=True):
    """Return who is left at the end, and how many results were looked at.

    Args:
        results: `[candidates, images]`.
        keep: how many of the best must not be lost.
        error: probability to lose any of them.
        batch: images per batch.
        higher: whether high results are good.
    """
    candidates, images = results.shape
    parts = rounds(images // batch)
    contest = Race(candidates, keep, len(parts), error)
    alive, cost = np.arange(candidates), 0
    for part in parts:
        cost += len(alive) * len(part) * batch
        if part is not parts[-1]:
            seen = results[alive, : part.stop * batch]
            alive = alive[~contest.falls(seen, higher)]
    return set(alive.tolist()), cost


def lost(results, left, keep, higher=True):
    """Return whether one of the best is gone; of equal candidates any will do."""
    means = results.mean(1) if higher else -results.mean(1)
    return sorted(means[list(left)])[-keep:] != sorted(means)[-keep:]


def planted(random, images, good, bad):
    """Results of candidates of which each has an accuracy, on images of different difficulty."""
    accuracy = np.array([*good, *bad])[:, None]
    shift = random.normal(0, 1, images)[None]
    logits = np.log(accuracy / (1 - accuracy)) + shift
    right = random.random((len(accuracy), images)) < 1 / (1 + np.exp(-logits))
    return right.astype(np.float32)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("good", "bad"),
    [
        ((0.8, 0.8), [0.79] * 8),  # nearly as good as the best: nothing can be told
        ((0.9, 0.7), [0.69] * 4 + [0.4] * 4),  # a leader far ahead of the last that is kept
        ((0.6, 0.6), [0.1] * 8),
    ],
)
def test_the_best_are_kept_as_often_as_promised(good, bad):
    random, races, error = np.random.default_rng(0), 1500, 0.3
    losses = 0
    for _ in range(races):
        results = planted(random, 160, good, bad)
        left, _ = race(results, 2, error, 10)
        losses += lost(results, left, 2)
    assert losses / races <= error


@pytest.mark.slow
def test_losses_of_images_are_raced_by_a_t_test():
    random, races, error = np.random.default_rng(1), 1500, 0.3
    means, losses, cost = np.array([0.5, 0.5, 0.52, 0.6, 1.0, 1.0, 1.0, 1.0]), 0, 0
    for _ in range(races):
        difficulty = random.exponential(1, 320)
        results = (means[:, None] + difficulty + random.normal(0, 0.5, (8, 320))).astype(np.float32)
        left, looked = race(results, 2, error, 10, higher=False)
        losses += lost(results, left, 2, higher=False)
        cost += looked
    assert losses / races <= error
    assert cost / races < 0.7 * 8 * 320


def test_every_single_test_keeps_its_level():
    """A race of two that are equally good errs in its only test; the level holds for any images."""
    random, error = np.random.default_rng(2), 0.2
    dropped = sum(
        Race(2, 1, 2, error).falls(planted(random, 60, [0.5], [0.5]), True).any()
        for _ in range(2000)
    )
    # Either may fall, and the sign test is one-sided: at most twice the level.
    assert 0.5 * error < dropped / 2000 <= 2 * error


def test_clear_differences_save_most_of_the_work():
    results = planted(np.random.default_rng(3), 640, [0.95] * 3, [0.2] * 97)
    left, cost = race(results, 3, 0.05, 20)
    assert left == {0, 1, 2}
    assert cost < 0.15 * results.size


def test_the_sign_test_is_that_of_scipy():
    random = np.random.default_rng(4)
    results = planted(random, 100, [0.9], [0.6, 0.7, 0.8, 0.85])
    leader = int(results.mean(1).argmax())
    p = []
    for other in results:
        won = int(((other == 1) & (results[leader] == 0)).sum())
        discordant = int((other != results[leader]).sum())
        p.append(stats.binomtest(won, discordant, alternative="less").pvalue if discordant else 1.0)
    for level in (0.5, 0.1, 0.01, 1e-4):
        contest = Race(5, 1, 2, 0.05)
        contest.level = level
        assert contest.falls(results, True).tolist() == [value <= level for value in p]


def test_the_t_test_is_that_of_scipy():
    random = np.random.default_rng(5)
    results = (random.normal(0, 1, (6, 50)) + np.linspace(0, 1, 6)[:, None]).astype(np.float32)
    leader = int(results.mean(1).argmin())
    p = [
        1.0 if other is results[leader] else stats.ttest_rel(other, results[leader]).pvalue / 2
        for other in results
    ]
    p[leader] = 1.0
    for level in (0.3, 0.1, 0.01, 1e-4):
        contest = Race(6, 1, 2, 0.05)
        contest.level = level
        assert contest.falls(results, False).tolist() == [value <= level for value in p]
        assert not contest.falls(results[:, :29], False).any()


def test_equal_differences_decide_nothing_in_a_t_test():
    results = np.tile(np.array([[0.5], [1.5]], dtype=np.float32), (1, 50))
    assert not Race(2, 1, 2, 0.05).falls(results, False).any()


def test_a_candidate_must_be_worse_than_all_that_lead():
    """It is far behind the first, but not behind the second, and two are kept."""
    random = np.random.default_rng(6)
    results = planted(random, 200, [0.99, 0.5], [0.5])
    assert not Race(3, 2, 2, 0.05).falls(results, True).any()
    assert Race(3, 1, 2, 0.05).falls(results, True).tolist() == [False, True, True]


def test_the_level_counts_rounds():
    assert Race(100, 5, 4, 0.06).level == pytest.approx(0.02)


@pytest.mark.parametrize(("candidates", "images", "batches"), [(1000, 500, 10), (50, 1000, 20)])
def test_the_best_of_many_are_rarely_lost(candidates, images, batches):
    """Leaders are picked by the same images; images are hard or easy for all candidates alike."""
    random, races, error, losses, cost = np.random.default_rng(7), 40, 0.05, 0, 0
    for _ in range(races):
        skill = random.normal(1, 0.15, (candidates, 1))
        noise = random.normal(0, 0.7, (candidates, images))
        results = (skill + noise > random.normal(0, 1, images)).astype(np.float32)
        left, looked = race(results, 5, error, images // batches)
        losses += lost(results, left, 5)
        cost += looked / results.size
    assert losses / races <= 2 * error  # forty races: four may be chance
    assert cost / races < 0.8
    assert Race(3, 5, 1, 0.05).level == 0.05
    assert not Race(3, 5, 2, 0.5).falls(np.eye(3, dtype=np.float32), True).any()


@pytest.mark.parametrize("batches", [1, 2, 3, 7, 8, 100])
def test_rounds_are_all_batches_once_and_grow(batches):
    parts = rounds(batches)
    assert [batch for part in parts for batch in part] == list(range(batches))
    assert len(parts[0]) == 1
    ends = [part.stop for part in parts]
    assert ends[:-1] == [3**i for i in range(len(ends) - 1)]
    assert len(ends) == 1 or ends[-1] >= 2 * ends[-2]


@pytest.mark.parametrize(("keep", "error"), [(0, 0.1), (1, 0.0), (1, 1.0), (2, -1)])
def test_impossible_numbers_are_refused(keep, error):
    with pytest.raises(ConfigError):
        Race(5, keep, 2, error)


class Skewed(nn.Module):
    """An option that answers right on a share of the images, by their first pixel."""

    def __init__(self, share):
        super().__init__()
        self.share = share
        self.norm = nn.BatchNorm2d(1, affine=False)

    def forward(self, x):
        right = (x[:, 0, 0, 0] < 2 * self.share - 1).float()
        return torch.stack([right, 0.5 + 1e-3 * self.norm(x).mean((1, 2, 3)).abs()], 1)


class Layers(nn.Module):
    def __init__(self):
        super().__init__()
        self.shift = Choice({"a": nn.Identity(), "b": nn.Hardtanh(-2, 2)}, label="shift")
        shares = (0.9, 0.85, 0.5, 0.3, 0.2, 0.1)
        self.last = Choice({str(s): Skewed(s) for s in shares}, label="last")

    def forward(self, x):
        return self.last(self.shift(x))


@pytest.fixture
def parts():
    random = torch.Generator().manual_seed(0)
    inputs = torch.rand(400, 1, 3, 3, generator=random) * 2 - 1
    examples = Examples(inputs, torch.zeros(400, dtype=torch.long), ("a", "b"))
    return examples, examples.select(torch.arange(60))


@pytest.fixture
def make(parts):
    def build(batch_norm="recalibrate", task=None, **options):
        supernet = SuperNet(Layers())
        protocol = Protocol(batch_norm, 25, 2)
        task = task or Classification()
        return supernet, Evaluator(supernet, task, *parts, Normalise(), protocol, **options)

    return build


@pytest.mark.parametrize("memory", [0, 2**30])
@pytest.mark.parametrize("batch_norm", ["batch", "recalibrate"])
def test_finalists_have_the_scores_of_plain_evaluation(make, batch_norm, memory):
    supernet, made = make(batch_norm, memory=memory)
    everything = list(supernet.space)
    plain = {architecture: made.score(architecture) for architecture in everything}
    fates = dict(made.race(everything, keep=2, error=0.05))
    assert fates.keys() == plain.keys()
    finalists = {a: fate for a, fate in fates.items() if not isinstance(fate, DroppedCandidate)}
    assert all(score == plain[architecture] for architecture, score in finalists.items())
    ranked = sorted(plain, key=lambda a: (-plain[a]["accuracy"], plain[a]["loss"]))
    assert set(ranked[:2]) <= set(finalists)
    assert 2 <= len(finalists) < len(everything)


def test_who_falls_says_on_how_many_images(make):
    supernet, made = make("batch")
    dropped = [f for _, f in made.race(list(supernet.space), 1) if isinstance(f, DroppedCandidate)]
    assert {one.images for one in dropped} <= {25, 75}
    for one in dropped:
        assert set(one.score) == {"loss", "accuracy"}
        whole = one.score["accuracy"] * one.images
        assert whole == pytest.approx(round(whole))


def test_losses_are_raced_where_there_is_no_accuracy(make):
    class Only(Classification):
        def measure(self, model, batch):
            return {"loss": super().measure(model, batch)["loss"]}

    supernet, made = make("batch", Only())
    fates = dict(made.race(list(supernet.space), 1))
    plain = {a: made.score(a)["loss"] for a in supernet.space}
    assert min(plain, key=plain.get) in {a for a, f in fates.items() if isinstance(f, dict)}
    assert any(isinstance(fate, DroppedCandidate) for fate in fates.values())


def test_those_are_kept_that_are_best_by_what_is_ranked_by(make):
    class Contrary(Classification):
        """Networks of low loss have a low accuracy."""

        def measure(self, model, batch):
            loss = super().measure(model, batch)["loss"]
            return {"loss": loss, "accuracy": (loss > 0.6).float()}

    supernet, made = make("batch", Contrary())
    plain = {one: made.score(one) for one in supernet.space}
    best = {
        "loss": min(plain, key=lambda one: plain[one]["loss"]),
        "accuracy": max(plain, key=lambda one: plain[one]["accuracy"]),
    }
    for by, one in best.items():
        fates = dict(made.race(list(supernet.space), 1, by=by))
        kept = {a for a, fate in fates.items() if isinstance(fate, dict)}
        assert one in kept
        assert best["loss" if by == "accuracy" else "accuracy"] not in kept


def test_failures_are_their_own(make):
    supernet, made = make()

    def fail(*_):
        raise KeyError("no luck")

    supernet.model.last.options[0].register_forward_hook(fail)
    fates = dict(made.race(list(supernet.space), 1))
    for architecture, fate in fates.items():
        failed = isinstance(fate, CodeError) and isinstance(fate.__cause__, KeyError)
        assert failed == (architecture["last"] == "0.9")


def test_all_failing_is_no_race(make):
    class Broken(Task):
        def loss(self, model, batch):
            raise NotImplementedError

        def measure(self, model, batch):
            raise KeyError("no luck")

    supernet, made = make(task=Broken())
    fates = [fate for _, fate in made.race(list(supernet.space), 1)]
    assert all(isinstance(fate.__cause__, KeyError) for fate in fates)
    assert list(made.race([], 1)) == []


def test_bad_numbers_are_refused_before_anything_runs(make):
    supernet, made = make()
    with pytest.raises(ConfigError, match="keeps at least 1"):
        made.race(list(supernet.space), 0)


def test_statistics_are_estimated_once(make):
    """Each option's batch norm sees the calibration batches in the first round only."""
    supernet, made = make()
    list(made.race(list(supernet.space), 1))  # the first candidates are scored both ways
    assert not made.plain_because
    calls = {"training": 0, "evaluation": 0}

    def count(module, _):
        calls["training" if module.training else "evaluation"] += 1

    for option in supernet.model.last.options:
        option.norm.register_forward_pre_hook(count)
    finalists = [a for a, fate in made.race(list(supernet.space), 1) if isinstance(fate, dict)]
    assert calls["training"] == 12 * 2
    assert 16 * len(finalists) < calls["evaluation"] < 16 * 12


def test_a_race_forgets_statistics_of_other_weights(make):
    supernet, made = make()
    everything = list(supernet.space)
    list(made.race(everything, 2))
    with torch.no_grad():
        supernet.model.last.options[0].share = 0.7
    supernet.model.last.options[0].norm = nn.BatchNorm2d(1, affine=False, eps=0.5)
    fates = dict(made.race(everything, 2))
    for architecture, fate in fates.items():
        if isinstance(fate, dict):
            assert fate == made.score(architecture)


def test_one_candidate_after_a_race_is_scored_like_any_other(make):
    supernet, made = make()
    everything = list(supernet.space)
    list(made.race(everything, 2))
    for architecture in everything[:4]:
        assert dict(made.scores([architecture])) == {architecture: made.score(architecture)}
    assert not made.plain_because

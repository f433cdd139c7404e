"""Intervals hold what they say: how often they do is counted where the truth is known."""

import math

import numpy as np
import pytest
from scipy import stats

from supernet.errors import ConfigError
from supernet.evaluate import (
    kendall,
    kendall_difference,
    mean_interval,
    noise_ceiling,
    paired_difference,
)

REPEATS = 200
BAND = (0.905, 0.995)
"""What 200 intervals of 95 % hold: three standard errors of a share of 0.95 are 0.046."""


def correlated(random, n, tau):
    """Draw n pairs of a normal distribution of this Kendall's τ (Greiner: τ = 2/π asin r)."""
    r = math.sin(math.pi * tau / 2)
    x = random.normal(size=n)
    return x, r * x + math.sqrt(1 - r**2) * random.normal(size=n)


@pytest.mark.quick_with("10")
@pytest.mark.parametrize("n", [10, 16, 20, 50])
def test_intervals_of_tau_hold_the_truth(n):
    random, held = np.random.default_rng(n), []
    for tau in (0, 0.2, 0.5, 0.7):
        found = [kendall(*correlated(random, n, tau)) for _ in range(REPEATS // 4)]
        held += [one.low <= tau <= one.high for one in found]
        assert np.mean([one.kendall_tau for one in found]) == pytest.approx(tau, abs=0.12)
    assert BAND[0] <= np.mean(held) <= BAND[1]


@pytest.mark.slow_with("16")
@pytest.mark.parametrize("n", [10, 16])
def test_that_all_pairs_agree_is_no_proof(n):
    random = np.random.default_rng(n)
    found = [kendall(*correlated(random, n, 0.93)) for _ in range(REPEATS)]
    unanimous = [one for one in found if one.kendall_tau == pytest.approx(1)]
    assert unanimous
    assert all(0.5 < one.low < 0.97 and one.high == 1 for one in unanimous)
    assert np.mean([one.low <= 0.93 <= one.high for one in found]) >= 0.9
    reverse = kendall(range(n), range(n, 0, -1))
    assert (reverse.low, reverse.high) == (-1, -kendall(range(n), range(n)).low)


def test_few_that_agree_say_nothing():
    found = kendall([1, 2, 3], [1, 2, 3])
    assert found.kendall_tau == pytest.approx(1)
    assert (found.low, found.high) == (-1, 1)


@pytest.mark.slow
def test_intervals_of_a_difference_hold_the_truth():
    """Two scores with a truth: each is the truth with noise of its own."""
    random, held, wide, narrow = np.random.default_rng(5), [], [], []
    taus = [2 / math.pi * math.asin(1 / math.sqrt(1 + noise**2)) for noise in (0.5, 1)]
    for _ in range(REPEATS // 2):
        truth = random.normal(size=20)
        one, other = (truth + noise * random.normal(size=20) for noise in (0.5, 1))
        found = kendall_difference(one, other, truth)
        held.append(found.low <= taus[0] - taus[1] <= found.high)
        narrow.append(found.high - found.low)
        each = kendall(one, truth), kendall(other, truth)
        assert found.value == pytest.approx(each[0].kendall_tau - each[1].kendall_tau)
        wide.append(sum(x.high - x.low for x in each))
    assert np.mean(held) >= 0.88
    assert np.mean(narrow) < np.mean(wide)


def test_the_difference_of_a_score_with_itself_is_nothing():
    random = np.random.default_rng(0)
    x, y = correlated(random, 20, 0.5)
    same = kendall_difference(x, 2 * x + 1, y)
    assert (same.value, same.low, same.high) == (0, 0, 0)
    assert kendall_difference(x, np.ones(20), y) is None
    with pytest.raises(ConfigError, match="19 scores cannot be ranked against 20"):
        kendall_difference(x, x[1:], y)


@pytest.mark.slow_with("3-0.7", "3-0.5", "2-0.7", "2-0.5")
@pytest.mark.parametrize("noise", [0.5, 0.7, 1.0])
@pytest.mark.parametrize("seeds", [2, 3])
def test_the_noise_ceiling_is_what_a_perfect_score_reaches(noise, seeds):
    """A perfect score knows what the values scatter around."""
    random, perfect = np.random.default_rng(int(10 * noise) + seeds), []
    found, held = [], []
    truth = 2 / math.pi * math.asin(1 / math.sqrt(1 + noise**2 / seeds))
    for _ in range(30):
        worth = random.normal(size=60)
        values = worth + noise * random.normal(size=(seeds, 60))
        perfect.append(stats.kendalltau(worth, values.mean(0)).statistic)
        one = noise_ceiling(values)
        found.append(one.kendall_tau)
        held.append(one.low <= truth <= one.high)
    assert np.mean(perfect) == pytest.approx(truth, abs=0.03)
    assert np.mean(found) == pytest.approx(truth, abs=0.03)
    assert np.mean(held) >= 0.83
    assert noise_ceiling(-np.exp(-values)) == one  # only ranks matter


def test_a_ceiling_of_values_that_do_not_scatter_is_1():
    values = [list(range(20))] * 3
    assert noise_ceiling(values).kendall_tau == pytest.approx(1)
    assert noise_ceiling([[1.0] * 20] * 2).kendall_tau is None
    unlike = noise_ceiling([range(20), range(20, 0, -1)])
    assert unlike.kendall_tau == 0  # never below: seeds that contradict each other leave nothing


@pytest.mark.parametrize("values", [[], [[1, 2, 3]], [[1, 2, 3], [1, 2]]])
def test_a_ceiling_needs_two_values_for_each(values):
    with pytest.raises(ConfigError, match="train with more seeds"):
        noise_ceiling(values)


@pytest.mark.parametrize("examples", [50, 359])
def test_intervals_of_a_paired_difference_hold_the_truth(examples):
    """Networks that are right on 95 and 92 % of examples, mostly of the same."""
    random, held = np.random.default_rng(examples), []
    for _ in range(600):
        kind = random.choice(3, p=[0.9, 0.065, 0.035], size=examples)
        one, other = (kind != 2).astype(float), (kind != 1).astype(float)
        found = paired_difference(one, other, shares=True)
        held.append(found.low <= 0.03 <= found.high)
    assert 0.925 <= np.mean(held) <= 0.985
    assert found.value == pytest.approx(one.mean() - other.mean())


def test_networks_that_agree_are_not_proved_alike():
    right = np.ones(359)
    found = paired_difference(right, right, shares=True)
    assert found.value == 0
    assert found.high == pytest.approx(1.96 * math.sqrt(1 / 361) / math.sqrt(361), rel=1e-3)
    assert found.low == -found.high


def test_differences_of_losses_have_the_ordinary_interval():
    random = np.random.default_rng(2)
    one, other = random.normal(3, 1, 400), random.normal(2, 1, 400)
    found = paired_difference(one, other, shares=False)
    expected = stats.norm.interval(0.95, np.mean(one - other), np.std(one - other) / math.sqrt(400))
    assert (found.low, found.high) == pytest.approx(expected)


@pytest.mark.parametrize("other", [np.ones(3), np.ones((4, 1))])
def test_results_of_other_examples_are_refused(other):
    with pytest.raises(ConfigError, match="same examples"):
        paired_difference(np.ones(4), other, shares=True)


def test_the_interval_of_a_mean_is_students():
    values = [0.9, 0.8, 0.95, 0.85]
    found = mean_interval(values)
    expected = stats.ttest_1samp(values, 0).confidence_interval(0.95)
    assert (found.low, found.high) == pytest.approx((expected.low, expected.high))
    assert found.value == pytest.approx(0.875)
    assert mean_interval([0.9]) is None
    assert mean_interval([0.9, 0.9]) is None  # not an interval of width 0
    with pytest.raises(ConfigError, match="confidence"):
        mean_interval(values, 95)


def test_seeds_that_agree_do_not_make_a_ceiling_certain():
    alike = noise_ceiling([[1, 2, 3], [2, 4, 9]])
    assert (alike.kendall_tau, alike.low, alike.high) == (1, 0, 1)
    opposed = noise_ceiling([[1, 2, 3], [3, 2, 1]])
    assert (opposed.kendall_tau, opposed.low, opposed.high) == (0, 0, 1)
    many = noise_ceiling([list(range(20))] * 2)
    assert many.kendall_tau == many.high == 1
    # As if one of 190 pairs disagreed: the lower end of τ, then steps 1 to 4 by hand.
    tau = math.tanh(math.atanh(188 / 190) - 1.959964 * math.sqrt(0.437 / 16))
    reliability = math.sin(math.pi * tau / 2)
    of_two = 2 * reliability / (1 + reliability)
    assert many.low == pytest.approx(2 / math.pi * math.asin(math.sqrt(of_two)), abs=1e-6)


def test_the_difference_of_perfect_scores_is_not_claimed():
    ordered = list(range(12))
    assert kendall_difference(ordered, ordered, ordered) is None
    assert kendall_difference([1, 2], [2, 1], [1, 2]) is None
    swapped = [1, 0, *ordered[2:]]
    assert kendall_difference(ordered, swapped, ordered) is not None

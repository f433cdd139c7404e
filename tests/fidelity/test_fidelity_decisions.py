"""Means and shares by decision, beside what SciPy computes of the same numbers."""

import numpy as np
import pytest
from scipy import stats

from supernet.fidelity.decisions import decision_effects
from supernet.space import Architecture


def drawn(n=60, seed=0, effect=0.5):
    """Return scores that depend on the decision a, and architectures with others besides."""
    random = np.random.default_rng(seed)
    a, b = random.integers(3, size=n), random.integers(2, size=n)
    subsets = [("p",), ("q",), ("p", "q")]
    c = random.integers(3, size=n)
    scores = effect * a + random.normal(size=n)
    architectures = [
        Architecture({"a": "xyz"[i], "b": "uv"[j], "c": subsets[k], "same": 1})
        for i, j, k in zip(a, b, c, strict=True)
    ]
    return scores, architectures


def test_one_of_several_options_is_the_analysis_of_variance():
    scores, architectures = drawn()
    found = {one.label: one for one in decision_effects(scores, architectures)}
    assert set(found) == {"a", "b", "c"}  # "same" explains nothing
    groups = {o: scores[[one["a"] == o for one in architectures]] for o in "xyz"}
    anova = stats.f_oneway(*groups.values())
    effect = found["a"]
    assert effect.probability == pytest.approx(anova.pvalue)
    within = sum(((one - one.mean()) ** 2).sum() for one in groups.values()) / (60 - 3)
    assert effect.share.value == pytest.approx(1 - within / scores.var(ddof=1))
    assert effect.share.low < effect.share.value < effect.share.high
    assert effect.deviation == pytest.approx(np.sqrt(within))
    for option, one in groups.items():
        mean = effect.means[option]
        assert mean.value == pytest.approx(one.mean())
        room = stats.t.ppf(0.975, 57) * np.sqrt(within / len(one))
        assert (mean.low, mean.high) == pytest.approx((one.mean() - room, one.mean() + room))
        assert effect.networks(option) == len(one)
    assert list(effect.means) == sorted(groups, key=lambda o: -groups[o].mean())


def test_a_difference_of_two_options_is_the_t_test():
    scores, architectures = drawn()
    [effect] = [one for one in decision_effects(scores, architectures) if one.label == "b"]
    u, v = (scores[[one["b"] == o for one in architectures]] for o in "uv")
    wanted = stats.ttest_ind(v, u)
    interval = wanted.confidence_interval(0.95)
    found = effect.difference("v", "u")
    assert found.value == pytest.approx(v.mean() - u.mean())
    assert (found.low, found.high) == pytest.approx((interval.low, interval.high))


def test_several_options_count_for_every_network_that_has_them():
    scores = [1.0, 2.0, 4.0, 1.5, 2.5, 4.5]
    architectures = [Architecture({"c": c}) for c in (("p",), ("q",), ("p", "q"))] * 2
    [effect] = decision_effects(scores, architectures)
    assert effect.means["p"].value == pytest.approx((1 + 4 + 1.5 + 4.5) / 4)
    assert effect.means["q"].value == pytest.approx((2 + 4 + 2.5 + 4.5) / 4)
    assert effect.difference("q", "p").value == pytest.approx(0.5)
    assert effect.share.value > 0.9


def test_a_decision_that_is_not_everywhere_has_networks_without_it():
    scores = [1.0, 1.1, 3.0, 3.1, 3.2]
    architectures = [Architecture({"a": 1}), Architecture({"a": 1}), *[Architecture({"b": 2})] * 3]
    found = {one.label: one for one in decision_effects(scores, architectures)}
    assert found["a"].means[1].value == pytest.approx(1.05)
    assert found["b"].means[2].value == pytest.approx(3.1)
    assert found["a"].share.value == pytest.approx(found["b"].share.value)


@pytest.mark.parametrize(
    ("scores", "answers"),
    [([], []), ([1.0, 2.0], [1, 2]), ([1.0, 1.0, 1.0], [1, 2, 1]), ([1.0, 2.0, 3.0], [1, 2, 3])],
)
def test_where_nothing_can_be_told_there_is_nothing(scores, answers):
    assert decision_effects(scores, [Architecture({"a": one}) for one in answers]) == []


def test_a_decision_that_decides_everything_explains_all():
    architectures = [Architecture({"a": i % 2, "b": i % 3}) for i in range(12)]
    first, second = decision_effects([float(i % 2) for i in range(12)], architectures)
    assert (first.label, second.label) == ("a", "b")
    assert first.share.value == pytest.approx(1)
    assert second.share.value == 0
    assert second.share.low == 0
    assert second.probability > 0.9


@pytest.mark.slow
@pytest.mark.parametrize("effect", [0.0, 0.6])
def test_intervals_of_shares_hold_the_truth_as_often_as_they_say(effect):
    """The truth is the share in the long run: the variance of the effect over that of scores."""
    truth = effect**2 * 2 / 3 / (effect**2 * 2 / 3 + 1)
    held = 0
    for seed in range(300):
        found = decision_effects(*drawn(100, seed, effect))
        [share] = [one.share for one in found if one.label == "a"]
        held += share.low <= truth <= share.high
    assert 0.92 <= held / 300 <= 1

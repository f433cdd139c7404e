"""Figures of a ranking: against other computations, by hand, and with scores that are known."""

import math

import numpy as np
import pytest
from scipy import stats
from sklearn.metrics import ndcg_score

from supernet.errors import ConfigError
from supernet.evaluate import pair_counts, resampling
from supernet.fidelity import figures, picks
from supernet.fidelity.figures import BEST, fidelity


def drawn(n=60, seed=0):
    """Return the truth and two counts that know something of it, `[n]` each."""
    random = np.random.default_rng(seed)
    truth = random.normal(size=n)
    return truth, truth + random.normal(size=n), truth + 2 * random.normal(size=n)


def measured(score, truth, *controls):
    """Return the figures of a score, without their intervals."""
    named = {f"control {i}": control for i, control in enumerate(controls)}
    found = fidelity({"score": score, **named}, truth, [*named])
    return {name: interval.value for name, interval in found.scores["score"].items()}


def test_correlations_are_those_of_scipy_with_ties():
    truth, score, _ = drawn()
    for x, y in ((score, truth), (score.round(), truth.round()), (-score, truth.round(1))):
        found = measured(x, y)
        assert found["kendall_tau"] == pytest.approx(stats.kendalltau(x, y).statistic)
        assert found["spearman"] == pytest.approx(stats.spearmanr(x, y).statistic)


def test_within_the_best_it_is_the_correlation_among_them():
    truth, score, _ = drawn(400)
    found = measured(score, truth)
    for share in BEST:
        best = np.sort(truth)[-math.ceil(share * 400)]
        among = truth >= best
        expected = stats.kendalltau(score[among], truth[among]).statistic
        assert found[f"kendall_tau_best_{100 * share:.0f}"] == pytest.approx(expected)


def test_the_partial_correlation_is_that_of_the_formula_for_one_control():
    truth, score, count = drawn()
    found = measured(score, truth, count)["partial_spearman"]
    xy, xz, yz = (
        stats.spearmanr(*pair).statistic
        for pair in ((score, truth), (score, count), (truth, count))
    )
    assert found == pytest.approx((xy - xz * yz) / math.sqrt((1 - xz**2) * (1 - yz**2)))


def test_the_partial_correlation_with_two_controls_is_that_of_residuals():
    truth, score, count = drawn()
    other = count + np.random.default_rng(3).normal(size=60)
    found = measured(score, truth, count, other)["partial_spearman"]
    x, y, *design = (stats.rankdata(one) for one in (score, truth, count, other))
    design = np.column_stack([np.ones(60), *design])
    left = [side - design @ np.linalg.lstsq(design, side, rcond=None)[0] for side in (x, y)]
    assert found == pytest.approx(stats.pearsonr(*left).statistic)


def test_the_gain_is_that_of_scikit_learn():
    truth, score, _ = drawn()
    expected = ndcg_score([truth - truth.min()], [score])
    assert measured(score, truth)["ndcg"] == pytest.approx(expected)


def test_what_is_picked_by_hand():
    truth = np.array([0.5, 0.9, 0.7, 0.1, *np.linspace(0.0, 0.09, 16)])
    score = np.array([9.0, 3.0, 8.0, 1.0, *np.linspace(-2, -1, 16)])
    found = measured(score, truth)
    assert found["precision_at_1"] == 0
    assert found["best_rank_at_1"] == 2 / 19
    assert found["regret_at_1"] == pytest.approx(0.4)
    assert found["precision_at_10"] == 1
    assert found["best_rank_at_10"] == 0
    assert found["regret_at_10"] == 0
    assert "precision_at_50" not in found


@pytest.mark.parametrize(
    ("fake", "low", "high"),
    [
        (lambda truth, _: truth, 1, 1),
        (lambda truth, _: -truth, -1, -1),
        (lambda truth, _: np.exp(3 * truth), 1, 1),
        (lambda truth, random: random.normal(size=len(truth)), -0.2, 0.2),
        (lambda truth, random: truth + random.normal(size=len(truth)), 0.35, 0.65),
    ],
    ids=["truth", "reversed", "monotone", "random", "noisy"],
)
def test_planted_scores_are_what_they_are(fake, low, high):
    random = np.random.default_rng(5)
    truth = random.normal(size=200)
    found = fidelity({"planted": fake(truth, random)}, truth).scores["planted"]
    tau = found["kendall_tau"]
    assert low - 1e-9 <= tau.low <= tau.value <= tau.high <= high + 1e-9
    assert found["regret_at_1"].low >= 0


@pytest.mark.slow
def test_a_constant_ranks_nothing_and_its_picks_are_those_of_chance():
    truth = np.arange(100.0)
    regrets = []
    for seed in range(60):
        found = fidelity({"same": [1.0] * 100}, truth, seed=seed).scores["same"]
        assert "kendall_tau" not in found
        regrets.append(found["regret_at_1"].value)
    assert abs(np.mean(regrets) - 49.5) < 4 * 28.9 / math.sqrt(60)


def test_a_difference_is_of_the_same_networks():
    """Two scores that share their noise differ less than their intervals, and the interval says so."""
    truth, score, _ = drawn(100)
    near = score + 0.05 * np.random.default_rng(2).normal(size=100)
    found = fidelity({"score": score, "near": near}, truth)
    over, tau = found.over["near"], found.scores["score"]["kendall_tau"]
    assert over.low < 0 < over.high
    assert over.high - over.low < 0.5 * (tau.high - tau.low)
    assert over.value == tau.value - found.scores["near"]["kendall_tau"].value


def test_the_seed_decides_the_interval_and_nothing_else():
    truth, score, count = drawn()
    first, again, other = (
        fidelity({"score": score, "count": count}, truth, ["count"], seed=seed)
        for seed in (1, 1, 2)
    )
    assert first == again
    assert first != other
    assert first.scores["score"]["kendall_tau"].value == pytest.approx(
        other.scores["score"]["kendall_tau"].value
    )
    assert "partial_spearman" in first.scores["score"]
    assert "partial_spearman" not in first.scores["count"]


@pytest.mark.parametrize("digits", [0, 1, 9], ids=["many ties", "ties", "none"])
@pytest.mark.parametrize("n", [7, 8, 9, 40, 41])
def test_pairs_that_are_counted_while_merging_are_those_of_scipy(monkeypatch, n, digits):
    monkeypatch.setattr(pair_counts, "RUN", 4)
    truth, score, _ = (one.round(digits) for one in drawn(n))
    drawings = resampling.counts(n, 3)[:20]
    found = resampling.taus(score, truth, drawings)
    for value, many in zip(found, drawings.astype(int), strict=True):
        expected = stats.kendalltau(np.repeat(score, many), np.repeat(truth, many)).statistic
        assert value == pytest.approx(expected, nan_ok=True)
    assert np.isnan(resampling.taus(np.ones(n), truth, drawings)).all()


def test_resamples_are_the_same_however_many_are_worked_on_at_a_time(monkeypatch):
    truth, score, count = drawn()
    scores = {"score": score, "count": count}
    once = fidelity(scores, truth, ["count"])
    monkeypatch.setattr(figures, "CELLS", 60 * 7)
    parts = fidelity(scores, truth, ["count"])
    assert parts.scores.keys() == once.scores.keys()
    for name, of_score in once.scores.items():
        for figure, interval in of_score.items():
            other = parts.scores[name][figure]
            assert (other.low, other.high) == pytest.approx((interval.low, interval.high)), figure


def test_what_a_control_explains_whole_has_no_partial_correlation():
    truth, score, count = drawn(300)
    assert "partial_spearman" not in measured(2 * count + 1, truth, count, score)
    assert "partial_spearman" in measured(score, truth, count, 2 * count)


def test_picks_in_resamples_are_those_of_networks_written_out():
    """A resample is a list of networks, some of them several times: its figures are that list's."""
    truth, score, _ = (one.round(1) for one in drawn(45))
    known = picks.TruthPicks(truth)
    drawings = resampling.counts(45, 5)[:30].astype(np.float32)
    found = picks.Picks(score, known).figures(drawings, known.resample(drawings))
    order = np.argsort(-score, kind="stable")
    for row, many in enumerate(drawings.astype(int)):
        picked = np.repeat(order, many[order])
        worth, places = truth[picked], known.place[picked]
        gain = [worth - worth.min()]
        assert found["ndcg"][row] == pytest.approx(ndcg_score(gain, [-np.arange(45.0)]))
        for k in (1, 10):
            better = np.array([(places < place).sum() for place in places[:k]])
            assert found[f"precision_at_{k}"][row] == pytest.approx((better < k).mean())
            assert found[f"best_rank_at_{k}"][row] == pytest.approx(better.min() / 44)
            assert found[f"regret_at_{k}"][row] == pytest.approx(worth.max() - worth[:k].max())


def test_pairs_within_strata_count_as_often_as_among_all():
    """Two of each of four strata: of 28 pairs 4 are within one, where of all pairs a quarter is."""
    truth, score, _ = drawn(8)
    strata = [0, 1, 2, 3, 3, 2, 1, 0]
    sums = [0.0, 0.0]
    for i in range(8):
        for j in range(i):
            weight = 2 if strata[i] == strata[j] else 1
            sums[0] += weight * np.sign(truth[i] - truth[j]) * np.sign(score[i] - score[j])
            sums[1] += weight
    found = fidelity({"score": score}, truth, strata=strata).scores["score"]["kendall_tau"]
    assert found.value == pytest.approx(sums[0] / sums[1])
    alone = fidelity({"score": score}, truth, strata=range(8))
    assert alone == fidelity({"score": score}, truth)


@pytest.mark.slow
@pytest.mark.parametrize("tau", [0.2, 0.5])
def test_stratified_networks_show_the_tau_of_all(tau, monkeypatch):
    """Two of each of eight strata by score: without weights τ is higher than that of all."""
    monkeypatch.setattr(resampling, "RESAMPLES", 2)
    random, r = np.random.default_rng(1), math.sin(math.pi * tau / 2)
    strata, found, plain = np.repeat(np.arange(8), 2), [], []
    for _ in range(1500):
        score = np.sort(random.normal(size=128))
        rows = [h * 16 + i for h in range(8) for i in random.choice(16, 2, replace=False)]
        truth = r * score[rows] + math.sqrt(1 - r**2) * random.normal(size=16)
        pairs = pair_counts.PairCounts(score[rows], truth, pair_counts.Strata.sampled(strata))
        found.append(pairs.taus(np.ones((1, 16)))[0])
        plain.append(stats.kendalltau(score[rows], truth).statistic)
    error = np.std(found) / math.sqrt(1500)
    assert np.mean(found) == pytest.approx(tau, abs=4 * error)
    assert np.mean(plain) - np.mean(found) > 0.005


@pytest.mark.slow
def test_intervals_hold_the_truth_of_all_networks():
    """Of 100 samples of 60 networks, those of 90 % hold what 5,000 networks have."""
    truth, score, count = drawn(5_000, seed=9)
    names = ("kendall_tau", "spearman", "partial_spearman")
    whole = measured(score, truth, count)
    random, held = np.random.default_rng(1), dict.fromkeys(names, 0)
    for seed in range(100):
        rows = random.choice(5_000, 60, replace=False)
        found = fidelity(
            {"score": score[rows], "count": count[rows]}, truth[rows], ["count"], 0.9, seed
        )
        for name in names:
            interval = found.scores["score"][name]
            held[name] += interval.low <= whole[name] <= interval.high
    assert all(80 <= held[name] <= 98 for name in names), held


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"scores": {"score": [1.0, 2.0]}}, "score has 2 numbers and the truth 4"),
        ({"scores": {"score": []}, "truth": []}, "three networks or more"),
        (
            {"scores": {"score": [1, math.nan, 2, 3]}},
            "score score holds a number that is not finite",
        ),
        ({"truth": [1, 2, 3, math.inf]}, "the truth holds a number that is not finite"),
        ({"controls": ["params"]}, r"\['params'\] are to be controlled for"),
        ({"confidence": 95}, "share in"),
    ],
)
def test_what_cannot_be_compared_is_refused(changes, words):
    arguments = {"scores": {"score": [1, 2, 3, 4]}, "truth": [1, 2, 4, 3], **changes}
    with pytest.raises(ConfigError, match=words):
        fidelity(**arguments)
